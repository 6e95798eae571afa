"""Folder: the files of the user, and the only way to them.

It looks (`scan`), reads (`hash`, `open`) and writes (`install`, `make`, `change_mode`, `remove`).  Nothing here follows
a symbolic link below the root, keeps more in memory than one entry per path, or lets one bad file stop the others; and
nothing of the user's is destroyed: what has to go goes to the `trash`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..clock import Clock
from ..digest import DEFAULT
from .directories import Directories
from .durable import PATH_BYTES_MAX, sync
from .install import install
from .kept import Cause
from .known import Known
from .ledger import Ledger
from .make import change_mode, make
from .marker import identity_of, mark
from .outcome import REFUSED_NAMES, Installed, Outcome
from .remove import remove
from .rules import Rules
from .scan import Scan, scan
from .site import TOO_LONG, Motive, Site
from .source import Source, open_source
from .staging import Staged, Staging, sweep_staging
from .trash import Item, Trash
from .tree import Entry, Kind, name_bytes, parent_of, path_bytes
from .trouble import Trouble, explanation, local_error, trouble_from

__all__ = ["Cause", "Folder", "Installed", "Item", "Outcome", "Scan", "Source", "Staged", "Staging", "Trash", "Trouble"]

_BATCH = 1000
"""Files hashed between two commits of the stat cache: what a first scan loses when it is interrupted."""


class Folder:
    """One synchronised folder; `root` may itself be reached by symbolic links.

    `algorithm` names the digests (`escale.digest`); a change of it empties the stat cache.  A file changed less than
    `settle_s` seconds ago is left alone by `scan`.  For one thread at a time, as the ledger is.
    """

    def __init__(
        self,
        root: Path,
        rules: Rules,
        ledger: Ledger,
        clock: Clock,
        algorithm: str = DEFAULT,
        settle_s: float = 0.0,
    ) -> None:
        self.root = root
        self.rules = rules
        self.algorithm = algorithm
        self._ledger = ledger
        self._clock = clock
        self._settle_s = settle_s
        self._scanned_ns = 0
        self.trash = Trash(root, ledger, clock)
        ledger.hashes_with(algorithm)

    def exists(self) -> bool:
        """Whether there is such a directory."""
        return self.root.is_dir()

    def make_root(self) -> None:
        """Make the directory and its parents; LocalError.  That it exists already is not an error."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise local_error(str(self.root), error) from error

    def is_marked(self) -> bool:
        """Whether it is really there, and not an empty place where its disk should be; LocalError."""
        return identity_of(self.root) is not None

    def mark(self, identity: str) -> None:
        """Write the marker that tells that the folder is there; durable on return.  NoLocalSpace, LocalError."""
        mark(self.root, identity)

    def identity(self) -> str | None:
        """What the folder was marked with, None if it is not marked; LocalError."""
        return identity_of(self.root)

    def sweep(self) -> int:
        """Remove the staging of runs that crashed; how many there were."""
        return sweep_staging(self.root)

    def scan(self) -> Scan:
        """What is there now; no user file is read.  LocalError if the root cannot be read.

        It begins a pass: what is taken out of the folder from now on goes to a new batch of the trash.
        """
        self._scanned_ns = self._now_ns()
        self.trash.begin()
        known = self._ledger.known()
        found = scan(
            os.fsencode(self.root),
            replace(self.rules, ignores={}),
            known,
            self._scanned_ns,
            round(self._settle_s * 1e9),
        )
        self.rules = found.rules
        gone = known.keys() - found.entries.keys() - found.unsettled
        if gone and found.complete:
            self._ledger.forget_known(gone)
        return found

    def why_not(self, path: str, size: int, kind: Kind = Kind.FILE) -> str | None:
        """The rule that keeps the path out, in words, or None; with the ignore files of the last scan."""
        return self.rules.why_not(path, size, kind)

    def hash(self, paths: Iterable[str]) -> tuple[dict[str, Entry], tuple[Trouble, ...]]:
        """Read these files: their entries with digests, and those that could not be read.

        The stat cache remembers the digests.  A file that changes while it is read is a trouble ("changing").
        """
        entries: dict[str, Entry] = {}
        troubles: list[Trouble] = []
        known: dict[str, Known] = {}
        with self._directories() as directories:
            for path in sorted(paths):
                result = self._hash_one(directories, path)
                if isinstance(result, Trouble):
                    troubles.append(result)
                    continue
                entries[path], known[path] = result
                if len(known) >= _BATCH:
                    self._ledger.remember(known)
                    known = {}
        if known:
            self._ledger.remember(known)
        return entries, tuple(troubles)

    def learn(self, entries: Iterable[Entry]) -> None:
        """Remember digests that were computed elsewhere since the last scan, if the files still look like that."""
        known: dict[str, Known] = {}
        with self._directories() as directories:
            for entry in sorted(entries, key=lambda entry: entry.path):
                status = _status(directories, entry.path)
                if status and entry.digest and (status.st_size, status.st_mtime_ns) == (entry.size, entry.mtime_ns):
                    known[entry.path] = Known.of(status, entry.digest, self._scanned_ns)
        self._ledger.remember(known)

    def open(self, path: str) -> Source:
        """The regular file at this path, for reading; LocalError for anything else, with its `word` as in Trouble."""
        try:
            with self._directories() as directories:
                return open_source(path, name_bytes(path), directories.open(parent_of(path)))
        except OSError as error:
            raise local_error(path, error) from error

    def staging(self) -> Staging:
        """A place for arriving files, to be used in a `with` statement around `install`."""
        return Staging(self.root, self.algorithm)

    def has(self, path: str) -> bool:
        """Whether something lies there at this moment; what cannot be looked at is taken to be there."""
        try:
            self._status(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def why_impossible(self, path: str) -> str | None:
        """Why nothing can have this path here, in words, as far as that shows without trying; None if it may."""
        if len(os.fsencode(self.root)) + 1 + len(path_bytes(path)) > PATH_BYTES_MAX:
            return TOO_LONG
        try:
            self._status(path)
        except OSError as error:
            return explanation(error) if error.errno in REFUSED_NAMES else None
        return None

    def directory(self, path: str) -> Entry | None:
        """The directory at this path, as a scan would find it; None for anything else."""
        try:
            status = self._status(path)
        except OSError:
            return None
        return Entry.directory(path, status.st_mode & 0o777) if stat.S_ISDIR(status.st_mode) else None

    def _status(self, path: str) -> os.stat_result:
        with self._directories() as directories:
            return os.stat(name_bytes(path), dir_fd=directories.open(parent_of(path)), follow_symlinks=False)

    def install(
        self,
        staged: Sequence[Staged],
        expected: Mapping[str, Entry | None],
        aside: Mapping[str, str] | None = None,
        *,
        by: Mapping[str, str] | None = None,
        cause: Cause = Cause.REPLACED,
    ) -> list[Installed]:
        """Move staged files and links into their places; those whose outcome is INSTALLED are durable on return.

        `expected` has for each path what the plan was made from, None for nothing: what is not so any more is left
        alone.  `aside` has, for the paths whose present version is to be kept, the path to keep it under, in the same
        directory; if it is taken a number is added.  Other versions go to the trash, with the `cause` and the client of
        `by`.  NoLocalSpace, LocalError: nothing may be called durable then, and what is in its place already is found
        by the next scan.
        """
        aside = _checked(aside)
        with self._site(by, cause) as site:
            sync([item.temporary for item in staged if item.entry.is_file])
            return [
                install(site, item, expected[item.entry.path], aside.get(item.entry.path))
                for item in sorted(staged, key=lambda item: item.entry.path)
            ]

    def make(
        self,
        entries: Sequence[Entry],
        expected: Mapping[str, Entry | None],
        aside: Mapping[str, str] | None = None,
        *,
        by: Mapping[str, str] | None = None,
        cause: Cause = Cause.REPLACED,
    ) -> list[Installed]:
        """Make these directories, or give those that are there their permissions; all else is as with `install`."""
        aside = _checked(aside)
        with self._site(by, cause) as site:
            return [
                make(site, entry, expected[entry.path], aside.get(entry.path))
                for entry in sorted(entries, key=lambda entry: entry.path)
            ]

    def change_mode(self, entries: Sequence[Entry], expected: Mapping[str, Entry]) -> list[Installed]:
        """Give these files and directories, whose content is as expected, their permissions; durable as `install`."""
        with self._site(None, Cause.REPLACED) as site:
            return [change_mode(site, entry, expected[entry.path]) for entry in entries]

    def remove(
        self, entries: Sequence[Entry], *, by: Mapping[str, str] | None = None, cause: Cause = Cause.DELETED
    ) -> list[Installed]:
        """Move to the trash what is as these entries say, and remove directories that are empty; durable as `install`.

        What is gone already is INSTALLED too.
        """
        with self._site(by, cause) as site:
            return [remove(site, entry) for entry in sorted(entries, key=lambda entry: entry.path, reverse=True)]

    @contextmanager
    def _site(self, by: Mapping[str, str] | None, cause: Cause) -> Iterator[Site]:
        """The folder, to be changed; at the end all is durable and remembered."""
        motive = Motive(self._clock.now(), cause, by or {})
        with (
            self._errors(),
            self.trash.batch() as batch,
            Site(self.root, batch, self._ledger, self.algorithm, motive) as site,
        ):
            yield site
            site.sync()
        if site.known:
            self._ledger.remember(site.known)
        self._ledger.keep(batch.kept)

    def _hash_one(self, directories: Directories, path: str) -> tuple[Entry, Known] | Trouble:
        seen_ns = self._now_ns()
        try:
            with open_source(path, name_bytes(path), directories.open(parent_of(path))) as source:
                digest = source.digest(self.algorithm)
                if not source.is_unchanged():
                    return Trouble(path, "changing", "it was changed while it was read")
                return replace(source.entry, digest=digest), Known.of(source.status, digest, seen_ns)
        except OSError as error:
            return trouble_from(path, error)

    @contextmanager
    def _directories(self) -> Iterator[Directories]:
        """LocalError if the root cannot be opened; what the caller does with the directories is its own affair."""
        try:
            directories = Directories(self.root)
        except OSError as error:
            raise local_error(str(self.root), error) from error
        with directories:
            yield directories

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise local_error(str(self.root), error) from error

    def _now_ns(self) -> int:
        return round(self._clock.now() * 1e9)


def _checked(aside: Mapping[str, str] | None) -> Mapping[str, str]:
    for path, target in (aside or {}).items():
        assert parent_of(path) == parent_of(target), (path, target)
    return aside or {}


def _status(directories: Directories, path: str) -> os.stat_result | None:
    try:
        parent = directories.open(parent_of(path))
        return os.stat(name_bytes(path), dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None
