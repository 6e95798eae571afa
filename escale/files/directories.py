"""Reaching the directories of a folder without following a symbolic link, whoever moves things meanwhile.

Checking a path and then using it leaves a moment in which a directory can be replaced by a link; so each directory is
opened from within its parent, and files are then named relative to the open directory.  A link is refused wherever it
leads: a scan does not follow it, so what was installed through it would look missing.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Self

from .tree import display, path_bytes

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Directories:
    """The directories below a root; a context manager, for it holds the root and the last directory asked for open.

    OSError as the system gives it; NotADirectoryError says which part of the path is in the way.
    `changed` has the full paths of those in which a directory was made, with the permissions `mode`.
    """

    def __init__(self, root: Path, mode: int = 0o777) -> None:
        self.root = os.fsencode(root)
        self._mode = mode
        self.changed: set[bytes] = set()
        self._root = os.open(self.root, _FLAGS)
        self._last = ("", self._root)

    def open(self, directory: str, make: bool = False) -> int:
        """A descriptor, ours to close and good until the next call; with `make` missing directories are made."""
        if self._last[0] != directory:
            self._forget()
            if directory:
                self._last = (directory, self._walk(directory, make))
        return self._last[1]

    def full(self, directory: str) -> bytes:
        """The full path, for error messages and for making changes durable."""
        return self.root + b"/" + path_bytes(directory) if directory else self.root

    def close(self) -> None:
        self._forget()
        os.close(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _walk(self, directory: str, make: bool) -> int:
        descriptor = os.dup(self._root)
        full = self.root
        for part in path_bytes(directory).split(b"/"):
            try:
                below = self._step(descriptor, full, part, make)
            finally:
                os.close(descriptor)
            descriptor = below
            full += b"/" + part
        return descriptor

    def _step(self, parent: int, full: bytes, part: bytes, make: bool) -> int:
        try:
            return os.open(part, _FLAGS | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise NotADirectoryError(errno.ENOTDIR, _in_the_way(parent, part)) from error
            raise
        os.mkdir(part, self._mode, dir_fd=parent)
        self.changed.add(full)
        return os.open(part, _FLAGS | os.O_NOFOLLOW, dir_fd=parent)

    def _forget(self) -> None:
        if self._last[1] != self._root:
            os.close(self._last[1])
        self._last = ("", self._root)


def _in_the_way(parent: int, part: bytes) -> str:
    mode = os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode
    what = "a symbolic link" if stat.S_ISLNK(mode) else "not a directory"
    return f"{display(os.fsdecode(part))} is {what}"
