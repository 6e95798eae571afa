"""Budget: what a quota leaves on the relay, and what things will take there.  Pure; all numbers are bytes, from above.

A pusher fills the room that it has measured in its turn; everybody else may write meanwhile what needs no turn: locks,
registrations, and each page's index once more, as long as it is, for the old one leaves after the new one has come.
Both are kept free.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..files.tree import Entry, path_bytes
from .index import Record
from .relay import Survey

UNLIMITED = 1 << 62
"""Where nobody set a quota."""

ROOM_FOR_NOTES = 64 * 1024
"""Left free for locks and registrations: some 300 of them at a time."""

MEMBER_OVERHEAD = 2048
"""What an archive may need for a file besides its content: headers, an exact time among them, and padding."""

RECORD = 320
"""What a record of a file takes in a compressed index, digest and ancestors included, without its names."""


@dataclass(frozen=True, slots=True)
class Room:
    """`left` may be put on the relay now; `most` could be if no update lay there."""

    left: int = UNLIMITED
    most: int = UNLIMITED

    @classmethod
    def of(cls, quota: int, survey: Survey, growth: float = 1.0) -> Self:
        """What a quota leaves of a relay like this, where sealing makes bytes grow so much."""
        views = survey.pages.values()
        updates = (one for view in views for one in view.updates)
        lying = sum(blob.info.size for one in updates for blob in (*one.indices, one.data) if blob)
        indices = sum(blob.info.size for view in views for blob in view.indices)
        left = quota - survey.used - indices - ROOM_FOR_NOTES
        return cls(int(left / growth), int((left + lying) / growth))

    def without(self, size: int) -> Self:
        """After so much was put there."""
        return replace(self, left=self.left - size)


def room_for_file(entry: Entry) -> int:
    """Its content in an archive that does not compress, its record in the update index and in the persistent index,
    and once more there, when that is written again."""
    content = entry.size + MEMBER_OVERHEAD + 2 * len(path_bytes(entry.path))
    return content + content // 64 + 3 * _record_size(entry)


def room_for_note(note: Record, known: Container[str]) -> int:
    """A record in the persistent index, and once more when that is written again; nothing where it replaces one."""
    return 0 if note.path in known else 2 * _record_size(note.entry)


def fitting(pending: Sequence[Entry], size_max: int, room: int) -> int:
    """How many of these fit, from the first on: into an update of `size_max` bytes of files, one file at least, and
    into the room."""
    total = taken = 0
    for count, entry in enumerate(pending):
        total += entry.size + MEMBER_OVERHEAD
        taken += room_for_file(entry)
        if taken > room or (count and total > size_max):
            return count
    return len(pending)


def fitting_notes(notes: Iterable[Record], known: Container[str], room: int) -> tuple[list[Record], list[Entry], int]:
    """Those for which there is room, the others, and the room that is taken."""
    fit: list[Record] = []
    left: list[Entry] = []
    taken = 0
    for note in notes:
        growth = room_for_note(note, known)
        if growth and taken + growth > room:
            left.append(note.entry)
        else:
            fit.append(note)
            taken += growth
    return fit, left, taken


def _record_size(entry: Entry) -> int:
    return RECORD + 2 * len(path_bytes(entry.path)) + 2 * len(path_bytes(entry.target))
