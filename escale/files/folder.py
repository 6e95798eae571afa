"""Folder: the files of the user, and the only way to them.

It looks (`scan`), reads (`hash`, `open`) and writes (`staging`, `install`).  Nothing here follows a symbolic link below
the root, keeps more in memory than one entry per file, or lets one bad file stop the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..clock import Clock
from ..digest import DEFAULT
from .directories import Directories
from .durable import sync
from .install import Installed, Installer, Outcome
from .known import Known
from .ledger import Ledger
from .rules import Rules
from .scan import Scan, scan
from .source import Source, open_source
from .staging import Staged, Staging, sweep_staging
from .tree import Entry, Kind, name_bytes, parent_of
from .trouble import Trouble, local_error, trouble_from

__all__ = ["Folder", "Installed", "Outcome", "Scan", "Source", "Staged", "Staging", "Trouble"]

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

    def sweep(self) -> int:
        """Remove the staging of runs that crashed; how many there were."""
        return sweep_staging(self.root)

    def scan(self) -> Scan:
        """What is there now; no user file is read.  LocalError if the root cannot be read."""
        self._scanned_ns = self._now_ns()
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

    def install(
        self,
        staged: Sequence[Staged],
        expected: Mapping[str, Entry | None],
        aside: Mapping[str, str] | None = None,
    ) -> list[Installed]:
        """Move staged files into their places; those whose outcome is INSTALLED are durable on return.

        `expected` has for each path what the plan was made from, None for no file: what is not so any more is left
        alone.  `aside` has, for the paths whose present version is to be kept, the path to keep it under, in the same
        directory; if it is taken a number is added.  NoLocalSpace, LocalError: nothing may be called durable then, and
        the files that are in their places already are found by the next scan.
        """
        aside = aside or {}
        for path, target in aside.items():
            assert parent_of(path) == parent_of(target), (path, target)
        if not staged:
            return []
        with self._errors(), Directories(self.root) as directories:
            sync([item.temporary for item in staged])
            installer = Installer(directories, self._ledger, self.algorithm)
            results = [
                installer.install(item, expected[item.entry.path], aside.get(item.entry.path))
                for item in sorted(staged, key=lambda item: item.entry.path)
            ]
            sync(sorted(installer.changed | directories.changed))
        self._ledger.remember(installer.known)
        return results

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


def _status(directories: Directories, path: str) -> os.stat_result | None:
    try:
        parent = directories.open(parent_of(path))
        return os.stat(name_bytes(path), dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None
