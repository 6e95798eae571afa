"""Where a storage is tried: several stores that look at it at once, and what they need for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from ..clock import Clock
from .blob import BlobStore

Result = TypeVar("Result")

PREFIX = "escale-probe-"
"""All names of a probe begin so, but for those whose beginning is what is tried."""


CLEANINGS_MAX = 10
CLEANING_STEP_S = 0.2
"""A blob that was deleted while its server was still writing it comes back; not for long."""


class RunTogether(Protocol):
    """Runs all callables at the same moment, each in a thread of its own, and returns their results in order.

    The first exception of any of them is raised, after all have ended.
    """

    def __call__(self, acts: Sequence[Callable[[], Result]], /) -> list[Result]: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What one trial showed: its `name`, whether all is `ok`, one sentence for people, and the figures."""

    name: str
    ok: bool
    words: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Site:
    """The stores that act, what they need for it, and every name that was used: to be removed at the end.

    `token` is in every name; drawn if it is not given.
    """

    stores: Sequence[BlobStore]
    run_together: RunTogether
    clock: Clock
    rng: random.Random
    size: int
    token: str = ""
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.token = self.token or f"{self.rng.getrandbits(64):016x}"

    @property
    def store(self) -> BlobStore:
        """The one that acts where one is enough."""
        return self.stores[0]

    def name(self, what: str, before: str = PREFIX) -> str:
        """A name nobody else uses."""
        name = f"{before}{self.token}-{what}"
        self.used.add(name)
        return name

    def together(self, act: Callable[[int, BlobStore], Result]) -> list[Result]:
        """Let every store do `act(number, store)` at the same moment."""
        return self.run_together([partial(act, number, store) for number, store in enumerate(self.stores)])

    def clean(self) -> None:
        """Remove everything."""
        names = sorted(self.used)

        def remove_share(number: int, store: BlobStore) -> None:
            for name in names[number :: len(self.stores)]:
                store.delete(name)

        self.together(remove_share)
        # Servers that let many write one name at once may still be busy with one of them.
        for _ in range(CLEANINGS_MAX):
            left = [*self.store.list(PREFIX + self.token)]
            if not left:
                return
            for blob in left:
                self.store.delete(blob.name)
            self.clock.sleep(CLEANING_STEP_S)
