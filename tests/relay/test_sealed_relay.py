"""A sealed relay in hostile hands: each blob in turn is flipped, dropped, replayed, exchanged, and all are put back.

Whatever it does, no folder loses or changes a file, it is told in a sentence with something to do, and when it stops
all folders are in step again.  What is not told is what an honest relay can look like; HONEST says why.
"""

from __future__ import annotations

import io
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from escale.errors import EscaleError, RelayInUse
from escale.events import Problem
from escale.relay.format import Role
from escale.relay.format1 import Format1
from escale.relay.marker import Marker
from escale.seal import Key, StreamSeal
from escale.store.memory import MemoryStore
from escale.testing.faults import Crash, HookedStore
from tests.simulation.machines import memory_directory
from tests.world import Machine, World

KEY = Key(bytes(range(32)))
FORM = Format1(0, StreamSeal(KEY).name_key)

BEFORE = {"kept.txt": b"never changed", "edited.txt": b"the second version", "d/moved.txt": b"was somewhere else"}
AFTER = BEFORE | {"edited.txt": b"the third version", "new.txt": b"on the relay, not yet with carol"}

LABELS = [
    "marker",
    "roster entry of alice",
    "roster entry of bob",
    "roster entry of carol",
    "index",
    "update index",
    "registration",
    "data",
    "lock",
]

Blobs = dict[str, tuple[bytes, float]]


