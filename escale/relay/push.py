"""One push: what changed here becomes the update of a page.

Content, name, derived: archive, update index, persistent index.  A crash after the first leaves garbage with our
incarnation in its name, after the second an update that anybody can use and whose records the next one to come merges
into the persistent index.  What needs no content on the relay is written into the persistent index alone, also while an
update of the page waits for its pullers.  There is no clean-up here: an exception half-way is a crash, and
`recover` is the answer to both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..errors import Changing, EscaleError, TooLarge
from ..events import Item, PageBegan, PageEnded, Progress
from ..files.tree import Entry, Kind
from .archive import Packer
from .budget import Room
from .client import Client, PageState
from .index import Record, State, Update
from .limit import UploadLimit
from .lock import Busy, Held
from .plan import Local, PushPlan, expected_pullers, plan_push

LEASE_BYTES_PER_S = 20_000
"""A push may hold its lock as long as a very slow line would need; after that others take it for dead."""

ON_ITS_WAY = "on the relay, not yet received by everybody"


class LockLost(EscaleError):
    """page {page}: the lock was taken over while the update was being sent; it is sent again"""

    code = "P411"
    exit_code = 3


def push_page(
    client: Client, state: PageState, local: Local, pullers: frozenset[str], room: Room, quota: int | None = None
) -> None:
    """Send what is pending on one page, unless an update is still there or somebody else is at work.

    `room`: what may still be put on the relay, as of the beginning of the pass; `quota`: bytes that may lie there in
    all, None for any number.
    """
    plan = _plan(client, state, local, room)
    if plan.big:
        client.wait("big", "is larger than disk quota lets the relay hold", plan.big)
    for entry in plan.refused:
        _tell_refused(client, entry.path)
    if not plan.entries and not plan.notes:
        _tell_what_waits(client, plan, room)
        return
    if state.view.updates and not plan.notes:
        _wait_for_pullers(client, state, plan, pullers)
        return
    held = client.lock.claim(state.view.page, "w", plan.bytes / LEASE_BYTES_PER_S)
    if isinstance(held, Busy):
        _locked_out(client, plan, f"the page is locked by {held.owner or 'somebody'}")
        return
    fresh = client.look_again(state.view.page)
    if fresh.view.tags != state.view.tags:
        plan = _plan(client, fresh, local, room)
    if quota is None or not (plan.growth or (plan.entries and not fresh.view.updates)):
        _write(client, fresh, local, plan, pullers, room, held)
    else:
        _write_within(quota, client, fresh, local, plan, pullers, held)
    client.lock.release(held)


def _write_within(
    quota: int, client: Client, state: PageState, local: Local, plan: PushPlan, pullers: frozenset[str], held: Held
) -> None:
    """In turn with all other pushers that have a quota: each measures the room that is left and fills it."""
    turn: Held | Busy | None = None
    if page := client.relay.format.budget_page:
        turn = client.lock.claim(page, "w", plan.bytes / LEASE_BYTES_PER_S)
    if isinstance(turn, Busy):
        _locked_out(client, plan, f"{turn.owner or 'somebody'} is filling the rest of the quota")
        return
    room = Room.of(quota, client.relay.survey(), client.relay.growth)
    _write(client, state, local, _plan(client, state, local, room), pullers, room, held)
    if turn is not None:
        client.lock.release(turn)


def _write(
    client: Client, state: PageState, local: Local, plan: PushPlan, pullers: frozenset[str], room: Room, held: Held
) -> None:
    while plan.entries and not state.view.updates:
        try:
            _push_locked(client, state, local, plan, held)
            return
        except TooLarge as error:
            _learn_limit(client, plan, error)
        plan = _plan(client, state, local, room)
    _write_notes(client, state, local, plan)
    if plan.entries:
        _wait_for_pullers(client, state, plan, pullers)
    else:
        _tell_what_waits(client, plan, room)


def _plan(client: Client, state: PageState, local: Local, room: Room) -> PushPlan:
    records = state.index.records
    settings = client.settings
    needs_content = client.relay.format.asks_by_removal
    limit = _limit(client).within(settings.size_max)
    plan = plan_push(local, records, client.name, settings.mode, limit, room, needs_content=needs_content)
    for path, message in plan.stuck.items():
        client.skip(path, "conflict", message, "L205")
    return plan


def _limit(client: Client) -> UploadLimit:
    return UploadLimit.read(client.ledger.meta("upload limit"), client.clock.now())


def _learn_limit(client: Client, plan: PushPlan, refusal: TooLarge) -> None:
    """For the next attempt, and for the passes of a day.  Raises the refusal if nothing smaller could be tried."""
    limit = _limit(client).after_refusal(plan.entries, client.clock.now())
    if limit is None:
        raise refusal
    client.ledger.set_meta("upload limit", str(limit))
    if len(plan.entries) == 1:
        _tell_refused(client, plan.entries[0].path)


def _tell_refused(client: Client, path: str) -> None:
    client.skip(path, "big", "the relay refuses uploads of this size; it is tried again in a day", "L206")


def _push_locked(client: Client, state: PageState, local: Local, plan: PushPlan, held: Held) -> None:
    page = state.view.page
    began = client.clock.monotonic()
    label = client.label(entry.path for entry in plan.entries)
    client.tell(PageBegan(client.section, "up", label, len(plan.entries), plan.bytes))
    newest = max(state.view.newest_stamp, client.ledger.meta(f"stamp {page}") or "", key=lambda one: (len(one), one))
    stamp = client.relay.format.new_stamp(client.clock.now(), newest, client.incarnation)
    client.ledger.set_meta(f"stamp {page}", stamp)
    with _packer(client, label, plan) as packer:
        sent = client.relay.write_archive(page, stamp, packer)
    records = {path: replace(plan.records[path], entry=entry) for path, entry in packer.packed.items()}
    for path, error in packer.skipped.items():
        client.skip(path, "changing" if isinstance(error, Changing) else "permission", str(error), error.code)
    notes = _still_so(client, plan.notes)
    if records:
        if not client.lock.confirm(held):
            raise LockLost(page=label or page)
        # Directories, links and deletions are named with the files they belong to, so that one name commits all.
        named = records | {note.path: note for note in notes if not note.entry.is_file}
        client.offer(named.values())
        update = Update(page, stamp, client.name, named, garbage=packer.garbage, asked=_askers(state, records))
        client.relay.write_update(update, client.unique())
        client.tally.add_waiting(label, "peer", ON_ITS_WAY, (record.entry for record in records.values()))
    else:
        client.relay.delete_data(page, stamp)
    _write_index(client, state, local, plan.lost, (*records.values(), *notes))
    total = sum(record.entry.size for record in records.values())
    client.tally.up_bytes += total
    if plan.left:
        client.wait("queue", "goes with the next update of this page", plan.left)
    client.tell(PageEnded(client.section, "up", label, len(records), total, sent, client.clock.monotonic() - began))


def _askers(state: PageState, paths: Iterable[str]) -> frozenset[str]:
    """Who had asked for any of these."""
    known = (state.index.records.get(path) for path in paths)
    return frozenset(record.client for record in known if record is not None and record.state is State.WANTED)


def _write_notes(client: Client, state: PageState, local: Local, plan: PushPlan) -> None:
    """What needs no update."""
    _write_index(client, state, local, plan.lost, _still_so(client, plan.notes))


def _write_index(client: Client, state: PageState, local: Local, lost: int, records: Collection[Record]) -> None:
    """The persistent index with these records; then the ledger may know."""
    client.tally.lost += lost
    if not records:
        return
    client.offer(records)
    index = state.stored.merged(records).forgetting(_memory_begins_ns(client))
    client.relay.write_index(index, state.view, client.unique())
    _remember(client, state, local, records)


def _still_so(client: Client, notes: Iterable[Record]) -> list[Record]:
    """Without deletions of what has come back since the scan: an editor that replaces a file may leave a moment.  And
    without directories that have gone since."""
    return [note for note in notes if _is_so(client, note.entry)]


def _is_so(client: Client, entry: Entry) -> bool:
    if entry.kind is Kind.DIRECTORY:
        return client.folder.directory(entry.path) is not None
    return not entry.is_gone or not client.folder.has(entry.path) or _is_outside(client, entry.path)


def _is_outside(client: Client, path: str) -> bool:
    """Whether a directory lies there that takes no part, and so is none of what was deleted."""
    return client.folder.directory(path) is not None and client.folder.why_not(path, 0, Kind.DIRECTORY) is not None


def _memory_begins_ns(client: Client) -> int:
    return int((client.clock.now() - client.settings.deletion_memory_s) * 1e9)


def _packer(client: Client, label: str, plan: PushPlan) -> Packer:
    total = plan.bytes

    def progress(files_done: int, bytes_done: int) -> None:
        client.tell(Progress(client.section, "up", label, files_done, len(plan.entries), bytes_done, total))

    codec = client.settings.compression
    if codec == "auto":
        codec = client.choose_codec(plan.entries)
    settings = client.settings
    return Packer(plan.entries, client.folder.open, settings.algorithm, codec, settings.workers, progress)


def _remember(client: Client, state: PageState, local: Local, records: Iterable[Record]) -> None:
    records = list(records)
    client.folder.learn(record.entry for record in records if record.entry.is_file)
    for record in records:
        path, entry = record.path, record.entry
        action = "deleted" if entry.is_gone else "changed" if path in state.stored.records else "new"
        client.tell(Item(client.section, "up", action, path, entry.size))
        if not entry.is_gone:
            local.entries[path] = entry
    client.agree(records, local)
    client.tally.up_files += len(records)


def _tell_what_waits(client: Client, plan: PushPlan, room: Room) -> None:
    if plan.left:
        client.wait("quota", f"the relay has room for {max(room.left, 0)} more bytes", plan.left)


def _locked_out(client: Client, plan: PushPlan, message: str) -> None:
    client.wait("lock", message, (*plan.entries, *(note.entry for note in plan.notes), *plan.left))


def _wait_for_pullers(client: Client, state: PageState, plan: PushPlan, pullers: frozenset[str]) -> None:
    message = f"the last update has not been received by {awaited(state, pullers)}"
    client.wait("peer", message, (*plan.entries, *plan.left))


def awaited(state: PageState, pullers: frozenset[str]) -> str:
    """Names of the pullers that the page's updates wait for, in words."""
    names: set[str] = set()
    for _, update in state.updates:
        names |= (expected_pullers(pullers, update.client) | update.asked) - update.consumed
    return ", ".join(sorted(names)) or "a client that has not come yet"
