"""One backup section, run after run, over a store in memory: what is due, what is broken off, what is remembered."""

from __future__ import annotations

import json
import os
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from escale.app.backing import BackupLoop, BackupRunning
from escale.app.instance import LockFile
from escale.app.record import Record, Rehearsal
from escale.app.selection import Selection
from escale.app.status import SectionState
from escale.app.vault import OtherRepository, RepositoryGone, Vault
from escale.backup import keys
from escale.backup.retention import Keep
from escale.backup.versions import Versions
from escale.conf.kinds import Place as Where
from escale.conf.schedule import Schedule, ScheduleKind
from escale.errors import LocalError, NoRelaySpace, StoreError
from escale.events import Problem, Progress, Skipped, VersionSaved
from escale.files.rules import Rules
from escale.testing.clock import SimClock
from tests.backup.places import Place

THEN = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""

HOUR = 3600.0


class Owner:
    """A folder, a store in memory and a clock; `loop` is a new process each time."""

    def __init__(self, place: Path, schedule: str = "every 6 h") -> None:
        self.folder = place / "folder"
        self.folder.mkdir()
        (self.folder / "a").write_bytes(b"first")
        self.place = Place()
        self.clock = SimClock(THEN)
        self.events: list[object] = []
        self.schedule: Schedule = ScheduleKind().parse(schedule, Where("schedule", place, {}, lambda bad: None))
        self.is_mounted = True
        self.made = 0
        self.vault = Vault(
            section="home",
            url="memory:",
            paths=(self.folder,),
            keep=Keep(last=2),
            prunes=False,
            open_store=self.place.store,
            make_place=self.make,
            password=lambda: "door",
            cache=None,
            connections=1,
            record_path=place / "state" / "home.backup",
            state=place / "state",
        )

    def make(self) -> None:
        self.made += 1

    def loop(self, at_once: bool = False, rules: Rules | None = None) -> BackupLoop:
        chosen = rules or Rules(hidden=True)

        def selection() -> Selection:
            return Selection(self.vault.paths, chosen)

        return BackupLoop(self.vault, self.schedule, selection, 1, self.clock, self.events.append, at_once)

    def saved(self) -> int:
        return sum(isinstance(event, VersionSaved) for event in self.events)

    def later(self, loop: BackupLoop, seconds: float) -> None:
        """So much time passes, in which the loop is asked as often as it wants to be."""
        end = self.clock.now() + seconds
        while (wait_s := loop.next_wait_s()) <= end - self.clock.now():
            self.clock.advance(wait_s)
            loop.run_once()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that a test need not wait for."""
    monkeypatch.setattr(keys, "SCRYPT_N", 1 << 4)


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def test_it_saves_when_it_is_due_and_only_then(owner: Owner) -> None:
    loop = owner.loop()
    assert loop.status().state is SectionState.STARTING
    loop.run_once()
    assert (owner.saved(), owner.made) == (1, 1)
    owner.later(loop, 5.9 * HOUR)
    assert owner.saved() == 1
    owner.later(loop, 0.2 * HOUR)
    assert owner.saved() == 2
    owner.loop().run_once()
    assert owner.saved() == 2


def test_what_was_missed_is_made_up_once(owner: Owner) -> None:
    owner.loop().run_once()
    owner.clock.advance(30 * 24 * HOUR)
    late = owner.loop().status()
    assert late.state is SectionState.WAITING and "missed" in late.needs[0].sentence
    loop = owner.loop()
    loop.run_once()
    owner.later(loop, HOUR)
    assert owner.saved() == 2 and loop.status().state is SectionState.IN_STEP


def test_whoever_wakes_it_gets_a_version(owner: Owner) -> None:
    loop = owner.loop()
    loop.run_once()
    owner.clock.advance(loop.next_wait_s() / 2)
    loop.run_once()
    assert owner.saved() == 2


def test_by_hand_means_by_hand(tmp_path: Path) -> None:
    owner = Owner(tmp_path, "no")
    loop = owner.loop()
    loop.run_once()
    owner.later(loop, HOUR)
    assert owner.saved() == 0 and "there is no version yet" in loop.status().needs[0].sentence
    owner.loop(at_once=True).run_once()
    assert owner.saved() == 1 and owner.loop().status().backup.next_run is None


def test_a_failure_is_tried_again_although_it_is_not_due(owner: Owner) -> None:
    """GIVEN somebody who asked for a version WHEN it fails THEN the next call tries again."""
    loop = owner.loop()
    loop.run_once()

    def breaks(verb: str, name: str) -> None:
        raise StoreError(where="memory:", reason="gone")

    owner.place.before = breaks
    owner.clock.advance(loop.next_wait_s() / 2)
    with pytest.raises(StoreError):
        loop.run_once()
    owner.place.before = lambda verb, name: None
    owner.clock.advance(HOUR)
    loop.run_once()
    assert owner.saved() == 2 and loop.status().state is SectionState.IN_STEP


def test_the_status_says_what_there_is(owner: Owner) -> None:
    loop = owner.loop()
    loop.run_once()
    status = loop.status()
    assert status.backup is not None and status.last_pass is not None
    assert (status.backup.versions, round(status.backup.newest)) == (1, THEN)
    assert status.backup.next_run == status.backup.newest + 6 * HOUR
    assert owner.place.names("keys") == [f"keys/{owner.vault.record().key}"]


def test_a_run_that_is_stopped_ends_without_a_version(owner: Owner) -> None:
    loop = owner.loop()

    def stop(event: object) -> None:
        owner.events.append(event)
        loop.stop()

    loop = BackupLoop(
        owner.vault, owner.schedule, lambda: Selection(owner.vault.paths, Rules(hidden=True)), 1, owner.clock, stop
    )
    loop.run_once()
    assert owner.saved() == 0 and not owner.place.names("snapshots") and not owner.place.names("locks")
    owner.loop().run_once()
    assert owner.saved() == 1


def test_two_runs_of_one_section_exclude_each_other(owner: Owner) -> None:
    lock = LockFile(owner.vault.record_path.with_suffix(".pid"))
    with pytest.raises(BackupRunning) as caught:
        owner.loop().run_once()
    assert caught.value.exit_code == 11 and str(os.getpid()) in str(caught.value)
    lock.release()
    owner.loop().run_once()
    assert owner.saved() == 1


def test_a_repository_that_is_gone_is_not_begun_anew(owner: Owner) -> None:
    owner.loop().run_once()
    kept = dict(owner.place.blobs)
    owner.place.blobs.clear()
    owner.clock.advance(7 * HOUR)
    with pytest.raises(RepositoryGone):
        owner.loop().run_once()
    assert not owner.place.blobs and owner.made == 1
    owner.place.blobs |= kept
    record = owner.vault.record()
    owner.vault.remember(replace(record, repository="0" * 64))
    with pytest.raises(OtherRepository):
        owner.loop().run_once()


def test_old_versions_go_once_a_day(owner: Owner) -> None:
    owner.vault = replace(owner.vault, prunes=True)
    counts = []
    for _ in range(8):
        owner.loop(at_once=True).run_once()
        counts.append(len(owner.place.names("snapshots")))
        owner.clock.advance(6 * HOUR)
    assert counts == [1, 2, 3, 4, 2, 3, 4, 5]
    assert owner.vault.record().versions == 5


def test_versions_that_others_save_and_forget_are_counted(owner: Owner, tmp_path: Path) -> None:
    owner.vault = replace(owner.vault, cache=tmp_path / "catalogs")

    def count() -> int:
        owner.clock.advance(HOUR)
        owner.loop(at_once=True).run_once()
        assert len(owner.place.names("snapshots")) == owner.vault.record().versions
        return owner.vault.record().versions

    assert [count(), count()] == [1, 2]
    with closing(owner.vault.open()) as repository:
        first, second = Versions(repository).all()
        assert second.parent == first.id
        repository.write_snapshot(replace(second, hostname="other"))
    assert count() == 4
    last = owner.vault.record().version
    del owner.place.blobs[f"snapshots/{last}"]
    assert count() == 4
    with closing(owner.vault.open()) as repository:
        assert repository.snapshot(owner.vault.record().version).parent == second.id


def test_letting_old_versions_go_is_told_as_it_goes_on(owner: Owner) -> None:
    """The service takes who tells nothing for long for dead."""
    owner.vault = replace(owner.vault, prunes=True)
    owner.loop(at_once=True).run_once()
    told = [event for event in owner.events if isinstance(event, Progress) and event.direction == "prune"]
    assert told and {event.page for event in told} == {"directories"}
    assert all(0 < event.files_done <= (event.files or 0) for event in told)


class StopsPruning(list[object]):
    """What is told; somebody ends the service when it is told for the first time how far a prune is."""

    loop: BackupLoop

    def append(self, event: object) -> None:
        super().append(event)
        if isinstance(event, Progress) and event.direction == "prune":
            self.loop.stop()


def test_whoever_is_stopped_while_old_versions_go_ends_soon_and_goes_on_later(owner: Owner) -> None:
    for _ in range(4):
        owner.loop(at_once=True).run_once()
        owner.clock.advance(6 * HOUR)
    owner.vault = replace(owner.vault, prunes=True)
    owner.events = events = StopsPruning()
    events.loop = owner.loop(at_once=True)
    events.loop.run_once()
    assert sum(isinstance(event, Progress) and event.direction == "prune" for event in events) == 1
    assert owner.vault.record().tidied is None and not owner.place.names("locks")
    owner.events = []
    owner.loop(at_once=True).run_once()
    assert owner.vault.record().tidied is not None and len(owner.place.names("snapshots")) == 2


def test_nothing_old_goes_while_a_disk_may_be_missing(owner: Owner) -> None:
    """GIVEN a folder that is suddenly nearly empty WHEN it is saved THEN that is told, and old versions stay until the
    files are back."""
    for number in range(30):
        (owner.folder / str(number)).write_bytes(b"x")
    owner.vault = replace(owner.vault, prunes=True)
    for _ in range(3):
        owner.loop(at_once=True).run_once()
        owner.clock.advance(25 * HOUR)
    assert len(owner.place.names("snapshots")) == 2
    for number in range(30):
        (owner.folder / str(number)).unlink()
    for _ in range(3):
        owner.loop(at_once=True).run_once()
        owner.clock.advance(25 * HOUR)
    assert len(owner.place.names("snapshots")) == 5
    status = owner.loop().status()
    assert status.state is SectionState.HELD and "30" not in status.needs[0].sentence.split("before")[0]
    assert {event.code for event in owner.events if isinstance(event, Problem)} == {"B408"}
    for number in range(30):
        (owner.folder / str(number)).write_bytes(b"x")
    owner.loop(at_once=True).run_once()
    assert len(owner.place.names("snapshots")) == 2 and owner.loop().status().state is SectionState.IN_STEP


def test_what_is_left_out_stays_out(owner: Owner) -> None:
    for path in ("b.tmp", "sub/c", "sub/d.log", ".hidden", "tmp/e"):
        (owner.folder / path).parent.mkdir(exist_ok=True)
        (owner.folder / path).write_bytes(b"x")
    (owner.folder / "sub/.escaleignore").write_text("*.log\n")
    rules = Rules(hidden=False, exclude=("*.tmp",), exclude_directory=("tmp",))
    owner.loop(rules=rules).run_once()
    (saved,) = (event for event in owner.events if isinstance(event, VersionSaved))
    assert saved.files == 3  # a, sub/c, sub/.escaleignore
    large = Selection((owner.folder,), Rules(hidden=True, size_max=3))
    assert large.excludes(f"{owner.folder}/a", False) and not large.excludes(f"{owner.folder}/b.tmp", False)
    assert not large.excludes("/elsewhere/a", False)


def test_an_ignore_file_that_cannot_be_read_keeps_its_directory_out(owner: Owner) -> None:
    (owner.folder / "sub").mkdir()
    (owner.folder / "sub/x").write_bytes(b"x")
    (owner.folder / "sub/.escaleignore").write_bytes(b"x" * (2 << 20))
    result = owner.loop().run_once()
    assert result.exit_code == 3
    assert {event.path for event in owner.events if isinstance(event, Skipped)} >= {f"{owner.folder}/sub/x"}
    assert owner.loop().status().state is SectionState.WAITING


def test_progress_knows_how_much_there_is_from_the_version_before(owner: Owner) -> None:
    owner.loop(at_once=True).run_once()
    first = [event for event in owner.events if isinstance(event, Progress)]
    assert first and first[0].files is None
    owner.events.clear()
    owner.loop(at_once=True).run_once()
    assert next(event for event in owner.events if isinstance(event, Progress)).files == 1


# -- the record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.backup"
    assert Record.read(path) == Record()
    record = Record("a" * 64, "b" * 64, 1.0, 2.0, 3, 4, 5.0, 6, 7, Rehearsal(6.0, 7, 8, 9, 0), "c" * 64)
    record.write(path)
    assert Record.read(path) == record and [one.name for one in path.parent.iterdir()] == ["x.backup"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"unknown": 1}', json.dumps({"rehearsal": 3}), "[" * 100_000])
def test_a_record_that_is_none_is_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    assert Record.read(tmp_path / "x") == Record()


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError):
        Record().write(tmp_path / "file" / "x")


def test_a_full_store_is_emptied_of_what_no_rule_keeps(owner: Owner) -> None:
    """A run that finds no room lets old versions go; three days later there is room."""

    def full(verb: str, name: str) -> None:
        if verb == "put" and name.startswith("data/"):
            raise NoRelaySpace(where="memory:", reason="it is full")

    owner.place.clock = owner.clock
    owner.vault = replace(owner.vault, keep=Keep(last=1))
    for number in range(3):
        (owner.folder / "large").write_bytes(random.Random(number).randbytes(300_000))
        owner.loop(at_once=True).run_once()
        owner.clock.advance(HOUR)
    owner.vault = replace(owner.vault, prunes=True)
    before = len(owner.place.names("data"))
    (owner.folder / "large").write_bytes(random.Random(3).randbytes(300_000))
    owner.place.before = full
    for days in (0, 4):
        owner.clock.advance(days * 24 * HOUR)
        with pytest.raises(NoRelaySpace):
            owner.loop(at_once=True).run_once()
    assert (len(owner.place.names("snapshots")), owner.saved()) == (1, 3)
    assert len(owner.place.names("data")) < before
    owner.place.before = lambda verb, name: None
    owner.loop(at_once=True).run_once()
    assert owner.saved() == 4
