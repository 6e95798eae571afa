"""An open file of the user's folder, and how to know that it held still while it was read."""

from __future__ import annotations

import os
from typing import BinaryIO, Self

from .tree import Entry


class Source:
    """The content of one file, with the file's state at the moment it was opened.

    `entry` has no digest.  `is_unchanged` asks the open file again: size and mtime (and ctime, which an editor cannot
    set) must be those of the opening, or what was read may be a mixture of two versions.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self._file = file
        self._status = os.fstat(file.fileno())
        self.entry = Entry(path, self._status.st_size, self._status.st_mtime_ns, self._status.st_mode & 0o777)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

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
