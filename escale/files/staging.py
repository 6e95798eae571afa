"""Where arriving files wait, beside the files of the user, until they are whole and verified.

Each run has a directory of its own in the folder's private directory, so that moving a file into its place is a rename
within one file system.  A lock on it tells the staging of a crashed run, which may be removed, from one in use.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ..digest import hasher
from ..errors import Corrupt, LocalError
from ..stream import Readable
from .directories import Directories
from .exchange import Spot
from .source import PIECE
from .tree import PRIVATE, Entry, display, path_bytes
from .trouble import is_disk_full, local_error

_PREFIX = "staging-"


@dataclass(frozen=True, slots=True)
class Staged:
    """A verified file or link waiting to be installed: what it will be, and where its content is now.

    `entry` has the time and permissions that the file system has really stored; `inode` tells the file from one that
    somebody puts in its place later.
    """

    entry: Entry
    temporary: bytes
    spot: Spot
    inode: int


class Staging:
    """The staging directory of one run, removed at the end.  A context manager.

    LocalError if it cannot be made; a private directory that is a symbolic link is refused.
    """

    def __init__(self, root: Path, algorithm: str) -> None:
        self._root = str(root)
        self.directory = os.fsencode(root / PRIVATE / f"{_PREFIX}{secrets.token_hex(8)}")
        self._algorithm = algorithm
        self._count = 0
        name = os.path.basename(self.directory)
        with _errors(self._root, self._root), Directories(root) as directories:
            private = directories.open(PRIVATE, make=True)
            os.mkdir(name, 0o700, dir_fd=private)
            self._descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=private)
            with suppress(OSError):  # A file system without locks; the program's own lock has to do.
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def add(self, entry: Entry, stream: Readable) -> Staged:
        """Store the content of `entry` from the stream and verify it.

        Corrupt if it has another length or digest, and then nothing stays behind; NoLocalSpace, LocalError.
        """
        self._count += 1
        name = b"%d" % self._count
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with _errors(entry.path, self._root):
            descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        try:
            self._fill(descriptor, entry, stream)
            with _errors(entry.path, self._root):
                status = _finished(descriptor, entry)
        except BaseException:
            os.unlink(name, dir_fd=self._descriptor)
            raise
        finally:
            os.close(descriptor)
        stored = replace(entry, mtime_ns=status.st_mtime_ns, mode=status.st_mode & 0o777)
        return Staged(stored, self.directory + b"/" + name, Spot(self._descriptor, name), status.st_ino)

    def add_link(self, entry: Entry) -> Staged:
        """Make the symbolic link of this entry; NoLocalSpace, LocalError."""
        self._count += 1
        name = b"%d" % self._count
        with _errors(entry.path, self._root):
            os.symlink(path_bytes(entry.target), name, dir_fd=self._descriptor)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=self._descriptor, follow_symlinks=False)
            status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        stored = replace(entry, mtime_ns=status.st_mtime_ns)
        return Staged(stored, self.directory + b"/" + name, Spot(self._descriptor, name), status.st_ino)

    def close(self) -> None:
        """Remove what was not installed."""
        os.close(self._descriptor)
        # What cannot be removed now is found by the next sweep.
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fill(self, descriptor: int, entry: Entry, stream: Readable) -> None:
        """Write and hash; never more than the entry's size, whatever the stream would give."""
        made = hasher(self._algorithm)
        left = entry.size
        while left and (piece := stream.read(min(PIECE, left))):
            made.update(piece)
            left -= len(piece)
            with _errors(entry.path, self._root):
                write_all(descriptor, piece)
        if left:
            raise Corrupt(where=display(entry.path), reason=f"{left} of its {entry.size} bytes are missing")
        if stream.read(1):
            raise Corrupt(where=display(entry.path), reason=f"it has more than its {entry.size} bytes")
        if made.hexdigest() != entry.digest:
            raise Corrupt(where=display(entry.path), reason="its content has not the digest of the index")


def sweep_staging(root: Path) -> int:
    """Remove the staging of runs that crashed; how many there were.  LocalError if one cannot be looked at."""
    removed = 0
    with _errors(str(root), str(root)), Directories(root) as directories:
        try:
            private = directories.open(PRIVATE)
        except FileNotFoundError:
            return 0
        for name in os.listdir(private):
            if name.startswith(_PREFIX) and _is_abandoned(private, name):
                shutil.rmtree(root / PRIVATE / name, ignore_errors=True)
                removed += 1
    return removed


def _is_abandoned(private: int, name: str) -> bool:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=private)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return True


def _finished(descriptor: int, entry: Entry) -> os.stat_result:
    """Give the file its times and permissions, never set-user-id and always readable for its owner.

    A file that its owner cannot read could neither be made durable nor be compared with anything later.
    """
    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    os.fchmod(descriptor, entry.mode & 0o777 | stat.S_IRUSR)
    return os.fstat(descriptor)


def write_all(descriptor: int, piece: bytes) -> None:
    """A file may take less than it is given at once."""
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _errors(path: str, root: str) -> Iterator[None]:
    """Trouble with one file names that file; a full disk is a matter of the whole folder."""
    try:
        yield
    except OSError as error:
        raise local_error(root if is_disk_full(error) else path, error) from error
    except OverflowError as error:
        raise LocalError(path=display(path), reason="its time stamp is beyond what the system can store") from error
