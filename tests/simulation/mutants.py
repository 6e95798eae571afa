"""Deliberate bugs: the production code broken in one way each, to see whether the simulator notices.

A simulator that cannot fail proves nothing.  Each function breaks one promise of the protocol through `patch` (pytest's
monkeypatch).  What is *not* here is as telling: lose a lock, send an update twice, forget a generation of an index, and
the protocol repairs it, so no user can tell.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from escale.app import presence, syncing
from escale.files import folder, site
from escale.files.folder import Folder
from escale.files.tree import Entry
from escale.relay import apply, client, fetch, index, lock, place, plan, pull, push, recover, relay
from escale.relay.plan import Verdict

Patch = pytest.MonkeyPatch


def name_before_content(patch: Patch) -> None:
    """The update index is written before its data."""
    late: dict[tuple[str, str], bytes] = {}
    write_archive, write_update = relay.IndexRelay.write_archive, relay.IndexRelay.write_update

    def keep(self, page, stamp, source):
        late[page, stamp] = source.read()
        return len(late[page, stamp])

    def write(self, update, unique):
        write_update(self, update, unique)
        write_archive(self, update.page, update.stamp, io.BytesIO(late.pop((update.page, update.stamp))))

    patch.setattr(relay.IndexRelay, "write_archive", keep)
    patch.setattr(relay.IndexRelay, "write_update", write)


def content_away_before_name(patch: Patch) -> None:
    """The data of an update is deleted while its index still names it."""
    original = relay.IndexRelay.delete_update

    def delete(self, view):
        if view.data is not None:
            self.store.delete(view.data.info.name)
        return original(self, view)

    patch.setattr(relay.IndexRelay, "delete_update", delete)


def consume_before_install(patch: Patch) -> None:
    """A puller registers for what it has not fetched yet."""
    original = pull.pull_page

    def mutant(client, state, local, pullers):
        for view, update in state.updates:
            if update.client != client.name and client.name not in update.consumed:
                after = update.consumed_by(client.name)
                if plan.is_complete(after, pullers, None, frozenset()):
                    pull.finish(client, state, view, after)
                else:
                    client.relay.register(update, view, client.name, client.unique())
        return original(client, client.look_again(state.view.page), local, pullers)

    _everywhere(patch, "pull_page", mutant)


def ledger_before_folder(patch: Patch) -> None:
    """What arrives is agreed on before it is in its place: after a crash it looks as if the user had deleted it."""
    original = place.install

    def mutant(client, staged, conflicts, local, wanted):
        client.ledger.agree([record.base() for record in wanted.values()])
        return original(client, staged, conflicts, local, wanted)

    for module in (place, fetch, apply):
        patch.setattr(module, "install", mutant)


def merge_without_reading_again(patch: Patch) -> None:
    """Under the lock the page is taken to be what it was before, and older generations go unread."""
    original = relay.IndexRelay.write_index

    def write(self, known, replaces, unique):
        original(self, known, self.look(known.page), unique)

    patch.setattr(client.Client, "look_again", lambda self, page: self.pages[page])
    patch.setattr(relay.IndexRelay, "write_index", write)


def every_record_descends(patch: Patch) -> None:
    """The winner of a race is taken for somebody who had seen the loser's version."""
    patch.setattr(index.Record, "descends_from", lambda self, base: True)


def deletion_beats_edit(patch: Patch) -> None:
    """What one deletes while the other edits it is deleted."""
    original = plan._of_edits

    def mutant(local, remote):
        if local.is_gone:
            return Verdict.SEND
        return Verdict.FETCH if remote.entry.is_gone else original(local, remote)

    patch.setattr(plan, "_of_edits", mutant)


def the_others_win(patch: Patch) -> None:
    """Of two edits the one on the relay stays, and no conflict copy is made."""
    patch.setattr(plan, "_of_edits", lambda local, remote: Verdict.FETCH)


def no_conflict_copy(patch: Patch) -> None:
    """The loser of a conflict goes to the trash instead of keeping a name."""
    original = place._places

    def mutant(client, paths, conflicts, local):
        return original(client, paths, conflicts, local)[0], {}

    patch.setattr(place, "_places", mutant)


def deletions_are_forgotten(patch: Patch) -> None:
    """A deletion leaves no record behind."""
    patch.setattr(
        index.Index,
        "forgetting",
        lambda self, before_ns: replace(
            self, records={path: record for path, record in self.records.items() if not record.entry.is_gone}
        ),
    )


def missing_is_deleted(patch: Patch) -> None:
    """A path that was never here counts as deleted by the user."""
    patch.setattr(
        plan.Local,
        "mine",
        lambda self, path: self.entries.get(path) or Entry.gone(path, self.now_ns),
    )
    original = plan._judged

    def mutant(local, remote):
        bases = {path: record.base() for path, record in remote.items()}
        return original(replace(local, bases={**bases, **local.bases}), remote)

    patch.setattr(plan, "_judged", mutant)


def no_trash(patch: Patch) -> None:
    """What a sync replaces or deletes is gone at once."""

    def emptied(original: Callable[..., object]) -> Callable[..., object]:
        def mutant(self, *arguments, **options):
            results = original(self, *arguments, **options)
            shutil.rmtree(self.root / ".escale" / "trash", ignore_errors=True)
            return results

        return mutant

    for name in ("install", "make", "remove"):
        patch.setattr(Folder, name, emptied(getattr(Folder, name)))


