"""Random histories of several clients in bad weather: whatever happens, no user's last word is lost.

A content is **superseded** when a user, in some folder, writes over it.  Every other content that was ever written must
still exist, on every machine and under the same names, once the weather is calm and all clients have synchronised.
The same seed gives the same history.
"""

from __future__ import annotations

import os
import random

import pytest

from escale.errors import EscaleError
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.faults import Crash, Fuse, GrantingStore, HookedStore
from escale.testing.scheduler import Scheduler
from escale.testing.weather import Odds, WeatherStore
from tests.world import Machine, World

PATHS = ("a.txt", "b.txt", "dir/c.txt", "dir/deep/d.txt")
SEEDS = range(int(os.environ.get("SEEDS", "25")))
"""How many histories of each kind; more with SEEDS=1000 in the environment."""


class History:
    """One seed's clients, edits and weather."""

    def __init__(self, directory, seed: int, *, machines: int, odds: float, is_lock_granted: bool) -> None:
        self.rng = random.Random(seed)
        self.odds = odds
        self.world = World(
            directory,
            self._store,
            exclusive=self.rng.random() < 0.5,
            levels=self.rng.choice((0, 1)),
            seed=seed,
        )
        self.is_lock_granted = is_lock_granted
        self.is_calm = False
        self.choices = Choices(self.rng)
        self.scheduler = Scheduler(self.choices)
        self.machines = [self.world.machine(name) for name in ("ann", "ben", "cat", "dan")[:machines]]
        self.written: set[bytes] = set()
        self.superseded: set[bytes] = set()

    def _store(self):
        store = MemoryStore(self.world.clock.now, self.world.blobs)
        if self.is_lock_granted:
            store = GrantingStore(store)
        if self.is_calm:
            return store
        odds = Odds(fails=self.odds, loses_reply=self.odds, is_stale=self.odds)
        return HookedStore(WeatherStore(store, self.choices, odds), self.scheduler.step)

    def edit(self, machine: Machine) -> None:
        """A user writes; half of the time with the same size and at once, which only content tells apart."""
        path = self.rng.choice(PATHS)
        content = f"{machine.name} {len(self.written):06d}".encode() + b"x" * self.rng.choice((0, 0, 50))
        before = machine.folder / path
        if before.exists():
            self.superseded.add(before.read_bytes())
        machine.write(path, content)
        self.written.add(content)

    def sync(self, machines: list[Machine]) -> None:
        """Passes at the same time, each of which may fail, or die with its process."""
        for machine in machines:
            if self.rng.random() < 0.25:
                machine.stop()
                hook = {self.rng.choice(("before", "after")): Fuse(self.rng.randrange(12))}
                machine.wrap = lambda store, hook=hook: HookedStore(store, **hook)
            machine.start()
            self.scheduler.start(machine.name, machine.sync)
        ends = self.scheduler.run()
        for machine in machines:
            end = ends[machine.name]
            if end is not None and not isinstance(end, EscaleError | Crash):
                raise end
            if machine.wrap is not Machine.wrap:
                machine.stop()
                machine.wrap = Machine.wrap

    def run(self, steps: int) -> None:
        """Edits, passes, restarts and clocks that jump, in any order."""
        for _ in range(steps):
            machine = self.rng.choice(self.machines)
            act = self.rng.random()
            if act < 0.4:
                self.edit(machine)
            elif act < 0.9:
                self.sync(self.rng.sample(self.machines, self.rng.randint(1, len(self.machines))))
            elif act < 0.95:
                machine.stop()
            else:
                self.world.clock.jump(self.rng.choice((-3600, 3600)))
            self.world.clock.advance(self.rng.random() * 3)

    def calm(self) -> None:
        """The weather ends, everybody starts again and synchronises; locks of the dead go stale meanwhile."""
        self.is_calm = True
        for machine in self.machines:
            machine.stop()
        for _ in range(3):
            for machine in self.machines:
                machine.sync()
            self.world.clock.advance(1000)
        self.world.settle(30)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("machines", "odds", "is_lock_granted"),
    [(2, 0.0, False), (3, 0.03, False), (3, 0.0, True), (4, 0.02, True)],
    ids=["two", "bad weather", "no lock", "no lock in bad weather"],
)
def test_no_last_word_is_lost(tmp_path, machines, odds, is_lock_granted, seed):
    history = History(tmp_path, seed, machines=machines, odds=odds, is_lock_granted=is_lock_granted)
    history.run(40)
    history.calm()
    folders = [machine.files() for machine in history.machines]
    assert all(folder == folders[0] for folder in folders), f"seed {seed}: not in step"
    lost = history.written - history.superseded - set(folders[0].values())
    assert not lost, f"seed {seed}: lost {lost}"
    assert history.world.holds_only_indices(), f"seed {seed}: {history.world.relay_names()}"
    history.world.close()
