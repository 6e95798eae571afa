"""Moving verified files into their places without ever destroying what the user has put there.

The plan was made from what a scan saw; by now the user may have saved again.  So each place is compared with what the
plan expects, a file that is new is put down only where there is none, and a file that is replaced is first exchanged
and looked at once more.  A place that is not as expected is left alone: the next pass plans anew.
"""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from .directories import Directories
from .exchange import exchange
from .known import GRANULARITY_NS, Known
from .ledger import Ledger
from .source import open_source
from .staging import Staged
from .tree import Entry, name_bytes, parent_of
from .trouble import explanation, is_disk_full

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems without hard links (FAT, some of FUSE) refuse them."""

_NAMES_MAX = 1000
"""Conflict copies of one file under one name and a number; more of them are not a conflict but a fault."""


class Outcome(enum.Enum):
    """What became of one staged file."""

    INSTALLED = "installed"
    """It is in its place."""

    CHANGED = "changed"
    """The place is not as the plan expects; it was left as it is."""

    BLOCKED = "blocked"
    """Something other than a file is in the way, or the system refused."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The outcome for one staged file.

    `entry` is what was staged.  `kept_as` is the path that the user's own version has now, if it was put aside;
    `reason` says in words why the file is not in its place.
    """

    entry: Entry
    outcome: Outcome
    kept_as: str | None = None
    reason: str = ""


class Installer:
    """Installs files one at a time, and collects what has to be made durable and remembered afterwards.

    `changed`: full paths of the directories whose content changed.  `known`: the installed files, for the stat cache.
    """

    def __init__(self, directories: Directories, ledger: Ledger, algorithm: str) -> None:
        self._directories = directories
        self._ledger = ledger
        self._algorithm = algorithm
        self.changed: set[bytes] = set()
        self.known: dict[str, Known] = {}

    def install(self, staged: Staged, expected: Entry | None, aside: str | None) -> Installed:
        """One file, whose content is durable already.

        `expected` is what the plan was made from, None for no file.  `aside` is where to keep the version that is
        there, in the same directory, or None.  OSError only if the disk is full.
        """
        path = staged.entry.path
        try:
            parent = self._directories.open(parent_of(path), make=True)
            result = self._install(parent, staged, expected, aside)
        except FileNotFoundError:
            return Installed(staged.entry, Outcome.CHANGED, reason="it was deleted meanwhile")
        except OSError as error:
            if is_disk_full(error):
                raise
            return Installed(staged.entry, Outcome.BLOCKED, reason=explanation(error))
        if result.outcome is Outcome.INSTALLED:
            self.changed.add(self._directories.full(parent_of(path)))
            self._take_note(parent, staged)
        return result

    def _install(self, parent: int, staged: Staged, expected: Entry | None, aside: str | None) -> Installed:
        path = staged.entry.path
        status = _status(parent, name_bytes(path))
        if status is None:
            if expected is not None:
                return Installed(staged.entry, Outcome.CHANGED, reason="it was deleted meanwhile")
            return self._put_down(parent, staged, None)
        if not stat.S_ISREG(status.st_mode):
            return Installed(staged.entry, Outcome.BLOCKED, reason=_in_the_way(status.st_mode))
        if expected is None or not self._is(expected, parent, status):
            return Installed(staged.entry, Outcome.CHANGED, reason="it was changed meanwhile")
        if aside is None:
            return self._replace(parent, staged, status, None)
        kept, is_moved = _keep(parent, name_bytes(path), aside)
        return self._put_down(parent, staged, kept) if is_moved else self._replace(parent, staged, status, kept)

    def _is(self, expected: Entry, parent: int, status: os.stat_result) -> bool:
        """Whether the file is the expected one; its content is read again if size and times cannot tell for certain."""
        if (status.st_size, status.st_mtime_ns) != (expected.size, expected.mtime_ns):
            return False
        if expected.digest is None:
            return True
        known = self._ledger.known_of(expected.path)
        if known is not None and known.tells(status):
            return known.digest == expected.digest
        with open_source(expected.path, name_bytes(expected.path), parent) as source:
            return source.digest(self._algorithm) == expected.digest and source.is_unchanged()

    def _put_down(self, parent: int, staged: Staged, kept: str | None) -> Installed:
        """Where there is no file: a link never replaces one that was made this moment."""
        path = staged.entry.path
        try:
            os.link(staged.temporary, name_bytes(path), dst_dir_fd=parent, follow_symlinks=False)
            os.unlink(staged.temporary)
        except FileExistsError:
            return Installed(staged.entry, Outcome.CHANGED, kept, "a file was made there meanwhile")
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if _status(parent, name_bytes(path)) is not None:
                return Installed(staged.entry, Outcome.CHANGED, kept, "a file was made there meanwhile")
            os.rename(staged.temporary, name_bytes(path), dst_dir_fd=parent)
        return Installed(staged.entry, Outcome.INSTALLED, kept)

    def _replace(self, parent: int, staged: Staged, status: os.stat_result, kept: str | None) -> Installed:
        """In the place of the file of this status, and of no other."""
        path = staged.entry.path
        if _replaces(staged.temporary, parent, name_bytes(path), status):
            return Installed(staged.entry, Outcome.INSTALLED, kept)
        if kept is not None:
            os.unlink(name_bytes(kept), dir_fd=parent)
        return Installed(staged.entry, Outcome.CHANGED, reason="it was changed meanwhile")

    def _take_note(self, parent: int, staged: Staged) -> None:
        """Remember the digest of the file if it is still the one we have put there.

        Its content was hashed while nobody else could reach it, and an edit since then has given it a new mtime,
        unless the mtime we gave it is itself of this moment.  So an old one tells the content although the ctime is
        young; were it otherwise, all that arrives would be read once more by the next scan.
        """
        status = _status(parent, name_bytes(staged.entry.path))
        marks = (staged.inode, staged.entry.size, staged.entry.mtime_ns)
        if status is None or (status.st_ino, status.st_size, status.st_mtime_ns) != marks:
            return
        is_old = status.st_mtime_ns < status.st_ctime_ns - GRANULARITY_NS
        seen_ns = status.st_ctime_ns + (GRANULARITY_NS + 1 if is_old else 0)
        self.known[staged.entry.path] = Known.of(status, staged.entry.digest or "", seen_ns)


def _replaces(ours: bytes, parent: int, name: bytes, status: os.stat_result) -> bool:
    """Exchange, look at what we got, and change back if it is not the file of this status."""
    try:
        is_exchanged = exchange(ours, parent, name)
    except FileNotFoundError:
        return False
    if not is_exchanged:
        if not _is_same(_status(parent, name), status):
            return False
        os.replace(ours, name, dst_dir_fd=parent)
        return True
    if _is_same(os.lstat(ours), status):
        return True
    exchange(ours, parent, name)
    return False


def _is_same(now: os.stat_result | None, before: os.stat_result) -> bool:
    """Without the ctime, which renaming and linking change."""
    return now is not None and (now.st_ino, now.st_size, now.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )


def _keep(parent: int, name: bytes, aside: str) -> tuple[str, bool]:
    """Give the user's version a free name too, `aside` or with a number; that name, and whether it lost its old one."""
    for candidate in _candidates(aside):
        with suppress(FileExistsError):
            return candidate, _link_or_move(parent, name, name_bytes(candidate))
    raise FileExistsError(errno.EEXIST, "there are too many conflict copies of it")


def _link_or_move(parent: int, name: bytes, target: bytes) -> bool:
    try:
        os.link(name, target, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    if _status(parent, target) is not None:
        raise FileExistsError(errno.EEXIST, "there is such a file")
    os.rename(name, target, src_dir_fd=parent, dst_dir_fd=parent)
    return True


def _candidates(aside: str) -> Iterator[str]:
    """`a/b.txt`, `a/b 2.txt`, `a/b 3.txt` ..."""
    yield aside
    stem, extension = os.path.splitext(aside)
    for number in range(2, _NAMES_MAX):
        yield f"{stem} {number}{extension}"


def _status(parent: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _in_the_way(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory is in the way"
    return "a symbolic link is in the way" if stat.S_ISLNK(mode) else "a device, a pipe or a socket is in the way"
