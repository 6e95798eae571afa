"""One running escale per configuration file: its lock, and the places where others find it.

Everything follows from the path of the configuration file and the environment, so that `escalectl` needs neither the
running process nor a configuration without errors to know where to look.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..digest import short_name
from ..errors import AlreadyRunning, LocalError

SYSTEM_RUNTIME = Path("/run/escale")
"""Where the system unit has its RuntimeDirectory, by name of the configuration."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The places of one configuration file.

    `state` is the directory that outlives the process.  Two files of one name in different folders share a directory
    there, so the names in it carry a digest of the whole path.
    """

    config: Path
    state: Path

    @property
    def name(self) -> str:
        """The stem of the file, as in the names of units and runtime directories."""
        return self.config.stem

    @property
    def lock_path(self) -> Path:
        """The locked file with the process number."""
        return self._own("pid")

    @property
    def status_path(self) -> Path:
        """The status file."""
        return self._own("status.json")

    @property
    def report_path(self) -> Path:
        """Where tracebacks of unexpected errors are kept."""
        return self._own("errors.log")

    def sockets(self, environ: Mapping[str, str], configured: str | None = None) -> list[Path]:
        """Control sockets in the order in which they are looked for, and tried for listening."""
        places = [environ.get("ESCALE_SOCKET"), configured]
        if runtime := environ.get("RUNTIME_DIRECTORY"):
            places.append(f"{runtime.partition(':')[0]}/ctl.sock")
        if runtime := environ.get("XDG_RUNTIME_DIR"):
            places.append(f"{runtime}/escale/{self.name}.sock")
        found = [Path(place) for place in places if place]
        return [*found, SYSTEM_RUNTIME / self.name / "ctl.sock", self._own("sock")]

    def _own(self, suffix: str) -> Path:
        return self.state / f"{self.name}-{short_name(os.fsencode(self.config))[:8]}.{suffix}"


class LockFile:
    """A file that holds our process number and is locked while we live; a stale one is harmless.

    The lock belongs to the open file, so it survives the forks of going to the background; `write_pid` is called by
    the process that stays.  AlreadyRunning if another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(pid=pid, path=path) from None
        self.write_pid()

    def write_pid(self) -> None:
        """Note the number of this process."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def fileno(self) -> int:
        """The descriptor, to be kept open when all others are closed."""
        return self._file.fileno()

    def release(self) -> None:
        """Let others have it.  The file stays: removing it would race with somebody who is about to lock it."""
        self._file.seek(0)
        self._file.truncate()
        self._file.close()


def _open(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalError(path=path, reason=error.strerror or str(error)) from error
    return open(descriptor, "r+", encoding="ascii", errors="replace")
