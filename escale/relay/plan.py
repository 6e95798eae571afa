"""What to do about every path of a page: pure decisions over three trees.

**local** is what the folder holds now, **base** what this client and the relay last agreed on, **remote** what the
relay says (its index merged with its updates).  That a path is gone is a version like any other, written "gone" here; a
path that was agreed on and is missing from the folder is gone locally, "-" is a path that somebody never had.  For one
path the whole truth is this table; L, B, R are the three versions, "older" means a lower version number than B's:

    remote      local   base        verdict
    -           -       -           NOTHING
    -           L       any         SEND      new here, or the relay has lost it
    -           gone    content     SEND      likewise, as a deletion
    -           gone    gone        NOTHING
    -           B, gone implied     NOTHING   a directory that was made here only because a file arrived in it
    R           -       -           FETCH     new there
    gone        -       -           SAME
    gone        B       implied     NOTHING   it goes with the last of what is in it (FETCH: its permissions of then)
    R older     L       B           SEND      the relay has gone back to before B, or shows what it was then
    R           L = R   any         SAME      also when both sides made the same edit
    R           L = R   B = R       SEND      the same, but here the permissions were changed since, and only here
    R           L = R   any         FETCH     the same, but there the permissions were changed
    R           gone    B = R again FETCH     R had gone, or was another, and came back: an edit beats a deletion
    R           L       B = R       SEND      changed, deleted or made again here
    R           B = L   descends    FETCH     changed or deleted there, by somebody who had B
    R           L       before L    FETCH     the same, but L had arrived, or was made by both, and was not noted here
    gone        L       any         SEND      an edit beats a deletion
    gone        L       -           FETCH     what was deleted there, on a machine that joins (again)
    R           gone    any         FETCH     an edit beats a deletion
    R           L       any         CONFLICT  changed on both sides, or two pushers raced: both survive
    R wanted    L = R   any         SEND      somebody misses what we have (FETCH: first the newer permissions)
    R wanted    L       B = R       SEND      ours is newer and as welcome
    R wanted    any     B as new    SEND      R lost a race, and perhaps nobody has it any more: who does keeps both
    R wanted    L       other, or - SEND      edited here as well: whoever has R finds a conflict, and both survive
    R wanted    B, -, gone          NOTHING   somebody else has it; wait for it

The first line that fits decides.  Modes then take away what a client does not do.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..files.tree import Base, Entry, Kind, is_unchanged
from .budget import Room, fitting, fitting_notes, room_for_file
from .index import Record, Records, State, Update, brief, lineage
from .limit import UploadLimit


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

    `entries` may lack digests where nobody needs them; `untouchable` are paths that must neither be sent nor taken for
    missing now: still changing, unreadable, or in a directory that could not be read; `held` are deletions that the
    user has not approved yet: not sent, but an edit by somebody else beats them; `excluded` are those that a rule keeps
    out for good.  `moved` are digests of contents that left another path since the last pass: the others have them.
    `deletes`: whether deletions travel, both ways.  `now_ns`: when the folder was looked at.
    """

    entries: dict[str, Entry]
    bases: dict[str, Base]
    untouchable: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()
    deletes: bool = False
    now_ns: int = 0
    held: frozenset[str] = frozenset()

    def mine(self, path: str) -> Entry | None:
        """The local version of a path: an entry, gone if it was agreed on and is missing, None if it never was."""
        entry = self.entries.get(path)
        if entry is None and self.deletes and path in self.bases:
            return Entry.gone(path, self.now_ns)
        return entry


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What comes in.

    `fetch`: files whose content the current updates hold; `apply`: records that need no content from the relay;
    `absent`: files whose content is not on the relay; `conflicts`: those whose local version is set aside first;
    `agreed`: paths that are equal on both sides; `blocked`: paths that this client's mode does not let in, with the
    reason.
    """

    fetch: Records
    apply: Records
    absent: tuple[Record, ...]
    conflicts: frozenset[str]
    agreed: tuple[Record, ...]
    blocked: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What goes out.

    `entries` go into the next update, `records` says as what; `notes` are records that need no content on the relay;
    `left`: what does not fit now; `big`: files that never will; `refused`: files that are too large for one upload;
    `stuck`: paths that cannot be sent, with the reason;
    `lost`: how many of the notes the relay had known before; `growth`: bytes by which the notes make the index longer.
    `bytes` is the size of the entries, summed once because progress asks for it with every file.
    """

    entries: tuple[Entry, ...]
    records: Records
    notes: tuple[Record, ...]
    left: tuple[Entry, ...]
    big: tuple[Entry, ...]
    refused: tuple[Entry, ...]
    stuck: Mapping[str, str]
    lost: int
    growth: int
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes", sum(entry.size for entry in self.entries))


