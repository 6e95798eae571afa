"""One pull: what others pushed comes into the folder, and the update is marked consumed.

What needs no bytes from the relay comes first: deletions, directories, links, permissions, files that only moved.  Then
the order is the promise: fetch into staging, verify, install durably, remember, and only then register.  A crash before
the end repeats work and loses nothing; an update whose content could not be installed completely is not consumed.  Only
what its archive twice failed to deliver intact is given up, and asked for again *before* the update is registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..events import Item, PageFreed
from .apply import apply
from .client import Client, PageState
from .fetch import fetch
from .index import Records, State, Update
from .lock import Busy, Held
from .place import refuse
from .plan import Local, PullPlan, is_complete, missing_from, plan_pull
from .relay import UpdateView


def pull_page(client: Client, state: PageState, local: Local, pullers: frozenset[str]) -> PageState:
    """Bring one page's news into the folder; returns the page as it is afterwards."""
    plan = _plan(client, state, local)
    held: Held | None = None
    if client.relay.format.reads_under_lock and _has_work(client, state, plan, local):
        claimed = client.lock.claim(state.view.page, "r")
        if isinstance(claimed, Busy):
            return _locked_out(client, state, plan, claimed)
        held = claimed
        state = client.look_again(state.view.page)
        plan = _plan(client, state, local)
    if plan.fetch or plan.apply or plan.absent:
        apply(client, plan, local)
        fetch(client, state, plan, local)
        plan = _plan(client, state, local)
    if not _has_work(client, state, plan, local):
        return _released(client, state, held)
    if held is None:
        claimed = client.lock.claim(state.view.page, "r")
        if isinstance(claimed, Busy):
            return _locked_out(client, state, plan, claimed)
        held = claimed
        state = client.look_again(state.view.page)
    if _ask(client, state, local):
        state = client.look_again(state.view.page)
    _consume(client, state, local, pullers)
    return _released(client, state, held, changed=True)


def _plan(client: Client, state: PageState, local: Local) -> PullPlan:
    usable = [_usable(client, update) for view, update in state.updates if view.data is not None]
    plan = plan_pull(local, state.index.records, usable, client.settings.mode)
    # A client that has just started does not know what it could not store; it would have it sent again and again.
    reasons = {record.path: client.folder.why_impossible(record.path) for record in plan.absent}
    if any(reasons.values()):
        for path, reason in reasons.items():
            if reason is not None:
                refuse(client, path, reason, local)
        plan = plan_pull(local, state.index.records, usable, client.settings.mode)
    client.agree(plan.agreed, local)
    for path, message in plan.blocked.items():
        client.skip(path, "excluded", message)
    return plan


def _has_work(client: Client, state: PageState, plan: PullPlan, local: Local) -> bool:
    """Whether anything of this page is to be fetched, asked for or registered."""
    return bool(plan.fetch or plan.absent or list(_to_register(client, state, local)))


def _to_register(client: Client, state: PageState, local: Local) -> Iterator[tuple[UpdateView, Update]]:
    """Updates of others that this client has, wholly, but not registered for."""
    if not client.settings.mode.pulls:
        return
    for view, update in state.updates:
        if update.client == client.name or client.name in update.consumed:
            continue
        plan = plan_pull(local, _current(state, update), [_usable(client, update)], client.settings.mode)
        waiting = plan.fetch or any(path in local.untouchable for path in update.records)
        if not waiting:
            yield view, update


def _usable(client: Client, update: Update) -> Update:
    """The update without what its archive failed to deliver."""
    lost = client.undeliverable.get(update.stamp)
    if not lost:
        return update
    return replace(update, records={path: record for path, record in update.records.items() if path not in lost})


def _current(state: PageState, update: Update) -> Records:
    """Those records of an update that nothing newer has replaced."""
    index = state.index.records
    return {path: record for path, record in update.records.items() if index.get(path) == record}


def _consume(client: Client, state: PageState, local: Local, pullers: frozenset[str]) -> None:
    """Register for each update that is completely here; the last puller takes it off the relay."""
    for view, update in list(_to_register(client, state, local)):
        after = update.consumed_by(client.name)
        if is_complete(after, pullers, client.settings.count):
            finish(client, state, view, after)
        else:
            client.relay.register(update, view, client.name, client.unique())


def finish(client: Client, state: PageState, view: UpdateView, update: Update) -> None:
    """Take an update off the relay that all expected pullers have; its records stay in the persistent index."""
    missing = missing_from(state.stored.records, update)
    if missing:
        client.relay.write_index(state.stored.merged(missing), state.view, client.unique())
    client.ledger.set_meta(f"finished {state.view.page}", view.stamp)
    freed = client.relay.delete_update(view)
    client.tell(PageFreed(client.section, client.label(update.records), freed, tuple(sorted(update.consumed))))


def _ask(client: Client, state: PageState, local: Local) -> bool:
    """Ask for what is missing here and nowhere on the relay, so that whoever has it sends it again."""
    plan = _plan(client, state, local)
    if not plan.absent:
        return False
    for record in plan.absent:
        client.tell(Item(client.section, "down", "asked", record.path, max(0, record.entry.size)))
    client.wait("peer", "asked for; whoever has it sends it again", [r.entry for r in plan.absent])
    if client.relay.format.asks_by_removal:
        gone = [record.path for record in plan.absent]
        left = state.stored.without(gone if len(gone) < len(state.stored.records) else gone[1:])
        if left.records != state.stored.records:
            client.relay.write_index(left, state.view, client.unique())
    else:
        wishes = [replace(record, client=client.name, state=State.WANTED) for record in plan.absent]
        client.relay.write_index(state.stored.merged(wishes), state.view, client.unique())
    return True


def _locked_out(client: Client, state: PageState, plan: PullPlan, busy: Busy) -> PageState:
    entries = [record.entry for record in (*plan.fetch.values(), *plan.absent)]
    client.wait("lock", f"the page is locked by {busy.owner or 'somebody'}", entries)
    return state


def _released(client: Client, state: PageState, held: Held | None, changed: bool = False) -> PageState:
    if held is not None:
        client.lock.release(held)
    return client.look_again(state.view.page) if changed else state
