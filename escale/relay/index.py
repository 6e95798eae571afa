"""Index and Update as values: what a page holds, independent of how a format writes it down.

A **record** says which version of a path is the current one; that the path is gone is a version like any other.  A
**persistent index** is the records of a page; an **update** is the records of files whose content lies on the relay at
the moment, with the names of the pullers who have it.
Both are merged, never overwritten blindly: of two records of one path the one with the higher version wins, and
ties are settled by what both say, so that all clients settle on the same one whatever order they read in.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..digest import short_name
from ..files.tree import Base, Entry, Kind, path_bytes

ANCESTORS_MAX = 8
"""Versions a record remembers: more than pile up between a push and the pusher's next look at the page."""


def brief(entry: Entry) -> str:
    """Sixteen hex digits for a content, enough to tell the versions of one path apart."""
    if entry.is_file:
        return (entry.digest or "")[:16]
    if entry.kind is Kind.LINK:
        return short_name(path_bytes(entry.target))
    return _BRIEF[entry.kind]


_BRIEF = {Kind.DIRECTORY: "d" * 16, Kind.GONE: "0" * 16}


class State(enum.Enum):
    """What a record claims about its path."""

    CURRENT = "current"
    """The version is in force: its content was delivered, lies in the current update, or there is none to deliver."""

    WANTED = "wanted"
    """A puller misses this content and nobody has sent it again yet (the source calls it a removed entry)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One path in an index.

    The digest of a file is always known here.  `version` grows by one with every push of the path; `client` pushed it.
    Format 0.7 has neither versions nor sizes: there `version` is read as 0 and `entry.size` as -1.  `ancestors`: the
    versions this one came from, newest first, each by the beginning of its digest; at most ANCESTORS_MAX.
    """

    entry: Entry
    version: int
    client: str
    state: State = State.CURRENT
    ancestors: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.entry.path

    def base(self, made: Entry | None = None) -> Base:
        """The record as what its reader agrees on; `made`: what the file system there has made of its entry."""
        if made is None or made.mode == self.entry.mode:
            return Base(made or self.entry, self.version, self.ancestors)
        return Base(made, self.version, self.ancestors, self.entry.mode)

    def descends_from(self, base: Base) -> bool:
        """Whether this record was made by somebody who had that version, so that taking it loses nothing.

        False for the winner of a race between two pushers who both started from the same version, the only way in which
        a version that a client pushed itself can be displaced without having been seen.  Beyond the memory of
        `ancestors`, and in format 0.7, which has no versions, the number has to be enough.
        """
        steps = self.version - base.version
        if self.version == 0 or (steps > ANCESTORS_MAX and len(self.ancestors) == ANCESTORS_MAX):
            return True
        # Who repeats a content and who replaces it may write the same number.
        is_later = steps > 0 or (steps == 0 and _repeats(base.entry, base.ancestors))
        own = brief(base.entry)
        # A content that went and came back is among the ancestors of whoever saw it the first time only.
        came_back = steps > 0 and own in base.ancestors[1:]
        return is_later and own in (self.ancestors[:steps] if came_back else self.ancestors)

    def has_passed(self, entry: Entry, base: Base) -> bool:
        """Whether this record was made by somebody who had that content, and had it after the base."""
        steps = max(0, self.version - base.version)
        return brief(entry) in self.ancestors[:steps] and brief(entry) not in base.ancestors

    def came_back_since(self, base: Base) -> bool:
        """Whether this content, which is that of the base, was something else in between, or nothing."""
        return self.version > base.version and not _repeats(self.entry, self.ancestors)

    def precedence(self) -> tuple[int, int, bool, int, str, str, int]:
        """Of two records of a path the greater precedence is current.

        Equal versions differ only after a race, or in format 0.7, which has none: there the later time decides, as it
        does for the original.  An edit beats a deletion, which beats what is no edit, and a wish the delivery of the
        same version, else it could never be heard.
        """
        entry = self.entry
        rank = 1 if entry.is_gone else 0 if _repeats(entry, self.ancestors) else 2
        key = (self.version, rank, self.state is State.WANTED, entry.mtime_ns, self.client, brief(entry))
        return (*key, entry.mode)


Records = Mapping[str, Record]


def _repeats(entry: Entry, ancestors: Sequence[str]) -> bool:
    """Whether a version has the content of the one that it replaces: an answer to a wish, or other permissions."""
    return bool(ancestors) and ancestors[0] == brief(entry)


def lineage(*versions: Base | None) -> tuple[str, ...]:
    """The `ancestors` of a record that replaces all these versions."""
    known = [one for one in versions if one is not None]
    found = [brief(one.entry) for one in known] + [name for one in known for name in one.ancestors]
    return tuple(dict.fromkeys(found))[:ANCESTORS_MAX]


@dataclass(frozen=True, slots=True)
class Update:
    """What a pusher has put on a page: `records` whose content is in the archive of the same stamp.

    `consumed`: names of the pullers that have it durably; `asked`: of clients that had asked for something in it, who
    need not be among those that updates wait for.  `stamp` names the update on the relay.  `garbage`: bytes
    of members that no record names, because those files changed while they were packed.  `foreign` and `rejected` as in
    Index.
    """

    page: str
    stamp: str
    client: str
    records: Records
    consumed: frozenset[str] = frozenset()
    foreign: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()
    garbage: int = 0
    asked: frozenset[str] = frozenset()

    def joined(self, other: Update) -> Update:
        """This and another generation of the same update as one."""
        return replace(
            self,
            client=self.client or other.client,
            records={**self.records, **other.records},
            consumed=self.consumed | other.consumed,
            foreign={**self.foreign, **other.foreign},
            rejected=self.rejected + other.rejected,
            garbage=max(self.garbage, other.garbage),
            asked=self.asked | other.asked,
        )

    def consumed_by(self, client: str) -> Update:
        """The same update after one more puller has registered."""
        return replace(self, consumed=self.consumed | {client})


@dataclass(frozen=True, slots=True)
class Index:
    """The persistent index of a page.

    `foreign` keeps what a format allows others to add and asks us to preserve (format 0.7: by path, the lines of each
    entry that say more or less than a record).  `rejected`: what was left out while reading, in sentences for the user.
    """

    page: str
    records: Records = field(default_factory=dict)
    foreign: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()

    def merged(self, records: Iterable[Record]) -> Index:
        """With these records, where they take precedence."""
        result = dict(self.records)
        for record in records:
            known = result.get(record.path)
            if known is None or record.precedence() > known.precedence():
                result[record.path] = record
        return replace(self, records=result)

    def forgetting(self, before_ns: int) -> Index:
        """Without deletions that are older than this."""
        old = [
            path for path, record in self.records.items() if record.entry.is_gone and record.entry.mtime_ns < before_ns
        ]
        return self.without(old) if old else self

    def without(self, paths: Iterable[str]) -> Index:
        """Without the records of these paths."""
        gone = set(paths)
        return replace(self, records={path: record for path, record in self.records.items() if path not in gone})