def judge(local: Entry | None, base: Base | None, remote: Record | None) -> Verdict:
    """The table at the top.  A local file without digest counts as different from everything."""
    if remote is None:
        return Verdict.SEND if local is not None and _is_ours_to_tell(local, base) else Verdict.NOTHING
    if remote.state is State.WANTED:
        return _judge_wish(local, base, remote) if local else Verdict.NOTHING
    if local is None:
        return Verdict.SAME if remote.entry.is_gone else Verdict.FETCH
    if base is not None and 0 < remote.version < base.version:
        return Verdict.SEND
    if local.same_content(remote.entry):
        return _judge_permissions(local, base, remote)
    if base is not None and base.is_implied and remote.entry.is_gone and is_unchanged(local, base):
        return Verdict.NOTHING if remote.entry.mode in (0, local.mode) else Verdict.FETCH
    if base is None:
        was_deleted = remote.entry.is_gone and brief(local) in remote.ancestors
        return _of_edits(local, remote) if not was_deleted else Verdict.FETCH
    if base.entry.same_content(remote.entry):
        return Verdict.FETCH if local.is_gone and remote.came_back_since(base) else Verdict.SEND
    if remote.has_passed(local, base) or (local.same_content(base.entry) and remote.descends_from(base)):
        return Verdict.FETCH
    return _of_edits(local, remote)


def _is_ours_to_tell(local: Entry, base: Base | None) -> bool:
    """Whether the relay, which has no record of the path, should have one from us."""
    if base is None:
        return not local.is_gone
    if base.is_implied:
        return not local.is_gone and not is_unchanged(local, base)
    return not (local.is_gone and base.entry.is_gone)


def _of_edits(local: Entry, remote: Record) -> Verdict:
    """Both sides have changed; at most one of them is gone."""
    if local.is_gone:
        return Verdict.FETCH
    return Verdict.SEND if remote.entry.is_gone else Verdict.CONFLICT


def _judge_wish(local: Entry, base: Base | None, wish: Record) -> Verdict:
    """Of a content that somebody misses, and that perhaps nobody has any more."""
    if local.same_content(wish.entry):
        permissions = _judge_permissions(local, base, wish)
        return permissions if permissions is Verdict.FETCH else Verdict.SEND
    if base is not None and (wish.version <= base.version or base.entry.same_content(wish.entry)):
        return Verdict.SEND
    is_edited = not local.is_gone and (base is None or not local.same_content(base.entry))
    return Verdict.SEND if is_edited else Verdict.NOTHING


def _judge_permissions(local: Entry, base: Base | None, remote: Record) -> Verdict:
    """Of equal contents.  What is here is compared with what the file system made of what was agreed on, and the record
    with what that one had wished: after a race, or on a relay that lost its memory, another may have its version."""
    has_none = local.is_gone or local.kind is Kind.LINK or remote.version == 0
    if has_none or local.mode == remote.entry.mode:
        return Verdict.SAME
    if base is None or not base.entry.same_content(remote.entry):
        return Verdict.FETCH
    is_newer = remote.version > base.version
    is_other = remote.version == base.version and remote.entry.mode != base.recorded.mode
    if local.mode == base.entry.mode:
        return Verdict.FETCH if is_newer or is_other else Verdict.SAME
    return Verdict.FETCH if is_newer and remote.entry.mode != base.entry.mode else Verdict.SEND


