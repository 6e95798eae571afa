"""SyncLoop: one section of the configuration, pass after pass.

A pass is one scan of the folder, one listing of the relay, and then page by page: put it in order, pull, push.  Pages
whose listing shows nothing new cost nothing more, so an idle pass is one request whatever the number of pages.

A page that fails does not stop the others; what its failure left on the relay is put in order at once, as after a
crash.  Failures that concern the relay as a whole end the pass.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field

from ..clock import Clock
from ..errors import EscaleError, NoLocalSpace, NoSuchRelay, RelayInUse, SecretError, Unreachable
from ..events import Event, Item, PassBegan, Reporter
from ..files.rules import Rules
from ..files.scan import Scan
from ..files.tree import Base, Entry
from ..relay.client import Client, PageState, Tally, problem_event
from ..relay.plan import Local, PullPlan, PushPlan, plan_pull, plan_push, to_hash
from ..relay.pull import pull_page
from ..relay.push import awaited, push_page
from ..relay.recover import recover_page
from ..relay.relay import PageView, Survey
from .connection import Connection
from .status import PassResult, PendingFile, SectionStatus
from .summary import Summary

ENDS_THE_PASS = (Unreachable, NoSuchRelay, SecretError, RelayInUse, NoLocalSpace)
"""After these there is no point in trying the next page."""

UNLIMITED = 1 << 62
"""Bytes; where nobody set a quota."""

IDLE_PASSES = 10
"""Passes without anything to do until the wait has grown from half the refresh to all of it, as in 0.7."""


@dataclass(slots=True)
class Section:
    """The folder during one pass: entries by page, and what must be left alone (`unseen`: beginnings of paths)."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    untouchable: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)


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
        self._bases: dict[str, dict[str, Base]] = {}
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
            client = self._opened()
            survey = self._connection.survey()
            self._run(client, survey)
        except EscaleError as error:
            self._summary.failed(error)
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
        section = self._scan(client) if client.folder.exists() else Section()
        survey = self._connection.listing()
        for page in sorted({*survey.pages, *section.entries}):
            state = client.read_page(survey.pages.get(page, PageView(page)))
            local = self._local(client, state, section)
            updates = [update for _, update in state.updates]
            pull = plan_pull(local, state.index.records, updates, client.settings.mode)
            push = plan_push(local, state.index.records, client.settings.mode, UNLIMITED, UNLIMITED)
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

    def _opened(self) -> Client:
        fresh = not self._connection.is_open
        client = self._connection.open(self._report)
        if fresh:
            self._bases = _bases_by_page(client)
        client.tally = Tally()
        return client

    def _run(self, client: Client, survey: Survey) -> None:
        section = self._scan(client)
        pullers = self._connection.pullers
        used = survey.used
        for page in sorted({*survey.pages, *section.entries}):
            if self._stopping.is_set():
                return
            view = survey.pages.get(page, PageView(page))
            try:
                used += self._page(client, view, section, pullers, used)
            except ENDS_THE_PASS:
                self._put_in_order(client, view, pullers)
                raise
            except EscaleError as error:
                client.tell(problem_event(self.name, error))
                self._put_in_order(client, view, pullers)

    def _put_in_order(self, client: Client, view: PageView, pullers: frozenset[str]) -> None:
        """What a failed push or pull left behind; if this fails too, the next pass begins with it."""
        with suppress(EscaleError):
            self._connection.sweep(client)
            recover_page(client, client.relay.look(view.page), pullers)

    def _page(self, client: Client, view: PageView, section: Section, pullers: frozenset[str], used: int) -> int:
        """One page; returns how many bytes it added to the relay (an estimate from above)."""
        state = recover_page(client, view, pullers)
        local = self._local(client, state, section)
        state = pull_page(client, state, local, pullers)
        room = UNLIMITED if self._quota is None else self._quota - used
        before = client.tally.up_bytes
        if client.settings.mode.pushes:
            push_page(client, state, local, pullers, room)
        _explain_lying(client, state, pullers)
        return client.tally.up_bytes - before

    def _scan(self, client: Client) -> Section:
        scan = client.folder.scan()
        self._has_unsettled = bool(scan.unsettled)
        section = Section()
        untouchable = {*scan.unsettled, *(trouble.path for trouble in scan.problems)}
        for trouble in scan.problems:
            client.skip(trouble.path, trouble.reason, trouble.message)
        for path, entry in scan.entries.items():
            if problem := client.relay.format.problem_with(entry):
                client.skip(path, "name", problem, "L204")
                untouchable.add(path)
            section.entries.setdefault(client.relay.format.page_of(path), {})[path] = entry
        section.untouchable = frozenset(untouchable)
        section.unseen = _unseen(scan)
        section.rules = scan.rules
        return section

    def _local(self, client: Client, state: PageState, section: Section) -> Local:
        """The folder's side of the page, with every digest that its plans need."""
        page = state.view.page
        entries = section.entries.setdefault(page, {})
        records = state.index.records
        absent = [path for path in records if path not in entries]
        excluded = frozenset(path for path in absent if section.rules.why_not(path, records[path].entry.size))
        unseen = frozenset(path for path in absent if path.startswith(section.unseen))
        local = Local(entries, self._bases.setdefault(page, {}), section.untouchable | unseen, excluded)
        wanted = to_hash(local, records)
        if wanted:
            hashed, troubles = client.folder.hash(wanted)
            entries.update(hashed)
            for trouble in troubles:
                client.skip(trouble.path, trouble.reason, trouble.message)
            local.untouchable |= {trouble.path for trouble in troubles}
        return local


def _unseen(scan: Scan) -> tuple[str, ...]:
    """Beginnings of paths below directories that could not be read: nothing there may be taken for missing."""
    return () if scan.complete else tuple(f"{trouble.path}/" for trouble in scan.problems)


def _bases_by_page(client: Client) -> dict[str, dict[str, Base]]:
    pages: dict[str, dict[str, Base]] = {}
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
    received = [(r.entry, "changed" if r.path in local.entries else "new") for r in pull.fetch.values()]
    asked = [(record.entry, "asked") for record in pull.ask]
    sent = [(entry, "changed" if entry.path in known else "new") for entry in push.entries]
    return [
        *(Item(name, "up", action, entry.path, entry.size) for entry, action in sent),
        *(Item(name, "down", action, entry.path, max(0, entry.size)) for entry, action in (*received, *asked)),
    ]
