"""SyncLoop: one section of the configuration, pass after pass.

A pass is one scan of the folder, one listing of the relay, and then page by page: put it in order and pull; then, page
by page again, push.  Pages whose listing shows nothing new cost nothing more, so an idle pass is one request whatever
the number of pages.

A page that fails does not stop the others; what its failure left on the relay is put in order at once, as after a
crash.  Failures that concern the relay as a whole end the pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from contextlib import suppress
from typing import TypeVar

from ..clock import Clock
from ..errors import EscaleError, NoLocalSpace, NoSuchRelay, PeerError, RelayInUse, SecretError, Unreachable
from ..events import Event, Item, PassBegan, Problem, Reporter
from ..files.tree import Entry
from ..relay.apply import clear_implied, remove
from ..relay.budget import Room
from ..relay.client import Client, PageState, Tally, problem_event
from ..relay.contents import Contents
from ..relay.limit import UploadLimit
from ..relay.place import note_intended, with_mode
from ..relay.plan import Local, PullPlan, PushPlan, forgotten, plan_pull, plan_push
from ..relay.pull import pull_page
from ..relay.push import awaited, push_page
from ..relay.recover import recover_page
from ..relay.relay import PageView, Survey
from .connection import Connection
from .look import (
    Bases,
    Look,
    adopt_relay,
    enclosed,
    guard_deletions,
    look,
    unfolded,
    wait_for_deletions,
    wait_for_directories,
)
from .presence import ADOPT_RELAY
from .status import PassResult, PendingFile, SectionStatus
from .summary import Summary

ENDS_THE_PASS = (Unreachable, NoSuchRelay, SecretError, RelayInUse, NoLocalSpace)
"""After these there is no point in trying the next page."""

A = TypeVar("A")
B = TypeVar("B")

DAY_S = 86400

IDLE_PASSES = 10
"""Passes without anything to do until the wait has grown from half the refresh to all of it, as in 0.7."""


class SyncLoop:
    """One section.  `run_once` and `preview` belong to one thread, `status` and `pending` may be asked from any.

    `quota`: bytes we let the relay hold, None for no limit.
    """

    def __init__(
        self, name: str, connection: Connection, refresh_s: float, quota: int | None, clock: Clock, reporter: Reporter
    ) -> None:
        self.name = name
        self._connection = connection
        self._refresh_s = refresh_s
        self._quota = quota
        self._clock = clock
        self._report = reporter
        self._bases: Bases = {}
        self._adopting: str | None = None
        self._opening: list[Problem] = []
        self._idle = 0
        self._settle_s = connection.settle_s
        self._has_unsettled = False
        self._stopping = threading.Event()
        self._summary = Summary(name, quota)

    def run_once(self) -> PassResult:
        """One pass.  Raises the EscaleError that made it fail as a whole; a failed page is in the result instead."""
        began = self._clock.monotonic()
        self._report(PassBegan(self.name, self._clock.now()))
        try:
            client, survey = self._met()
            self._run(client, survey)
        except EscaleError as error:
            self._summary.failed(error)
            if isinstance(error, Unreachable):
                self._connection.sweep_soon()
            raise
        settles_in_s = self._settle_s if self._has_unsettled else 0.0
        result = self._summary.ended(client.tally, survey.used, self._clock.now(), settles_in_s)
        self._report(self._summary.event(client.tally, result, self._clock.monotonic() - began))
        self._idle = 0 if result.up_files or result.down_files else min(self._idle + 1, IDLE_PASSES)
        return result

    def preview(self) -> list[Event]:
        """What a pass would do, as the events it would report; nothing is changed here or there."""
        events: list[Event] = []
        client = self._connection.look_only(events.append)
        self._bases = _bases_by_page(client)
        found = look(client, self._clock.now()) if client.folder.exists() else Look()
        survey = self._connection.listing()
        for page in sorted({*survey.pages, *found.entries, *self._bases}):
            state = client.read_page(survey.pages.get(page, PageView(page)))
            local = found.local(client, state, self._bases.setdefault(page, {}))
            updates = [update for _, update in state.updates]
            pull = plan_pull(local, state.index.records, updates, client.settings.mode)
            push = plan_push(local, state.index.records, client.name, client.settings.mode, UploadLimit(), Room())
            events.extend(_previewed(self.name, state, local, pull, push))
        return events

    def status(self) -> SectionStatus:
        """How the section is, as of the last pass."""
        return self._summary.status

    def pending(self) -> list[PendingFile]:
        """Why each file is not there yet, as of the last pass."""
        return list(self._summary.pending)

    def next_wait_s(self) -> float:
        """Half the refresh after something happened, growing to all of it when nothing does."""
        return self._refresh_s * (0.5 + 0.5 * self._idle / IDLE_PASSES)

    def stop(self) -> None:
        """Ask a pass in progress to end after the page in hand; may be called from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Let go of connections and of the ledger."""
        self._connection.close()

    def _met(self) -> tuple[Client, Survey]:
        """The relay, listed; met as if for the first time where it is not the one that was opened."""
        client = self._opened()
        survey = self._connection.survey()
        if survey is None:
            client = self._opened()
            survey = self._connection.survey()
        if survey is None:
            raise Unreachable(where=self.name, reason="the marker of the relay changes while it is read")
        return client, survey

    def _opened(self) -> Client:
        fresh = not self._connection.is_open
        client = self._connection.open(self._tell)
        if fresh:
            self._bases = _bases_by_page(client)
        client.tally = Tally(problems=self._opening)
        self._opening = []
        return client

    def _tell(self, event: Event) -> None:
        """Report; what goes wrong before there is a client counts in its first pass."""
        if isinstance(event, Problem) and not self._connection.is_open:
            self._opening.append(event)
        self._report(event)

    def _run(self, client: Client, survey: Survey) -> None:
        found = self._look(client)
        pages = sorted({*survey.pages, *found.entries, *self._bases})
        if len(pages) > 1:
            self._remove_first(client, survey, found)
        pulled = {}
        for page in pages:
            view = survey.pages.get(page, PageView(page))
            if not self._stopping.is_set() and (after := self._guarded(client, view, self._pull, found)):
                pulled[page] = after
        room = Room() if self._quota is None else Room.of(self._quota, survey, client.relay.growth)
        # What lies deeper goes first: whoever reads meanwhile finds no file where another file still has its directory;
        # but what lies where there was a file goes after that.
        for page in sorted(pulled, key=lambda page: (not enclosed(client, found, page), page), reverse=True):
            state, local = pulled[page]
            if not self._stopping.is_set():
                room = room.without(self._guarded(client, state.view, self._push, (state, local, room, found)) or 0)
        if not self._stopping.is_set():
            self._finish(client)

    def _look(self, client: Client) -> Look:
        """The folder, which must be there before and after; with deletions told from accidents."""
        presence = self._connection.presence
        self._adopting = presence.adopting
        presence.check(self._clock.now(), client.settings.deletion_memory_s)
        found = look(client, self._clock.now())
        presence.check(self._clock.now(), client.settings.deletion_memory_s)
        self._has_unsettled = found.has_unsettled
        client.contents = Contents(found.entries, self._bases)
        note_intended(client)
        found.unfolded = unfolded(found, self._bases)
        if self._adopting == ADOPT_RELAY:
            adopt_relay(client, found, self._bases, presence.is_another)
        elif client.settings.deletes:
            guard_deletions(client, found, self._bases, self._connection.guard())
        return found

    def _remove_first(self, client: Client, survey: Survey, found: Look) -> None:
        """Deletions of all pages, ahead of everything else: a directory of one page makes room for a file of another,
        and a file that moved is found in the trash.  What fails here is met again, and told, page by page."""
        for page, view in survey.pages.items():
            known = client.pages.get(page)
            if known is not None and known.view.tags == view.tags:
                continue
            with suppress(PeerError):
                state = client.read_page(view)
                survey.pages[page] = state.view  # Of two looks the later one is the one to go on from.
                local = found.local(client, state, self._bases.setdefault(page, {}))
                plan = plan_pull(local, state.index.records, (), client.settings.mode)
                remove(client, (record for record in plan.apply.values() if record.entry.is_gone), local)

    def _guarded(
        self, client: Client, view: PageView, act: Callable[[Client, PageView, A], B], argument: A
    ) -> B | None:
        """A page that fails does not stop the others, unless the relay as a whole has failed."""
        try:
            return act(client, view, argument)
        except ENDS_THE_PASS:
            self._put_in_order(client, view)
            raise
        except EscaleError as error:
            client.tell(problem_event(self.name, error))
            self._put_in_order(client, view)
            return None

    def _finish(self, client: Client) -> None:
        """What had to wait until all pages were done."""
        self._clear_up(client)
        if client.tally.lost:
            message = f"the relay had lost what it knew of {client.tally.lost} paths; it is written down again"
            client.tell(Problem(self.name, "P430", message, "Nothing was deleted here.", exit_code=3))
        for name, age_s in self._connection.stale.items():
            sentence = f"{name} has not answered for {round(age_s / DAY_S)} days"
            client.tally.needs.append((sentence, f"escalectl peers {self.name}"))
        self._connection.expire_trash(has_grown=client.tally.down_files > 0)
        if not client.tally.problems:
            self._connection.presence.passed(self._clock.now(), self._adopting)

    def _clear_up(self, client: Client) -> None:
        """Directories that were deleted elsewhere, now that their files are.  One that was edited, or holds what was,
        stays, and the others are told; one that holds what the relay will tell later to be deleted stays until then."""
        leftover = {record.path: record for record in client.leftover}
        client.leftover = []
        for _, record in sorted(leftover.items(), reverse=True):
            page = client.relay.format.page_of(record.path)
            local = Local(client.contents.pages[page], self._bases[page])
            remove(client, [record], local)
            if record not in client.leftover:
                continue
            if client.holds_edits(record.path):
                client.agree([record], local)
            elif client.holds_below(record.path):
                client.imply(with_mode(client, local.entries[record.path], record.entry.mode))
        client.leftover = []
        if client.settings.deletes:
            clear_implied(client)

    def _put_in_order(self, client: Client, view: PageView) -> None:
        """What a failed push or pull left behind; if this fails too, the next pass begins with it."""
        with suppress(EscaleError):
            self._connection.sweep(client)
            recover_page(client, client.relay.look(view.page), self._connection.pullers)

    def _pull(self, client: Client, view: PageView, found: Look) -> tuple[PageState, Local]:
        """Put a page in order and bring its news in."""
        pullers = self._connection.pullers
        state = recover_page(client, view, pullers)
        local = found.local(client, state, self._bases.setdefault(view.page, {}))
        if self._adopting == ADOPT_RELAY and state.index.records:
            remove(client, forgotten(client.name, local, state.index.records), local)
        return pull_page(client, state, local, pullers), local

    def _push(self, client: Client, view: PageView, argument: tuple[PageState, Local, Room, Look]) -> int:
        """Send what is new on a page; returns how many bytes that added to the relay (an estimate from above)."""
        state, local, room, found = argument
        pullers = self._connection.pullers
        before = client.tally.up_bytes
        if client.settings.mode.pushes:
            wait_for_deletions(client, found, local)
            wait_for_directories(client, found, local, view.page)
            push_page(client, state, local, pullers, room, self._quota)
        _explain_lying(client, state, pullers)
        return client.tally.up_bytes - before


def _bases_by_page(client: Client) -> Bases:
    pages: Bases = {}
    for path, base in client.ledger.bases().items():
        pages.setdefault(client.relay.format.page_of(path), {})[path] = base
    return pages


def _explain_lying(client: Client, state: PageState, pullers: frozenset[str]) -> None:
    """What we sent and not everybody has yet is still pending."""
    for _, update in state.updates:
        if update.client == client.name:
            message = f"on the relay, not yet received by {awaited(state, pullers)}"
            entries = [record.entry for record in update.records.values()]
            client.tally.add_waiting(client.label(update.records), "peer", message, entries)


def _previewed(name: str, state: PageState, local: Local, pull: PullPlan, push: PushPlan) -> list[Event]:
    known = state.index.records

    def action(entry: Entry, before: Container[str]) -> str:
        return "deleted" if entry.is_gone else "changed" if entry.path in before else "new"

    received = [(r.entry, action(r.entry, local.entries)) for r in (*pull.fetch.values(), *pull.apply.values())]
    asked = [(record.entry, "asked") for record in pull.absent]
    sent = [(entry, action(entry, known)) for entry in (*push.entries, *(note.entry for note in push.notes))]
    return [
        *(Item(name, "up", word, entry.path, entry.size) for entry, word in sent),
        *(Item(name, "down", word, entry.path, max(0, entry.size)) for entry, word in (*received, *asked)),
    ]