def to_hash(local: Local, remote: Records) -> list[str]:
    """Paths whose content must be read before they can be judged: files touched here, and known on the relay.

    Or agreed on and not there any more: what the relay has lost or forgotten is told from an edit by its content.
    """
    unread = (path for path, entry in local.entries.items() if entry.is_file and entry.digest is None)
    return [path for path in unread if path in remote or path in local.bases]


def plan_pull(local: Local, remote: Records, updates: Iterable[Update], mode: Mode) -> PullPlan:
    """What a puller does with a page.  `remote` already contains the records of the updates."""
    offered = {record.path for update in updates for record in update.records.values()}
    fetch: dict[str, Record] = {}
    apply: dict[str, Record] = {}
    absent: list[Record] = []
    agreed: list[Record] = []
    conflicts: set[str] = set()
    blocked: dict[str, str] = {}
    for path, record, mine, verdict in _judged(local, remote):
        if verdict is Verdict.SAME:
            if _is_news(record, local.bases.get(path)):
                agreed.append(record)
        elif verdict in (Verdict.FETCH, Verdict.CONFLICT) and mode.pulls:
            if record.entry.is_gone and not local.deletes:
                continue
            if mode is Mode.CONSERVATIVE and mine is not None and not mine.is_gone:
                blocked[path] = "conservative: a file that exists here is never replaced"
                continue
            if verdict is Verdict.CONFLICT:
                conflicts.add(path)
            if not record.entry.is_file or (mine is not None and mine.same_content(record.entry)):
                apply[path] = record
            elif path in offered:
                fetch[path] = record
            else:
                absent.append(record)
    return PullPlan(fetch, apply, tuple(absent), frozenset(conflicts), tuple(agreed), blocked)


def _judged(local: Local, remote: Records) -> Iterator[tuple[str, Record, Entry | None, Verdict]]:
    for path, record in remote.items():
        if path not in local.untouchable and path not in local.excluded:
            mine = local.mine(path)
            yield path, record, mine, judge(mine, local.bases.get(path) if mine else None, record)


def _is_news(record: Record, base: Base | None) -> bool:
    """Whether the ledger does not know yet that both sides have this."""
    return base is None or base.version != record.version or not base.entry.same_content(record.entry)


def plan_push(
    local: Local,
    remote: Records,
    client: str,
    mode: Mode,
    limit: UploadLimit,
    room: Room,
    *,
    needs_content: bool = False,
) -> PushPlan:
    """What a pusher of this name does with a page: pending files in the order of their paths, until their sizes
    reach the `limit` of an upload or fill the `room` that the relay has left.  A file larger than what may go together
    travels alone.

    `needs_content`: every record must come with its content, which is so in format 0.7.
    """
    pending: list[Entry] = []
    notes: list[Record] = []
    stuck: dict[str, str] = {}
    lost = 0
    for entry, verdict in _to_push(local, remote) if mode.pushes else ():
        path = entry.path
        if verdict is Verdict.SEND:
            base, known = local.bases.get(path), remote.get(path)
            if needs_content or not _travels_as_note(entry, base, known, local.moved):
                pending.append(entry)
            else:
                notes.append(_record(entry, base, known, client))
                lost += base is not None and notes[-1].version == base.version
        elif verdict is Verdict.CONFLICT and not mode.pulls:
            stuck[path] = "changed here and on the relay; a client that only uploads cannot keep both"
    refused = tuple(entry for entry in pending if entry.size >= limit.alone)
    big = tuple(entry for entry in pending if room_for_file(entry) > room.most)
    fit = [entry for entry in pending if entry.size < limit.alone and room_for_file(entry) <= room.most]
    noted, unnoted, growth = fitting_notes(notes, remote, room.left)
    # What cannot be noted yet may be the directory of a file that could be sent.
    chosen = fitting(fit, limit.together, room.left - growth) if not unnoted else 0
    records = {
        entry.path: _record(entry, local.bases.get(entry.path), remote.get(entry.path), client)
        for entry in fit[:chosen]
    }
    left = (*unnoted, *fit[chosen:])
    return PushPlan(tuple(fit[:chosen]), records, tuple(noted), left, big, refused, stuck, lost, growth)


