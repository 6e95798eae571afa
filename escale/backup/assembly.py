"""Assembly: a file that comes into being beside its place, in pieces of any order, and takes it when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock

from ..files.directories import Directories
from ..files.exchange import Spot, move
from ..store.blob import temporary_name
from .attributes import make_special, set_attributes, set_link_attributes
from .node import Node

SMALL_BYTES = 256 << 10
"""Files up to this size are written at once when all of their pieces are there: there may be thousands of them, and a
process may have about a thousand files open."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Assembly:
    """One file to be; `write` may be called from several threads, all else from one.

    `directory` and `name` say where it goes, `path` is both, `temporary` is its name until then; `missing` is why it
    cannot become whole, "" so far; `failures` are the attributes that could not be given to it.
    """

    __slots__ = ("_file", "_is_there", "_left", "_lock", "_memory", "_temporary", "directory", "failures",
                 "is_durable", "is_small", "missing", "name", "node", "path", "size")  # fmt: skip

    def __init__(self, path: str, directory: str, name: bytes, node: Node, temporary: bytes) -> None:
        self.path = path
        self.directory = directory
        self.name = name
        self.node = node
        self.size = node.size
        self.is_small = node.size <= SMALL_BYTES
        self.is_durable = False
        self.missing = ""
        self.failures: list[str] = []
        self._temporary = temporary
        self._is_there = False
        self._file: int | None = None
        self._memory: bytearray | None = None
        self._left = node.size
        self._lock = Lock()

    def begin(self, directories: Directories) -> None:
        """Make the temporary file of a large one."""
        if not self.is_small:
            self._open(directories.open(self.directory))

    def write(self, directories: Directories, offset: int, data: bytes, *, sync: bool) -> None:
        """A piece of it, each but once; the last one of a small file finishes it.  Zeros are left out of a large one,
        for a new file is full of them."""
        if not self.is_small:
            if data.count(0) != len(data):
                assert self._file is not None
                _write(self._file, data, offset)
        elif len(data) == self.size:
            self._finish(directories, data, sync)
        elif self._is_last(offset, data):
            assert self._memory is not None
            self._finish(directories, self._memory, sync)

    def finish(self, directories: Directories, *, sync: bool) -> None:
        """All of it under its temporary name, with its attributes, and durable if asked."""
        if self.is_small:
            if not self._is_there:
                # Of an empty one, or one that was put together from what was there, no last piece came.
                self._finish(directories, self._memory or b"", sync)
        else:
            assert self._file is not None
            os.ftruncate(self._file, self.size)
            self._complete(sync)

    def place(self, parent: int, *, replace: bool) -> bool:
        """Take the place; False if it is taken and not to be replaced."""
        is_placed = place(parent, self._temporary, self.name, replace=replace)
        self._is_there = not is_placed
        return is_placed

    def give_up(self, directories: Directories) -> None:
        """Leave nothing behind; nothing to do for what has its place."""
        self._close()
        self._memory = None
        if self._is_there:
            # Where its directory went away there is nothing either.
            with suppress(OSError):
                remove(directories.open(self.directory), self._temporary)
            self._is_there = False

    def _is_last(self, offset: int, data: bytes) -> bool:
        with self._lock:
            if self._memory is None:
                self._memory = bytearray(self.size)
            self._memory[offset : offset + len(data)] = data
            self._left -= len(data)
            return self._left == 0

    def _finish(self, directories: Directories, content: bytes | bytearray, sync: bool) -> None:
        _write(self._open(directories.open(self.directory)), content, 0)
        self._memory = None
        self._complete(sync)

    def _complete(self, sync: bool) -> None:
        assert self._file is not None
        self.failures = set_attributes(self._file, self.node)
        if sync:
            os.fsync(self._file)
            self.is_durable = True
        # Thousands may be finished before the first takes its place.
        self._close()

    def _open(self, parent: int) -> int:
        self._file = os.open(self._temporary, _NEW, 0o600, dir_fd=parent)
        self._is_there = True
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write(file: int, data: bytes | bytearray, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written


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
    return status_of(parent, name) is not None


def status_of(parent: int, name: bytes) -> os.stat_result | None:
    """Of what bears the name, links not followed; None for nothing."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def remove(parent: int, name: bytes) -> None:
    """No error if it is gone."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
