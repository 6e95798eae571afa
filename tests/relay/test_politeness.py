"""The lock is politeness: without it, and with a relay and clocks that cannot be relied upon, only work is repeated.

One story for each sentence of that promise; tests/simulation draws the masses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from escale.errors import EscaleError
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.clock import SimClock
from escale.testing.faults import MUTATIONS, GrantingStore, HookedStore
from escale.testing.scheduler import Scheduler
from escale.testing.weather import Late, Odds, TornStore, WeatherStore
from tests.simulation.machines import memory_directory
from tests.world import Machine, World

NAMES = ("alice", "bob", "carol")
TIMEOUT_S = 900.0
DAY_S = 86400


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as path:
        yield path


def three(world: World) -> tuple[Machine, ...]:
    """Machines that have three files in common."""
    machines = tuple(world.machine(name, deletes=True) for name in NAMES)
    for name in ("f.txt", "d/g.txt", "gone.txt"):
        machines[0].write(name, f"the first version of {name}")
    world.settle()
    return machines


def sync(machine: Machine) -> None:
    """A pass in whatever weather; one that fails is made again some time."""
    try:
        machine.sync()
    except EscaleError:
        machine.stop()


def in_step(world: World, *contents: str, without: tuple[str, ...] = ()) -> None:
    """All folders become equal, hold these contents, and the relay is tidy."""
    world.clock.advance(2 * TIMEOUT_S)
    world.settle(24)
    trees = [machine.tree() for machine in world.machines]
    assert all(tree == trees[0] for tree in trees)
    found = set(world.machines[0].files().values())
    assert {content.encode() for content in contents} <= found
    assert not {content.encode() for content in without} & found
    assert world.holds_only_indices(), world.relay_names()


def together(machines: tuple[Machine, ...], choices: Choices) -> None:
    """One pass of each, in steps that take turns as chance will have it."""
    scheduler = Scheduler(choices)
    usual = [machine.wrap for machine in machines]
    for machine in machines:
        machine.stop()
        machine.wrap = stepping(scheduler, machine.wrap)
        scheduler.start(machine.name, lambda machine=machine: sync(machine))
    for failure in scheduler.run().values():
        if failure is not None:
            raise failure
    for machine, wrap in zip(machines, usual, strict=True):
        machine.stop()
        machine.wrap = wrap


def stepping(scheduler: Scheduler, wrap: Callable[[BlobStore], BlobStore]) -> Callable[[BlobStore], BlobStore]:
    return lambda store: wrap(HookedStore(store, before=scheduler.step))


@pytest.mark.parametrize("seed", range(12))
def test_a_lock_that_always_answers_granted(directory, seed):
    """GIVEN a relay that grants every lock to everybody
    WHEN three clients push, pull and delete at the same time, step by step
    THEN each edit survives, the deletion is done, and the folders are equal."""
    world = World(directory, exclusive=seed % 2 == 0)
    machines = three(world)
    for machine in machines:
        machine.wrap = GrantingStore
    choices = Choices(Random(seed))
    for turn in range(3):
        for machine in machines:
            machine.write("f.txt", f"turn {turn} of {machine.name}")
            machine.write(f"new of {machine.name}.txt", f"also in turn {turn} of {machine.name}")
        if turn == 1:
            (machines[2].folder / "gone.txt").unlink()
        together(machines, choices)
    edits = [f"also in turn 2 of {name}" for name in NAMES] + [f"turn 2 of {name}" for name in NAMES]
    in_step(world, *edits, without=("the first version of gone.txt",))
    world.close()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "odds",
    [Odds(is_stale=0.5), Odds(tears=0.3), Odds(loses_reply=0.3), Odds(delays=0.3)],
    ids=["stale listings", "torn writes", "lost replies", "late writes"],
)
def test_a_relay_in_bad_weather(directory, odds, seed):
    """GIVEN a storage whose listings are old, whose writes are torn, whose replies are lost, or whose blobs come late
    WHEN three clients edit, each its own files, and one deletes
    THEN when the weather is good again all have everything, nothing is changed back, and there is no conflict."""
    late = Late()
    blobs: dict[str, tuple[bytes, float]] = {}
    choices = Choices(Random(seed))
    clock = SimClock()
    world = World(directory, lambda: MemoryStore(clock.now, blobs), clock=clock, exclusive=seed % 2 == 0)
    machines = three(world)
    for machine in machines:
        machine.stop()
        machine.wrap = lambda store: WeatherStore(store, choices, odds, late)
    for turn, machine in enumerate(machines * 3):
        machine.write(f"of {machine.name}.txt", f"turn {turn} of {machine.name}")
        (machines[1].folder / "gone.txt").unlink(missing_ok=True)
        sync(machine)
        sync(machines[turn % 2])
        clock.advance(60)
    late.arrive(MemoryStore(clock.now, blobs))
    for machine in machines:
        machine.stop()
        machine.wrap = lambda store: store
    last = [f"turn {turn} of {name}" for turn, name in enumerate(NAMES, 6)]
    in_step(world, *last, "the first version of f.txt", without=("the first version of gone.txt",))
    assert len(machines[0].files()) == 5
    assert any(decision.index for decision in choices.taken), "the weather was good all the time"
    world.close()


@pytest.mark.parametrize("torn", [".data.", ".update.", ".index.", "client.", ".lock"])
@pytest.mark.parametrize("seed", range(3))
def test_a_storage_that_keeps_half_of_what_was_put(directory, torn, seed):
    """GIVEN a storage that breaks its word: a write that was cut leaves half a blob under its name
    WHEN three clients edit, and every third write of a kind is cut
    THEN in the end all folders are equal and have every edit."""
    world = World(directory, seed=seed, exclusive=torn != ".lock")
    machines = three(world)
    count = itertools.count(seed)
    cut: list[str] = []

    def tears(name: str) -> bool:
        if torn not in name or next(count) % 3:
            return False
        cut.append(name)
        return True

    for machine in machines:
        machine.stop()
        machine.wrap = lambda store: TornStore(store, tears)
    for turn, machine in enumerate(machines * 3):
        machine.write(f"of {machine.name}.txt", f"turn {turn} of {machine.name}")
        sync(machine)
        sync(machines[turn % 2])
        world.clock.advance(TIMEOUT_S)
    for machine in machines:
        machine.stop()
        machine.wrap = lambda store: store
    for _ in range(2):
        world.clock.advance(TIMEOUT_S)
        for machine in machines:
            sync(machine)
    in_step(world, *[f"turn {turn} of {name}" for turn, name in enumerate(NAMES, 6)])
    assert cut
    world.close()


@pytest.mark.parametrize("jumps", [(-300 * DAY_S, 300 * DAY_S), (3600, -3600), (30 * DAY_S, 0), (-5, 5)])
def test_clocks_that_jump(directory, jumps):
    """GIVEN clocks of three machines that are set back and forth between passes
    WHEN each edits in turn, and one deletes
    THEN the later edit stands whatever the clocks say, the deletion stays done, and no copy is made."""
    relay_clock = SimClock()
    blobs: dict[str, tuple[bytes, float]] = {}
    world = World(directory, lambda: MemoryStore(relay_clock.now, blobs), clock=SimClock())
    machines = three(world)
    turns = itertools.cycle(jumps)
    for turn in range(6):
        machine = machines[turn % 3]
        machine.write("f.txt", f"turn {turn}")
        if turn == 2:
            (machine.folder / "gone.txt").unlink()
        world.clock.jump(next(turns))
        world.settle(16)
        relay_clock.advance(60)
    in_step(world, "turn 5", without=("the first version of gone.txt",))
    assert sorted(machines[0].files()) == ["d/g.txt", "f.txt"]
    world.close()


@pytest.mark.parametrize("exclusive", [True, False], ids=["create", "listing"])
@pytest.mark.parametrize("edit", ["the same file", "another file", "a deletion"])
@pytest.mark.parametrize("who", ["pusher", "puller"])
def test_a_paused_writer_that_wakes_up_late(who, edit, exclusive):
    """GIVEN a client that is stopped ahead of one of its changes of the relay, each in turn
    WHEN the others take it for dead, tidy up, and go on for several updates, and then it wakes up
    THEN nothing of anybody is lost, and nothing that was deleted comes back."""
    for changes in itertools.count():
        with memory_directory() as directory:
            if not sleeps(directory, who, edit, exclusive, changes):
                break
    assert changes >= 3, "the sweep must have met several changes"


def sleeps(directory: Path, who: str, edit: str, exclusive: bool, changes: int) -> bool:
    """The story with a pause ahead of the n-th change; whether there were so many."""
    world = World(directory, exclusive=exclusive, seed=changes)
    alice, bob, carol = three(world)
    sleeper = alice if who == "pusher" else bob
    alice.write("of alice.txt", "sent while she fell asleep")
    if edit == "the same file":
        alice.write("f.txt", "the edit of alice")
    elif edit == "a deletion":
        (alice.folder / "gone.txt").unlink()
    if who == "puller":
        alice.sync()
    scheduler = Scheduler(Choices())
    pause = Pause(scheduler, changes)
    sleeper.stop()
    sleeper.wrap = lambda store: HookedStore(store, before=pause)
    scheduler.start(sleeper.name, lambda: sync(sleeper))
    scheduler.run()
    if not scheduler.hanging:
        world.close()
        return False
    _the_others_go_on(world, [one for one in (alice, bob, carol) if one is not sleeper])
    scheduler.resume(sleeper.name)
    (failure,) = scheduler.run().values()
    assert failure is None
    sleeper.stop()
    sleeper.wrap = lambda store: store
    ours = ["the edit of alice"] if edit == "the same file" else []
    in_step(
        world,
        *ours,
        "sent while she fell asleep",
        "the edit of carol",
        "new of carol 3",
        without=("the first version of gone.txt",) if edit == "a deletion" else (),
    )
    world.close()
    return True


def _the_others_go_on(world: World, awake: list[Machine]) -> None:
    """Long enough to take the sleeper's lock for left behind, and to send several updates."""
    carol = world.machines[2]
    carol.write("f.txt", "the edit of carol")
    for turn in range(4):
        world.clock.advance(TIMEOUT_S + 1)
        carol.write("new of carol.txt", f"new of carol {turn}")
        for machine in [*awake, *awake]:
            sync(machine)


class Pause:
    """A hook: ahead of the n-th change the act goes no further until the scheduler lets it."""

    def __init__(self, scheduler: Scheduler, changes: int) -> None:
        self._scheduler = scheduler
        self._left = changes

    def __call__(self, verb: str, name: str) -> None:
        if verb in MUTATIONS:
            if self._left == 0:
                self._scheduler.hang()
            self._left -= 1
