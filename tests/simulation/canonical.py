"""Twelve histories that every protocol change has to survive a death in, at every change that its hero makes.

A change is one of the relay, of the folder, or a transaction of the ledger.  Dying ahead of each of them, and after the
last, covers dying after each: nothing that outlives a process lies between the end of one change and the next.  Of the
relay both are tried all the same, for there the reply comes from elsewhere.  In a power cut the disk loses, besides,
what was not synchronised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from escale.testing.disk import DiskHook
from escale.testing.faults import MUTATIONS, Crash, HookedStore
from escale.testing.power import VolatileDisk

from .machines import SimMachine
from .stage import Act, Stage


@dataclass(frozen=True)
class Canonical:
    """After `agreed` everybody is in step; then come the `acts`, and then the pass of the `hero` in which he dies."""

    name: str
    hero: str
    agreed: tuple[Act, ...]
    acts: tuple[Act, ...]
    newcomers: tuple[str, ...] = ()


_PUSHED: Act = ("ann", "sync", "")
_TWO_FILES: tuple[Act, ...] = (("ann", "write", "a"), ("ben", "write", "d/c"))

CANONICAL = (
    Canonical(
        "the first push on an empty relay", "cat", (), (("cat", "write", "a"), ("cat", "write", "d/c")), ("cat",)
    ),
    Canonical("a push of edits", "ann", _TWO_FILES, (("ann", "write", "a"), ("ann", "write", "d/c"))),
    Canonical("a pull of edits", "ben", _TWO_FILES, (("ann", "write", "a"), ("ann", "write", "d/e/f"), _PUSHED)),
    Canonical("a conflict", "ben", _TWO_FILES, (("ann", "write", "a"), _PUSHED, ("ben", "write", "a"))),
    Canonical("a newcomer asks for everything", "cat", _TWO_FILES, (), ("cat",)),
    Canonical("an old hand sends it again", "ann", _TWO_FILES, (("cat", "sync", ""),), ("cat",)),
    Canonical(
        "a dead pusher is cleared away",
        "ben",
        _TWO_FILES,
        (("ann", "write", "a"), ("ann", "dies", "3"), ("ben", "write", "b"), ("ben", "sync", ""), ("ben", "waits", "")),
    ),
    Canonical("a push of deletions", "ann", _TWO_FILES, (("ann", "delete", "a"), ("ann", "delete", "d"))),
    Canonical("a pull of deletions", "ben", _TWO_FILES, (("ann", "delete", "a"), ("ann", "delete", "d"), _PUSHED)),
    Canonical("a pull of renames", "ben", _TWO_FILES, (("ann", "rename", "a k"), ("ann", "rename", "d g"), _PUSHED)),
    Canonical(
        "a directory for a file, a file for a directory",
        "ben",
        _TWO_FILES,
        (("ann", "file to directory", "a"), ("ann", "directory to file", "d"), _PUSHED),
    ),
    Canonical(
        "links and modes",
        "ben",
        _TWO_FILES,
        (("ann", "symlink", "a nowhere"), ("ann", "chmod", "d/c 600"), ("ann", "symlink", "b d"), _PUSHED),
    ),
)


class Death(Enum):
    """How the hero dies."""

    BEFORE = "before"
    """Ahead of a change."""

    AFTER = "after"
    """The changes of the relay are made, and he dies before he hears of it."""

    POWER = "power cut"
    """Ahead of a change, and with him goes what his disk has not synchronised."""


class Sweep:
    """One history with a death at each change in turn."""

    def __init__(self, directory: Path, history: Canonical, *, exclusive: bool = True) -> None:
        self._history = history
        self._stage = Stage(directory, history.agreed, ("ann", "ben"), history.newcomers, exclusive=exclusive)

    def run(self, how: Death = Death.BEFORE) -> Iterator[list[str]]:
        """For each death the changes that were made before it; AssertionError if a promise is broken then."""
        number, survived = 0, False
        while not survived:
            self._stage.begin(self._history.acts)
            death = _DeathAt(number, how is Death.AFTER)
            limbo = self._stage.world.directory / "limbo"
            survived = self._live(
                death, VolatileDisk(death.change, limbo) if how is Death.POWER else DiskHook(death.change)
            )
            yield death.changes
            self._stage.finish()
            number += 1

    def close(self) -> None:
        """End what is left."""
        self._stage.close()

    def _live(self, death: _DeathAt, disk: DiskHook) -> bool:
        """The pass of the hero; whether he survived it."""
        name = self._history.hero
        machine, before, end = self._stage.machines[name], self._stage.look(name), None
        machine.wrap = death.wrap
        try:
            with disk:
                machine.sync()
        except BaseException as failure:
            end = failure
        machine.wrap = SimMachine.wrap
        machine.stop()
        self._stage.ended(name, before, end)
        return not isinstance(end, Crash)


class _DeathAt:
    """Counts changes wherever they are made, and dies at the one of this number."""

    def __init__(self, number: int, dies_after: bool) -> None:
        self.changes: list[str] = []
        self._number = number
        self._dies_after = dies_after
        self._is_dead = False

    def wrap(self, store):
        """The relay of somebody who may die."""
        if self._dies_after:
            return HookedStore(store, before=self._if_alive, after=self._relay)
        return HookedStore(store, before=self._relay)

    def change(self, verb: str, name: str) -> None:
        """A change is about to be made, or was made."""
        self._if_alive()
        if len(self.changes) == self._number:
            self._is_dead = True
            raise Crash
        self.changes.append(f"{verb} {name}")

    def _relay(self, verb: str, name: str) -> None:
        if verb in MUTATIONS:
            self.change(verb, name)
        self._if_alive()

    def _if_alive(self, verb: str = "", name: str = "") -> None:
        if self._is_dead:
            raise Crash
