"""Runs the commands as a user does: as processes, with an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60

SECTION = """
[{name}]
local path  = {place}/{name}
protocol    = file
directory   = {place}/relay
client name = {name}
"""


class User:
    """Somebody with a home directory and a configuration file whose sections bear the names of scripts."""

    def __init__(self, place: Path, *sections: str) -> None:
        self.place = place
        self.conf = place / "x.conf"
        self.write_conf(*sections)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "XDG_RUNTIME_DIR": str(place / "run"),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }
        (place / "run").mkdir(exist_ok=True)
        (place / "relay").mkdir(exist_ok=True)

    def write_conf(self, *sections: str, head: str = "log file = none\n") -> None:
        """A configuration with these sections."""
        text = "".join(SECTION.format(name=name, place=self.place) for name in sections)
        for name in sections:
            (self.place / name).mkdir(exist_ok=True)
        self.conf.write_text(head + text)

    def start(self, *arguments: str, module: str = "tests.cli.scripted_escale", **environ: str) -> subprocess.Popen:
        """A process, with pipes."""
        words = [sys.executable, "-m", module, *arguments]
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            env={**self.environ, **environ},
            cwd=self.place,
        )

    def run(self, *arguments: str, module: str = "tests.cli.scripted_escale", **environ: str):
        """A finished process: returncode, stdout, stderr."""
        process = self.start(*arguments, module=module, **environ)
        try:
            process.stdout_text, process.stderr_text = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert "Traceback" not in process.stderr_text, process.stderr_text
        return process

    def escale(self, *arguments: str, **environ: str):
        """`escale -c x.conf ...` with the scripted engine."""
        return self.run("-c", str(self.conf), *arguments, **environ)

    def escalectl(self, *arguments: str, **environ: str):
        """`escalectl ... -c x.conf`."""
        return self.run(*arguments, "-c", str(self.conf), module="escale.cli.escalectl", **environ)

    def service(self, *arguments: str, **environ: str) -> Service:
        """A running escale."""
        return Service(self, *arguments, **environ)


class Service:
    """A running `escale --json`; `next` waits for an event."""

    def __init__(self, user: User, *arguments: str, **environ: str) -> None:
        self.process = user.start("-c", str(user.conf), "--json", *arguments, **environ)
        self.events: list[dict] = []

    def next(self, kind: str, **values: object) -> dict:
        """Read until an event of this type and these values comes."""
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["type"] == kind and all(event.get(key) == value for key, value in values.items()):
                return event
        raise AssertionError((kind, values, self.events, self.process.stderr.read()))

    def end(self) -> int:
        """Wait for its end; what it wrote is read."""
        try:
            out, err = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.events += [json.loads(line) for line in out.splitlines()]
        assert err == ""
        return self.process.returncode

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()
