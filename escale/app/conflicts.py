"""Conflicts: paths of which a folder holds several versions, because two sides had edited them.

The version that came stands under the plain name; the other is a file beside it, the conflict copy, whose name says
whose it was and when (UTC).  That name is all there is to know, so every machine finds the same conflicts, also after a
restart, also without a service.  A conflict is settled by an ordinary edit of the folder, which travels as any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import UserError
from ..files.ledger import Ledger
from ..files.tree import COMPONENT_BYTES_MAX, Entry, display, parent_of, path_bytes
from ..relay.client import Tally
from .status import Need

_MARK = ".conflict-"

_NAME = re.compile(
    r"(?P<stem>.+)\.conflict-(?P<client>[A-Za-z0-9._-]{1,64})-(?P<when>\d{8}-\d{6})"
    r"(?: \d{1,3})?(?P<extension>\.[^.]*)?",
    re.DOTALL,
)
"""`escale.relay.place.conflict_name` backwards, with the number that `install` adds when a name is taken."""

_NUMBERED = re.compile(r"(?P<stem>.+) \d{1,3}", re.DOTALL)
"""Where the original has no extension, that number stands before the mark."""

_LONGEST_CHARACTER = 4
"""Bytes that may be left over when a name is shortened by whole characters."""

_FACT = "conflicts"
"""Under this name the ledger remembers which conflict was shown under which number."""


class NoConflict(UserError):
    """there is no conflict {which} in section {section}"""

    code = "L130"
    advice = "List them: escalectl conflicts {section}"


class ConflictChanged(UserError):
    """{path} has changed since you looked; nothing was done"""

    code = "L131"
    advice = "Look again: escalectl conflicts {section}"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions of one path.

    `plain` is what stands under the plain name, None for nothing; `copy` is the conflict copy, made by `client` at Unix
    time `when`.
    """

    path: str
    plain: Entry | None
    copy: Entry
    client: str
    when: float

    @property
    def marks(self) -> str:
        """Changes when one of the two versions does."""
        return "/".join(f"{one.kind.value} {one.size} {one.mtime_ns}" if one else "" for one in (self.plain, self.copy))


def conflicts_in(entries: Mapping[str, Entry]) -> list[Conflict]:
    """The conflicts of a folder, from its entries; the oldest first."""
    found = []
    for path, entry in entries.items():
        if _MARK not in path or (name := _NAME.fullmatch(path.rpartition("/")[2])) is None:
            continue
        when = _time_of(name["when"])
        if when is not None:
            plain = _plain_path(entry, name, entries)
            found.append(Conflict(plain, entries.get(plain), entry, name["client"], when))
    return sorted(found, key=lambda one: (one.when, one.copy.path))


def plain_name(path: str) -> str | None:
    """The path whose conflict copy has this one, as far as the name alone tells; None if it is no conflict copy's."""
    return next((one.path for one in conflicts_in({path: Entry(path, 0, 0)})), None)


def note_conflicts(tally: Tally, section: str, found: Iterable[Conflict]) -> None:
    """What a pass tells of unsettled conflicts: each copy as pending, and one need for all of them."""
    copies = [one.copy for one in found]
    for one in copies:
        tally.add_waiting("", "conflict", "", [one])
    need = need_of(section, len(copies))
    if need is not None:
        tally.needs.append((need.sentence, need.command))


def need_of(section: str, count: int) -> Need | None:
    """What the status says of so many unsettled conflicts."""
    if not count:
        return None
    return Need(f"{count} conflict{'s' if count > 1 else ''}", f"escalectl conflicts {section}")


class Numbering:
    """The numbers by which people call the conflicts of a section, remembered in its ledger.

    A conflict keeps its number until it is settled, whatever becomes of the others: who has read a list can work
    through it.  Remembered is also how the two versions looked when they were shown.
    """

    def __init__(self, ledger: Ledger, section: str, found: Iterable[Conflict]) -> None:
        self._ledger = ledger
        self._section = section
        self._shown = _decoded(ledger.meta(_FACT))
        self._numbers = _numbered(found, {path: number for path, (number, _) in self._shown.items()})

    def __iter__(self) -> Iterator[tuple[int, Conflict]]:
        return iter(sorted(self._numbers.items()))

    def shown(self) -> None:
        """The user sees the conflicts as they are now."""
        shown = {one.copy.path: (number, one.marks) for number, one in self._numbers.items()}
        if shown != self._shown:
            self._ledger.set_meta(_FACT, json.dumps(shown) if shown else None)

    def find(self, which: str) -> tuple[int, Conflict]:
        """By number, by the path of the copy, or by the plain path if it has one conflict only; NoConflict."""
        found = [pair for pair in self if which in (str(pair[0]), pair[1].copy.path, pair[1].path)]
        exact = [pair for pair in found if pair[1].path != which] or found
        if len(exact) != 1:
            raise NoConflict(which=display(which), section=self._section)
        return exact[0]

    def must_be_as_shown(self, conflict: Conflict) -> None:
        """ConflictChanged if the user has seen other versions than are there now."""
        _, marks = self._shown.get(conflict.copy.path, (0, conflict.marks))
        if marks != conflict.marks:
            raise ConflictChanged(path=display(conflict.path), section=self._section)


def _plain_path(copy: Entry, name: re.Match[str], entries: Mapping[str, Entry]) -> str:
    """The path whose conflict copy this is; if none is there that it could be, what the name says."""
    directory = parent_of(copy.path)
    prefix = f"{directory}/" if directory else ""
    stem, extension = name["stem"], name["extension"] or ""
    possible = [f"{prefix}{stem}{extension}"]
    if (numbered := _NUMBERED.fullmatch(stem)) is not None:
        possible.append(f"{prefix}{numbered['stem']}{extension}")
    if len(path_bytes(copy.path[len(prefix) :])) > COMPONENT_BYTES_MAX - _LONGEST_CHARACTER:
        possible += _longer(f"{prefix}{stem}", extension, copy.path, entries)
    return next((path for path in possible if path in entries), possible[0])


def _longer(beginning: str, extension: str, copy: str, entries: Mapping[str, Entry]) -> list[str]:
    """Paths whose conflict copies would have so long a name that it is shortened to this one."""
    added = len(path_bytes(copy)) - len(path_bytes(beginning + extension))
    length_min = len(path_bytes(parent_of(copy))) + 1 + COMPONENT_BYTES_MAX - added
    depth = copy.count("/")
    return sorted(
        path
        for path in entries
        if path.startswith(beginning)
        and path.endswith(extension)
        and path.count("/") == depth
        and path != copy
        and len(path_bytes(path)) >= length_min
    )


def _time_of(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _numbered(found: Iterable[Conflict], known: Mapping[str, int]) -> dict[int, Conflict]:
    new = []
    numbers = {}
    for one in found:
        if one.copy.path in known:
            numbers[known[one.copy.path]] = one
        else:
            new.append(one)
    first = max(numbers, default=0) + 1
    return numbers | dict(enumerate(new, first))


def _decoded(text: str | None) -> dict[str, tuple[int, str]]:
    values = json.loads(text) if text else {}
    return {path: (int(number), str(marks)) for path, (number, marks) in values.items()}
