"""Contents: what this folder holds on all of its pages, so that nobody has to send again what is here already.

A file that was moved elsewhere arrives as a record without content and, a moment before or after, a deletion: its bytes
are still under the old name, or in the trash.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import LocalError
from ..files.folder import Folder
from ..files.source import Source
from ..files.tree import Base, Entry


@dataclass(slots=True)
class Contents:
    """The folder beyond one page, as the pass keeps it up to date: entries and bases, by page and path."""

    pages: dict[str, dict[str, Entry]] = field(default_factory=dict)
    bases: dict[str, dict[str, Base]] = field(default_factory=dict)
    _paths: dict[str, str] | None = None

    def entry(self, page: str, path: str) -> Entry | None:
        """What lies at a path of any page."""
        return self.pages.get(page, {}).get(path)

    def sources(self, folder: Folder, wanted: Entry) -> Iterator[Source]:
        """Open files that should hold the content of `wanted`, to be verified and closed by the caller."""
        if wanted.digest is None:
            return
        item = folder.trash.find(wanted.digest, wanted.size)
        path = self._path_of(wanted.digest)
        with suppress(LocalError):
            if item is not None:
                yield folder.trash.open(item)
        with suppress(LocalError):
            if path is not None and path != wanted.path:
                yield folder.open(path)

    def _path_of(self, digest: str) -> str | None:
        """Of all files that were hashed when it was first asked for."""
        if self._paths is None:
            self._paths = {
                entry.digest: path for page in self.pages.values() for path, entry in page.items() if entry.digest
            }
        return self._paths.get(digest)