class Remembering(Blobs):
    """The blobs of a relay that keeps everything it was ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.past: dict[str, list[bytes]] = {}

    def __setitem__(self, name: str, blob: tuple[bytes, float]) -> None:
        super().__setitem__(name, blob)
        self.past.setdefault(name, []).append(blob[0])


class Stage:
    """Three machines and a relay that has one blob of each kind: alice has sent an update, bob died as soon as he had
    registered, carol comes next.  `backups`: the relay as it was after each step before."""

    def __init__(self, directory: Path, levels: int = 0) -> None:
        self.world = World(directory, seal=StreamSeal(KEY), fingerprint=KEY.fingerprint, levels=levels)
        self.blobs = self.world.blobs = Remembering()
        self.machines = [self.world.machine(name, deletes=True) for name in ("alice", "bob", "carol")]
        self.backups: list[Blobs] = []
        self._prepare()
        self.found = {label_of(name): name for name in self.blobs}
        self.heard = {machine.name: len(machine.events) for machine in self.machines}

    def _prepare(self) -> None:
        alice, bob, _ = self.machines
        alice.write("kept.txt", BEFORE["kept.txt"])
        alice.write("edited.txt", "the first version")
        alice.write("moved.txt", BEFORE["d/moved.txt"])
        alice.write("gone.txt", "deleted by bob")
        self._step()
        bob.write("edited.txt", BEFORE["edited.txt"])
        (bob.folder / "gone.txt").unlink()
        self._step()
        alice.write("d/moved.txt", alice.read("moved.txt"))
        (alice.folder / "moved.txt").unlink()
        self._step()
        for path, content in AFTER.items():
            if BEFORE.get(path) != content:
                alice.write(path, content)
        alice.sync()
        dies_holding_its_lock(bob)
        alice.sync()
        assert [event for one in self.machines for event in one.events if event.type == "problem"] == []

    def _step(self) -> None:
        """All machines take it in, and somebody makes a backup of the relay."""
        self.world.settle()
        self.backups.append(dict(self.blobs))
        self.world.clock.advance(4000)

    def put_back(self, blobs: Blobs) -> None:
        """The relay is what it was then."""
        self.blobs.clear()
        self.blobs.update(blobs)

    def older(self, label: str) -> list[tuple[str, bytes]]:
        """Names and contents of blobs of that kind that were there once and are not now."""
        names = [name for name in self.blobs.past if label_of(name) == label]
        versions = [(name, data) for name in names for data in self.blobs.past[name]]
        return [one for one in versions if self.blobs.get(one[0], (b"", 0.0))[0] != one[1]]

    def play(self) -> list[Problem]:
        """Passes of all machines, before and after lock timeout, in new processes; what they told."""
        for _ in range(2):
            for machine in self.machines:
                machine.stop()
                sync(machine)
                self.check()
                sync(machine)
                self.check()
            self.world.clock.advance(1000)
        problems = [event for event in self._events() if isinstance(event, Problem)]
        for _ in range(4):
            for machine in self.machines:
                sync(machine)
                self.check()
        self.world.settle(16)
        for machine in self.machines:
            assert machine.files() == AFTER
        assert self.world.holds_only_indices(), self.world.relay_names()
        return problems

    def check(self) -> None:
        """No folder has lost or changed a file; carol may have received what was on its way."""
        for machine in self.machines:
            files = machine.files()
            if machine.name == "carol":
                assert BEFORE.keys() <= files.keys() <= AFTER.keys()
                assert all(content in (BEFORE.get(path), AFTER[path]) for path, content in files.items())
            else:
                assert files == AFTER, machine.name

    def _events(self) -> Iterator[object]:
        for machine in self.machines:
            yield from machine.events[self.heard[machine.name] :]


@contextmanager
def staged(levels: int = 0) -> Iterator[Stage]:
    with memory_directory() as directory:
        stage = Stage(directory, levels)
        try:
            yield stage
        finally:
            stage.world.close()


def label_of(name: str) -> str:
    place = FORM.parse(name)
    assert place is not None
    clients = {FORM.client_place(one).unique: one for one in ("alice", "bob", "carol")}
    match place.role:
        case Role.CLIENT:
            return f"roster entry of {clients[place.unique]}"
        case Role.UPDATE:
            return "registration" if place.generation else "update index"
        case role:
            return role.name.lower()


def dies_holding_its_lock(machine: Machine) -> None:
    """Takes the lock, registers, and is gone."""

    def release(verb: str, name: str) -> None:
        if verb == "delete" and label_of(name) == "lock":
            raise Crash

    machine.stop()
    machine.wrap = lambda store: HookedStore(store, release)
    with pytest.raises(Crash):
        machine.sync()
    machine.stop()
    machine.wrap = lambda store: store


def sync(machine: Machine) -> None:
    """A pass; one that fails as a whole says so like the programs do."""
    try:
        machine.sync()
    except EscaleError as error:
        machine.events.append(Problem(machine.name, error.code, str(error), error.next_step))


def must_be_told(problems: list[Problem]) -> None:
    assert problems
    for problem in problems:
        assert problem.code and problem.message and problem.advice, problem
        assert "\n" not in problem.message and "Traceback" not in problem.message


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_the_stage_has_one_blob_of_each_kind_and_older_ones():
    with staged() as stage:
        assert sorted(stage.found) == sorted(LABELS) and len(stage.blobs) == len(LABELS)
        assert [label for label in LABELS if not stage.older(label)] == ["marker"]
        assert stage.play() == []


HONEST = {
    ("flip", "lock"): "a lock whose writing was cut looks like this; it goes stale",
    ("drop", "lock"): "its owner has released it",
    ("drop", "roster entry of alice"): "somebody said that this client has left: escalectl peers --forget",
    ("drop", "roster entry of bob"): "the same",
    ("drop", "roster entry of carol"): "the same",
    ("drop", "update index"): "the last puller removes an update in this order, and may be interrupted",
    ("replay", "lock"): "an earlier process of that client has died",
    ("replay", "roster entry of alice"): "the clock of that client jumped back",
    ("replay", "roster entry of bob"): "the same",
    ("replay", "roster entry of carol"): "the same",
    ("roll back", "all but the index"): "everybody has received the update, and the clocks jumped back",
}


def attacked(attack: str, label: str, do: Callable[[Stage], None], levels: int = 0) -> None:
    with staged(levels) as stage:
        do(stage)
        problems = stage.play()
        if (attack, label) in HONEST:
            assert problems == [], "HONEST is to say the truth"
        else:
            must_be_told(problems)


@pytest.mark.parametrize("label", LABELS)
def test_a_flipped_bit(label):
    def flip(stage):
        name = stage.found[label]
        stage.blobs[name] = (flipped(stage.blobs[name][0]), stage.world.clock.now())

    attacked("flip", label, flip)


@pytest.mark.parametrize("label", LABELS)
def test_a_blob_that_is_dropped(label):
    attacked("drop", label, lambda stage: stage.blobs.pop(stage.found[label]))


@pytest.mark.parametrize("one, other", [*itertools.combinations(LABELS, 2)])
def test_two_blobs_that_are_exchanged(one, other):
    def swap(stage):
        first, second = stage.found[one], stage.found[other]
        stage.blobs[first], stage.blobs[second] = stage.blobs[second], stage.blobs[first]

    attacked("swap", f"{one} and {other}", swap)


@pytest.mark.parametrize("instead", [False, True], ids=["beside", "instead"])
@pytest.mark.parametrize("which", [0, -1], ids=["oldest", "latest"])
@pytest.mark.parametrize("label", LABELS[1:])
def test_an_older_blob_that_is_put_back(label, which, instead):
    def replay(stage):
        name, data = stage.older(label)[which]
        if instead:
            del stage.blobs[stage.found[label]]
        stage.blobs[name] = (data, stage.world.clock.now())

    attacked("replay", label, replay)


@pytest.mark.parametrize("backup", range(3))
@pytest.mark.parametrize("roles", ["all", "index", "all but the index"])
@pytest.mark.parametrize("levels", [0, 1])
def test_a_relay_that_is_rolled_back(backup, roles, levels):
    """Deletions, edits and renames since then are written down again, and nothing comes back."""

    def chosen(blobs: Blobs, is_old: bool) -> Blobs:
        def is_taken(name: str) -> bool:
            return roles == "all" or (label_of(name) == "index") == (roles == "index")

        return {name: blob for name, blob in blobs.items() if is_taken(name) == is_old}

    attacked(
        "roll back",
        roles,
        lambda stage: stage.put_back(chosen(stage.backups[backup], True) | chosen(dict(stage.blobs), False)),
        levels,
    )


@pytest.mark.parametrize("levels", [0, 1])
def test_a_relay_that_is_wiped_is_told_by_each_and_filled_again(levels):
    with staged(levels) as stage:
        stage.blobs.clear()
        problems = stage.play()
        must_be_told(problems)
        assert {problem.section for problem in problems} == {"alice", "bob", "carol"}
        assert {problem.code for problem in problems} == {"P430"}


@pytest.mark.parametrize(
    "change", [{"levels": 2}, {"exclusion": "listing"}, {"relay_id": "0" * 16}, {"key": "AAAA-AAAA"}]
)
def test_a_marker_that_says_something_else(change):
    def falsify(stage):
        marker = Marker.decode(stage.blobs[stage.found["marker"]][0], "here")
        stage.blobs[stage.found["marker"]] = (replace(marker, **change).encode(), stage.world.clock.now())

    attacked("falsify", "marker", falsify)


def test_a_newcomer_makes_no_second_marker_on_a_relay_that_lost_its_own():
    with staged() as stage:
        del stage.blobs[stage.found["marker"]]
        dave = stage.world.machine("dave", deletes=True)
        dave.write("of dave.txt", "not sent yet")
        sync(dave)
        (problem,) = [event for event in dave.events if event.type == "problem"]
        assert problem.code == "R341" and problem.advice
        assert stage.found["marker"] not in stage.blobs
        stage.machines[0].stop()
        sync(stage.machines[0])
        stage.world.clock.advance(1000)
        stage.world.settle(16)
        assert all(machine.files() == AFTER | {"of dave.txt": b"not sent yet"} for machine in stage.world.machines)


@pytest.mark.parametrize("stays", ["alice's", "bob's", "both"])
def test_a_relay_that_shows_each_machine_another_world(stays):
    """GIVEN a relay that forks: alice works on one copy of it, bob and carol on another
    WHEN they edit the same and other files, and one is deleted, and later all see one copy, or both in one
    THEN every edit survives, the deletion stays done, and a copy that is gone is told.  Where both come together nobody
    misses anything: an honest storage whose halves had lost each other looks like this."""
    with staged() as stage:
        stage.play()
        alice, bob, carol = stage.machines
        copies = {"alice's": Remembering(), "bob's": Remembering()}
        for copy in copies.values():
            copy.update(stage.blobs)
        for machine in stage.machines:
            machine.stop()
            blobs = copies["alice's" if machine is alice else "bob's"]
            machine.wrap = lambda store, blobs=blobs: MemoryStore(stage.world.clock.now, blobs)
        stage.blobs.clear()
        for turn in range(3):
            alice.write("edited.txt", f"fork of alice {turn}")
            bob.write("edited.txt", f"fork of bob {turn}")
            carol.write("of carol.txt", f"carol {turn}")
            (bob.folder / "kept.txt").unlink(missing_ok=True)
            for machine in (alice, bob, carol, bob):
                machine.sync()
        for machine in stage.machines:
            machine.stop()
            machine.wrap = lambda store: store
            machine.events.clear()
        for name, copy in copies.items():
            stage.blobs.update(copy if stays in (name, "both") else {})
        for _ in range(3):
            for machine in stage.machines:
                sync(machine)
            stage.world.clock.advance(1000)
        stage.world.settle(16)
        problems = [event for one in stage.machines for event in one.events if event.type == "problem"]
        if stays == "both":
            assert problems == []
        else:
            must_be_told(problems)
        assert alice.files() == bob.files() == carol.files()
        assert {b"fork of alice 2", b"fork of bob 2", b"carol 2", AFTER["new.txt"]} <= set(alice.files().values())
        assert "kept.txt" not in alice.files()


class BadLine(HookedStore):
    """Flips a bit of every index that is read while `is_bad`; what lies on the relay is whole."""

    is_bad = False

    def get(self, name: str) -> BinaryIO:
        with super().get(name) as stream:
            data = stream.read()
        return io.BytesIO(flipped(data) if self.is_bad and label_of(name) == "index" else data)


def test_an_index_that_was_badly_transmitted_now_and_then_is_not_removed():
    """GIVEN a client whose line damages what it reads, long after it did so before, with good readings between
    WHEN it puts the page in order
    THEN the index stays: only what was damaged whenever one looked, for lock timeout, is."""
    with staged() as stage:
        stage.play()
        alice, clock = stage.machines[0], stage.world.clock
        (index,) = [name for name in stage.blobs if label_of(name) == "index"]
        alice.stop()
        alice.wrap = BadLine
        for is_bad in (True, False, True):
            alice.stop()
            BadLine.is_bad = is_bad
            result = alice.sync()
            assert bool(result.problems) == is_bad
            assert index in stage.blobs
            clock.advance(1000)
        BadLine.is_bad = True
        alice.sync()
        BadLine.is_bad = False
        assert index not in stage.blobs, "damaged twice in a row, a lock timeout apart"
        assert alice.files() == AFTER


def test_an_index_of_a_newer_escale_is_never_removed():
    with staged() as stage:
        stage.play()
        alice = stage.machines[0]
        header = json.dumps({"escale": "index", "version": 2, "page": "0"})
        name = "0.index.0000000099-0123456789abcdef"
        marker = Marker.decode(stage.blobs[stage.found["marker"]][0], "here")
        sealed = StreamSeal(KEY).seal_bytes(zlib.compress(f"{header}\n".encode()), f"{marker.relay_id}/{name}")
        stage.blobs[name] = (sealed, stage.world.clock.now())
        for _ in range(3):
            alice.stop()
            with pytest.raises(RelayInUse):
                alice.sync()
            stage.world.clock.advance(1000)
        assert stage.blobs[name][0] == sealed
        assert alice.files() == AFTER
