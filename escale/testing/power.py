"""A disk that has, after a power cut, only what was synchronised: what `fsync` is for, seen by a simulator.

The model is that of journaling file systems.  Names change in order, and a synchronisation of any file or directory
makes all changes of names so far durable; a power cut takes back those after the last one.  Contents are written when
the system likes: a file whose content was never synchronised is empty afterwards, whatever its name is.
"""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..files import exchange
from .disk import DiskHook, Hook, Undo, by_somebody_else
from .faults import Crash

_HERE = -100
"""AT_FDCWD: a full path needs no directory, but the system call asks for one."""


class VolatileDisk(DiskHook):
    """A DiskHook that cuts the power when it is left by `Crash`.

    `limbo`: a directory on the same file system, for what has no name any more; it is made and removed.
    """

    def __init__(self, hook: Hook, limbo: Path) -> None:
        super().__init__(hook)
        self._limbo = limbo
        self._number = itertools.count()
        self._undos: list[Undo] = []
        self._unwritten: dict[tuple[int, int], int] = {}

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        if exc[0] is Crash:
            with by_somebody_else():
                self._cut()
        for descriptor in self._unwritten.values():
            os.close(descriptor)
        self._unwritten.clear()
        self._undos.clear()
        shutil.rmtree(self._limbo, ignore_errors=True)

    def undo_of(self, verb: str, path: str, source: str) -> Undo | None:
        match verb:
            case "exchange":
                return lambda: _exchange(path, source)
            case "rename" | "replace":
                replaced = self._kept(path)
                return lambda: _rename_back(path, source, replaced)
            case "link" | "symlink":
                return lambda: os.unlink(path)
            case "mkdir":
                return lambda: os.rmdir(path)
            case "unlink" | "remove":
                kept = self._kept(path)
                return lambda: _rename_back(kept, path)
            case "rmdir":
                mode = _mode(path)
                return lambda: os.mkdir(path, mode)
            case "open" if not os.path.lexists(path):
                return lambda: os.unlink(path)
        return None

    def made(self, undo: Undo) -> None:
        self._undos.append(undo)

    def written(self, descriptor: int) -> None:
        key = _identity(descriptor)
        if key not in self._unwritten:
            self._unwritten[key] = os.dup(descriptor)

    def synchronised(self, descriptor: int | None) -> None:
        self._undos.clear()
        done = [*self._unwritten] if descriptor is None else [_identity(descriptor)]
        for key in done:
            if key in self._unwritten:
                os.close(self._unwritten.pop(key))

    def _cut(self) -> None:
        for undo in reversed(self._undos):
            undo()
        for descriptor in self._unwritten.values():
            os.ftruncate(descriptor, 0)

    def _kept(self, path: str) -> str:
        """Another name for what loses this one; "" for a directory, or nothing."""
        if not os.path.lexists(path) or (os.path.isdir(path) and not os.path.islink(path)):
            return ""
        self._limbo.mkdir(exist_ok=True)
        name = f"{self._limbo}/{next(self._number)}"
        os.link(path, name, follow_symlinks=False)
        return name


def _exchange(one: str, other: str) -> None:
    call = exchange.renameat2()
    assert call is not None, "it was exchanged before"
    assert call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), exchange.EXCHANGE) == 0, (one, other)


def _rename_back(path: str, source: str, replaced: str = "") -> None:
    os.rename(path, source)
    if replaced:
        os.rename(replaced, path)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _mode(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_mode & 0o777
    return 0o777
