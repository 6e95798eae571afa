"""A small world that is prepared once and set up again for every schedule: here orders and deaths are tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from escale.errors import EscaleError
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.faults import Crash, Fuse, GrantingStore, HookedStore

from .folders import Tree, read_trash
from .machines import SimMachine, SimWorld
from .truth import Truth, versions
from .users import User
from .watch import watched

Act = tuple[str, str, str]
"""Who does what, to which path and name: an act of a user, or

    sync                a pass that is over before the next act
    dies N              a pass that dies ahead of its change N of the relay
    waits               two hours pass for everybody
"""

Step = Callable[[str, str], None]


class Stage:
    """Machines that have come into step after the acts of `agreed`; newcomers join after that."""

    def __init__(
        self,
        directory: Path,
        agreed: Iterable[Act],
        machines: Iterable[str],
        newcomers: Iterable[str] = (),
        *,
        exclusive: bool = True,
        is_lock_granted: bool = False,
    ) -> None:
        self.step: Step | None = None
        self.truth = Truth()
        self._is_lock_granted = is_lock_granted
        self.world = SimWorld(directory, self._store, exclusive=exclusive, patience_s=0.0)
        self.machines: dict[str, SimMachine] = {name: self.world.machine(name) for name in machines}
        self._play(agreed)
        self.finish()
        self._agreed = self.truth
        self.machines |= {name: self.world.machine(name) for name in newcomers}
        for machine in self.machines.values():
            machine.stop()
        self._saved = self.world.save()

    def begin(self, acts: Iterable[Act]) -> None:
        """The prepared world again, and these acts in it; no process runs afterwards."""
        self.step = None
        self.world.restore(self._saved)
        self.truth = Truth(set(self._agreed.written), set(self._agreed.ended), set(self._agreed.named))
        self._play(acts)
        for machine in self.machines.values():
            machine.stop()

    def finish(self) -> None:
        """All trouble is over: everybody comes into step, and what must be true is checked."""
        self.step = None
        self.world.converge()
        self.truth.check(next(iter(self.machines.values())).tree())

    def look(self, name: str) -> Tree:
        """A folder ahead of a pass."""
        return self.machines[name].tree()

    def ended(self, name: str, before: Tree, end: BaseException | None) -> None:
        """A pass is over, well or not: nothing may be destroyed, and nothing but what we know may be raised."""
        if end is not None and not isinstance(end, EscaleError | Crash):
            raise end
        machine = self.machines[name]
        machine.wrap = SimMachine.wrap
        self.truth.check_pass(versions(before), machine.tree(), read_trash(machine.folder))

    def close(self) -> None:
        """End what is left."""
        self.world.close()

    def _play(self, acts: Iterable[Act]) -> None:
        for who, word, path in acts:
            if word == "sync":
                self.machines[who].sync()
            elif word == "dies":
                self._die(self.machines[who], int(path))
            elif word == "waits":
                self.world.advance(7200)
            else:
                done = User(self.machines[who], self.truth, Random(who)).do(word, *path.split())
                assert done, (who, word, path)

    def _die(self, machine: SimMachine, changes: int) -> None:
        machine.stop()
        fuse = Fuse(changes)
        machine.wrap = lambda store: HookedStore(store, before=fuse)
        try:
            machine.sync()
            raise AssertionError("it should have died")
        except Crash:
            machine.stop()
        finally:
            machine.wrap = SimMachine.wrap

    def _store(self) -> BlobStore:
        store: BlobStore = MemoryStore(self.world.clock.now, self.world.blobs)
        if self.step is None:
            return store
        store = watched(store, self.world.blobs)
        if self._is_lock_granted:
            store = GrantingStore(store)
        return HookedStore(store, self.step)
