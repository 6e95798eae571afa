"""What to do about every file of a page: pure decisions over three trees.

**local** is what the folder holds now, **base** what this client and the relay last agreed on, **remote** what the
relay says (its index merged with its updates).  For one path the whole truth is this table; L, B, R are the three
contents, "-" means there is none:

    remote      local           base          verdict
    -           L               any           SEND      new here, or asked for again by removal
    -           -               any           NOTHING
    R           L = R           any           SAME      also when both sides made the same edit
    R           -               any           FETCH     missing here; deletions do not travel in this release
    R           L               B = L         FETCH     changed there, by somebody who had B
    R           L               B = L         CONFLICT  the same, but he did not have B: two pushers raced
    R older     L               B = L         SEND      the relay has gone back to before B
    R           L               B = R         SEND      changed here
    R           L               other, or -   CONFLICT  changed on both sides: both survive
    R wanted    L = R           any           SEND      somebody misses what we have
    R wanted    L               B = R         SEND      ours is newer and as welcome
    R wanted    other                         NOTHING   somebody else has it; wait for it

Modes then take away what a client does not do.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..files.tree import Base, Entry
from .index import Record, Records, State, Update


class Verdict(enum.Enum):
    """What one path needs."""

    NOTHING = "nothing"
    SAME = "same"
    SEND = "send"
    FETCH = "fetch"
    CONFLICT = "conflict"


class Mode(enum.Enum):
    """Which way files travel for this client."""

    SHARED = "shared"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    CONSERVATIVE = "conservative"

    @property
    def pushes(self) -> bool:
        return self is not Mode.DOWNLOAD

    @property
    def pulls(self) -> bool:
        return self is not Mode.UPLOAD


@dataclass(slots=True)
class Local:
    """The folder's side of one page; push and pull keep it up to date as they go.

    `entries` may lack digests where nobody needs them; `untouchable` are paths that exist but must neither be sent nor
    taken for missing now: still changing, unreadable, or in a directory that could not be read; `excluded` are those
    that a rule keeps out for good.
    """

    entries: dict[str, Entry]
    bases: dict[str, Base]
    untouchable: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PullPlan:
    """`fetch`: records whose content the current updates hold; `ask`: records that are missing here and nowhere on
    the relay; `conflicts`: those of `fetch` whose local version is set aside first; `agreed`: paths that are equal on
    both sides; `blocked`: paths that this client's mode does not let in, with the reason."""

    fetch: Records
    ask: tuple[Record, ...]
    conflicts: frozenset[str]
    agreed: tuple[Record, ...]
    blocked: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PushPlan:
    """`entries` go into the next update, with the version each will have; `left`: files that do not fit into it.

    `bytes` is the size of the entries, summed once because progress asks for it with every file.
    """

    entries: tuple[Entry, ...]
    versions: Mapping[str, int]
    left: tuple[Entry, ...]
    stuck: Mapping[str, str]
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes", sum(entry.size for entry in self.entries))


def judge(local: Entry | None, base: Base | None, remote: Record | None) -> Verdict:
    """The table at the top.  A local entry without digest counts as different from everything."""
    if remote is None:
        return Verdict.SEND if local else Verdict.NOTHING
    equal = local is not None and local.same_content(remote.entry)
    ours_is_newer = local is not None and base is not None and base.entry.same_content(remote.entry)
    if remote.state is State.WANTED:
        return Verdict.SEND if equal or ours_is_newer else Verdict.NOTHING
    if local is None:
        return Verdict.FETCH
    if equal:
        return Verdict.SAME
    if ours_is_newer:
        return Verdict.SEND
    if base is None or not local.same_content(base.entry):
        return Verdict.CONFLICT
    if remote.descends_from(base):
        return Verdict.FETCH
    return Verdict.SEND if remote.version < base.version else Verdict.CONFLICT


def to_hash(local: Local, remote: Records) -> list[str]:
    """Paths whose content must be read before they can be judged: changed here, and known on the relay."""
    return [path for path, entry in local.entries.items() if entry.digest is None and path in remote]


