"""What both programs have in common here: a folder, a configuration, a process, and what it said."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from ..servers import Relay

DEADLINE_S = 150.0
"""The original looks at a taken lock every 60 seconds; this is two such naps and the work."""

Files = Mapping[str, tuple[int, bytes]]
"""Modification time in whole seconds, which is all the format knows, and content, by path."""


class Client(ABC):
    """One client of a relay.  `index` and `key` (of Fernet) as all clients of that relay have them."""

    interrupt: ClassVar[signal.Signals]
    stop_s_max: ClassVar[float]
    """Then it is killed."""

    def __init__(self, place: Path, name: str, relay: Relay, index: str, key: Path | None = None) -> None:
        self.name = name
        self.relay = relay
        self.index = index
        self.key = key
        self.folder = place / name
        self.folder.mkdir(parents=True)
        self.home = place / f"{name}-home"
        self.home.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def keys(self, mode: str) -> dict[str, object]:
        """The configuration."""

    @abstractmethod
    def command(self, configuration: Path) -> list[str]:
        """The command line that runs until it is interrupted."""

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}

    def start(self, mode: str, *more: str) -> None:
        """Run until `stop`: mode upload, download, shared or conservative; `more` words of the command line."""
        assert self._process is None, f"{self.name} is running"
        configuration = self.home / "escale.conf"
        lines = [f"{key} = {value}\n" for key, value in self.keys(mode).items()]
        configuration.write_text("".join(["[work]\n", *lines]))
        configuration.chmod(0o600)
        with open(self.home / "output", "ab") as output:
            self._process = subprocess.Popen(
                [*self.command(configuration), *more],
                cwd=self.home,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds: float) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        finally:
            self.stop()

    @abstractmethod
    def run_until(self, mode: str, condition: Callable[[], bool]) -> None:
        """Be on line until the condition holds, and not after."""

    def stop(self) -> None:
        """End the process; nothing happens if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.interrupt)
        try:
            process.wait(self.stop_s_max)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def output(self) -> str:
        """The end of what it has said."""
        path = self.home / "output"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def write(self, files: Mapping[str, str], start: int) -> None:
        """Write files whose times are `start`, a second more, and so on (Unix seconds), and a quarter each."""
        for number, (path, text) in enumerate(files.items()):
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            time_ns = (start + number) * 10**9 + 250_000_000
            os.utime(target, ns=(time_ns, time_ns))

    def files(self) -> Files:
        """What the folder holds, hidden names aside."""
        result = {}
        for path in self.folder.rglob("*"):
            relative = path.relative_to(self.folder)
            if not any(part.startswith(".") for part in relative.parts) and path.is_file():
                result[str(relative)] = (int(path.stat().st_mtime), path.read_bytes())
        return result


def blobs(relay: Relay) -> list[str]:
    """The names on the relay."""
    assert relay.path is not None
    return sorted(os.listdir(relay.path))


def waiting(relay: Relay) -> set[str]:
    """The pages with a complete update; none as long as somebody is at work."""
    names = blobs(relay)
    if any(name.endswith(".lock") for name in names):
        return set()
    return {name.split(".")[1] for name in names if name.count(".") == 3 and name.endswith(".index")}


def is_quiet(relay: Relay) -> bool:
    """Whether there are indices only."""
    return all(name.count(".") == 2 and name.endswith(".index") for name in blobs(relay))


def until(condition: Callable[[], bool], *clients: Client) -> None:
    """Wait for the condition; fail with all that can be known if it does not come."""
    end = time.monotonic() + DEADLINE_S
    while not holds(condition):
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S:.0f} s\n{report(*clients)}")
        time.sleep(0.1)


def report(*clients: Client) -> str:
    """What the relay and the folders hold and what the clients have said."""
    told = [f"--- {each.name}: {sorted(each.files())}\n{each.output()}" for each in clients]
    return "\n".join([f"on the relay: {blobs(clients[0].relay)}", *told])


def holds(condition: Callable[[], bool]) -> bool:
    """A file that vanishes while we look only means: not yet."""
    try:
        return condition()
    except FileNotFoundError:
        return False
