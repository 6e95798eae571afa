"""An open file of the user's folder, and how to know that it held still while it was read."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from typing import BinaryIO, Self

from ..digest import hasher
from .tree import Entry

PIECE = 1 << 18
"""Bytes read at once: larger pieces are not faster and leave the processor's cache."""


class Source:
    """The content of one file, with the file's state at the moment it was opened.

    `entry` has no digest.  `is_unchanged` asks the open file again: size and mtime (and ctime, which an editor cannot
    set) must be those of the opening, or what was read may be a mixture of two versions.
    """

    def __init__(self, path: str, file: BinaryIO | FileIO) -> None:
        self._file = file
        self._status = os.fstat(file.fileno())
        self.entry = Entry(path, self._status.st_size, self._status.st_mtime_ns, self._status.st_mode & 0o777)

    @property
    def status(self) -> os.stat_result:
        """The state of the file when it was opened."""
        return self._status

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size) or b""

    def digest(self, algorithm: str) -> str:
        """Read what is left of the file; its digest in lower-case hex."""
        made = hasher(algorithm)
        # Not more than is there: the buffer for a read is made in full whatever the file gives.
        size = min(PIECE, self._status.st_size + 1)
        while piece := self._file.read(size):
            made.update(piece)
        return made.hexdigest()

    def is_unchanged(self) -> bool:
        """Whether the file is still as it was when it was opened."""
        now = os.fstat(self._file.fileno())
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
            self._status.st_size,
            self._status.st_mtime_ns,
            self._status.st_ctime_ns,
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_source(path: str, name: bytes, parent: int) -> Source:
    """The regular file `name` in the open directory `parent`; OSError for everything else, ELOOP for a symbolic link.

    Opening does not wait for the other end of a pipe, should one have come into the place of the file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return Source(path, FileIO(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
