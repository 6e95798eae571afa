"""Source: what is on the disk, as nodes, and the content of files in a state that held still while it was read.

Everything is reached from its open directory, and links are not followed.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator

from .chunks import Content
from .node import Node, NodeType, type_of

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
PASSAGE_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""For the directories above what is saved: it is enough that one may go through them."""

_FILE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WITHOUT_ATTRIBUTES = {errno.ENOTSUP, errno.ENOSYS}
_NOT_OURS = {errno.ENODATA, errno.EPERM, errno.EACCES, errno.ENOENT, errno.EINVAL}
_ZEROS = bytes(1 << 18)


class Look:
    """Makes nodes.  Remembers the names of users and groups, and which file systems have no extended attributes."""

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._plain_devices: set[int] = set()

    def node(
        self,
        name: str,
        status: os.stat_result,
        place: int | str,
        target: str = "",
        size: int = 0,
        content: tuple[str, ...] = (),
    ) -> Node:
        """All but the subtree.  `place`: the open file, or its path where it cannot be opened."""
        kind = type_of(status.st_mode)
        if kind is None:
            raise OSError(errno.EINVAL, "it is of an unknown kind")
        is_directory, is_device = kind is NodeType.DIRECTORY, kind in _DEVICES
        links = 0 if is_directory or kind in _WITHOUT_LINKS else status.st_nlink
        return Node(
            name=name,
            type=kind,
            mode=stat.S_IMODE(status.st_mode),
            mtime_ns=status.st_mtime_ns,
            # As restic: the time of the last reading would make every version new.
            atime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            uid=status.st_uid,
            gid=status.st_gid,
            user=self.user(status.st_uid),
            group=_remembered(self._groups, status.st_gid, _group),
            inode=status.st_ino,
            # Devices change their numbers when a machine starts; the number says only which names are of one file.
            device_id=status.st_dev if links > 1 else 0,
            size=size,
            links=links,
            target=target,
            device=status.st_rdev if is_device else 0,
            xattrs=self._xattrs(place, status.st_dev),
            content=content,
        )

    def user(self, number: int) -> str:
        """The name of a user, "" for one who has none."""
        return _remembered(self._users, number, _user)

    def _xattrs(self, place: int | str, device: int) -> tuple[tuple[str, bytes], ...]:
        if device in self._plain_devices:
            return ()
        follow = isinstance(place, int)
        try:
            names = os.listxattr(place, follow_symlinks=follow)
        except OSError as error:
            if error.errno in _WITHOUT_ATTRIBUTES:
                self._plain_devices.add(device)
            return ()
        return tuple(_values(place, sorted(names), follow)) if names else ()


_DEVICES = {NodeType.BLOCK_DEVICE, NodeType.CHARACTER_DEVICE}
_WITHOUT_LINKS = {NodeType.FIFO, NodeType.SOCKET}


def _values(place: int | str, names: list[str], follow: bool) -> Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            yield name, os.getxattr(place, name, follow_symlinks=follow)
        except OSError as error:
            # It went away meanwhile, or is for others to read.
            if error.errno not in _NOT_OURS:
                raise


def _remembered(known: dict[int, str], number: int, find: Callable[[int], str]) -> str:
    if number not in known:
        known[number] = find(number)
    return known[number]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OSError):
        return ""


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except (KeyError, OSError):
        return ""


class SourceFile:
    """One open regular file; a context manager.

    `status`: what the name told before it was opened.  That it is still of the same file, and that the file did not
    change, is asked once, after the reading: OSError if something else has come into its place.
    """

    def __init__(self, parent: int, name: str, status: os.stat_result) -> None:
        self.descriptor = os.open(name, _FILE_FLAGS, dir_fd=parent)
        self.status = status

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.descriptor)

    def whole(self) -> bytes:
        """All of it, for small files."""
        wanted = self.status.st_size
        data = os.read(self.descriptor, wanted)
        while len(data) < wanted and (more := os.read(self.descriptor, wanted - len(data))):
            data += more
        return data

    def content(self) -> Content:
        """For cutting large files; the holes of sparse ones are not read.  Not more than there was when it was opened:
        a file that grows as fast as it is read would have no end."""
        if self.status.st_blocks * 512 < self.status.st_size:
            return _Sparse(self.descriptor, self.status.st_size)
        return _Plain(self.descriptor, self.status.st_size)

    def is_unchanged(self) -> bool:
        """Whether nobody wrote since its status was asked for."""
        return is_same_state(os.fstat(self.descriptor), self.status)

    def again(self) -> None:
        """Back to the beginning, in the state that it has now."""
        self.status = os.fstat(self.descriptor)
        if not stat.S_ISREG(self.status.st_mode):
            raise OSError(errno.EINVAL, "it is no file any more")
        os.lseek(self.descriptor, 0, os.SEEK_SET)


def is_same_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether it is the same file with the same content and attributes, as far as its status tells."""
    return (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_dev) == (
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
        other.st_ctime_ns,
        other.st_dev,
    )


class _Plain:
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._left = size

    def readinto(self, target: memoryview, /) -> int:
        count = os.readv(self._descriptor, [target[: self._left]]) if self._left else 0
        self._left -= count
        return count


class _Sparse:
    """Yields the zeros of holes without asking the disk for them."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._at = 0
        self._data_start = 0
        self._data_end = 0

    def readinto(self, target: memoryview, /) -> int:
        if self._at >= self._size:
            return 0
        if self._at >= self._data_end:
            self._look_ahead()
        if self._at < self._data_start:
            count = min(len(target), min(self._data_start, self._size) - self._at, len(_ZEROS))
            target[:count] = _ZEROS[:count]
        else:
            count = os.preadv(self._descriptor, [target[: self._data_end - self._at]], self._at)
        self._at += count
        return count

    def hole_end(self, offset: int, /) -> int:
        try:
            return max(offset, min(self._size, os.lseek(self._descriptor, offset, os.SEEK_DATA)))
        except OSError as error:
            return max(offset, self._size) if error.errno == errno.ENXIO else offset

    def seek(self, offset: int, /) -> None:
        self._at = self._data_start = self._data_end = offset

    def _look_ahead(self) -> None:
        try:
            self._data_start = os.lseek(self._descriptor, self._at, os.SEEK_DATA)
            self._data_end = min(self._size, os.lseek(self._descriptor, self._data_start, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:
                # No more data, perhaps a hole at the end.
                self._data_start = self._data_end = self._size
            else:
                # A file system that does not tell: then all of it is data.
                self._data_start, self._data_end = self._at, self._size
