"""What befalls a pass: hooks for DiskHook and HookedStore."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from escale.testing.disk import by_somebody_else
from escale.testing.scheduler import Scheduler


class FullDisk:
    """A hook that refuses every change of the disk from the n-th on until the pass is over."""

    def __init__(self, number: int) -> None:
        self._count = itertools.count()
        self._number = number

    def __call__(self, verb: str, path: str) -> None:
        if next(self._count) >= self._number and verb in ("open", "write", "mkdir", "link", "symlink"):
            raise OSError(errno.ENOSPC, "simulated: no space left on device", path)


class Pause:
    """A hook that lets its process hang at the n-th operation, once."""

    def __init__(self, scheduler: Scheduler, number: int) -> None:
        self._scheduler = scheduler
        self._left = number

    def __call__(self, verb: str, name: str) -> None:
        if self._left == 0:
            self._scheduler.hang()
        self._left -= 1


class Meanwhile:
    """A hook in whose n-th call the user acts: between scan and archive, between fetch and install, anywhere."""

    def __init__(self, act: Callable[[], None], number: int) -> None:
        self._act = act
        self._left = number

    def __call__(self, verb: str, name: str) -> None:
        if self._left == 0:
            with by_somebody_else():
                self._act()
        self._left -= 1


@contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    """The disk of the folder is away: what is there instead is an empty directory."""
    disk = folder.with_name(f"{folder.name} on its disk")
    os.rename(folder, disk)
    os.mkdir(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        os.rename(disk, folder)
