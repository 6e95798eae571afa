"""Certify a relay by racing it and by breaking off an overwrite, instead of trusting what its kind promises."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from ..clock import Clock
from . import trials
from .blob import BlobStore
from .site import Finding, RunTogether, Site

Strategy = Literal["create", "listing"]

RACERS = 8
"""Clients at once.  Servers that do not exclude showed it in most rounds with as few as six."""

ROUNDS = 12
"""Races: what goes wrong in one round of four is missed once in thirty probes."""

_SOUND = ("claims by listing", "whole reads", "broken uploads", "speed")
"""Without one of these a storage is no relay.  Lags are waited for and names are avoided."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """All findings about one relay, and what follows from them."""

    findings: tuple[Finding, ...]

    def finding(self, name: str) -> Finding:
        """The finding of that name; KeyError."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    @property
    def strategy(self) -> Strategy:
        """How pages are locked here: by exclusive creation where it was exact, else by claims and listings."""
        return "create" if self.finding("exclusive creation").ok else "listing"

    @property
    def is_sound(self) -> bool:
        """Whether this storage can be a relay at all."""
        excludes = self.strategy == "create"
        return all(self.finding(name).ok for name in _SOUND if not (excludes and name == "claims by listing"))

    @property
    def lag_s(self) -> float:
        """The longest time in seconds until a change was visible everywhere."""
        return max(finding.figures.get("lag_s", 0.0) for finding in self.findings)


def probe(
    open_store: Callable[[], BlobStore],
    run_together: RunTogether,
    rng: random.Random,
    clock: Clock,
    report: Callable[[Finding], None],
    size: int = 1_000_000,
    racers: int = RACERS,
    rounds: int = ROUNDS,
) -> Certificate:
    """Try everything on the relay that `open_store` opens; `report` hears of each finding at once.

    `size`: bytes of the larger blobs.  Writes only names that begin with `escale-probe-` (one: with a dot before it)
    and removes them all, also when it is interrupted.  Unreachable, NoSuchRelay, SecretError and the like come through.
    """
    findings = []
    with ExitStack() as stack:
        site = _site(stack, open_store, run_together, rng, clock, size, racers)
        for finding in _all_findings(site, rounds):
            findings.append(finding)
            report(finding)
    return Certificate(tuple(findings))


def races_create(
    open_store: Callable[[], BlobStore],
    run_together: RunTogether,
    rng: random.Random,
    clock: Clock,
    owner: str,
    rounds: int = 3,
    racers: int = 4,
) -> bool:
    """A short race, for the moment a relay is set up: whether `create` excluded every time.

    Names carry their `owner`; what an interrupted race of his has left is removed first.
    """
    with ExitStack() as stack:
        site = _site(stack, open_store, run_together, rng, clock, 0, racers, owner)
        site.clean()
        trials.try_answer_time(site)
        return trials.try_creation_race(site, rounds).ok


def _site(
    stack: ExitStack,
    open_store: Callable[[], BlobStore],
    run_together: RunTogether,
    rng: random.Random,
    clock: Clock,
    size: int,
    racers: int,
    token: str = "",
) -> Site:
    site = Site([stack.enter_context(open_store()) for _ in range(racers)], run_together, clock, rng, size, token)
    stack.callback(site.clean)
    return site


def _all_findings(site: Site, rounds: int) -> Iterator[Finding]:
    yield trials.try_answer_time(site)
    yield trials.try_creation_race(site, rounds)
    yield trials.try_announcement(site, rounds)
    yield trials.try_reading_back(site)
    yield trials.try_listing(site)
    yield trials.try_deletion(site)
    yield trials.try_overwriting(site)
    yield trials.try_interruption(site)
    yield trials.try_clock(site)
    yield from trials.try_names(site)
    yield trials.try_speed(site)