def _to_push(local: Local, remote: Records) -> Iterator[tuple[Entry, Verdict]]:
    """Every path that is here, then every one that was, in the order of their names."""
    missing = sorted(local.bases.keys() - local.entries.keys()) if local.deletes else []
    for path in (*sorted(local.entries), *missing):
        if path in local.untouchable or path in local.excluded:
            continue
        mine = local.mine(path)
        assert mine is not None
        if mine.is_gone and path in local.held:
            continue
        base = local.bases.get(path) if local.deletes or path in local.entries else None
        yield mine, judge(mine, base, remote.get(path))


def _travels_as_note(entry: Entry, base: Base | None, known: Record | None, moved: frozenset[str]) -> bool:
    """Whether the others can do without the content: there is none, or they had it once."""
    if not entry.is_file:
        return True
    if known is not None and known.state is State.WANTED:
        return False
    return (base is not None and entry.same_content(base.entry)) or entry.digest in moved


def _record(entry: Entry, base: Base | None, known: Record | None, client: str) -> Record:
    """What replaces `known` on the relay.

    What was agreed on and is merely not there any more is written down again as the version that it was.  A record that
    is older than `base`, or a wish for a content that we never had, was not seen by us: it is outrun, but not among the
    ancestors, so that whoever has it finds a conflict and not a successor.

    What is gone keeps the permissions of the directory that it was: a file that arrives in it has it made again.
    """
    is_old = base is not None and known is not None and known.version < base.version
    is_seen = known is not None and not is_old and (known.state is not State.WANTED or _had(entry, base, known))
    if base is not None and (known is None or is_old) and base.version and is_unchanged(entry, base):
        return Record(base.recorded, base.version, client, ancestors=base.ancestors)
    version = 1 + max(base.version if base else 0, known.version if known else 0)
    before = known.entry if known is not None else base.recorded if base is not None else None
    if entry.is_gone and before is not None and before.kind in (Kind.DIRECTORY, Kind.GONE):
        entry = replace(entry, mode=before.mode)
    return Record(entry, version, client, ancestors=lineage(known.base() if known and is_seen else None, base))


def _had(entry: Entry, base: Base | None, wish: Record) -> bool:
    return entry.same_content(wish.entry) or (base is not None and base.entry.same_content(wish.entry))


def forgotten(client: str, local: Local, remote: Records) -> list[Record]:
    """Deletions of what the relay once knew and has forgotten, of files that were not edited here since: what a client
    that was away for too long takes for deleted by the others."""
    return [
        Record(Entry.gone(path, local.now_ns), base.version + 1, client, ancestors=lineage(base))
        for path, base in local.bases.items()
        if path not in remote and path in local.entries and local.entries[path].same_content(base.entry)
    ]


def expected_pullers(pullers: frozenset[str], pusher: str) -> frozenset[str]:
    """Who must have an update before it may leave: every puller that counts, but its pusher."""
    return pullers - {pusher}


def is_complete(update: Update, pullers: frozenset[str], count: int | None, present: frozenset[str]) -> bool:
    """Whether all expected pullers have the update: `puller count` many if that is set, else all that count.

    With no puller registered yet an update waits for the first.  Who had asked for it is waited for while he is
    `present`, whether he counts or not: those who count may have had it before, and would take it away from him.
    """
    if not (update.asked & present) - {update.client} <= update.consumed:
        return False
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
