"""BackupLoop: one backup section, run after run.

It is asked often and runs seldom: what is due follows from the schedule and from the record of the last run, so a
machine that was off, asleep, or had its clock put right does the right thing when it is asked next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from ..backup.locks import RepositoryLock, locked
from ..backup.machine import Machine
from ..backup.progress import Progress as Looked
from ..backup.repository import Repository
from ..backup.save import Save, Saved
from ..backup.snapshot import Snapshot
from ..backup.trial import ReadingStore, nothing_yet, try_saving
from ..backup.versions import Versions
from ..backup.walk import Unread
from ..backup.writer import Writer
from ..clock import Clock
from ..conf.schedule import Schedule
from ..errors import AlreadyRunning, EscaleError, Missing, NoRelaySpace, PeerError, UserError
from ..events import Event, PassBegan, PassEnded, Problem, Progress, Reporter, Skipped, VersionSaved, VersionTried
from .instance import LockFile
from .record import Record
from .selection import Selection
from .status import BackupStatus, Need, PassResult, PendingFile, SectionState, SectionStatus
from .tidying import plan_tidying, progress_of, tidy
from .vault import Vault

LOOK_S = 300.0
"""Between two looks at the clock: waits do not count the time that a machine sleeps, and clocks are put right."""

EARLY_S = 0.5
"""Somebody who asks so long before the end of a wait has woken us."""

TIDY_S = 86400.0
"""Looking through all versions is not worth it more often."""

EXIT_UNREAD = 3


class BackupRunning(UserError):
    """{section} is being saved by process {pid} at this moment"""

    code = "B407"
    exit_code = 11
    advice = "How far it is:    escalectl status"


class BackupLoop:
    """One section.  `run_once` belongs to one thread, `status` may be asked from any.

    `selection` makes the rules anew for each run; `threads`: how many may compress and seal; `at_once`: the first call
    of `run_once` is to save whatever the schedule says.
    """

    def __init__(
        self,
        vault: Vault,
        schedule: Schedule,
        selection: Callable[[], Selection],
        threads: int,
        clock: Clock,
        reporter: Reporter,
        at_once: bool = False,
    ) -> None:
        self.name = vault.section
        self._vault = vault
        self._schedule = schedule
        self._selection = selection
        self._threads = threads
        self._clock = clock
        self._report = reporter
        self._is_wanted = at_once
        self._expected: float | None = None
        self._is_saving = False
        self._is_lock_left = False
        self._stopping = threading.Event()

    def run_once(self) -> PassResult:
        """Save, if it is due or somebody has woken us; EscaleError when nothing was saved."""
        now = self._clock.monotonic()
        is_woken = self._expected is not None and now < self._expected - EARLY_S
        record = self._vault.record()
        if is_woken or self._schedule.is_due(record.begun, self._clock.now(), None):
            # Remembered until it is done: after a failure we are asked again as if nobody had woken us.
            self._is_wanted = True
        if not self._is_wanted or self._stopping.is_set():
            return PassResult()
        result = self._run(record)
        self._is_wanted = False
        return result

    def status(self) -> SectionStatus:
        """How the section is, by the record: another process may have saved meanwhile."""
        record = self._vault.record()
        state = SectionState.SENDING if self._is_saving else self._state(record)
        backup = BackupStatus(
            record.versions,
            record.begun,
            None if record.begun is None else self._schedule.next_after(record.begun, None),
            None if record.rehearsal is None else record.rehearsal.time,
        )
        return SectionStatus(self.name, state, last_pass=record.ended, needs=tuple(self._needs(record)), backup=backup)

    def pending(self) -> list[PendingFile]:
        """Nothing waits here."""
        return []

    def preview(self) -> list[Event]:
        """What a version would be; everything that would be read for it is read."""
        vault = replace(self._vault, open_store=lambda: ReadingStore(self._vault.open_store()))
        repository = vault.open_expected() or nothing_yet()
        try:
            parent = former_version(repository, vault.record().version, Machine.this(), vault)
            paths = [str(path) for path in vault.paths]
            tried = try_saving(repository, paths, self._clock.now(), self._selection().excludes, parent, self._look_on)
        finally:
            repository.close()
        counts = tried.counts
        files = (counts.files, counts.files_new, counts.files_changed, counts.files_unmodified)
        events: list[Event] = [
            VersionTried(self.name, *files, counts.bytes, tried.bytes_new, tried.bytes_stored),
            *(Problem(self.name, error.code, str(error), "", exit_code=3) for error in tried.damaged),
        ]
        return events + self._skipped(tried.changed_meanwhile, tried.unreadable)

    def next_wait_s(self) -> float:
        """Until it is due, or until the next look at the clock."""
        begun = self._vault.record().begun
        due = None if begun is None else self._schedule.next_after(begun, None)
        wait_s = LOOK_S if due is None else min(LOOK_S, max(1.0, due - self._clock.now()))
        self._expected = self._clock.monotonic() + wait_s
        return wait_s

    def stop(self) -> None:
        """Break off the run in progress; what is stored already need not be stored again by the next one."""
        self._stopping.set()

    def close(self) -> None:
        """Connections are open during runs only."""

    # --- one run

    def _run(self, record: Record) -> PassResult:
        began = self._clock.monotonic()
        self._report(PassBegan(self.name, self._clock.now()))
        self._is_saving = True
        try:
            with self._alone():
                saved = self._save(record)
        except _Stopped:
            return PassResult()
        except NoRelaySpace:
            # What makes room must not wait for room.
            self._tidy()
            raise
        finally:
            self._is_saving = False
        seconds = self._clock.monotonic() - began
        self._tell(saved, seconds)
        self._tidy()
        skipped = len(saved.unreadable)
        self._report(PassEnded(self.name, saved.counts.files, saved.counts.bytes, 0, 0, skipped, 0, 0, seconds))
        return PassResult(up_files=saved.counts.files, skipped=skipped, exit_code=EXIT_UNREAD if skipped else 0)

    def _alone(self) -> ExitStack:
        """Two runs of one section would both store what is new."""
        stack = ExitStack()
        if self._vault.record_path is not None:
            try:
                lock = LockFile(self._vault.record_path.with_suffix(".pid"))
            except AlreadyRunning as error:
                raise BackupRunning(section=self.name, pid=error.pid) from error
            stack.callback(lock.release)
        return stack

    def _save(self, record: Record) -> Saved:
        machine = Machine.this()
        with ExitStack() as stack:
            repository = self._vault.open_or_make(machine, self._clock)
            stack.callback(repository.close)
            lock = stack.enter_context(locked(repository, machine, self._clock, exclusive=False))
            writer = stack.enter_context(Writer(repository, self._threads, self._vault.connections))
            stack.enter_context(writer.giving_room_back(lock))
            parent = former_version(repository, record.version, machine, self._vault)
            heads = self._vault.heads(repository, machine, self._clock)
            saved = Save(repository, writer, self._clock, machine, heads=heads).run(
                [str(path) for path in self._vault.paths],
                self._selection().excludes,
                parent,
                lambda looked: self._looked(looked, lock),
            )
            self._remember(repository, record, saved)
        if lock.left is not None and not self._is_lock_left:
            self._is_lock_left = True
            message = f"the lock of this run stays, and goes stale by itself within half an hour: {lock.left}"
            self._report(Problem(self.name, "B443", message, "Another machine removes it.", exit_code=0))
        return saved

    def _looked(self, looked: Looked, lock: RepositoryLock) -> None:
        if self._stopping.is_set():
            raise _Stopped
        lock.renew()
        self._look_on(looked)

    def _look_on(self, looked: Looked) -> None:
        known_files, known_bytes = looked.files_known, looked.bytes_known
        if known_files is not None and known_bytes is not None and looked.bytes_done > known_bytes:
            # There is more than the version before had.
            known_files = known_bytes = None
        self._report(Progress(self.name, "save", "", looked.files_done, known_files, looked.bytes_done, known_bytes))

    def _remember(self, repository: Repository, record: Record, saved: Saved) -> None:
        made = replace(
            record,
            repository=repository.config.id,
            key=repository.key,
            version=saved.snapshot.id,
            begun=saved.snapshot.time_ns / 1e9,
            ended=self._clock.now(),
            versions=len({*repository.received, saved.snapshot.id}),
            unread=len(saved.unreadable),
            files=saved.counts.files,
        )
        self._vault.remember(made if made.has_shrunk else replace(made, files_usual=made.files))

    def _tell(self, saved: Saved, seconds: float) -> None:
        counts = saved.counts
        for error in saved.damaged:
            advice = "What this version needs of it was stored again. What older ones lost:    escalectl backup check"
            self._report(Problem(self.name, error.code, str(error), f"{advice} {self.name}", exit_code=3))
        for skipped in self._skipped(saved.changed_meanwhile, saved.unreadable):
            self._report(skipped)
        stored = _stored(saved.snapshot)
        amounts = (counts.files, counts.files_new, counts.files_changed, counts.bytes, stored)
        self._report(VersionSaved(self.name, saved.snapshot.id, *amounts, seconds))

    def _skipped(self, changed: Sequence[str], unreadable: Sequence[Unread]) -> list[Event]:
        message = "it was being written while it was read, twice; the version has it as it was read last"
        events: list[Event] = [Skipped(self.name, path, "changing", "B403", message) for path in changed]
        for unread in unreadable:
            events.append(
                Skipped(self.name, unread.path, "permission", "B403", f"not in this version: {unread.reason}")
            )
        return events

    def _tidy(self) -> None:
        """Let old versions go, once a day; what goes wrong with that is told, and the version is saved all the same."""
        record, now = self._vault.record(), self._clock.now()
        if record.has_shrunk:
            advice = f"Is a disk not mounted? If it is right:    escalectl backup prune {self.name}"
            self._report(Problem(self.name, "B408", _shrunk_text(record), advice, exit_code=5))
            return
        if (
            not self._vault.prunes
            or self._stopping.is_set()
            or (record.tidied is not None and 0 <= now - record.tidied < TIDY_S)
        ):
            return
        machine = Machine.this()
        try:
            with closing(self._vault.open()) as repository:
                plan = plan_tidying(self._vault, repository, machine, self._clock)
                done = tidy(self._vault, repository, plan, machine, self._clock, is_approved=False, report=self._tidied)
        except EscaleError as error:
            self._tell_error(error)
            return
        except _Stopped:
            return  # The next run goes on.
        for damage in done.damage[:1]:
            advice = f"Old versions stay until that is mended:    escalectl backup check {self.name}"
            self._report(Problem(self.name, damage.code, str(damage), advice, exit_code=3))
        if done.full is not None:
            self._tell_error(done.full)
        versions = record.versions - len(plan.gone)
        self._vault.remember(replace(record, tidied=now, versions=versions))

    def _tell_error(self, error: EscaleError) -> None:
        self._report(Problem(self.name, error.code, str(error), error.next_step, exit_code=error.exit_code))

    def _tidied(self, looked: Looked) -> None:
        if self._stopping.is_set():
            raise _Stopped
        self._report(progress_of(self.name, "prune", looked))

    # --- how it is

    def _state(self, record: Record) -> SectionState:
        if record.begun is None:
            return SectionState.WAITING if self._schedule.is_never else SectionState.STARTING
        if record.has_shrunk:
            return SectionState.HELD
        return SectionState.WAITING if record.unread or self._is_late(record) else SectionState.IN_STEP

    def _needs(self, record: Record) -> list[Need]:
        create = f"escalectl backup create {self.name}"
        if record.begun is None:
            return [Need("there is no version yet", create)] if self._schedule.is_never else []
        if self._is_late(record) and not self._is_saving:
            return [Need("two runs have been missed since the newest version", create)]
        if record.has_shrunk:
            return [Need(_shrunk_text(record), f"escalectl backup prune {self.name}")]
        if record.unread:
            return [Need(f"{record.unread} paths are not in the newest version: they could not be read", create)]
        return []

    def _is_late(self, record: Record) -> bool:
        due = None if record.begun is None else self._schedule.next_after(record.begun, None)
        following = None if due is None else self._schedule.next_after(due, None)
        return following is not None and following < self._clock.now()


class _Stopped(Exception):
    """Somebody wants us to end."""


def former_version(repository: Repository, known: str, machine: Machine, vault: Vault) -> Snapshot | None:
    """The last version of the same paths by this machine, to compare with: the one we remember, if it is there."""
    if known and known in repository.snapshot_names():
        try:
            return repository.snapshot(known)
        except (Missing, PeerError):
            pass  # It was forgotten, or it is damaged: then another one.
    mine = [version for version in Versions(repository).all() if vault.is_of_section(version, machine)]
    return mine[-1] if mine else None


def _shrunk_text(record: Record) -> str:
    return f"the newest version has {record.files} files, and before it were {record.files_usual}; old versions stay"


def _stored(snapshot: Snapshot) -> int:
    summary = dict(snapshot.rest).get("summary") or {}
    return int(summary.get("data_added_packed", 0))
