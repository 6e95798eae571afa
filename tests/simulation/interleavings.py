"""All interleavings of small histories: everybody does one pass, at the same time, in every order of their operations.

Orders that differ only in operations that do not touch each other are one (`Scheduler.skips_equivalent`).  Each is a
schedule like any other: the liveness phase and all checks follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from escale.testing.choices import Choices, depth_first
from escale.testing.faults import MUTATIONS, Crash, HookedStore
from escale.testing.scheduler import Equivalent, Scheduler

from .machines import SimMachine
from .stage import Act, Stage


@dataclass(frozen=True)
class Small:
    """A history that ends with passes at the same time.

    `agreed`: acts after which everybody comes into step.  `acts`: what is done then.  `together`: whose passes overlap,
    so many of them in a row.  `dies`: who dies in them, at every change of the relay in turn.
    """

    name: str
    agreed: tuple[Act, ...]
    acts: tuple[Act, ...]
    together: tuple[str, ...] = ("ann", "ben")
    passes: int = 1
    dies: str = ""
    exclusive: bool = True
    is_lock_granted: bool = False

    @property
    def machines(self) -> list[str]:
        """All who take part."""
        return sorted({"ann", "ben", *self.together})


@dataclass
class Count:
    """Schedules that were run to their end, and beginnings that were left because they led to nothing new."""

    schedules: int = 0
    equivalent: int = 0


class Exploration:
    """One small history in all its orders."""

    def __init__(self, directory: Path, small: Small) -> None:
        self.small = small
        self.count = Count()
        self.scheduler = Scheduler(Choices())
        self.stage = Stage(
            directory,
            small.agreed,
            small.machines,
            exclusive=small.exclusive,
            is_lock_granted=small.is_lock_granted,
        )

    def run(self) -> Iterator[Choices]:
        """Every schedule; AssertionError if one breaks a promise.  The scheduler has its trace."""
        for choices in depth_first():
            if self.run_one(choices):
                self.count.schedules += 1
                yield choices
            else:
                self.count.equivalent += 1

    def run_one(self, choices: Choices, skips_equivalent: bool = True) -> bool:
        """One schedule; False if it differs from an earlier one in nothing that counts."""
        stage, names = self.stage, self.small.together
        stage.begin(self.small.acts)
        self.scheduler = Scheduler(choices, skips_equivalent=skips_equivalent)
        stage.step = self.scheduler.step
        before = {name: stage.look(name) for name in names}
        for name in names:
            self.scheduler.start(name, self._passes(name, choices))
        try:
            ends = self.scheduler.run()
        except Equivalent:
            return False
        for name, end in ends.items():
            stage.ended(name, before[name], end)
        stage.finish()
        return True

    def close(self) -> None:
        """End what is left."""
        self.scheduler.abandon()
        self.stage.close()

    def _passes(self, name: str, choices: Choices) -> Callable[[], None]:
        machine = self.stage.machines[name]
        machine.wrap = SimMachine.wrap
        if name == self.small.dies:
            death = _Death(choices)
            machine.wrap = lambda store: HookedStore(store, before=death)

        def act() -> None:
            for _ in range(self.small.passes):
                machine.sync()

        return act


class _Death:
    """A hook that asks ahead of every change whether this is the end; the dead stay dead."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._is_dead = False

    def __call__(self, verb: str, name: str) -> None:
        self._is_dead = self._is_dead or (verb in MUTATIONS and self._choices.happens(0.5))
        if self._is_dead:
            raise Crash


_A_FILE = (("ann", "write", "a"),)
_A_DIRECTORY = (("ann", "write", "d/c"),)
_A_PRIVATE_DIRECTORY = (("ann", "write", "d/e/f"), ("ann", "chmod", "d/e 700"))
_AN_EDIT_IN_IT = (("ann", "write", "d/e/f"), ("ann", "sync", ""))

SMALL = (
    Small("the first two clients", (), (("ann", "write", "a"), ("ben", "write", "b"))),
    Small("two pushes", _A_FILE, (("ann", "write", "a"), ("ben", "write", "b"))),
    Small("one path, two edits", _A_FILE, (("ann", "write", "a"), ("ben", "write", "a"))),
    Small("push and pull", _A_FILE, (("ann", "write", "a"), ("ann", "sync", ""), ("ann", "write", "b"))),
    Small("the last two pullers", _A_FILE, (("ann", "write", "a"), ("ann", "sync", "")), ("ben", "cat")),
    Small("edit and deletion", _A_FILE, (("ann", "write", "a"), ("ben", "delete", "a"))),
    Small("two deletions", _A_FILE, (("ann", "delete", "a"), ("ben", "delete", "a"))),
    Small("rename and edit", _A_FILE, (("ann", "rename", "a b"), ("ben", "write", "a"))),
    Small("two renames", _A_FILE, (("ann", "rename", "a b"), ("ben", "rename", "a k"))),
    Small("a new file in a deleted directory", _A_DIRECTORY, (("ann", "delete", "d"), ("ben", "write", "d/e/f"))),
    Small("a directory for a file", _A_FILE, (("ann", "file to directory", "a"), ("ben", "write", "a"))),
    Small("a file for a directory", _A_DIRECTORY, (("ann", "directory to file", "d"), ("ben", "write", "d/c"))),
    Small("its permissions", _A_PRIVATE_DIRECTORY, (*_AN_EDIT_IN_IT, ("ben", "directory to file", "d"))),
    Small("modes and edits", _A_FILE, (("ann", "chmod", "a 600"), ("ben", "write", "a"))),
)


def variants(every: bool = False) -> list[Small]:
    """Each small history with both lock strategies; with `every` also without a lock, with deaths, in two passes."""
    found = []
    for small in SMALL:
        found.append(small)
        found.append(replace(small, name=f"{small.name}, listing", exclusive=False))
        if every:
            found.append(replace(small, name=f"{small.name}, no lock", is_lock_granted=True))
            found += [replace(small, name=f"{small.name}, {who} dies", dies=who) for who in small.together]
            found.append(replace(small, name=f"{small.name}, two passes", passes=2))
    return found
