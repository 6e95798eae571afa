"""A tree far larger than what the relay may hold: everything crosses, and no operation ever exceeds the budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from escale.events import Problem
from escale.relay.format1 import Format1
from escale.relay.plan import Mode
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.faults import MUTATIONS, Crash, Fuse, HookedStore
from escale.testing.scheduler import Scheduler
from tests.simulation.machines import memory_directory
from tests.world import Machine, World

SIZES = (0, 90, 3_000, 20_000, 70_000, 300_000)
"""Bytes of files; a drawn one has up to as much."""

ROUNDS_MAX = 600
"""Three times what the full-size run takes."""

SLOWNESS = 3
"""The slow puller comes in every third round only."""


@dataclass
class Budget:
    """A relay that may hold so many bytes; `most` is how many it ever held."""

    quota: int
    most: int = 0
    operations: int = 0

    def look(self, world: World, verb: str, name: str) -> None:
        """After each operation on the relay."""
        if verb in MUTATIONS:
            self.operations += 1
            held = sum(len(data) for data, _ in world.blobs.values())
            self.most = max(self.most, held)
            assert held <= self.quota, f"{held} bytes after {verb} {name}"


class BudgetWorld(World):
    """Machines around a relay that is measured after each operation; those of a round work at the same time."""

    def __init__(self, directory: Path, quota: int, seed: int, levels: int) -> None:
        self.budget = Budget(quota)
        self.rng = Random(seed)
        self.scheduler = Scheduler(Choices(self.rng))
        super().__init__(directory, self._hooked, levels=levels, seed=seed, patience_s=0.0)

    def _hooked(self) -> BlobStore:
        def before(verb: str, name: str) -> None:
            self.scheduler.step(verb, name)

        def after(verb: str, name: str) -> None:
            self.budget.look(self, verb, name)

        return HookedStore(MemoryStore(self.clock.now, self.blobs), before, after)

    def fill(self, machine: Machine, directory: str, total: int, sizes: tuple[int, ...] = SIZES) -> None:
        """So many random bytes, in files of mixed sizes."""
        number = 0
        while total > 0:
            size = min(total, self.rng.randint(0, self.rng.choice(sizes)) + 1)
            machine.write(f"{directory}/{number % 7}/{number:05d}.bin", self.rng.randbytes(size))
            total -= size
            number += 1

    def round(self, *machines: Machine) -> int:
        """One pass of each of these, interleaved; how many files moved or wait."""
        moved = []
        for machine in machines:
            self.scheduler.start(machine.name, lambda machine=machine: moved.append(machine.sync()))
        for failure in self.scheduler.run().values():
            if failure is not None:
                raise failure
        self.clock.sleep(30)
        assert not any(result.problems for result in moved), [self._problems(machine) for machine in machines]
        return sum(result.up_files + result.down_files + result.waiting for result in moved)

    def _problems(self, machine: Machine) -> list[Problem]:
        return [event for event in machine.events if isinstance(event, Problem)]

    def carry(self, *pushers: Machine, slow: Machine) -> int:
        """Rounds until all have the same and the relay has let go of it; how many."""
        for number in range(1, ROUNDS_MAX + 1):
            is_slow = number % SLOWNESS == 0
            moved = self.round(*pushers, *([slow] if is_slow else []))
            if is_slow and not moved and self.holds_only_indices():
                return number
        raise AssertionError(f"still moving after {ROUNDS_MAX} rounds")

    def close(self) -> None:
        self.scheduler.abandon()
        super().close()


def carried(directory: Path, quota: int, total: int, *, levels: int = 1, codec: str = "zstd", seed: int = 1) -> dict:
    """Two pushers, half of the bytes each, and a slow puller: figures of how it went."""
    world = BudgetWorld(directory, quota, seed, levels)
    try:
        alice = world.machine("alice", quota=quota, compression=codec, deletes=True)
        bob = world.machine("bob", quota=quota, compression=codec, deletes=True)
        carol = world.machine("carol", quota=quota, compression=codec, deletes=True)
        world.fill(alice, "of alice", total // 2)
        world.fill(bob, "of bob", total - total // 2)
        rounds = world.carry(alice, bob, slow=carol)
        assert alice.tree() == bob.tree() == carol.tree()
        held = alice.files().values()
        assert sum(map(len, held)) == total
        return {"files": len(held), "rounds": rounds, "most": world.budget.most, "changes": world.budget.operations}
    finally:
        world.close()


@pytest.mark.parametrize(("levels", "quota", "total"), [(1, 2_000_000, 40_000_000), (0, 500_000, 5_000_000)])
def test_a_tree_crosses_a_relay_of_a_fraction_of_its_size(levels, quota, total):
    with memory_directory() as directory:
        figures = carried(directory, quota, total, levels=levels)
    assert figures["most"] > quota // 2, "the budget is used"


@pytest.fixture
def world():
    with memory_directory() as directory:
        made = BudgetWorld(directory, 300_000, 1, 0)
        yield made
        made.close()


def trio(world: BudgetWorld, quota: int, codec: str = "zstd") -> tuple[Machine, Machine, Machine]:
    """Two pushers with this quota, and a puller."""
    names = ("alice", "bob", "carol")
    alice, bob, carol = (world.machine(name, quota=quota, compression=codec, deletes=True) for name in names)
    return alice, bob, carol


@pytest.mark.parametrize("codec", ["none", "bz2", "zstd"])
def test_many_small_files_with_long_names_stay_within_the_budget(world, codec):
    alice, bob, carol = trio(world, 300_000, codec)
    for number in range(300):
        machine = alice if number % 2 else bob
        machine.write(f"d{number % 3}/{number}-{world.rng.randbytes(90).hex()}", world.rng.randbytes(number % 40))
    world.carry(alice, bob, slow=carol)
    assert alice.tree() == bob.tree() == carol.tree()


def test_a_file_larger_than_the_budget_is_told_and_holds_up_nothing(world):
    alice, bob, carol = trio(world, 300_000)
    alice.write("a first.bin", world.rng.randbytes(350_000))
    world.fill(alice, "of alice", 500_000, (30_000,))
    for number in range(24):
        world.round(alice, bob, *([carol] if number % 3 == 0 else []))
    assert set(bob.files()) == set(carol.files()) == set(alice.files()) - {"a first.bin"}
    (pending,) = alice.loop.pending()
    assert (pending.path, pending.reason) == ("a first.bin", "big")


def test_directories_and_links_stay_within_the_budget_too(world):
    alice, bob, carol = trio(world, 300_000)
    for number in range(900):
        (alice.folder / f"{number}-{world.rng.randbytes(40).hex()}").symlink_to(world.rng.randbytes(40).hex())
    world.fill(bob, "of bob", 500_000, (30_000,))
    world.carry(alice, bob, slow=carol)


@pytest.mark.parametrize("mutations", range(4, 8))
def test_a_pusher_that_dies_in_its_turn_blocks_nobody_for_ever(mutations):
    with memory_directory() as directory:
        world = BudgetWorld(directory, 300_000, mutations, 1)
        bob, carol = (world.machine(name, quota=300_000) for name in ("bob", "carol"))
        # She only sends, so nothing waits for her but what she holds.
        anna = world.machine("anna", quota=300_000, mode=Mode.UPLOAD)
        world.fill(anna, "of anna", 400_000, (30_000,))
        world.fill(bob, "of bob", 400_000, (30_000,))
        fuse = Fuse(mutations)
        anna.wrap = lambda store: HookedStore(store, before=fuse)
        with pytest.raises(Crash):
            while True:
                anna.sync()
        assert f"{Format1.budget_page}.lock" in world.relay_names(), "it is still her turn"
        for _ in range(40):
            world.round(bob, carol)
            world.clock.sleep(60)
        assert set(bob.files()) <= set(carol.files())
        anna.stop()
        anna.wrap = lambda store: store
        world.carry(anna, bob, slow=carol)
        assert bob.tree() == carol.tree() and set(anna.files()) <= set(bob.files())
        world.close()
