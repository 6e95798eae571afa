"""Fetching: the wanted files of a page's updates come out of their archives and into the folder.

Staged beside the folder, verified against their records, installed as wholes.  A member that does not verify spoils
nothing but itself, and an archive that breaks off has delivered what came before.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from ..errors import Corrupt, Missing, PeerError
from ..events import PageBegan, PageEnded, Progress
from ..files.staging import Staged, Staging
from ..files.tree import Entry
from .archive import members, plain_size_max
from .client import Client, PageState, problem_event
from .index import Record, Update
from .place import install
from .plan import Local, PullPlan

UNKNOWN_SIZE_MAX = 1 << 40
"""Bytes an archive may unpack to when its index does not tell sizes (0.7); a full disk stops it earlier."""


def fetch(client: Client, state: PageState, plan: PullPlan, local: Local) -> None:
    """Take what the plan wants from each update's archive; `local` and the ledger then have what was installed."""
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
            try:
                staged = list(_stage(client, page, update, wanted, staging))
            except Missing:
                # All whom the update waited for have it now, and we are not one of them: we ask, like any newcomer.
                client.wait("peer", "was taken off the relay while we fetched it", [r.entry for r in wanted.values()])
                continue
            done = install(client, staged, plan.conflicts, local, wanted)
        _judge_delivery(client, update, wanted.keys() - {one.entry.path for one in staged})
        seconds = client.clock.monotonic() - began
        wire = view.data.info.size
        client.tell(PageEnded(client.section, "down", label, len(done), sum(e.size for e in done), wire, seconds))


def _stage(client: Client, page: str, update: Update, wanted: dict[str, Record], staging: Staging) -> Iterator[Staged]:
    """The wanted members, each staged and verified."""
    files_done = bytes_done = 0
    seen: set[str] = set()
    total = sum(max(0, record.entry.size) for record in wanted.values())
    where = f"the update {update.stamp} of page {page}"
    label = client.label(wanted)
    try:
        with client.relay.open_archive(page, update.stamp) as archive:
            for member in members(archive, plain_bytes_max(update), where, client.settings.workers):
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
    return replace(entry, size=size, mode=mode & 0o777)


def plain_bytes_max(update: Update) -> int:
    """Bytes the archive of this update may unpack to; more is a bomb."""
    entries = [record.entry for record in update.records.values()]
    if any(entry.size < 0 for entry in entries):
        return UNKNOWN_SIZE_MAX
    return plain_size_max(entries) + update.garbage


def _judge_delivery(client: Client, update: Update, missing: Set[str]) -> None:
    """Wanted files that did not come out of the archive intact: tried once more, then given up and asked for again."""
    if not missing:
        return
    now = client.clock.now()
    if client.ledger.sighting(f"failed {update.stamp}", now) < now:
        client.undeliverable.setdefault(update.stamp, set()).update(missing)
    for path in missing - client.tally.skipped.keys():
        client.skip(path, "error", "its update did not deliver it intact; it is fetched again", "P421")
