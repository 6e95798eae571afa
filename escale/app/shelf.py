"""Shelves: where former versions of files lie.  The trash is one, the conflict copies are another, backups can be one.

A shelf lists what lies on it as copies, each under the path it had in the folder, and opens them.  What is on a shelf
stays there: bringing back means copying.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from ..files.batch import PLACE
from ..files.directories import Directories
from ..files.folder import Folder, Source
from ..files.trash import Item
from ..files.tree import Entry, Kind, name_bytes, parent_of, path_text
from ..files.trouble import local_error
from .conflicts import conflicts_in, plain_name


@dataclass(frozen=True, slots=True)
class Copy:
    """A former version of a file or symbolic link.

    Until `when`, in Unix seconds, it was what the folder had under `path`, if `was_here`; otherwise it is the version
    that another client had then.  `alias`: another path that people may mean it by, "" for none.  `shelf` names the
    shelf and `place` where on it: the batch of the trash, the path of the conflict copy.  `client` is whose version it
    is or who ended it, and `note` says so; `digest` is None if nobody remembers it.
    """

    shelf: str
    place: str
    path: str
    when: float
    kind: Kind
    size: int
    mtime_ns: int
    client: str = ""
    note: str = ""
    digest: str | None = None
    was_here: bool = True
    alias: str = ""

    def is_called(self, name: str) -> bool:
        """Whether somebody who asks for this name may mean it: a path, the name of a file, or a pattern for one."""
        for path in filter(None, (self.path, self.alias)):
            last = path.rpartition("/")[2]
            if name in (path, last) or fnmatchcase(path, name) or fnmatchcase(last, name):
                return True
        return False

    def is_below(self, path: str) -> bool:
        """Whether it is what had that path, or lay in what had it; "" is the folder."""
        return not path or self.path == path or self.path.startswith(f"{path}/")


class Shelf(ABC):
    """Former versions of the files of one folder; LocalError for what cannot be read."""

    name: ClassVar[str]

    @abstractmethod
    def copies(self) -> Iterator[Copy]:
        """All that lies on it, in no order."""

    @abstractmethod
    def open(self, copy: Copy) -> Source:
        """The content of a copy that is a file, to be closed."""

    @abstractmethod
    def target(self, copy: Copy) -> str:
        """The text of a copy that is a symbolic link."""


class TrashShelf(Shelf):
    """What passes and settlements took out of the folder."""

    name = "trash"

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def copies(self) -> Iterator[Copy]:
        for item in self._folder.trash.items():
            note = f"{item.cause} by {item.client}" if item.cause and item.client else item.cause
            yield Copy(
                self.name,
                item.batch,
                item.path,
                item.when,
                item.kind,
                item.size,
                item.mtime_ns,
                item.client,
                note,
                item.digest,
                alias=plain_name(item.path) or "",
            )

    def open(self, copy: Copy) -> Source:
        item = Item(copy.place, copy.path, copy.when, "", "", copy.size, copy.mtime_ns, copy.kind, copy.digest)
        return self._folder.trash.open(item)

    def target(self, copy: Copy) -> str:
        return _target(self._folder, f"{PLACE}/{copy.place}/{copy.path}")


class ConflictShelf(Shelf):
    """The conflict copies in the folder, with the files of directories that were put aside."""

    name = "conflict"

    def __init__(self, folder: Folder, client: str) -> None:
        self._folder = folder
        self._client = client

    def copies(self) -> Iterator[Copy]:
        entries = self._folder.scan().entries
        for one in conflicts_in(entries):
            beginning = f"{one.copy.path}/"
            inside = [entry for path, entry in entries.items() if path.startswith(beginning)]
            for entry in (one.copy, *inside):
                if entry.kind is not Kind.DIRECTORY:
                    path = one.path + entry.path[len(one.copy.path) :]
                    yield self._copy(entry, path, one.when, one.client)

    def open(self, copy: Copy) -> Source:
        return self._folder.open(copy.place)

    def target(self, copy: Copy) -> str:
        return _target(self._folder, copy.place)

    def _copy(self, entry: Entry, path: str, when: float, client: str) -> Copy:
        return Copy(
            self.name,
            entry.path,
            path,
            when,
            entry.kind,
            entry.size,
            entry.mtime_ns,
            client,
            f"version of {client}",
            was_here=client == self._client,
        )


def shelves(folder: Folder, client: str) -> list[Shelf]:
    """All there are for the folder of a client."""
    return [TrashShelf(folder), ConflictShelf(folder, client)]


def _target(folder: Folder, path: str) -> str:
    try:
        with Directories(folder.root) as directories:
            return path_text(os.readlink(name_bytes(path), dir_fd=directories.open(parent_of(path))))
    except OSError as error:
        raise local_error(path, error) from error