def modes_stay(patch: Patch) -> None:
    """Permissions do not travel."""
    patch.setattr(plan, "_judge_permissions", lambda local, base, remote: Verdict.SAME)


def older_is_newer(patch: Patch) -> None:
    """Of two records of a path the older one is kept."""
    original = index.Record.precedence
    patch.setattr(index.Record, "precedence", lambda self: (-original(self)[0], *original(self)[1:]))


def nobody_asks(patch: Patch) -> None:
    """What lies nowhere is not asked for."""
    patch.setattr(pull, "_ask", lambda client, state, local: False)


def nobody_registers(patch: Patch) -> None:
    """Updates are received and nobody is told."""
    patch.setattr(relay.IndexRelay, "register", lambda self, update, view, client, unique: None)
    patch.setattr(pull, "finish", lambda client, state, view, update: None)
    patch.setattr(recover, "finish", lambda client, state, view, update: None)


def garbage_stays(patch: Patch) -> None:
    """Data without a name is left where it is."""
    patch.setattr(recover, "_sweep_data", lambda client, view: False)


def locks_stay(patch: Patch) -> None:
    """The lock of the dead is respected for ever, even one's own."""
    patch.setattr(lock.PageLock, "is_mine", lambda self, text: False)
    patch.setattr(lock.PageLock, "is_stale", lambda self, name, text: False)


def deletions_stay(patch: Patch) -> None:
    """What is missing is not told."""
    original = plan._to_push
    patch.setattr(
        plan, "_to_push", lambda local, remote: (one for one in original(local, remote) if not one[0].is_gone)
    )


def agreed_before_written(patch: Patch) -> None:
    """A push is agreed on in the ledger as what the relay had, before the relay has it."""
    original = push._write_index

    def mutant(client, state, local, plan, sent):
        client.ledger.agree([replace(record.base(), version=1) for record in plan.records.values()])
        original(client, state, local, plan, sent)

    patch.setattr(push, "_write_index", mutant)


def content_not_synchronised(patch: Patch) -> None:
    """What arrives gets its name, and is registered, before its content is durable."""
    patch.setattr(folder, "sync", lambda paths: None)


def names_not_synchronised(patch: Patch) -> None:
    """What was put into the folder is agreed on, and registered, before its name is durable."""
    patch.setattr(site.Site, "sync", lambda self: None)


def older_goes_before_newer_comes(patch: Patch) -> None:
    """The former generation of an index is deleted, then the next is written."""
    original = relay.IndexRelay.write_index

    def write(self, known, replaces, unique):
        for blob in replaces.indices:
            self.store.delete(blob.info.name)
        original(self, known, replaces, unique)

    patch.setattr(relay.IndexRelay, "write_index", write)


def equal_is_older(patch: Patch) -> None:
    """Of two pushers who raced, each takes the version of the other for an old one."""
    original = plan.judge

    def mutant(local, base, remote):
        verdict = original(local, base, remote)
        is_equal = base is not None and remote is not None and remote.version == base.version
        return Verdict.SEND if is_equal and verdict is Verdict.CONFLICT else verdict

    patch.setattr(plan, "judge", mutant)


def deletions_without_the_marker(patch: Patch) -> None:
    """What is missing was deleted, also where the folder itself is missing."""
    patch.setattr(presence.Presence, "check", lambda self, now, memory_s: None)


def damaged_is_delivered(patch: Patch) -> None:
    """What an archive did not deliver intact is agreed on as if it had."""

    def mutant(client, update, missing):
        client.ledger.agree([update.records[path].base() for path in missing])

    patch.setattr(fetch, "_judge_delivery", mutant)


def locks_of_others_go(patch: Patch) -> None:
    """Whoever meets a lock removes it."""
    patch.setattr(lock.PageLock, "is_stale", lambda self, name, text: True)


def data_of_others_goes(patch: Patch) -> None:
    """Data without a name is garbage at once, also if its pusher is just about to name it."""

    def mutant(client, view):
        lone = [update for update in view.updates if not update.is_named and update.data is not None]
        for update in lone:
            client.relay.delete_data(view.page, update.stamp)
        return bool(lone)

    patch.setattr(recover, "_sweep_data", mutant)


def _everywhere(patch: Patch, name: str, mutant: Callable[..., object]) -> None:
    patch.setattr(pull, name, mutant)
    patch.setattr(syncing, name, mutant)


MUTANTS = (
    name_before_content,
    content_away_before_name,
    consume_before_install,
    ledger_before_folder,
    merge_without_reading_again,
    every_record_descends,
    deletion_beats_edit,
    the_others_win,
    no_conflict_copy,
    deletions_are_forgotten,
    missing_is_deleted,
    no_trash,
    modes_stay,
    older_is_newer,
    nobody_asks,
    nobody_registers,
    garbage_stays,
    locks_stay,
    deletions_stay,
    agreed_before_written,
    content_not_synchronised,
    names_not_synchronised,
    older_goes_before_newer_comes,
    equal_is_older,
    deletions_without_the_marker,
    damaged_is_delivered,
    locks_of_others_go,
    data_of_others_goes,
)
