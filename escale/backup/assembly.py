"""Assembly: a file that comes into being beside its place, in pieces of any order, and takes it when it is whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from threading import Lock

from ..files.directories import Directories
from ..files.exchange import Spot, move
from ..store.blob import temporary_name
from .attributes import make_special, set_attributes, set_link_attributes
from .node import Node

SMALL_BYTES = 256 << 10
"""Files up to this size are held in memory until they are whole: thousands come with one request, and a process may
have about a thousand files open."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Assembly:
    """One file to be; `write` may be called from several threads, all else from one.

    `directory` and `name` say where it goes; `missing` is why it cannot become whole, "" so far.
    """

    def __init__(self, directory: str, name: bytes, node: Node, size: int) -> None:
        self.directory = directory
        self.name = name
        self.node = node
        self.size = size
        self.missing = ""
        self._temporary = b""
        self._file: int | None = None
        self._memory = bytearray(size) if size <= SMALL_BYTES else None
        self._lock = Lock()

    @property
    def in_memory(self) -> int:
        """Bytes that it holds."""
        return len(self._memory) if self._memory is not None else 0

    def begin(self, directories: Directories) -> None:
        """Make the temporary file, unless it is small enough to wait."""
        if self._memory is None:
            self._open(directories.open(self.directory))

    def write(self, offset: int, data: bytes) -> None:
        """A piece of it; zeros are left out of a large one, for a new file is full of them."""
        if self._memory is not None:
            with self._lock:
                self._memory[offset : offset + len(data)] = data
        elif data.count(0) != len(data):
            assert self._file is not None
            rest = memoryview(data)
            while rest:
                written = os.pwrite(self._file, rest, offset)
                rest, offset = rest[written:], offset + written

    def finish(self, directories: Directories, *, sync: bool) -> list[str]:
        """All of it under its temporary name, with its attributes, and durable if asked; returns what could not be
        given."""
        if self._memory is not None:
            file = self._open(directories.open(self.directory))
            data = self._memory
            with os.fdopen(file, "wb", buffering=0, closefd=False) as target:
                while data:
                    data = data[target.write(data) :]
            self._memory = None
        assert self._file is not None
        os.ftruncate(self._file, self.size)
        failures = set_attributes(self._file, self.node)
        if sync:
            os.fsync(self._file)
        # Thousands may be finished before the first takes its place.
        self._close()
        return failures

    def place(self, parent: int, *, replace: bool) -> bool:
        """Take the place; False if it is taken and not to be replaced."""
        is_placed = place(parent, self._temporary, self.name, replace=replace)
        if is_placed:
            self._temporary = b""
        return is_placed

    def give_up(self, directories: Directories) -> None:
        """Leave nothing behind; nothing to do for what has its place."""
        self._close()
        self._memory = None
        if self._temporary:
            # Where its directory went away there is nothing either.
            with suppress(OSError):
                remove(directories.open(self.directory), self._temporary)
            self._temporary = b""

    def _open(self, parent: int) -> int:
        self._temporary = temporary_name("").encode()
        self._file = os.open(self._temporary, _NEW, 0o600, dir_fd=parent)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def place_link(source: int, first: bytes, parent: int, name: bytes, *, replace: bool) -> bool:
    """One more name for a file; False if the name is taken and not to be replaced."""
    temporary = temporary_name("").encode()
    os.link(first, temporary, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    try:
        return place(parent, temporary, name, replace=replace)
    finally:
        # It is still there where the name belonged to this file already.
        remove(parent, temporary)


def place_special(parent: int, name: bytes, node: Node, *, replace: bool) -> list[str] | None:
    """A link, device, pipe or socket at its place; None if that is taken.  OSError where it cannot be made.

    Otherwise what could not be given to it.
    """
    temporary = temporary_name("").encode()
    make_special(parent, temporary, node)
    try:
        failures = set_link_attributes(parent, temporary, node)
        return failures if place(parent, temporary, name, replace=replace) else None
    finally:
        remove(parent, temporary)


def place(parent: int, temporary: bytes, name: bytes, *, replace: bool) -> bool:
    """Give a file its name; over what is there only if that is to be replaced."""
    if replace:
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        return True
    try:
        move(Spot(parent, temporary), Spot(parent, name))
    except FileExistsError:
        return False
    return True


def exists(parent: int, name: bytes) -> bool:
    """Whether anything bears the name."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove(parent: int, name: bytes) -> None:
    """No error if it is gone."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def is_file(parent: int, name: bytes) -> os.stat_result | None:
    """The status of a regular file, None for everything else."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
