"""Histories: users, passes at the same time, and trouble, drawn from one seed; the same seed gives the same history.

A **schedule** is one whole history under one sequence of decisions, ended by the liveness phase (all trouble is over,
everybody starts anew, passes until nothing moves) and by the checks of `truth.py`.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from escale.app.presence import ADOPT_RELAY
from escale.errors import EscaleError
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash, Fuse, GrantingStore, HookedStore
from escale.testing.power import VolatileDisk
from escale.testing.scheduler import Scheduler
from escale.testing.weather import Late, Odds, Snapshots, WeatherStore

from .circumstances import Circumstances
from .folders import read_trash
from .machines import NAMES, SimMachine, SimWorld
from .mishaps import FullDisk, Meanwhile, Pause, unmounted
from .truth import Truth, Versions, versions
from .users import User
from .watch import Overslept, respecting_locks, watched

HOURS = 3600.0
DAYS = 24 * HOURS


@dataclass(frozen=True)
class Profile:
    """What can go wrong.  The odds of `dies`, `disk_fills` and `hangs` are of each pass, the others of each step."""

    odds: Odds = field(default_factory=Odds)
    is_lock_granted: bool = False
    dies: float = 0.0
    disk_fills: float = 0.0
    hangs: float = 0.0
    jumps: float = 0.0
    loses_memory: float = 0.0


PROFILES = {
    "fair": Profile(),
    "deaths": Profile(dies=0.4),
    "weather": Profile(Odds(fails=0.03, loses_reply=0.03, tears=0.02)),
    "late": Profile(Odds(is_stale=0.1, delays=0.1)),
    "no lock": Profile(is_lock_granted=True, dies=0.1),
    "full": Profile(Odds(is_full=0.1), disk_fills=0.2),
    "paused": Profile(hangs=0.3, jumps=0.1),
    "forgetful": Profile(loses_memory=0.2, dies=0.1),
    "everything": Profile(Odds(0.01, 0.01, 0.01, 0.02, 0.02, 0.01), False, 0.1, 0.05, 0.1, 0.05),
}
KINDS = tuple(PROFILES)


class History:
    """One seed's world, users and trouble.

    `rng` draws what happens, `chance` what the circumstances add to it.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.seed = seed
        self.kind = KINDS[seed % len(KINDS)]
        self.profile = PROFILES[self.kind]
        self.rng = Random(f"history {seed}")
        self.chance = Random(f"chance {seed}")
        self.choices = Choices(self.rng)
        self.scheduler = Scheduler(self.choices)
        self.truth = Truth()
        self.late = Late()
        self.is_calm = False
        exclusive, levels = self.rng.random() < 0.5, self.rng.choice((0, 0, 1))
        names = NAMES[: self.rng.choices((2, 3, 4, 5), (24, 6, 1, 1))[0]]
        self.circumstances = Circumstances.of(seed, names)
        self.world = SimWorld(
            directory,
            self._store,
            exclusive=exclusive,
            levels=levels,
            patience_s=0.0,
            seed=seed,
            seal=self.circumstances.seal,
            fingerprint=self.circumstances.fingerprint,
        )
        self.relay = Snapshots(self.world.blobs)
        self.machines: list[SimMachine] = [self._machine(name) for name in names]
        chmods = self.circumstances.chmods
        self.users = {machine.name: User(machine, self.truth, self.rng, chmods) for machine in self.machines}
        self.before: dict[str, Versions] = {}
        self.meanwhile: dict[str, Meanwhile] = {}
        self.woken: set[str] = set()
        self.overslept = Overslept(lambda: self.scheduler.here in self.woken)

    def run(self) -> None:
        """One or two times: trouble, then quiet; AssertionError if a promise was broken."""
        for _ in range(self.rng.choices((1, 2), (4, 1))[0]):
            for _ in range(self.rng.randint(2, 8)):
                self._step()
            self._come_to_rest()
            self.truth.check(self.machines[0].tree())

    def close(self) -> None:
        """End what still hangs."""
        self.scheduler.abandon()
        self.world.close()

    @property
    def trace(self) -> list[tuple[str, str, str]]:
        """All that happened, in order."""
        return self.scheduler.trace

    # -- what happens

    def _step(self) -> None:
        draw = self.rng.random()
        if draw < 0.45:
            self._edit()
        elif draw < 0.9:
            self._sync()
        elif draw < 0.93:
            self._restart()
        self.world.advance(self.rng.random() * 3)
        if self.rng.random() < self.profile.jumps:
            machine = self.rng.choice(self.machines)
            machine.clock.jump(self.rng.choice((-HOURS, HOURS)))
            self._tell(machine.name, "clock jumps", "")
        if self.rng.random() < self.profile.loses_memory:
            self._lose_memory()
        self._add()

    def _add(self) -> None:
        """What the circumstances add to a step."""
        known, chance = self.circumstances, self.chance
        if known.is_one_away and chance.random() < 0.3:
            self.world.advance(5 * DAYS)
            self._tell("all", "five days pass", "")
        if known.unmounts and chance.random() < known.unmounts:
            self._unmount()
        if known.damages and chance.random() < known.damages:
            self._damage()

    def _edit(self) -> None:
        self._act(self.rng.choice(self.machines))

    def _act(self, machine: SimMachine) -> None:
        """A user does something; where a pass is going on it must not be destroyed either."""
        there = versions(machine.tree()) if machine.name in self.before else set()
        self._tell(machine.name, "user", self.users[machine.name].draw())
        if machine.name in self.before:
            # Not what was there a moment ago: a pass in the middle of an exchange may show what only arrives.
            self.before[machine.name] |= versions(machine.tree()) - there

    def _unmount(self) -> None:
        """A pass while the disk of a folder is away: it must see that."""
        there = [machine for machine in self.machines if machine.name not in self.before and machine.is_marked]
        if there:
            machine = self.chance.choice(there)
            self._tell(machine.name, "has no disk", "")
            knew = machine.ledger.meta("folder")
            with unmounted(machine.folder), suppress(EscaleError):
                machine.sync()
            if machine.ledger.meta("folder") != knew:
                # It had died at its very start, and has marked the empty place: now it asks, and the user answers.
                self._tell(machine.name, "adopts", ADOPT_RELAY)
                machine.ledger.set_meta("adopt", ADOPT_RELAY)

    def _damage(self) -> None:
        """One byte of an update is another."""
        names = sorted(name for name in self.world.blobs if ".data." in name)
        if names:
            name = self.chance.choice(names)
            data, written = self.world.blobs[name]
            place = self.chance.randrange(len(data))
            self.world.blobs[name] = (data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], written)
            self._tell("relay", "damages", name)

    def _restart(self) -> None:
        idle = [machine for machine in self.machines if machine.name not in self.scheduler.hanging]
        if idle:
            machine = self.rng.choice(idle)
            machine.stop()
            self._tell(machine.name, "restarts", "")

    def _lose_memory(self) -> None:
        act = self.rng.choice(("save", "restore", "restore", "wipe"))
        getattr(self.relay, act)()
        self.truth.forgets |= act != "save"
        self._tell("relay", act, "")

    def _sync(self) -> None:
        """Passes of some machines at the same time, and of those that were paused and go on now."""
        for name in self.scheduler.hanging:
            if self.rng.random() < 0.5:
                self._wake(name)
                self._tell(name, "goes on", "")
        idle = [machine for machine in self.machines if machine.name not in self.before]
        if self.circumstances.is_one_away:
            idle = [machine for machine in idle if machine is not self.machines[-1]]
        for machine in self.rng.sample(idle, self.rng.randint(1, len(idle)) if idle else 0):
            self._start_pass(machine)
        self._run_passes()

    def _wake(self, name: str) -> None:
        self.scheduler.resume(name)
        self.woken.add(name)

    def _start_pass(self, machine: SimMachine) -> None:
        tree = machine.tree()
        self.before[machine.name] = versions(tree)
        self.users[machine.name].knew = frozenset(tree)
        disks = self._mishaps(machine)
        known = self.circumstances
        if known.meanwhile and self.chance.random() < known.meanwhile:
            hook = Meanwhile(lambda: self._act(machine), self.chance.randrange(30))
            self.meanwhile[machine.name] = hook
            disks.append(DiskHook(hook))

        def act() -> None:
            with ExitStack() as stack:
                for disk in disks:
                    stack.enter_context(disk)
                machine.sync()

        self.scheduler.start(machine.name, act)

    def _mishaps(self, machine: SimMachine) -> list[DiskHook]:
        """What this pass will meet: a death at some change of the relay or of the disk, a disk that fills, a pause."""
        profile, rng = self.profile, self.rng
        if rng.random() < profile.dies:
            machine.stop()
            if rng.random() < 0.5:
                hook = {rng.choice(("before", "after")): Fuse(rng.randrange(10))}
                machine.wrap = lambda store: HookedStore(store, **hook)
            else:
                return [self._death(machine, CrashAt(rng.randrange(25)))]
        elif rng.random() < profile.disk_fills:
            return [DiskHook(FullDisk(rng.randrange(25)))]
        elif rng.random() < profile.hangs:
            machine.stop()
            pause = Pause(self.scheduler, rng.randrange(25))
            machine.wrap = lambda store: HookedStore(store, before=pause)
        return []

    def _death(self, machine: SimMachine, hook: CrashAt) -> DiskHook:
        """A power cut takes back what others have built upon, so no user acts in such a pass."""
        known = self.circumstances
        if known.meanwhile or not known.cuts_power or self.chance.random() >= known.cuts_power:
            return DiskHook(hook)
        return VolatileDisk(hook, self.world.directory / f"limbo of {machine.name}")

    def _run_passes(self) -> None:
        ends = self.scheduler.run()
        for name, end in ends.items():
            machine = next(machine for machine in self.machines if machine.name == name)
            if end is not None and not isinstance(end, EscaleError | Crash):
                raise end
            self._tell(name, "ends", type(end).__name__ if end else "")
            if isinstance(end, Crash) or machine.wrap is not SimMachine.wrap:
                machine.stop()
                machine.wrap = SimMachine.wrap
            self.meanwhile.pop(name, None)
            self.woken.discard(name)
            self.users[name].knew = None
            self.truth.check_pass(self.before.pop(name), machine.tree(), read_trash(machine.folder))
        for name in self.scheduler.hanging:
            self._tell(name, "hangs", "")
        if self.scheduler.hanging:
            self.world.advance(HOURS)

    def _come_to_rest(self) -> None:
        while self.scheduler.hanging:
            for name in self.scheduler.hanging:
                self._wake(name)
            self._run_passes()
        self.late.arrive(MemoryStore(self.world.clock.now, self.world.blobs))
        self.is_calm = True
        self.world.converge()
        self.is_calm = False
        for machine in self.machines:
            machine.stop()
        self._tell("all", "in step", "")

    # -- parts

    def _machine(self, name: str) -> SimMachine:
        known = self.circumstances
        machine = self.world.machine(name, quota=known.quota)
        machine.pullers, machine.releases_stale = known.pullers, known.releases_stale
        if not (known.is_sealed or self.profile.jumps):
            machine.watch = self._watched_locks
        return machine

    def _watched_locks(self, store: BlobStore, incarnation: str) -> BlobStore:
        if self.is_calm:
            return store
        return respecting_locks(store, self.world.blobs, incarnation, self.world.clock.now)

    def _store(self) -> BlobStore:
        store: BlobStore = MemoryStore(self.world.clock.now, self.world.blobs)
        if self.is_calm:
            return store
        if not self.profile.loses_memory and not self.profile.odds.delays:
            store = watched(store, self.world.blobs, self.circumstances.seal, self._kept_quota(), self.overslept)
        if self.profile.is_lock_granted:
            store = GrantingStore(store)
        if self.profile.odds != Odds():
            store = WeatherStore(store, self.choices, self.profile.odds, self.late)
        return HookedStore(store, self._step_of_act if self.circumstances.meanwhile else self.scheduler.step)

    def _kept_quota(self) -> int | None:
        """The quota, unless a lock means nothing: two who push at once may exceed it together."""
        profile = self.profile
        is_exact = not (profile.is_lock_granted or profile.hangs or profile.jumps or profile.odds.is_stale)
        return self.circumstances.quota if is_exact else None

    def _step_of_act(self, verb: str, name: str) -> None:
        self.scheduler.step(verb, name)
        hook = self.meanwhile.get(self.scheduler.here)
        if hook is not None:
            hook(verb, name)

    def _tell(self, who: str, what: str, about: str) -> None:
        self.scheduler.trace.append((who, what, about))
