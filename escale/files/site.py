"""What all changes of a folder have in common: reaching a place, knowing what is there, keeping what is taken away."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .batch import Batch
from .directories import Directories
from .durable import PATH_BYTES_MAX, sync, sync_file_system
from .exchange import Spot
from .known import GRANULARITY_NS, Known
from .ledger import Ledger
from .names import folded
from .outcome import Installed, Outcome
from .source import open_source
from .tree import Entry, Kind, display, name_bytes, parent_of, path_bytes, path_text

NAMES_MAX = 1000
"""Conflict copies of one file under one name and a number; more of them are not a conflict but a fault."""

TOO_LONG = "its full path is too long here"

_TAKEN = "this file system takes it for {}"

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

_SHAPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.LINK: stat.S_IFLNK}


@dataclass(frozen=True, slots=True)
class Motive:
    """Why things are taken out of the folder: when (Unix seconds), the `Cause`, and who wants it, by path."""

    when: float
    cause: str
    by: Mapping[str, str]


class Site:
    """The folder while it is changed; a context manager that keeps directories of it open.

    `changed`: full paths of what has to be made durable.  `known`: files for the stat cache.
    """

    def __init__(self, root: Path, batch: Batch, ledger: Ledger, algorithm: str, motive: Motive) -> None:
        self.batch = batch
        self.changed: set[bytes] = set()
        self.known: dict[str, Known] = {}
        self._ledger = ledger
        self._algorithm = algorithm
        self._motive = motive
        self._directories = Directories(root)
        self._names: dict[str, frozenset[bytes]] = {}
        self._spelled = {""}

    def spot(self, path: str, make: bool = False) -> Spot:
        """The place of a path, good until the next call; with `make` its parents are made.

        A path that no program could open by its full name is refused: we would find it in no scan.  So is one that this
        file system would put into a directory of another spelling: the next scan would find it under another path.
        """
        if make and len(self._full(path)) > PATH_BYTES_MAX:
            raise OSError(errno.ENAMETOOLONG, TOO_LONG)
        if make and parent_of(path) not in self._spelled:
            self._check_spelling(parent_of(path))
        return Spot.of(self._directories.open(parent_of(path), make), path)

    def is_as(self, expected: Entry, spot: Spot, status: os.stat_result) -> bool:
        """Whether what lies there is what is expected.

        The content of a file is read again if size and times cannot tell for certain.
        """
        if stat.S_IFMT(status.st_mode) != _SHAPES.get(expected.kind):
            return False
        if expected.kind is Kind.LINK:
            return path_text(os.readlink(spot.name, dir_fd=spot.parent)) == expected.target
        return expected.kind is Kind.DIRECTORY or self._is_file(expected, spot, status)

    def refusal(self, wanted: Entry, expected: Entry | None, spot: Spot, status: os.stat_result) -> Installed | None:
        """Why what lies there must stay: None if it is what is expected."""
        if reason := self.other_name(wanted, expected, spot):
            return reason
        is_unexpected = expected is None or expected.is_gone
        if _is_special(status.st_mode) or (is_unexpected and stat.S_ISDIR(status.st_mode)):
            return Installed(wanted, Outcome.BLOCKED, reason=_in_the_way(status.st_mode))
        if expected is not None and self.is_as(expected, spot, status):
            return None
        return Installed(wanted, Outcome.CHANGED, reason="it was changed meanwhile")

    def other_name(self, wanted: Entry, expected: Entry | None, spot: Spot) -> Installed | None:
        """IMPOSSIBLE if what lies there has another name, and the file system does not tell the two apart."""
        if (expected is not None and not expected.is_gone) or not (other := self._other_name(wanted.path, spot)):
            return None
        return Installed(wanted, Outcome.IMPOSSIBLE, reason=_TAKEN.format(display(other)))

    def touched(self, path: str) -> None:
        """A name in the directory of this path has changed."""
        self.changed.add(self._directories.full(parent_of(path)))

    def changed_itself(self, path: str) -> None:
        """What has this path was changed itself."""
        self.changed.add(self._full(path))

    def kept(self, entry: Entry) -> None:
        """The version of this path that was expected lies in the batch now."""
        self.batch.note(entry, self._motive.when, self._motive.cause, self._motive.by.get(entry.path, ""))

    def learn(self, spot: Spot, entry: Entry, inode: int) -> None:
        """Remember the digest of a file if it is still the one of this inode.

        Its content was verified while nobody else could reach it, or a moment ago, and an edit since then has given it
        a new mtime, unless the old mtime is itself of this moment.  So an old one tells the content although the ctime
        is young; were it otherwise, all that arrives would be read once more by the next scan.
        """
        status = spot.status()
        marks = (inode, entry.size, entry.mtime_ns)
        if status is None or (status.st_ino, status.st_size, status.st_mtime_ns) != marks:
            return
        is_old = status.st_mtime_ns < status.st_ctime_ns - GRANULARITY_NS
        seen_ns = status.st_ctime_ns + (GRANULARITY_NS + 1 if is_old else 0)
        self.known[entry.path] = Known.of(status, entry.digest or "", seen_ns)

    def vanished(self, path: str) -> None:
        """The directory of this path is removed: nothing in it has to be made durable."""
        self.changed.discard(self._full(path))

    def sync(self) -> None:
        """Make all changes durable; OSError."""
        try:
            sync(sorted(self.changed | self._directories.changed | self.batch.changed))
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            # The user moves directories about: what we have put there is somewhere.
            sync_file_system(self._directories.root)

    def close(self) -> None:
        self._directories.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _is_file(self, expected: Entry, spot: Spot, status: os.stat_result) -> bool:
        if (status.st_size, status.st_mtime_ns) != (expected.size, expected.mtime_ns):
            return False
        if expected.digest is None:
            return True
        known = self._ledger.known_of(expected.path)
        if known is not None and known.tells(status):
            return known.digest == expected.digest
        with open_source(expected.path, spot.name, spot.parent) as source:
            return source.digest(self._algorithm) == expected.digest and source.is_unchanged()

    def _check_spelling(self, directory: str) -> None:
        """OSError if it, or one of its parents, is there under another name only; what is missing will be made."""
        prefixes = [directory[:at] for at, character in enumerate(directory) if character == "/"]
        for prefix in (*prefixes, directory):
            if prefix in self._spelled:
                continue
            try:
                spot = self.spot(prefix)
            except FileNotFoundError:
                break
            if spot.status() is not None and (other := self._other_name(prefix, spot)):
                raise OSError(errno.EILSEQ, _TAKEN.format(display(other)))
            self._spelled.add(prefix)
        self._spelled.add(directory)

    def _other_name(self, path: str, spot: Spot) -> str | None:
        """What is listed instead of the name of something that is there."""
        parent = parent_of(path)
        # A name that was listed when we first looked is listed still, or its place has changed: that is seen elsewhere.
        if spot.name in self._names.get(parent, ()):
            return None
        self._names[parent] = frozenset(os.fsencode(name) for name in os.listdir(spot.parent))
        if spot.name in self._names[parent]:
            return None
        names = map(path_text, self._names[parent])
        return next((name for name in names if folded(name) == folded(path_text(spot.name))), None)

    def _full(self, path: str) -> bytes:
        return self._directories.root + b"/" + path_bytes(path)


def free_name(spot: Spot, aside: str) -> tuple[Spot, str]:
    """A place beside the spot that is free, `aside` or with a number, and its path."""
    stem, extension = os.path.splitext(aside)
    for candidate in _candidates(stem, extension):
        free = Spot(spot.parent, name_bytes(candidate))
        if free.status() is None:
            return free, candidate
    raise OSError(errno.EBUSY, "there are too many conflict copies of it")


def _candidates(stem: str, extension: str) -> Iterator[str]:
    """`a/b.txt`, `a/b 2.txt`, `a/b 3.txt` ..."""
    yield stem + extension
    for number in range(2, NAMES_MAX):
        yield f"{stem} {number}{extension}"


def _is_special(mode: int) -> bool:
    return stat.S_IFMT(mode) not in _SHAPES.values()


def _in_the_way(mode: int) -> str:
    return "a directory is in the way" if stat.S_ISDIR(mode) else "a device, a pipe or a socket is in the way"
