"""Applying the records that need no bytes from the relay: deletions, directories, links, permissions, moved files.

Deletions come first, for a file may take the place of a directory; they go to the trash, where a file that was moved is
found again when the record of its new place is applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import Corrupt
from ..events import Item
from ..files.install import Outcome
from ..files.staging import Staged, Staging
from ..files.tree import Base, Entry, Kind, is_unchanged, parent_of, parents_of
from .client import Client
from .index import Record
from .place import conflict_name, install, make, settle
from .plan import Local, PullPlan


def apply(client: Client, plan: PullPlan, local: Local) -> None:
    """Carry out the part of a plan that needs nothing from the relay; `local` and the ledger then have it."""
    by_kind: dict[Kind, dict[str, Record]] = {kind: {} for kind in Kind}
    for path, record in plan.apply.items():
        by_kind[record.entry.kind][path] = record
    remove(client, by_kind[Kind.GONE].values(), local)
    _make_room(client, plan, local)
    if by_kind[Kind.DIRECTORY]:
        make(client, by_kind[Kind.DIRECTORY], plan.conflicts, local)
    _change_modes(client, by_kind[Kind.FILE], local)
    _place_what_is_here(client, by_kind[Kind.LINK].values(), plan.absent, plan, local)


def remove(client: Client, records: Iterable[Record], local: Local) -> None:
    """Deletions.  A directory that is not empty yet is left for the end of the pass."""
    wanted = {record.path: record for record in records if record.path in local.entries}
    if not wanted:
        return
    senders = {path: record.client for path, record in wanted.items()}
    agreed = []
    for result in client.folder.remove([local.entries[path] for path in wanted], by=senders):
        path = result.entry.path
        if result.outcome is Outcome.INSTALLED:
            agreed.append(wanted[path])
            del local.entries[path]
            client.tally.down_files += 1
            client.tell(Item(client.section, "down", "deleted", path, result.entry.size))
        elif result.entry.kind is Kind.DIRECTORY:
            client.leftover.append(wanted[path])
        else:
            client.skip(path, "changing", f"it is not deleted: {result.reason}")
    client.agree(agreed, local)


def clear_implied(client: Client) -> None:
    """Directories that were here for the sake of what was in them go when nothing is, whoever took it out."""
    contents = client.contents
    implied = {path: base for bases in contents.bases.values() for path, base in bases.items() if base.is_implied}
    if not implied:
        return
    holding = {parent_of(path) for entries in contents.pages.values() for path in entries if path not in implied}
    empty = []
    for path in sorted(implied, reverse=True):
        if path in holding or _is_claimed(client, implied[path]):
            holding.add(parent_of(path))
        else:
            empty.append(implied[path].entry)
    results = client.folder.remove(empty) if empty else []
    gone = [result.entry.path for result in results if result.outcome is Outcome.INSTALLED]
    client.ledger.disagree(gone)
    for path in gone:
        page = client.relay.format.page_of(path)
        contents.bases[page].pop(path)
        contents.pages.get(page, {}).pop(path, None)


def _is_claimed(client: Client, base: Base) -> bool:
    """Whether the directory was given other permissions here, or is something else, or hidden by a rule."""
    path = base.entry.path
    entry = client.here(path)
    return client.folder.has(path) if entry is None else not is_unchanged(entry, base)


def _make_room(client: Client, plan: PullPlan, local: Local) -> None:
    """Where something arrives below a path that is a file here, the file gets a name beside it and the path becomes a
    directory: on whatever machine meets the two first, and only if an earlier pass has met them too, for a relay that
    is read while somebody writes it may show one page before and another after his change."""
    arriving = [*plan.fetch, *plan.apply, *(record.path for record in plan.absent)]
    found = {above: entry for path in arriving for above in parents_of(path) if (entry := client.here(above))}
    blocking = {
        path: entry
        for path, entry in found.items()
        if entry.kind is not Kind.DIRECTORY and path not in plan.apply and client.has_met(f"file {path} in the way")
    }
    if not blocking:
        return
    entries = [Entry.directory(path) for path in blocking]
    aside = {path: conflict_name(client, path) for path in blocking}
    for result in client.folder.make(entries, blocking, aside):
        if result.outcome is Outcome.INSTALLED and result.kept_as:
            path = result.entry.path
            client.tell_conflict(path, result.kept_as)
            client.contents.pages[client.relay.format.page_of(path)][path] = result.entry
        else:
            client.skip(result.entry.path, "error", result.reason, "L101")


def _change_modes(client: Client, wanted: Mapping[str, Record], local: Local) -> None:
    if wanted:
        expected = {path: local.entries[path] for path in wanted}
        settle(client, client.folder.change_mode([one.entry for one in wanted.values()], expected), local, wanted)


def _place_what_is_here(
    client: Client, links: Iterable[Record], absent: Iterable[Record], plan: PullPlan, local: Local
) -> None:
    """Links, and files whose content this folder has under another name or in its trash."""
    wanted = {record.path: record for record in (*links, *absent)}
    if not wanted:
        return
    with client.folder.staging() as staging:
        staged = [one for record in wanted.values() if (one := _staged(client, record.entry, staging))]
        install(client, staged, plan.conflicts, local, wanted)


def _staged(client: Client, entry: Entry, staging: Staging) -> Staged | None:
    if entry.kind is Kind.LINK:
        return staging.add_link(entry)
    for source in client.contents.sources(client.folder, entry):
        with source:
            try:
                return staging.add(entry, source)
            except Corrupt:
                continue
    return None