def plan_pull(local: Local, remote: Records, updates: Iterable[Update], mode: Mode) -> PullPlan:
    """What a puller does with a page.  `remote` already contains the records of the updates."""
    offered = {record.path for update in updates for record in update.records.values()}
    fetch: dict[str, Record] = {}
    ask: list[Record] = []
    agreed: list[Record] = []
    conflicts: set[str] = set()
    blocked: dict[str, str] = {}
    for path, record in remote.items():
        if path in local.untouchable or path in local.excluded:
            continue
        mine = local.entries.get(path)
        base = local.bases.get(path)
        verdict = judge(mine, base, record)
        if verdict is Verdict.SAME:
            if base is None or base.version != record.version or not base.entry.same_content(record.entry):
                agreed.append(record)
        elif verdict in (Verdict.FETCH, Verdict.CONFLICT) and mode.pulls:
            if mode is Mode.CONSERVATIVE and mine is not None:
                blocked[path] = "conservative: a file that exists here is never replaced"
            elif path in offered:
                fetch[path] = record
                if verdict is Verdict.CONFLICT:
                    conflicts.add(path)
            else:
                ask.append(record)
    return PullPlan(fetch, tuple(ask), frozenset(conflicts), tuple(agreed), blocked)


def plan_push(local: Local, remote: Records, mode: Mode, size_max: int, room: int) -> PushPlan:
    """What a pusher puts into the next update of a page: pending files in the order of their paths, until their sizes
    reach `size_max` bytes or fill the `room` that the relay has left.  A file larger than `size_max` travels alone."""
    pending: list[Entry] = []
    stuck: dict[str, str] = {}
    for path, entry in sorted(local.entries.items()):
        if path in local.untouchable or not mode.pushes:
            continue
        base = local.bases.get(path)
        verdict = judge(entry, base, remote.get(path))
        if verdict is Verdict.SEND:
            pending.append(entry)
        elif verdict is Verdict.CONFLICT and not mode.pulls:
            stuck[path] = "changed here and on the relay; a client that only uploads cannot keep both"
    chosen = _fitting(pending, min(size_max, room), size_max, room)
    versions = {entry.path: _next_version(entry.path, local, remote) for entry in pending[:chosen]}
    return PushPlan(tuple(pending[:chosen]), versions, tuple(pending[chosen:]), stuck)


def expected_pullers(pullers: frozenset[str], pusher: str) -> frozenset[str]:
    """Who must have an update before it may leave: every registered puller but its pusher."""
    return pullers - {pusher}


def is_complete(update: Update, pullers: frozenset[str], count: int | None) -> bool:
    """Whether all expected pullers have the update: `puller count` many if that is set, else all registered ones.

    With no puller registered yet an update waits for the first.
    """
    if count is not None:
        return len(update.consumed) >= count
    expected = expected_pullers(pullers, update.client)
    return bool(update.consumed) and expected <= update.consumed


def missing_from(index: Records, update: Update) -> list[Record]:
    """Records of an update that its page's persistent index does not have yet: to be written before the update goes."""
    known = (index.get(record.path) for record in update.records.values())
    return [
        record
        for record, current in zip(update.records.values(), known, strict=True)
        if current is None or record.precedence() > current.precedence()
    ]


MEMBER_OVERHEAD = 2048
"""Bytes an archive may need for a file besides its content: two headers and padding."""


def _fitting(pending: list[Entry], limit: int, size_max: int, room: int) -> int:
    total = 0
    for count, entry in enumerate(pending):
        total += entry.size + MEMBER_OVERHEAD
        if total > limit and not (count == 0 and entry.size + MEMBER_OVERHEAD > size_max and total <= room):
            return count
    return len(pending)


def _next_version(path: str, local: Local, remote: Records) -> int:
    base = local.bases.get(path)
    known = remote.get(path)
    return 1 + max(base.version if base else 0, known.version if known else 0)
