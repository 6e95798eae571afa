"""One pull: what others pushed comes into the folder, and the update is marked consumed.

The order is the promise: fetch into staging, verify, install durably, remember, and only then register.  A crash before
the end repeats work and loses nothing; an update whose content could not be installed completely is not consumed.  Only
what its archive twice failed to deliver intact is given up, and asked for again *before* the update is registered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import replace
from datetime import UTC, datetime

from ..errors import Corrupt, PeerError
from ..events import Conflicted, Item, PageBegan, PageEnded, PageFreed, Progress
from ..files.install import Installed, Outcome
from ..files.staging import Staged, Staging
from ..files.tree import Entry
from .archive import members, plain_size_max
from .client import Client, PageState, problem_event
from .index import Record, Records, State, Update
from .lock import Busy, Held
from .plan import Local, PullPlan, is_complete, missing_from, plan_pull
from .relay import UpdateView

UNKNOWN_SIZE_MAX = 1 << 40
"""Bytes an archive may unpack to when its index does not tell sizes (0.7); a full disk stops it earlier."""


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
    if plan.fetch:
        _fetch(client, state, plan, local)
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
    client.agree(plan.agreed, local)
    for path, message in plan.blocked.items():
        client.skip(path, "excluded", message)
    return plan


def _has_work(client: Client, state: PageState, plan: PullPlan, local: Local) -> bool:
    """Whether anything of this page is to be fetched, asked for or registered."""
    return bool(plan.fetch or plan.ask or list(_to_register(client, state, local)))


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


def _fetch(client: Client, state: PageState, plan: PullPlan, local: Local) -> None:
    """Take what is wanted from each update's archive, verify it, install it."""
    page = state.view.page
    for view, update in state.updates:
        wanted = {path: plan.fetch[path] for path in update.records if path in plan.fetch}
        if not wanted or view.data is None:
            continue
        began = client.clock.monotonic()
        total = sum(max(0, record.entry.size) for record in wanted.values())
        label = client.label(wanted)
        client.tell(PageBegan(client.section, "down", label, len(wanted), total))
        with client.folder.staging() as staging:
            staged = list(_stage(client, page, update, wanted, staging))
            done = _install(client, staged, plan, local, wanted)
        _judge_delivery(client, update, wanted.keys() - {one.entry.path for one in staged})
        client.tally.down_files += len(done)
        client.tally.down_bytes += sum(entry.size for entry in done)
        seconds = client.clock.monotonic() - began
        wire = view.data.info.size
        client.tell(PageEnded(client.section, "down", label, len(done), sum(e.size for e in done), wire, seconds))


def _stage(
    client: Client, page: str, update: Update, wanted: dict[str, Record], staging: Staging
) -> Iterator[Staged]:
    """The wanted members, verified against their records; one that does not verify spoils nothing but itself."""
    files_done = bytes_done = 0
    seen: set[str] = set()
    total = sum(max(0, record.entry.size) for record in wanted.values())
    where = f"the update {update.stamp} of page {page}"
    label = client.label(wanted)
    try:
        with client.relay.open_archive(page, update.stamp) as archive:
            for member in members(archive, _plain_bytes_max(update), where, client.settings.workers):
                record = wanted.get(member.path)
                if record is None or member.path in seen:
                    continue
                seen.add(member.path)
                try:
                    yield staging.add(_completed(record.entry, member.size, member.mode), member.stream)
                except Corrupt as error:
                    client.skip(member.path, "error", str(error), error.code)
                    continue
                files_done += 1
                bytes_done += member.size
                client.tell(Progress(client.section, "down", label, files_done, len(wanted), bytes_done, total))
    except PeerError as error:
        client.tell(problem_event(client.section, error))


def _completed(entry: Entry, size: int, mode: int) -> Entry:
    """The entry with what format 0.7 leaves to the archive: size and permissions."""
    if entry.size >= 0:
        return entry
    return Entry(entry.path, size, entry.mtime_ns, mode & 0o777, entry.digest)


