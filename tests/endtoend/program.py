"""Program: one client of a relay, run as its user runs it: a configuration file, a command line, a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .folders import Files, files
from .places import Place

REPOSITORY = Path(__file__).parents[2]
RUN_S_MAX = 60.0
"""One pass of any test here takes some seconds; what takes longer hangs."""
CONDITION_S_MAX = 40.0
POLL_S = 0.01
STOP_S_MAX = 20.0


WITHOUT_PRIVILEGES = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--") if os.getuid() == 0 else ()
)
"""Run like this, permissions mean something to root, too."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; `code` is negative for a signal."""

    code: int
    stdout: str
    stderr: str

    def events(self) -> list[dict[str, Any]]:
        """The objects of a run with --json."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def expect(self, *codes: int) -> Ending:
        """The same; AssertionError with everything it said for another code, or for a traceback."""
        assert self.code in (codes or (0,)), f"{self.code} instead of {codes or 0}\n{self}"
        assert "Traceback" not in self.stdout + self.stderr, str(self)
        return self

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-3000:]}"


class Program:
    """One client.  `keys` are those of its section; None takes one away.  `wrapper`: words in front of the command.

    The process, and whatever it starts, ends with `close`; one that has to be killed for that fails the test.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        place: Place,
        keys: Mapping[str, object] | None = None,
        *,
        is_toml: bool = False,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.home = directory / f"{name}-home"
        self.home.mkdir(parents=True)
        self.folder = directory / name
        self.folder.mkdir()
        self.state = self.home / "state"
        self.configuration = self.home / ("work.toml" if is_toml else "work.conf")
        self.wrapper = tuple(wrapper)
        self.keys: dict[str, object] = {
            "local path": self.folder,
            **place.keys,
            "client name": name,
            "settle": "0 s",
            "refresh": "1 s",
            **(keys or {}),
        }
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self.write()

    # -- its files

    def write(self, **changed: object) -> None:
        """Write the configuration, with some keys (`local_path=...`) changed for good."""
        self.keys |= {key.replace("_", " "): value for key, value in changed.items()}
        keys = {key: value for key, value in self.keys.items() if value is not None}
        program = {"state dir": self.state, "control socket": "off"}
        text = _toml(program, keys) if self.configuration.suffix == ".toml" else _ini(program, keys)
        self.configuration.write_text(text, encoding="utf-8")
        self.configuration.chmod(0o600)

    def files(self) -> Files:
        """What its folder holds."""
        return files(self.folder)

    # -- its process

    def run(self, *words: object, timeout_s: float = RUN_S_MAX) -> Ending:
        """A command that ends by itself, to its end."""
        self._launch(words)
        return self.wait(timeout_s)

    def once(self, *words: object) -> Ending:
        """One pass; fails for every other end than 0."""
        return self.pass_().expect(0) if not words else self.run("-c", self.configuration, "--once", *words).expect(0)

    def pass_(self, *words: object) -> Ending:
        """One pass, however it ends."""
        return self.run("-c", self.configuration, "--once", *words)

    def start(self, *words: object) -> None:
        """In the foreground, until `stop` or `kill`; with `--once`, until `wait`."""
        self._launch(("-c", self.configuration, *words))

    def wait(self, timeout_s: float = RUN_S_MAX) -> Ending:
        """The end of a process that ends by itself; killed and failed when it does not."""
        process = self._running()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            ended = self.kill()
            raise AssertionError(f"{self.name} has not ended within {timeout_s:.0f} s\n{ended}") from None
        return self._ended(code)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ending:
        """Ask it to end, and wait until it has."""
        self._running().send_signal(number)
        return self.wait(STOP_S_MAX)

    def kill(self) -> Ending:
        """End it at once, with everything it may have started; nothing happens to one that has just ended."""
        process = self._running()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        return self._ended(process.wait())

    @property
    def pid(self) -> int:
        """The number of the running process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def until(self, condition: Callable[[], object], timeout_s: float = CONDITION_S_MAX) -> None:
        """Wait for the condition while it runs; fails with all it said if it ends before or takes too long."""
        end = time.monotonic() + timeout_s
        while not holds(condition):
            if not self.is_running or time.monotonic() > end:
                why = "not in time" if self.is_running else "it has ended"
                raise AssertionError(f"{self.name}: {why}\n{self.said()}")
            time.sleep(POLL_S)

    def said(self) -> str:
        """Standard error of the last run, so far."""
        return (self.home / f"stderr-{self._runs}").read_text(encoding="utf-8", errors="surrogateescape")

    def close(self) -> None:
        """Kill what is left.  AssertionError if a run that ended has left a process behind."""
        if self._process is not None:
            self.kill()

    def _launch(self, words: Sequence[object]) -> None:
        assert self._process is None, f"{self.name} is running"
        self._runs += 1
        command = [*self.wrapper, sys.executable, "-m", "escale.cli.escale", *(str(word) for word in words)]
        with (
            open(self.home / f"stdout-{self._runs}", "wb") as stdout,
            open(self.home / f"stderr-{self._runs}", "wb") as stderr,
        ):
            self._process = subprocess.Popen(
                [*dies_with_us(), *command],
                cwd=self.home,
                env={**environment(self.home), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} is not running"
        return self._process

    def _ended(self, code: int) -> Ending:
        process, self._process = self._running(), None
        stdout = (self.home / f"stdout-{self._runs}").read_text(encoding="utf-8", errors="surrogateescape")
        ending = Ending(code, stdout, self.said())
        if _end_group(process.pid):
            raise AssertionError(f"{self.name} has left processes behind\n{ending}")
        return ending


def environment(home: Path) -> dict[str, str]:
    """What a program of a user with an empty home directory sees."""
    path = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    return {**path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}


def holds(condition: Callable[[], object]) -> bool:
    """A file that vanishes while we look only means: not yet."""
    try:
        return bool(condition())
    except FileNotFoundError:
        return False


def dies_with_us() -> list[str]:
    """Even if the tests are killed, nothing of theirs stays (setpriv is part of util-linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL", "--"] if setpriv else []


def _end_group(number: int) -> bool:
    """Kill a process group; whether there was anything left of it."""
    try:
        os.killpg(number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _ini(program: Mapping[str, object], keys: Mapping[str, object]) -> str:
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in program.items()]
    return "\n".join([*lines, "[work]", *(f"{key} = {str(value).replace('%', '%%')}" for key, value in keys.items())])


def _toml(program: Mapping[str, object], keys: Mapping[str, object]) -> str:
    options = {key.removeprefix("option "): value for key, value in keys.items() if key.startswith("option ")}
    plain = {key.replace(" ", "-"): value for key, value in keys.items() if not key.startswith("option ")}
    lines = [f"{key.replace(' ', '-')} = {_toml_value(value)}" for key, value in program.items()]
    lines += ["[repository.work]", *(f"{key} = {_toml_value(value)}" for key, value in plain.items())]
    if options:
        lines += ["[repository.work.option]", *(f"{key} = {_toml_value(value)}" for key, value in options.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    return json.dumps(value if isinstance(value, (bool, int, list)) else str(value))
