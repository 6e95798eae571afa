"""Hypothesis looks for the shortest history that breaks a promise: users, dying passes, a relay that misbehaves."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from escale.errors import EscaleError
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash, Fuse, HookedStore
from escale.testing.weather import Odds, Snapshots, WeatherStore

from .folders import read_trash
from .machines import SimMachine, SimWorld
from .truth import Truth, versions
from .users import MODES, PATHS, WORDS, User
from .watch import watched

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
"""More with EXAMPLES=5000 in the environment."""

TROUBLES = {
    "nothing": Odds(),
    "lost replies": Odds(loses_reply=0.2),
    "torn uploads": Odds(tears=0.3),
    "a full relay": Odds(is_full=0.3),
    "no connection": Odds(fails=0.2),
    "stale listings": Odds(is_stale=0.5),
}
_who = st.sampled_from(("ann", "ben"))


class Relay(RuleBasedStateMachine):
    """Two machines around one relay; at the end of every run all trouble is over."""

    def __init__(self) -> None:
        super().__init__()
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.directory = Path(tempfile.mkdtemp(prefix="escale-simulation-", dir=place))
        self.odds = Odds()
        self.choices = Choices(Random(0))
        self.world = SimWorld(self.directory, self._store, patience_s=0.0)
        self.truth = Truth()
        self.machines: dict[str, SimMachine] = {name: self.world.machine(name) for name in ("ann", "ben")}
        self.snapshots = Snapshots(self.world.blobs)

    def _store(self) -> HookedStore:
        store = MemoryStore(self.world.clock.now, self.world.blobs)
        return WeatherStore(watched(store, self.world.blobs), self.choices, self.odds)

    @rule(who=_who, word=st.sampled_from(WORDS), path=st.sampled_from(PATHS), other=st.sampled_from(PATHS))
    def act(self, who: str, word: str, path: str, other: str) -> None:
        """A user does something, if the folder lets him."""
        argument = {"rename": other, "symlink": other, "chmod": MODES[len(other) % len(MODES)]}.get(word, "")
        User(self.machines[who], self.truth, Random(0)).do(word, path, argument)

    @rule(who=_who, trouble=st.sampled_from(sorted(TROUBLES)), chance=st.integers(0, 99))
    def sync(self, who: str, trouble: str, chance: int) -> None:
        """A pass of a new process in bad weather."""
        self.odds, self.choices = TROUBLES[trouble], Choices(Random(chance))
        self._pass(who)

    @rule(who=_who, changes=st.integers(0, 12))
    def die_at_the_relay(self, who: str, changes: int) -> None:
        """A pass whose process dies ahead of one of its changes of the relay."""
        fuse = Fuse(changes)
        self.machines[who].wrap = lambda store: HookedStore(store, before=fuse)
        self._pass(who)

    @rule(who=_who, changes=st.integers(0, 30))
    def die_at_the_disk(self, who: str, changes: int) -> None:
        """The same at one of its changes of the folder or the ledger."""
        with DiskHook(CrashAt(changes)):
            self._pass(who)

    @rule(who=_who, seconds=st.sampled_from((-7200.0, 7200.0)))
    def jump(self, who: str, seconds: float) -> None:
        """A clock is set."""
        self.machines[who].clock.jump(seconds)

    @rule()
    def wait(self) -> None:
        """Longer than any lock lives."""
        self.world.advance(2000)

    @rule(what=st.sampled_from(("save", "restore", "wipe")))
    def lose_memory(self, what: str) -> None:
        """The relay goes back in time, or to nothing."""
        getattr(self.snapshots, what)()
        self.truth.forgets |= what != "save"

    def _pass(self, who: str) -> None:
        machine = self.machines[who]
        machine.stop()
        before = machine.tree()
        try:
            machine.sync()
        except (EscaleError, Crash):
            pass
        finally:
            machine.stop()
            machine.wrap = SimMachine.wrap
            self.odds = Odds()
        self.truth.check_pass(versions(before), machine.tree(), read_trash(machine.folder))

    def teardown(self) -> None:
        """The liveness phase."""
        try:
            self.world.converge()
            self.truth.check(self.machines["ann"].tree())
        finally:
            self.world.close()
            shutil.rmtree(self.directory)


TestRelay = Relay.TestCase
TestRelay.settings = settings(max_examples=EXAMPLES, stateful_step_count=12, deadline=None, derandomize=True)
