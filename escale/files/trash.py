"""The trash: what a pass took out of the folder, until it is let go.

    FOLDER/.escale/trash/20261121-140211-000123/PATH

Each pass has a batch of its own, named by its time (UTC), and in a batch everything lies under the path it had; so the
user can look and restore with `ls` and `cp`.  The tree is the truth.  The table in the ledger adds why, who and the
digest; it may be lost, and what it knows of items that are no longer there means nothing.

Nothing is written over here: a path that its batch has already, or a directory where the batch has a file, goes to a
second batch of the same time, `...-000123-2`.  What arrives comes through here when it is exchanged with the old one
(`escale.files.swap`); so a crash can leave an item of which nobody remembers why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..clock import Clock
from .batch import PLACE, Batch, batch_name, batch_time
from .directories import Directories
from .exchange import Spot
from .kept import Cause, Kept
from .ledger import Ledger
from .source import Source, open_source
from .tree import Kind, name_bytes, parent_of, path_text
from .trouble import local_error

SPARED_S = 24 * 3600.0
"""What is younger does not go for the sake of the size: a slip should be found the next morning."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file or link in the trash.

    `when` in Unix seconds.  `cause` is a `Cause` and `client` the one who caused it, "" if nobody remembers.
    """

    batch: str
    path: str
    when: float
    cause: str
    client: str
    size: int
    mtime_ns: int
    kind: Kind
    digest: str | None


class Trash:
    """The trash of one folder; LocalError for what cannot be read or removed."""

    def __init__(self, root: Path, ledger: Ledger, clock: Clock) -> None:
        self._root = root
        self._ledger = ledger
        self._clock = clock
        self._sizes: dict[str, int] = {}
        self.present = batch_name(clock.now())

    def begin(self) -> None:
        """A new pass, with a batch of its own."""
        self.present = batch_name(self._clock.now())

    def items(self) -> Iterator[Item]:
        """All that lies in the trash, the oldest batch first."""
        known = {(kept.batch, kept.path): kept for kept in self._ledger.kept()}
        with self._directories() as directories, self._errors(PLACE):
            for batch in _batches(directories):
                for path, status in _walk(directories, f"{PLACE}/{batch}"):
                    yield _item(batch, path, status, known.get((batch, path)))

    def find(self, digest: str, size: int) -> Item | None:
        """An item of this content, as far as the ledger remembers; who uses it must verify the content."""
        with self._directories() as directories:
            for kept in self._ledger.kept_with(digest):
                status = _status(directories, kept)
                if status is not None and stat.S_ISREG(status.st_mode) and status.st_size == size:
                    return _item(kept.batch, kept.path, status, kept)
        return None

    def open(self, item: Item) -> Source:
        """The content of a file in the trash."""
        full = f"{PLACE}/{item.batch}/{item.path}"
        with self._directories() as directories, self._errors(full):
            return open_source(full, name_bytes(full), directories.open(parent_of(full)))

    def expire(self, keep_s: float | None, size_max: int | None, deleted_at_once: bool) -> int:
        """Let go of what is older than `keep_s`, of the oldest batches while all together is larger than `size_max`
        bytes, and with `deleted_at_once` of what former passes deleted; how many batches and items that were.

        Never of the present pass, and for the size only what is older than a day.
        """
        now = self._clock.now()
        with self._directories() as directories, self._errors(PLACE):
            former = {
                name: now - (batch_time(name) or 0.0)
                for name in _batches(directories)
                if not name.startswith(self.present)
            }
            doomed = {name for name, age in former.items() if keep_s is not None and age >= keep_s}
            if size_max is not None:
                old = sorted(name for name, age in former.items() if age >= SPARED_S)
                doomed |= self._oversized(directories, old, size_max)
            for name in doomed:
                _remove_all(directories, name)
            deleted = self._deleted(former.keys() - doomed) if deleted_at_once else []
            for kept in deleted:
                _drop(directories, f"{PLACE}/{kept.batch}", kept.path)
        self._ledger.forget_batches(doomed)
        self._ledger.forget_kept(deleted)
        return len(doomed) + len(deleted)

    def batch(self) -> Batch:
        """Where the present pass puts what it takes out; a context manager."""
        return Batch(self._root, self.present)

    def _oversized(self, directories: Directories, old: list[str], size_max: int) -> set[str]:
        """Those of the old batches, the oldest first, that have to go."""
        if not old or sum(self._measure(directories, self._sizes)) <= size_max:
            return set()
        # Batches of former passes only shrink, so only now, when it seems to be too much, they are measured again.
        excess = sum(self._measure(directories, {})) - size_max
        doomed = set()
        for name in old:
            if excess > 0:
                doomed.add(name)
                excess -= self._sizes[name]
        return doomed

    def _measure(self, directories: Directories, known: Mapping[str, int]) -> Iterable[int]:
        """Bytes in each batch; those already known are believed, but for the present pass."""
        self._sizes = {
            name: known[name] if name in known and not name.startswith(self.present) else _size(directories, name)
            for name in _batches(directories)
        }
        return self._sizes.values()

    def _deleted(self, batches: Set[str]) -> list[Kept]:
        return [kept for kept in self._ledger.kept() if kept.cause == Cause.DELETED and kept.batch in batches]

    @contextmanager
    def _directories(self) -> Iterator[Directories]:
        with self._errors(""):
            directories = Directories(self._root)
        with directories:
            yield directories

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise local_error(path or str(self._root), error) from error


def _batches(directories: Directories) -> list[str]:
    """What else lies beside them was put there by the user, and is none of our business."""
    try:
        place = directories.open(PLACE)
    except FileNotFoundError:
        return []
    names = [name for name in os.listdir(place) if batch_time(name) is not None]
    return sorted(name for name in names if _is_directory(Spot.of(place, name).status()))


def _walk(directories: Directories, top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below that is not a directory: its path from there, and its status."""
    pending = [top]
    while pending:
        directory = pending.pop()
        try:
            descriptor = directories.open(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue  # The user tidies up.
        for name in sorted(path_text(os.fsencode(name)) for name in os.listdir(descriptor)):
            path = f"{directory}/{name}"
            status = Spot.of(descriptor, path).status()
            if _is_directory(status):
                pending.append(path)
            elif status is not None:
                yield path[len(top) + 1 :], status


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _size(directories: Directories, batch: str) -> int:
    return sum(status.st_size for _, status in _walk(directories, f"{PLACE}/{batch}"))


def _remove_all(directories: Directories, batch: str) -> None:
    """Remove a batch, as far as the system lets us.

    Trees may be thousands of levels deep, more than the interpreter recurses and than one may keep open.  So what is
    deeper is moved up into the batch first.
    """
    with suppress(OSError):
        top = os.dup(directories.open(f"{PLACE}/{batch}"))
        try:
            pending = _remove_leaves(b".", top)
            while pending:
                name = pending.pop()
                with suppress(OSError):
                    pending += _remove_leaves(name, top)
                    os.rmdir(name, dir_fd=top)
        finally:
            os.close(top)
        os.rmdir(batch, dir_fd=directories.open(PLACE))


def _remove_leaves(name: bytes, top: int) -> list[bytes]:
    """Remove what is not a directory in this one of `top`, move directories up to there; their names there."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    moved = []
    try:
        for leaf in map(os.fsencode, os.listdir(descriptor)):
            with suppress(OSError):
                status = os.stat(leaf, dir_fd=descriptor, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    os.unlink(leaf, dir_fd=descriptor)
                    continue
                higher = b".%d" % status.st_ino
                os.rename(leaf, higher, src_dir_fd=descriptor, dst_dir_fd=top)
                moved.append(higher)
    finally:
        os.close(descriptor)
    return moved


def _drop(directories: Directories, top: str, path: str) -> None:
    """Remove one item, and the directories of its batch that are empty then."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(name_bytes(path), dir_fd=directories.open(parent_of(f"{top}/{path}")))
    # OSError: something is in it still.
    with suppress(OSError):
        directory = parent_of(f"{top}/{path}")
        while len(directory) >= len(top):
            os.rmdir(name_bytes(directory), dir_fd=directories.open(parent_of(directory)))
            directory = parent_of(directory)


def _status(directories: Directories, kept: Kept) -> os.stat_result | None:
    full = f"{PLACE}/{kept.batch}/{kept.path}"
    try:
        return Spot.of(directories.open(parent_of(full)), full).status()
    except OSError:
        return None


def _item(batch: str, path: str, status: os.stat_result, kept: Kept | None) -> Item:
    kind = Kind.LINK if stat.S_ISLNK(status.st_mode) else Kind.FILE
    facts = kept or Kept(batch, path, batch_time(batch) or 0.0, "", "", status.st_size, None)
    digest = facts.digest if facts.size == status.st_size else None
    return Item(batch, path, facts.when, facts.cause, facts.client, status.st_size, status.st_mtime_ns, kind, digest)
