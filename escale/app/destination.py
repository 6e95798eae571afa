"""Destinations: where former versions are brought back to, a directory of its own or the folder itself.

Each copy is written under a temporary name, verified, made durable, and only then put into a free place.  Nothing that
is there is replaced, unless the user has said so; in the folder what is replaced goes to the trash.
"""

from __future__ import annotations

import enum
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import EscaleError, LocalError, NoLocalSpace
from ..files.directories import Directories
from ..files.durable import sync
from ..files.exchange import Spot, move
from ..files.folder import Folder, Outcome, Staged, Staging
from ..files.kept import Cause
from ..files.overwrite import Overwrite
from ..files.tree import PRIVATE, Entry, Kind, parent_of
from ..files.trouble import local_error
from .shelf import Copy, Shelf


class Fate(enum.StrEnum):
    """What became of one copy."""

    RESTORED = "restored"
    SAME = "same"
    """What is there has the same content."""

    KEPT = "kept"
    """Something else is there, and nobody allowed to replace it."""

    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Restored:
    """One copy that was to be brought back; `reason` says in words why it was not."""

    copy: Copy
    fate: Fate
    reason: str = ""


class Destination(ABC):
    """Takes copies one by one."""

    def take(self, shelf: Shelf, copy: Copy) -> Restored:
        """Bring one copy back; NoLocalSpace.  What is wrong with one of them is told and the others go on."""
        try:
            return self._take(shelf, copy)
        except NoLocalSpace:
            raise
        except EscaleError as error:
            return Restored(copy, Fate.FAILED, str(error))

    @abstractmethod
    def would(self, copy: Copy) -> Restored:
        """What `take` would do, as far as one can tell without reading; nothing is written."""

    @abstractmethod
    def _take(self, shelf: Shelf, copy: Copy) -> Restored: ...


class DirectoryDestination(Destination):
    """A directory, made when it is needed.  Below it no symbolic link is followed."""

    def __init__(self, root: Path, overwrite: Overwrite, algorithm: str) -> None:
        self._root = root.resolve()
        self._overwrite = overwrite
        self._algorithm = algorithm

    def would(self, copy: Copy) -> Restored:
        if not self._root.exists():
            return Restored(copy, Fate.RESTORED)
        try:
            with Directories(self._root) as directories:
                status = Spot.of(directories.open(parent_of(copy.path)), copy.path).status()
        except FileNotFoundError:
            return Restored(copy, Fate.RESTORED)
        except OSError as error:
            return Restored(copy, Fate.FAILED, str(local_error(copy.path, error)))
        return self._refusal(copy, status) or Restored(copy, Fate.RESTORED)

    def _take(self, shelf: Shelf, copy: Copy) -> Restored:
        refused = self.would(copy)
        if refused.fate is not Fate.RESTORED:
            return refused
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with Staging(self._root, self._algorithm) as staging:
                put = self._put(staged(staging, shelf, copy, self._algorithm), copy)
            with suppress(OSError):  # Something else is in it: the directory is a synchronised folder.
                os.rmdir(self._root / PRIVATE)
        except OSError as error:
            raise local_error(copy.path, error) from error
        return put

    def _put(self, arrived: Staged, copy: Copy) -> Restored:
        if arrived.entry.is_file:
            sync([arrived.temporary])
        with Directories(self._root) as directories:
            place = Spot.of(directories.open(parent_of(copy.path), make=True), copy.path)
            if refused := self._refusal(copy, place.status()):
                return refused
            if place.status() is None:
                move(arrived.spot, place)
            else:
                os.replace(arrived.spot.name, place.name, src_dir_fd=arrived.spot.parent, dst_dir_fd=place.parent)
            os.fsync(place.parent)
            sync(sorted(directories.changed))
        return Restored(copy, Fate.RESTORED)

    def _refusal(self, copy: Copy, status: os.stat_result | None) -> Restored | None:
        """Why what is there has to stay."""
        if status is None or self._overwrite is Overwrite.ALWAYS:
            return None
        if self._overwrite is Overwrite.OLDER:
            if status.st_mtime_ns < copy.mtime_ns:
                return None
            return Restored(copy, Fate.KEPT, "what is there is not older")
        return Restored(copy, Fate.KEPT, "something is there already")


class FolderDestination(Destination):
    """The synchronised folder itself; what is brought back travels like any edit of it."""

    def __init__(self, folder: Folder, client: str) -> None:
        self._folder = folder
        self._client = client
        self._entries = folder.scan().entries

    def would(self, copy: Copy) -> Restored:
        present = self._present(copy.path)
        if present is not None and present.is_file and present.digest == copy.digest:
            return Restored(copy, Fate.SAME, "it is like that already")
        return Restored(copy, Fate.RESTORED)

    def _take(self, shelf: Shelf, copy: Copy) -> Restored:
        present = self._present(copy.path)
        with self._folder.staging() as staging:
            arrived = staged(staging, shelf, copy, self._folder.algorithm)
            if present is not None and present.same_content(arrived.entry):
                return Restored(copy, Fate.SAME, "it is like that already")
            (done,) = self._folder.install(
                [arrived], {copy.path: present}, by={copy.path: self._client}, cause=Cause.REPLACED
            )
        if done.outcome is Outcome.INSTALLED:
            return Restored(copy, Fate.RESTORED)
        return Restored(copy, Fate.FAILED, done.reason)

    def _present(self, path: str) -> Entry | None:
        """What is there now; read also where a rule keeps it out."""
        entry = self._entries.get(path)
        if entry is not None and not entry.is_file:
            return entry
        hashed, _ = self._folder.hash([path])
        return hashed.get(path, entry)


def staged(staging: Staging, shelf: Shelf, copy: Copy, algorithm: str) -> Staged:
    """The copy, written and verified beside its place; Corrupt if it is not what it should be, LocalError."""
    if copy.kind is Kind.LINK:
        return staging.add_link(Entry.link(copy.path, shelf.target(copy), copy.mtime_ns))
    digest = copy.digest or _digest(shelf, copy, algorithm)
    with shelf.open(copy) as source:
        entry = Entry(copy.path, source.entry.size, source.entry.mtime_ns, source.entry.mode, digest)
        made = staging.add(entry, source)
        if not source.is_unchanged():
            raise LocalError(path=copy.path, reason="it changed while it was read")
    return made


def _digest(shelf: Shelf, copy: Copy, algorithm: str) -> str:
    with shelf.open(copy) as source:
        return source.digest(algorithm)
