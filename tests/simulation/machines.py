"""A world for a thousand schedules a minute: folders on a memory disk, ledgers in memory, a clock for each machine.

Everything else is the production code.  What is cheaper than in production: the ledger has no file (tests/files has
it), updates are not compressed (tests/relay has that), and folders lie where fsync costs nothing.  Clocks of their own
also mean that waiting of one machine is nobody else's time, so its steps commute with theirs.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from escale.app.connection import Connection
from escale.app.guard import DeletionLimit
from escale.errors import EscaleError
from escale.store.blob import BlobStore
from escale.testing.clock import SimClock
from escale.testing.ledger import MemoryLedger
from tests.world import Machine, World

from .folders import Tree, read_times, read_tree, write_tree

NAMES = ("ann", "ben", "cat", "dan", "eve")

ROUNDS_MAX = 24
"""Passes of everybody until the world must be in step.  Of five machines, where updates wait for one of them only, the
others ask one after the other for each file: 15 were seen."""

NO_LIMIT = DeletionLimit(None, None)
"""Nobody is there to approve deletions."""

ROUND_S = 1000.0
"""Time between two rounds: longer than a lock lives without its owner."""


class NotInStep(AssertionError):
    """The machines did not come to agree although nothing was wrong any more."""


@dataclass
class SimMachine(Machine):
    """A machine whose ledger outlives its processes without a file."""

    own_clock: SimClock = field(default_factory=SimClock)
    ledger: MemoryLedger = field(default_factory=lambda: _empty_ledger())
    pullers: frozenset[str] | None = None
    releases_stale: bool = False
    watch: Callable[[BlobStore, str], BlobStore] = lambda store, incarnation: store

    @property
    def clock(self) -> SimClock:
        return self.own_clock

    def connect(self, rng: random.Random) -> Connection:
        parts = self.world.parts(self)
        open_store = parts.open_store
        parts = replace(
            parts,
            open_store=lambda incarnation, look_only: self.watch(open_store(incarnation, look_only), incarnation),
            max_delete=NO_LIMIT,
            pullers=self.pullers,
            releases_stale=self.releases_stale,
        )
        connection = Connection(parts, self.clock, rng)
        connection._ledger = self.ledger
        return connection

    @property
    def is_marked(self) -> bool:
        """Whether a pass has been here: from now on the folder is known by its marker."""
        return os.path.exists(f"{self.folder}/.escale/folder")

    def tree(self) -> Tree:
        """What the user sees."""
        return read_tree(self.folder)


_SPARE: list[MemoryLedger] = []
"""Ledgers of worlds that are over: making one anew takes longer than all passes over it."""

_EMPTY = MemoryLedger().save()


def _empty_ledger() -> MemoryLedger:
    ledger = _SPARE.pop() if _SPARE else MemoryLedger()
    ledger.restore(_EMPTY)
    return ledger


@dataclass(frozen=True)
class Saved:
    """A world as it was: blobs, and of each machine its folder, its ledger and its clock."""

    starts: int
    now: float
    blobs: dict[str, tuple[bytes, float]]
    machines: dict[str, tuple[Tree, dict[str, int], bytes, float]]


class SimWorld(World):
    """Machines that can be saved and restored, and brought into step."""

    machine_class = SimMachine

    def machine(self, name: str, **changes: object) -> SimMachine:
        changes = {"compression": "none", "workers": 1, "deletes": True, **changes}
        return super().machine(name, **changes)

    def advance(self, seconds: float) -> None:
        """Time passes on all machines."""
        for clock in (self.clock, *(machine.clock for machine in self.machines)):
            clock.advance(seconds)

    def save(self) -> Saved:
        """All that lies on a disk."""
        saved = {}
        for machine in self.machines:
            tree = read_tree(machine.folder, private=True)
            times = read_times(machine.folder, tree)
            saved[machine.name] = (tree, times, machine.ledger.save(), machine.clock.now())
        return Saved(self.starts, self.clock.now(), dict(self.blobs), saved)

    def restore(self, saved: Saved) -> None:
        """As it was, with no process running."""
        self.starts = saved.starts
        self.clock = SimClock(saved.now)
        self.blobs.clear()
        self.blobs.update(saved.blobs)
        for machine in self.machines:
            machine.stop()
            tree, times, ledger, now = saved.machines[machine.name]
            write_tree(machine.folder, tree, times)
            machine.ledger.restore(ledger)
            machine.own_clock = SimClock(now)

    def converge(self) -> None:
        """New processes, passes and time, until a round of everybody changes nothing and all is as it should be."""
        for machine in self.machines:
            machine.stop()
        before, trouble = self._state(), ""
        for _ in range(ROUNDS_MAX):
            failures = [failure for machine in self.machines if (failure := _pass(machine))]
            state = self._state()
            trouble = failures[0] if failures else self._trouble(state[1])
            if state == before and not trouble:
                return
            before = state
            self.advance(ROUND_S)
        raise NotInStep(trouble or "it never comes to rest")

    def close(self) -> None:
        super().close()
        _SPARE.extend(machine.ledger for machine in self.machines)
        self.machines.clear()

    def _state(self) -> tuple[dict[str, tuple[bytes, float]], list[Tree]]:
        return dict(self.blobs), [machine.tree() for machine in self.machines]

    def _trouble(self, trees: list[Tree]) -> str:
        if not all(tree == trees[0] for tree in trees):
            return f"folders differ: {_difference(trees)}"
        leftovers = [name for name in self.relay_names() if any(word in name for word in (".data", ".update", ".lock"))]
        return f"the relay still holds {leftovers}" if leftovers else ""


def _difference(trees: list[Tree]) -> list[dict[str, object]]:
    """What is not the same everywhere."""
    paths = {path for tree in trees for path in tree}
    unequal = [path for path in paths if len({tree.get(path) for tree in trees}) > 1]
    return [{path: tree.get(path) for path in sorted(unequal)} for tree in trees]


def _pass(machine: Machine) -> str:
    try:
        machine.sync()
    except EscaleError as error:
        return f"{machine.name}: {error}"
    return ""


@contextmanager
def memory_directory() -> Iterator[Path]:
    """An empty directory on a disk in memory, where the system has one."""
    place = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="escale-simulation-", dir=place) as directory:
        yield Path(directory)
