"""One push: what changed here becomes the update of a page.

Content, name, derived: archive, update index, persistent index.  A crash after the first leaves garbage with our
incarnation in its name, after the second an update that anybody can use and whose records the next one to come merges
into the persistent index.  There is no clean-up here: an exception half-way is a crash, and `recover` is the answer to
both.
"""

from __future__ import annotations

from ..errors import Changing, EscaleError
from ..events import Item, PageBegan, PageEnded, Progress
from ..files.tree import Entry
from .archive import Packer
from .client import Client, PageState
from .index import Record, Update
from .lock import Busy, Held
from .plan import Local, PushPlan, expected_pullers, plan_push

LEASE_BYTES_PER_S = 20_000
"""A push may hold its lock as long as a very slow line would need; after that others take it for dead."""


ON_ITS_WAY = "on the relay, not yet received by everybody"


class LockLost(EscaleError):
    """page {page}: the lock was taken over while the update was being sent; it is sent again"""

    code = "P411"
    exit_code = 3


def push_page(client: Client, state: PageState, local: Local, pullers: frozenset[str], room: int) -> None:
    """Send what is pending on one page, unless an update is still there or somebody else is at work.

    `room`: bytes that may still be put on the relay.
    """
    plan = _plan(client, state, local, room)
    if not plan.entries:
        _tell_what_waits(client, state, plan, room)
        return
    if state.view.updates:
        _wait_for_pullers(client, state, plan, pullers)
        return
    held = client.lock.claim(state.view.page, "w", plan.bytes / LEASE_BYTES_PER_S)
    if isinstance(held, Busy):
        message = f"the page is locked by {held.owner or 'somebody'}"
        client.wait("lock", message, (*plan.entries, *plan.left))
        return
    fresh = client.look_again(state.view.page)
    if fresh.view.tags != state.view.tags:
        plan = _plan(client, fresh, local, room)
    if plan.entries and not fresh.view.updates:
        _push_locked(client, fresh, local, plan, held)
        if plan.left:
            client.wait("queue", "goes with the next update of this page", plan.left)
    client.lock.release(held)


def _plan(client: Client, state: PageState, local: Local, room: int) -> PushPlan:
    records = state.index.records
    plan = plan_push(local, records, client.settings.mode, client.settings.size_max, room)
    for path, message in plan.stuck.items():
        client.skip(path, "conflict", message, "L205")
    return plan


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
    records = {path: _record(client, state, plan, entry) for path, entry in packer.packed.items()}
    for path, error in packer.skipped.items():
        client.skip(path, "changing" if isinstance(error, Changing) else "permission", str(error), error.code)
    if records:
        if not client.lock.confirm(held):
            raise LockLost(page=label or page)
        update = Update(page, stamp, client.name, records, garbage=packer.garbage)
        client.relay.write_update(update, client.unique())
        client.relay.write_index(state.stored.merged(records.values()), state.view, client.unique())
        _remember(client, state, local, records)
        client.tally.add_waiting(label, "peer", ON_ITS_WAY, (record.entry for record in records.values()))
    else:
        client.relay.delete_data(page, stamp)
    total = sum(record.entry.size for record in records.values())
    client.tell(PageEnded(client.section, "up", label, len(records), total, sent, client.clock.monotonic() - began))


def _record(client: Client, state: PageState, plan: PushPlan, entry: Entry) -> Record:
    replaced = state.index.records.get(entry.path)
    ancestors = replaced.successor() if replaced else ()
    return Record(entry, plan.versions[entry.path], client.name, ancestors=ancestors)


def _packer(client: Client, label: str, plan: PushPlan) -> Packer:
    total = plan.bytes

    def progress(files_done: int, bytes_done: int) -> None:
        client.tell(Progress(client.section, "up", label, files_done, len(plan.entries), bytes_done, total))

    codec = client.settings.compression
    if codec == "auto":
        codec = client.choose_codec(plan.entries)
    settings = client.settings
    return Packer(plan.entries, client.folder.open, settings.algorithm, codec, settings.workers, progress)


def _remember(client: Client, state: PageState, local: Local, records: dict[str, Record]) -> None:
    client.folder.learn(record.entry for record in records.values())
    for path, record in records.items():
        action = "changed" if path in state.stored.records else "new"
        client.tell(Item(client.section, "up", action, path, record.entry.size))
        local.entries[path] = record.entry
    client.agree(records.values(), local)
    client.tally.up_files += len(records)
    client.tally.up_bytes += sum(record.entry.size for record in records.values())


def _tell_what_waits(client: Client, state: PageState, plan: PushPlan, room: int) -> None:
    if plan.left:
        client.wait("quota", f"the relay has room for {max(room, 0)} more bytes", plan.left)


def _wait_for_pullers(client: Client, state: PageState, plan: PushPlan, pullers: frozenset[str]) -> None:
    message = f"the last update has not been received by {awaited(state, pullers)}"
    client.wait("peer", message, (*plan.entries, *plan.left))


def awaited(state: PageState, pullers: frozenset[str]) -> str:
    """Names of the pullers that the page's updates wait for, in words."""
    names: set[str] = set()
    for _, update in state.updates:
        names |= expected_pullers(pullers, update.client) - update.consumed
    return ", ".join(sorted(names)) or "a client that has not come yet"
