"""Client: one participant of a relay, with everything a push or a pull needs, and the pages as it last read them."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..clock import Clock
from ..errors import Corrupt, EscaleError, Missing
from ..events import Conflicted, Event, Problem, Reporter, Skipped, Waiting
from ..files.folder import Folder
from ..files.ledger import Ledger
from ..files.tree import Base, Entry, Kind, is_unchanged
from .contents import Contents
from .index import Index, Record, Records, State, Update, brief
from .lock import PageLock, unique_name
from .plan import Local, Mode
from .relay import IndexRelay, PageView, UpdateView
from .witness import Seen

READ_ATTEMPTS = 4
"""How often a page is looked at again when something vanished between the listing and the reading."""

WENT_BACK = (
    "Nothing is deleted or replaced here because of it, and what is newer here is written down again."
    " A restored backup looks like this, and a storage that answers with old listings; if it is neither, ask who can"
    " write to the relay."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client behaves.

    `size_max`: bytes of user files in an update; `count`: how many pullers an update waits for, None for all that are
    named or on the roster; `compression`: a codec or auto; `lock_timeout_s` seconds; `workers` threads for
    (de)compression; `deletes`: whether deletions travel; `deletion_memory_s`: how long the relay remembers them.
    """

    mode: Mode
    size_max: int
    count: int | None
    compression: str
    workers: int
    lock_timeout_s: float
    algorithm: str
    deletes: bool = False
    deletion_memory_s: float = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class PageState:
    """A page as read.

    `stored` is the persistent index; `index`, with the updates' records merged in, is what is current on this page
    wherever it is written.
    """

    view: PageView
    stored: Index
    updates: tuple[tuple[UpdateView, Update], ...]
    index: Index


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that is not where it should be: `reason` is one of the words of `escalectl pending`, `size` in bytes."""

    path: str
    page: str
    reason: str
    size: int
    message: str


@dataclass(slots=True)
class Tally:
    """What one pass did, for its last line, its exit code and the answer to "why is it not there yet".

    `lost`: records that the relay had and has no more.  `needs`: what only the user can do, and the command for it.
    """

    up_files: int = 0
    up_bytes: int = 0
    down_files: int = 0
    down_bytes: int = 0
    conflicts: int = 0
    lost: int = 0
    skipped: dict[str, Skipped] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    waiting: list[Pending] = field(default_factory=list)
    needs: list[tuple[str, str]] = field(default_factory=list)

    def add_waiting(self, page: str, reason: str, message: str, entries: Iterable[Entry]) -> None:
        """Files that share a page and a reason."""
        self.waiting.extend(Pending(one.path, page, reason, max(0, one.size), message) for one in entries)


@dataclass(slots=True)
class Client:
    """One participant.  Used by one thread.

    `incarnation`: 16 hex digits, made once and kept in the ledger; tells this client's remnants from everybody else's.
    `choose_codec(entries)` answers `compression = auto`.  `undeliverable`: by stamp, paths that the archive of an
    update twice failed to deliver intact.  `impossible`: paths that the file system here refuses, with the reason.
    `leftover`: directories that were deleted elsewhere and are not empty here yet; tried again at the end of the pass.
    `contents` finds in this folder what an update need not bring.  `offered`: what we wrote on the relay, or died while
    we did; found there, it counts as agreed on.  `present`: names of the pullers that have lately given a sign of life.
    """

    section: str
    name: str
    incarnation: str
    relay: IndexRelay
    folder: Folder
    ledger: Ledger
    lock: PageLock
    clock: Clock
    rng: random.Random
    report: Reporter
    settings: Settings
    choose_codec: Callable[[Iterable[Entry]], str]
    tally: Tally = field(default_factory=Tally)
    pages: dict[str, PageState] = field(default_factory=dict)
    undeliverable: dict[str, set[str]] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)
    leftover: list[Record] = field(default_factory=list)
    contents: Contents = field(default_factory=Contents)
    offered: dict[str, Base] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    seen: dict[str, Seen] = field(default_factory=dict)
    looks_only: bool = False

    def tell(self, event: Event) -> None:
        """Report, and count what the end of the pass has to mention."""
        if isinstance(event, Skipped):
            self.tally.skipped[event.path] = event
        elif isinstance(event, Problem):
            self.tally.problems.append(event)
        self.report(event)

    def skip(self, path: str, reason: str, message: str, code: str = "L203") -> None:
        """One file does not take part in this pass; the others do."""
        self.tell(Skipped(self.section, path, reason, code, message))

    def wait(self, reason: str, message: str, entries: Collection[Entry]) -> None:
        """Files of a page stay behind in this pass, for a reason they share."""
        label = self.label(one.path for one in entries)
        self.tally.add_waiting(label, reason, message, entries)
        size = sum(max(0, one.size) for one in entries)
        self.tell(Waiting(self.section, label, reason, len(entries), size, message))

    def label(self, paths: Iterable[str]) -> str:
        """The page of these paths as people call it."""
        return next((self.relay.format.label(path) for path in paths), "")

    def tell_conflict(self, path: str, copy: str) -> None:
        """Two versions of a path are there now; ours has this name."""
        self.tally.conflicts += 1
        self.tell(Conflicted(self.section, path, path, copy))

    def here(self, path: str) -> Entry | None:
        """What lies at a path of the folder, on whatever page."""
        return self.contents.entry(self.relay.format.page_of(path), path)

    def base(self, path: str) -> Base | None:
        """What was agreed on for a path of the folder, on whatever page."""
        return self.contents.bases.get(self.relay.format.page_of(path), {}).get(path)

    def imply(self, directory: Entry) -> None:
        """Remember that a directory is here only because a file arrived in it.

        Where a file was agreed on that is not here any more the others are not told of that yet: they are told of the
        directory, then.
        """
        page = self.relay.format.page_of(directory.path)
        self.contents.pages.setdefault(page, {})[directory.path] = directory
        bases = self.contents.bases.setdefault(page, {})
        known = bases.get(directory.path)
        if known is None or (not known.is_implied and known.entry.kind in (Kind.DIRECTORY, Kind.GONE)):
            bases[directory.path] = Base(directory, 0)
            self.ledger.agree([bases[directory.path]])

    def has_met(self, what: str) -> bool:
        """Whether an earlier pass has met this too; of any process."""
        now = self.clock.now()
        return self.ledger.sighting(what, now) < now

    def holds_below(self, path: str) -> bool:
        """Whether something that takes part lies in a directory."""
        return any(one.startswith(f"{path}/") for page in self.contents.pages.values() for one in page)

    def holds_edits(self, directory: str) -> bool:
        """Whether anything in a directory, or its own permissions, was changed here since it was agreed on."""
        below = f"{directory}/"
        return any(
            not is_unchanged(entry, self.contents.bases.get(page, {}).get(path))
            for page, entries in self.contents.pages.items()
            for path, entry in entries.items()
            if path == directory or path.startswith(below)
        )

    def unique(self) -> str:
        """A name part nobody else will use."""
        return unique_name(self.rng)

    def read_page(self, view: PageView) -> PageState:
        """The page's indices, from memory if the listing shows nothing new.

        What vanishes while we read was taken away by another client; the page is looked at again.
        """
        for _ in range(READ_ATTEMPTS):
            known = self.pages.get(view.page)
            if known and known.view.tags == view.tags:
                self.pages[view.page] = replace(known, view=view)
                return self.pages[view.page]
            view = self._witnessed(view)
            try:
                state = self._read(view, known)
            except Missing as error:
                last = error
                view = self.relay.look(view.page)
                continue
            self.pages[view.page] = state
            return state
        raise Corrupt(where=f"page {view.page}", reason=f"its files vanish while they are read ({last})")

    def look_again(self, page: str) -> PageState:
        """The page as it is now."""
        return self.read_page(self.relay.look(page))

    def _witnessed(self, view: PageView) -> PageView:
        """The page, looked at again where it contradicts what we have seen before, and told if it still does."""
        if self.relay.format.overwrites or self.looks_only:
            return view
        key, relay_id = f"witness {view.page}", self.relay.relay_id
        seen = self.seen.get(view.page) or Seen.decode(self.ledger.meta(key), relay_id)
        if seen.contradictions(view):
            view = self.relay.look(view.page)
        for sentence in seen.contradictions(view):
            message = f"the relay has put back or lost what was there: of page {view.page}, {sentence}"
            self.tell(Problem(self.section, "P431", message, WENT_BACK, exit_code=3))
        after = seen.after(view)
        if after != seen:
            self.ledger.set_meta(key, after.encode(relay_id))
        self.seen[view.page] = after
        return view

    def _read(self, view: PageView, known: PageState | None) -> PageState:
        unchanged = known is not None and known.view.index_tags == view.index_tags
        stored = known.stored if known and unchanged else self.relay.read_index(view)
        updates = [
            (one, self._whole_update(view, one, stored))
            for one in view.updates
            if one.is_named or (self.relay.format.reads_under_lock and not view.locks)
        ]
        if not unchanged:
            self._tell_rejected(stored.rejected)
        for _, update in updates:
            self._tell_rejected(update.rejected)
        index = stored.merged(record for _, update in updates for record in update.records.values())
        return PageState(view, stored, tuple(updates), index)

    def _tell_rejected(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.tell(Problem(self.section, "P422", sentence, exit_code=3))

    def _whole_update(self, view: PageView, one: UpdateView, stored: Index) -> Update:
        """The update; where format 0.7 lost its records (a known defect) any of the page may be in it."""
        update = self.relay.read_update(view.page, one)
        if not update.records and self.relay.format.overwrites:
            return replace(update, records=stored.records)
        return update

    def agree(self, records: Iterable[Record], local: Local, made: Mapping[str, Entry] | None = None) -> None:
        """Remember, durably, that these records are what this folder and the relay have in common.

        `made`: what the file system here has made of entries, by path.
        """
        made = made or {}
        agreed = [record.base(made.get(record.path)) for record in records]
        if agreed:
            self.ledger.agree(agreed)
            local.bases.update((base.entry.path, base) for base in agreed)
            self._withdraw([base.entry.path for base in agreed if base.entry.path in self.offered])

    def offer(self, records: Iterable[Record]) -> None:
        """Remember, durably, what is about to be written: a death, or a lost reply, must not make it a stranger's."""
        bases = (record.base() for record in records)
        offered = [base for base in bases if self.offered.get(base.entry.path) != base]
        if offered:
            self.ledger.offer(offered)
            self.offered.update((base.entry.path, base) for base in offered)

    def recognise(self, records: Records, local: Local) -> None:
        """Agree on what we wrote and were not told of, where it is current or was replaced by somebody who had it."""
        found = [
            base
            for path, base in self.offered.items()
            if path in records and (local.bases.get(path) or base).version <= base.version
            and _comes_from(records[path], base, self.name)
        ]  # fmt: skip
        if found:
            self.ledger.agree(found)
            local.bases.update((base.entry.path, base) for base in found)
            self._withdraw([base.entry.path for base in found])

    def _withdraw(self, paths: Iterable[str]) -> None:
        paths = list(paths)
        if paths:
            self.ledger.withdraw(paths)
            for path in paths:
                del self.offered[path]


def _comes_from(record: Record, base: Base, client: str) -> bool:
    """Whether this is the record of that base, written by this client or wished for, or a proven successor of it."""
    if record.version == base.version and (record.client == client or record.state is State.WANTED):
        return record.entry.same_content(base.entry) and record.entry.mode == base.entry.mode
    return record.version > base.version and brief(base.entry) in record.ancestors


def problem_event(section: str, error: EscaleError, retry_s: float | None = None) -> Problem:
    """The event that tells of an error."""
    return Problem(section, error.code, str(error), error.next_step, retry_s, error.exit_code)
