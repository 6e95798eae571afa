"""The page lock: both strategies, remnants, stale locks, clocks that jump."""

from __future__ import annotations

import random

import pytest

from escale.relay.format1 import Format1
from escale.relay.lock import Busy, Held, PageLock
from escale.relay.relay import IndexRelay
from escale.seal import NoSeal
from escale.store.memory import MemoryStore
from escale.testing.clock import SimClock

TIMEOUT_S = 900.0


class Site:
    """One relay, and lockers that look at it."""

    def __init__(self, by_listing: bool) -> None:
        self.by_listing = by_listing
        self.clock = SimClock()
        self.relay = IndexRelay(MemoryStore(self.clock.now), Format1(), NoSeal())
        self.sightings: dict[str, dict[str, float]] = {}

    def locker(self, name: str, incarnation: str | None = None, patience_s: float = 0.0) -> PageLock:
        incarnation = incarnation or f"{name:0<16}"[:16]
        seen = self.sightings.setdefault(incarnation, {})
        return PageLock(
            self.relay,
            name,
            incarnation,
            by_listing=self.by_listing,
            timeout_s=TIMEOUT_S,
            patience_s=patience_s,
            clock=self.clock,
            rng=random.Random(incarnation),
            sighting=lambda key, now: seen.setdefault(key, now),
        )

    def locks(self) -> int:
        return len(self.relay.look("0").locks)


@pytest.fixture(params=[False, True], ids=["create", "listing"])
def site(request):
    return Site(request.param)


def test_one_holds_and_the_other_waits_its_turn(site):
    alice, bob = site.locker("alice"), site.locker("bob")
    held = alice.claim("0", "w")
    assert isinstance(held, Held)
    busy = bob.claim("0", "r")
    assert busy == Busy("alice", "w", site.clock.now())
    alice.release(held)
    assert isinstance(bob.claim("0", "r"), Held)
    assert site.locks() == 1


def test_pages_are_locked_one_by_one(site):
    assert isinstance(site.locker("alice").claim("0", "w"), Held)
    assert isinstance(site.locker("bob").claim("f" * 16, "w"), Held)


def test_a_claim_waits_with_patience(site):
    alice = site.locker("alice")
    held = alice.claim("0", "w")
    before = site.clock.monotonic()
    assert isinstance(site.locker("bob", patience_s=7.0).claim("0", "w"), Busy)
    assert 7.0 <= site.clock.monotonic() - before < 10.0
    alice.release(held)


def test_ones_own_remnant_is_taken_over_at_once(site):
    assert isinstance(site.locker("alice").claim("0", "w"), Held)
    assert isinstance(site.locker("alice").claim("0", "w"), Held)
    assert site.locks() == 1


def test_another_machine_of_the_same_name_is_somebody_else(site):
    assert isinstance(site.locker("alice", "1" * 16).claim("0", "w"), Held)
    assert isinstance(site.locker("alice", "2" * 16).claim("0", "w"), Busy)


def test_a_lock_nobody_touches_goes_stale_by_our_own_observation(site):
    alice, bob = site.locker("alice"), site.locker("bob")
    held = alice.claim("0", "w")
    assert isinstance(bob.claim("0", "w"), Busy)
    site.clock.advance(TIMEOUT_S - 1)
    assert isinstance(bob.claim("0", "w"), Busy)
    site.clock.advance(2)
    assert isinstance(bob.claim("0", "w"), Held)
    assert not alice.confirm(held)
    alice.release(held)
    assert site.locks() == 1, "the late owner leaves the new one's lock alone"


def test_a_lease_outlives_the_timeout(site):
    site.locker("alice").claim("0", "w", lease_s=10 * TIMEOUT_S)
    bob = site.locker("bob")
    bob.claim("0", "w")
    site.clock.advance(2 * TIMEOUT_S)
    assert isinstance(bob.claim("0", "w"), Busy)
    site.clock.advance(9 * TIMEOUT_S)
    assert isinstance(bob.claim("0", "w"), Held)


@pytest.mark.parametrize("text", [b"", b"\xff garbage"])
def test_an_empty_or_garbage_lock_goes_stale_like_any_other(site, text):
    name = "0.lock" if not site.by_listing else "0.lock." + "9" * 16
    site.relay.store.write_bytes(name, text)
    bob = site.locker("bob")
    assert bob.claim("0", "w") == Busy("", "", site.clock.now())
    site.clock.advance(TIMEOUT_S + 1)
    assert isinstance(bob.claim("0", "w"), Held)


def test_a_clock_that_is_an_hour_off_changes_nothing(site):
    site.clock.jump(-3600)
    site.locker("alice").claim("0", "w")
    site.clock.jump(+3600)
    assert isinstance(site.locker("bob").claim("0", "w"), Busy)
