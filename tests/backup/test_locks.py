"""Locks: as restic's; nobody is alone beside others, and the dead stop nobody for ever."""

from __future__ import annotations

import pytest

from escale.backup.locks import RENEW_S, STALE_S, Claim, LockLost, RepositoryLocked, locked, others_since
from escale.backup.machine import Machine
from escale.backup.objects import Kind, Objects
from escale.errors import Corrupt

from .places import MACHINE, Place

OTHER = Machine("forge", "bob", 1000, 1000, 4242)


@pytest.mark.parametrize(("first", "second", "is_free"), [(0, 0, True), (0, 1, False), (1, 0, False), (1, 1, False)])
def test_only_shared_locks_go_together(first, second, is_free):
    place = Place()
    with locked(place.repository(), MACHINE, place.clock, exclusive=bool(first)):
        if is_free:
            with locked(place.repository(), OTHER, place.clock, exclusive=bool(second)):
                assert len(place.names("locks")) == 2
        else:
            with (
                pytest.raises(RepositoryLocked) as raised,
                locked(place.repository(), OTHER, place.clock, exclusive=bool(second)),
            ):
                pass
            assert "alice@anvil (process 1)" in str(raised.value)
    assert not place.names("locks")


def test_of_two_who_come_at_the_same_moment_not_both_are_alone():
    """The other's lock appears between our first look and our second."""
    place = Place()

    def race(verb: str, name: str) -> None:
        place.before = lambda verb, name: None
        claim = Claim(round(place.clock.now() * 1e9), True, "forge", "bob", 4242)
        place.repository().write_unpacked(Kind.LOCK, claim.encode())

    place.before = race
    with pytest.raises(RepositoryLocked), locked(place.repository(), MACHINE, place.clock, exclusive=True):
        pass
    assert len(place.names("locks")) == 1


def write(place: Place, claim: Claim) -> str:
    return place.repository().write_unpacked(Kind.LOCK, claim.encode())


def test_an_old_lock_is_taken_away():
    place = Place()
    write(place, Claim(round(place.clock.now() * 1e9), True, "forge", "bob", 4242))
    place.clock.advance(STALE_S - 1)
    with pytest.raises(RepositoryLocked), locked(place.repository(), MACHINE, place.clock, exclusive=False):
        pass
    place.clock.advance(2)
    with locked(place.repository(), MACHINE, place.clock, exclusive=True):
        assert len(place.names("locks")) == 1


def test_the_lock_of_a_process_that_died_here_is_taken_away():
    place = Place()
    here = Machine.this()
    write(place, Claim(round(place.clock.now() * 1e9), True, here.hostname, "", 2**22 + 1))
    with locked(place.repository(), here, place.clock, exclusive=True):
        assert len(place.names("locks")) == 1


def test_a_lock_that_cannot_be_read_is_nobodys_when_it_is_old():
    place = Place()
    place.blobs[f"locks/{'ab' * 32}"] = (b"what", place.clock.now())
    with locked(place.repository(), MACHINE, place.clock, exclusive=True):
        assert len(place.names("locks")) == 2
    place.clock.advance(STALE_S + 1)
    with locked(place.repository(), MACHINE, place.clock, exclusive=True):
        assert len(place.names("locks")) == 1


def test_a_lock_is_renewed_and_never_absent():
    place = Place()
    counts = []
    with locked(place.repository(), MACHINE, place.clock, exclusive=True) as lock:
        place.after = lambda verb, name: counts.append(len(place.names("locks")))
        for _ in range(20):
            place.clock.advance(RENEW_S / 2)
            lock.renew()
        assert min(counts) == 1 and len(counts) > 10
        place.after = lambda verb, name: None
        with pytest.raises(RepositoryLocked), locked(place.repository(), OTHER, place.clock, exclusive=False):
            pass


def test_a_lock_that_was_taken_away_is_not_held():
    place = Place()
    with locked(place.repository(), MACHINE, place.clock, exclusive=True) as lock:
        lock.must_hold()
        place.repository().objects.delete(Kind.LOCK, lock.name)
        with pytest.raises(LockLost):
            lock.must_hold()


@pytest.mark.parametrize("pass_", ["advance", "jump"])
def test_a_lock_that_others_may_take_for_stale_is_not_held(pass_):
    place = Place()
    with locked(place.repository(), MACHINE, place.clock, exclusive=True) as lock:
        getattr(place.clock, pass_)(STALE_S + 1)
        with pytest.raises(LockLost):
            lock.must_hold()


def test_since_when_others_are_at_work():
    place = Place()
    with locked(place.repository(), OTHER, place.clock, exclusive=False) as theirs:
        began = place.clock.now()
        for _ in range(5):
            place.clock.advance(RENEW_S + 1)
            theirs.renew()
        repository = place.repository()
        with locked(repository, MACHINE, place.clock, exclusive=False) as ours:
            assert began - 62 < others_since(repository, MACHINE, place.clock, ours) < began
    with locked(repository, MACHINE, place.clock, exclusive=False) as ours:
        assert others_since(repository, MACHINE, place.clock, ours) == ours.store_now()


def test_restic_does_not_tell_when_it_began():
    place = Place()
    now = place.clock.now()
    text = Claim(round(now * 1e9), False, "forge", "bob", 4242).encode().replace(b'"began"', b'"other"')
    place.repository().write_unpacked(Kind.LOCK, text)
    repository = place.repository()
    with locked(repository, MACHINE, place.clock, exclusive=False) as ours:
        assert others_since(repository, MACHINE, place.clock, ours) < now - 24 * 3600


def test_what_is_no_lock_is_not_taken_for_one():
    for text in (b"[]", b"{}", b'{"time":"yesterday"}', b'{"time":"2026-01-01T00:00:00Z","pid":"x"}'):
        with pytest.raises(Corrupt):
            Claim.decode(text, "here")


def test_our_own_lock_is_not_read_back(monkeypatch):
    """It would cost each command a round trip, and tell us what we know."""
    place, read = Place(), []
    original = Objects.read
    monkeypatch.setattr(Objects, "read", lambda self, kind, name: [read.append(name), original(self, kind, name)][1])
    with locked(place.repository(), MACHINE, place.clock, exclusive=False) as ours:
        others_since(place.repository(), MACHINE, place.clock, ours)
        assert not read
        with locked(place.repository(), OTHER, place.clock, exclusive=False):
            assert read == [ours.name, ours.name]