def _plain_bytes_max(update: Update) -> int:
    """Bytes the archive of this update may unpack to; more is a bomb."""
    entries = [record.entry for record in update.records.values()]
    if any(entry.size < 0 for entry in entries):
        return UNKNOWN_SIZE_MAX
    return plain_size_max(entries) + update.garbage


def _install(
    client: Client, staged: list[Staged], plan: PullPlan, local: Local, wanted: dict[str, Record]
) -> list[Entry]:
    expected = {one.entry.path: local.entries.get(one.entry.path) for one in staged}
    aside = {path: conflict_name(client, path) for path in plan.conflicts if path in expected}
    done = []
    for result in client.folder.install(staged, expected, aside):
        if result.outcome is Outcome.INSTALLED:
            _note_installed(client, result, local)
            done.append(result.entry)
        elif result.outcome is Outcome.CHANGED:
            client.skip(result.entry.path, "changing", "it changed here while the other version arrived")
        else:
            client.skip(result.entry.path, "error", result.reason, "L101")
    client.agree([_with_entry(wanted[entry.path], entry) for entry in done], local)
    return done


def _note_installed(client: Client, result: Installed, local: Local) -> None:
    path = result.entry.path
    if result.kept_as:
        client.tally.conflicts += 1
        local.entries[result.kept_as] = _renamed(local.entries[path], result.kept_as)
        client.tell(Conflicted(client.section, path, path, result.kept_as))
    action = "changed" if path in local.entries else "new"
    local.entries[path] = result.entry
    client.tell(Item(client.section, "down", action, path, result.entry.size))


def _renamed(entry: Entry, path: str) -> Entry:
    return Entry(path, entry.size, entry.mtime_ns, entry.mode, entry.digest)


def _with_entry(record: Record, entry: Entry) -> Record:
    return replace(record, entry=entry)


def conflict_name(client: Client, path: str) -> str:
    """`name.conflict-CLIENT-DATE-TIME.ext`, beside the file; UTC, so that all machines spell it alike."""
    directory, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    when = datetime.fromtimestamp(client.clock.now(), UTC).strftime("%Y%m%d-%H%M%S")
    middle = f".conflict-{client.name}-{when}"
    room = 255 - len((middle + extension).encode("utf-8", "surrogateescape"))
    while len(stem.encode("utf-8", "surrogateescape")) > room:
        stem = stem[:-1]
    return os.path.join(directory, f"{stem}{middle}{extension}")


def _judge_delivery(client: Client, update: Update, missing: Set[str]) -> None:
    """Wanted files that did not come out of the archive intact: tried once more, then given up and asked for again."""
    if not missing:
        return
    now = client.clock.now()
    if client.ledger.sighting(f"failed {update.stamp}", now) < now:
        client.undeliverable.setdefault(update.stamp, set()).update(missing)
    for path in missing - client.tally.skipped.keys():
        client.skip(path, "error", "its update did not deliver it intact; it is fetched again", "P421")


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
    if not plan.ask:
        return False
    for record in plan.ask:
        client.tell(Item(client.section, "down", "asked", record.path, max(0, record.entry.size)))
    client.wait("peer", "asked for; whoever has it sends it again", [r.entry for r in plan.ask])
    if client.relay.format.asks_by_removal:
        gone = [record.path for record in plan.ask]
        left = state.stored.without(gone if len(gone) < len(state.stored.records) else gone[1:])
        if left.records != state.stored.records:
            client.relay.write_index(left, state.view, client.unique())
    else:
        wishes = [replace(record, client=client.name, state=State.WANTED) for record in plan.ask]
        client.relay.write_index(state.stored.merged(wishes), state.view, client.unique())
    return True


def _locked_out(client: Client, state: PageState, plan: PullPlan, busy: Busy) -> PageState:
    entries = [record.entry for record in (*plan.fetch.values(), *plan.ask)]
    client.wait("lock", f"the page is locked by {busy.owner or 'somebody'}", entries)
    return state


def _released(client: Client, state: PageState, held: Held | None, changed: bool = False) -> PageState:
    if held is not None:
        client.lock.release(held)
    return client.look_again(state.view.page) if changed else state


