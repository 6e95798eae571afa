"""What of a relay nobody can read, and its removal, so that those who know it write it again.

Passes do most of it by themselves, after `lock timeout`.  This does it at once, and looks into the update data, too:
whoever misses a file whose data were removed asks for it.

In format 0.7 an index is never removed, because originals stop without one: it is written again from what was last
agreed on here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from ..digest import digest_of
from ..errors import Corrupt, Missing, PeerError
from ..relay.archive import members
from ..relay.client import Client
from ..relay.fetch import plain_bytes_max
from ..relay.format import Role
from ..relay.index import Index, Record, Update
from ..relay.lock import Busy
from ..relay.relay import PageView, Survey, UpdateView
from ..relay.roster import Participant
from ..stream import pieces_of


class What(enum.StrEnum):
    """What is damaged."""

    INDEX = "the index of a page"
    UPDATE = "the index of an update"
    DATA = "the content of an update"
    CLIENT = "an entry of the roster"


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that is not what it should be; `reason` in words, `page` as it is called on the relay."""

    name: str
    what: What
    page: str
    reason: str
    stamp: str = ""


def damages(client: Client, survey: Survey, is_fast: bool) -> Iterator[Damage]:
    """What cannot be read, page by page; fast: without the content of updates.  Nothing is changed."""
    yield from _of_roster(client, survey)
    for page, view in sorted(survey.pages.items()):
        unreadable = client.relay.unreadable(view)
        for name in unreadable:
            place = client.relay.format.parse(name)
            is_index = place is not None and place.role is Role.INDEX
            yield Damage(name, What.INDEX if is_index else What.UPDATE, page, "it does not open")
        for update in view.updates if not is_fast else ():
            if update.is_named and update.data and not any(one.info.name in unreadable for one in update.indices):
                yield from _of_data(client, page, update, update.data.info.name)


def _of_roster(client: Client, survey: Survey) -> Iterator[Damage]:
    for blob in survey.clients:
        try:
            Participant.decode(client.relay.read_blob(blob.place), blob.info.name)
        except Missing:
            continue
        except PeerError as error:
            yield Damage(blob.info.name, What.CLIENT, "", str(error))


def _of_data(client: Client, page: str, view: UpdateView, name: str) -> Iterator[Damage]:
    try:
        update = client.relay.read_update(page, view)
        _expect_delivery(client, page, update)
    except Missing:
        return  # It was taken away meanwhile.
    except PeerError as error:
        yield Damage(name, What.DATA, page, str(error), view.stamp)


def _expect_delivery(client: Client, page: str, update: Update) -> None:
    """Corrupt, Forged unless every record's content is there, intact."""
    where = f"the update {update.stamp} of page {page}"
    left = dict(update.records)
    with client.relay.open_archive(page, update.stamp) as archive:
        for member in members(archive, plain_bytes_max(update), where, client.settings.workers):
            record = left.get(member.path)
            digest = digest_of(pieces_of(member.stream), client.folder.algorithm)
            if record is not None and record.entry.digest == digest:
                del left[member.path]
    if left:
        raise Corrupt(where=where, reason=f"it lacks the content of {len(left)} of {len(update.records)} files")


def lost_pages(client: Client, survey: Survey) -> list[str]:
    """Pages of format 0.7 that the relay knows nothing of any more, and we do."""
    if not client.relay.format.overwrites:
        return []
    known = {client.relay.format.page_of(path) for path, base in client.ledger.bases().items() if base.entry.is_file}
    return sorted(page for page in known if page not in survey.pages)


def remove(client: Client, found: list[Damage]) -> list[str]:
    """Take away what still cannot be read, page by page under its lock; returns the pages that others have locked."""
    for one in found:
        if one.what is What.CLIENT:
            client.relay.store.delete(one.name)
    busy = []
    for page in sorted({one.page for one in found if one.what is not What.CLIENT}):
        held = client.lock.claim(page, "w")
        if isinstance(held, Busy):
            busy.append(f"{page} ({held.owner})")
            continue
        view = client.relay.look(page)
        still = set(client.relay.unreadable(view))
        for one in found:
            if one.page == page:
                _remove_one(client, view, one, still)
        client.lock.release(held)
    return busy


def _remove_one(client: Client, view: PageView, one: Damage, still: set[str]) -> None:
    if one.what is What.DATA:
        for update in view.updates:
            if update.stamp == one.stamp:
                client.relay.delete_update(update)
    elif one.name in still and one.what is What.INDEX and client.relay.format.overwrites:
        rewrite(client, view)
    elif one.name in still:
        client.relay.delete_index(one.name)


def rewrite(client: Client, view: PageView) -> None:
    """An index of format 0.7 as this client last agreed on it; nothing where it knows nothing of the page."""
    records = {
        path: Record(base.entry, base.version, client.name)
        for path, base in client.ledger.bases().items()
        if base.entry.is_file and client.relay.format.page_of(path) == view.page
    }
    if records:
        client.relay.write_index(Index(view.page, records), view, client.unique())
