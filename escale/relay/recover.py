"""Recovery: finish what is visible, erase what is not.

Runs at the beginning of every pass and after every failed one, so it is exercised daily.  Remnants of our own are dealt
with at once, those of others when nobody has touched them for `lock timeout`.

    found on the page                                means                               done
    a lock of ours                                   we died holding it                  removed
    a lock of another, untouched for too long        he died holding it                  removed
    update data of ours that no update index names   we died sending it                  removed
    the same of an update that we were removing      we died half-way                    removed
    the same of another, untouched for too long      he died sending or removing it      removed
    an update whose records the index lacks          its pusher died before the index    index written
    an update that all expected pullers have         the last one died before removing   removed, index first
    an update index without its data                 nobody can ever fetch it            removed; files are asked for
    an index that nobody could read for too long     the relay has damaged it            removed; its writers, whose
                                                                                         ledgers know, write it again
"""

from __future__ import annotations

import json

from ..errors import PeerError
from ..events import Problem
from .client import WENT_BACK, Client, PageState
from .index import Update
from .lock import Busy, Held
from .plan import is_complete, missing_from
from .pull import finish
from .relay import PageView, UpdateView

WITHOUT_CONTENT = (
    "Nothing is deleted or replaced here because of it. A machine that fell asleep in the middle of a pass leaves it"
    " behind when it wakes up; if none did, ask who can write to the relay."
)


def recover_page(client: Client, view: PageView, pullers: frozenset[str]) -> PageState:
    """Put one page in order and return it as read; while somebody else is at work on it, only read it."""
    if view.locks:
        busy = client.lock.clear(view)
        view = client.relay.look(view.page)
        if busy is not None:
            return client.read_page(view)
    if _sweep_data(client, view):
        view = client.relay.look(view.page)
    state = _read(client, view)
    return _repair(client, state, pullers) if _unfinished(client, state, pullers) else state


def _read(client: Client, view: PageView) -> PageState:
    if client.relay.format.overwrites:
        return client.read_page(view)
    try:
        state = client.read_page(view)
    except PeerError:
        if not _remove_unreadable(client, view):
            raise
        return client.look_again(view.page)
    if client.ledger.meta(f"unreadable {view.page}") is not None:
        client.ledger.set_meta(f"unreadable {view.page}", None)
    return state


def _remove_unreadable(client: Client, view: PageView) -> bool:
    """Indices that were damaged whenever we looked, for `lock timeout`: until then somebody may mend them, and what was
    read once since then was not damaged but badly transmitted."""
    key, now = f"unreadable {view.page}", client.clock.now()
    known = json.loads(client.ledger.meta(key) or "{}")
    first_seen = {name: min(known.get(name, now), now) for name in client.relay.unreadable(view)}
    if first_seen != known:
        client.ledger.set_meta(key, json.dumps(first_seen))
    old = {name for name, since in first_seen.items() if now - since >= client.settings.lock_timeout_s}
    held = client.lock.claim(view.page, "w") if old else None
    if not isinstance(held, Held):
        return False
    for name in old.intersection(client.relay.unreadable(client.relay.look(view.page))):
        client.relay.delete_index(name)
        message = f"the relay has damaged {name}; it was removed, and those who wrote it write it again"
        client.tell(Problem(client.section, "P431", message, WENT_BACK, exit_code=3))
    client.lock.release(held)
    return True


def _sweep_data(client: Client, view: PageView) -> bool:
    """Remove data without a name; True if something was removed.

    In format 0.7 lone data may be a good update whose index was lost, and is consumed as one; unless it is ours.
    """
    removed = False
    for update in view.updates:
        if update.is_named or update.data is None:
            continue
        mine = _is_ours(client, view.page, update.stamp)
        age = client.clock.now() - client.ledger.sighting(f"data {update.data.info.name}", client.clock.now())
        if mine or (age >= client.settings.lock_timeout_s and not client.relay.format.reads_under_lock):
            client.relay.delete_data(view.page, update.stamp)
            removed = True
    return removed


def _is_ours(client: Client, page: str, stamp: str) -> bool:
    """Whether we began to send this update, or to remove it."""
    begun = (client.ledger.meta(f"stamp {page}"), client.ledger.meta(f"finished {page}"))
    return stamp in begun or stamp.endswith(client.incarnation)


def _unfinished(client: Client, state: PageState, pullers: frozenset[str]) -> list[tuple[UpdateView, Update]]:
    return [(view, update) for view, update in state.updates if _needs_repair(client, state, view, update, pullers)]


def _needs_repair(client: Client, state: PageState, view: UpdateView, update: Update, pullers: frozenset[str]) -> bool:
    if view.data is None or not update.records:
        return True
    return bool(missing_from(state.stored.records, update)) or _is_complete(client, update, pullers)


def _is_complete(client: Client, update: Update, pullers: frozenset[str]) -> bool:
    return is_complete(update, pullers, client.settings.count, client.present)


def _repair(client: Client, state: PageState, pullers: frozenset[str]) -> PageState:
    """Under the lock, on a fresh look: what was unfinished a moment ago may be finished by now."""
    held = client.lock.claim(state.view.page, "w")
    if isinstance(held, Busy):
        return state
    state = client.look_again(state.view.page)
    for view, update in _unfinished(client, state, pullers):
        if view.data is None or not update.records or _is_complete(client, update, pullers):
            _tell_if_lost(client, view, update)
            finish(client, state, view, update)
        else:
            missing = missing_from(state.stored.records, update)
            client.relay.write_index(state.stored.merged(missing), state.view, client.unique())
        state = client.look_again(state.view.page)
    client.lock.release(held)
    return state


def _tell_if_lost(client: Client, view: UpdateView, update: Update) -> None:
    """The name goes before the content: an update whose content went first was not taken away by a client."""
    if view.data is None and update.records and not client.relay.format.overwrites:
        files = sum(record.entry.is_file for record in update.records.values())
        word = "file" if files == 1 else "files"
        message = f"the content of {files} {word} is not on the relay, as it should be; who misses it asks for it again"
        client.tell(Problem(client.section, "P431", message, WITHOUT_CONTENT, exit_code=3))
