"""Settlement: deciding a conflict, as an ordinary edit of the folder.

Nothing is copied and nothing is lost: the version that was not chosen goes to the trash, in one step with the other
taking its name.  What has changed since the folder was scanned is left alone.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import UserError
from ..files.directories import Directories
from ..files.exchange import Spot
from ..files.folder import Folder, Installed, Outcome, Staged
from ..files.kept import Cause
from ..files.tree import COMPONENT_BYTES_MAX, Entry, Kind, display, parent_of, path_bytes
from ..files.trouble import local_error
from ..relay.place import EXTENSION_BYTES_MAX
from .conflicts import Conflict


class NotSettled(UserError):
    """{path}: {reason}; the conflict is not settled, and nothing is lost"""

    code = "L132"
    advice = "Look again: escalectl conflicts"


class UnknownSide(UserError):
    """'{word}' does not say which version of {path} to keep"""

    code = "L133"
    exit_code = 2
    advice = "{choices}"


class Side(enum.Enum):
    """What can be kept of a conflict."""

    PLAIN = "plain"
    """The version that has the plain name."""

    COPY = "copy"
    """The conflict copy."""

    BOTH = "both"
    """Each under an ordinary name."""


def side_of(word: str, conflict: Conflict, here: str) -> Side:
    """What the user means: `plain`, `both`, the client whose version the copy is, or `here`; UnknownSide.

    `here`, where this client is called that, is the plain version, unless the copy is this client's own: then both
    could be meant, and nobody should lose the wrong one.
    """
    if word in ("plain", "both"):
        return Side(word)
    if word == conflict.client:
        return Side.COPY
    if word == "here" and conflict.client != here:
        return Side.PLAIN
    choices = (
        f"plain: the version called {display(conflict.path)}; {conflict.client}: that of the conflict copy; both: both"
    )
    raise UnknownSide(word=display(word), path=display(conflict.path), choices=choices)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles conflicts in a folder whose last scan found these entries, on behalf of a client."""

    folder: Folder
    entries: Mapping[str, Entry]
    client: str

    def keep(self, conflict: Conflict, side: Side) -> str:
        """Keep this side; the path it has now.  NotSettled, LocalError, NoLocalSpace."""
        if side is Side.PLAIN:
            self._remove(conflict, conflict.copy)
            return conflict.path
        if side is Side.BOTH:
            return self._move(conflict, self._free_path(conflict), None)
        plain = conflict.plain
        if plain is not None and plain.kind is Kind.DIRECTORY:
            self._remove(conflict, plain)
            plain = None
        return self._move(conflict, conflict.path, plain)

    def _remove(self, conflict: Conflict, entry: Entry) -> None:
        """To the trash, with all that is in it."""
        doomed = [entry, *(one for path, one in self.entries.items() if path.startswith(f"{entry.path}/"))]
        by = {one.path: self.client for one in doomed}
        _check(conflict, self.folder.remove(doomed, by=by, cause=Cause.SETTLED))

    def _move(self, conflict: Conflict, path: str, expected: Entry | None) -> str:
        """Give the copy this path, where the expected version is, which goes to the trash."""
        copy = conflict.copy
        try:
            with Directories(self.folder.root) as directories:
                spot = Spot.of(directories.open(parent_of(copy.path)), copy.path)
                status = spot.status()
                if status is None or (status.st_size, status.st_mtime_ns) != _marks(copy, status):
                    raise NotSettled(path=display(copy.path), reason="it was changed meanwhile")
                full = os.fsencode(self.folder.root) + b"/" + path_bytes(copy.path)
                staged = Staged(replace(copy, path=path), full, spot, status.st_ino)
                moved = self.folder.install([staged], {path: expected}, by={path: self.client}, cause=Cause.SETTLED)
        except OSError as error:
            raise local_error(copy.path, error) from error
        _check(conflict, moved)
        return path

    def _free_path(self, conflict: Conflict) -> str:
        """An ordinary name for the copy, beside the plain one: `notes-laptop.txt`, `notes-laptop-2.txt` ..."""
        stem, extension = os.path.splitext(conflict.path)
        if len(path_bytes(extension)) > EXTENSION_BYTES_MAX:
            stem, extension = conflict.path, ""
        number = 1
        while True:
            ending = f"-{conflict.client}{f'-{number}' if number > 1 else ''}{extension}"
            path = _shortened(stem, ending)
            if path not in self.entries and not self.folder.has(path):
                return path
            number += 1


def _check(conflict: Conflict, results: Sequence[Installed]) -> None:
    for result in results:
        if result.outcome is not Outcome.INSTALLED:
            path = display(result.entry.path or conflict.path)
            raise NotSettled(path=path, reason=result.reason)


def _marks(entry: Entry, status: os.stat_result) -> tuple[int, int]:
    """What the status has to say if it is that of the entry; of links and directories it cannot tell more."""
    return (entry.size, entry.mtime_ns) if entry.is_file else (status.st_size, status.st_mtime_ns)


def _shortened(stem: str, ending: str) -> str:
    directory, slash, name = stem.rpartition("/")
    while len(path_bytes(name + ending)) > COMPONENT_BYTES_MAX:
        name = name[:-1]
    return f"{directory}{slash}{name}{ending}"
