"""Machines that only add: what ours does, and what a thief can do who has the machine, its keys and its credentials.

He adds whatever he likes.  What is tested is that nothing of that makes what was there go away, neither at once nor by
the hands of somebody who may delete; and that it is told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from escale.backup.check import Check, Checked
from escale.backup.doomed import GRACE_S, Doomed
from escale.backup.forget import plan_forget, trusted
from escale.backup.heads import Heads, Memory, memory_path
from escale.backup.index import IndexFile
from escale.backup.locks import STALE_S, Claim, RepositoryLocked, locked
from escale.backup.machine import Machine
from escale.backup.objects import Kind, Objects
from escale.backup.pack import Pack
from escale.backup.proof import Proof, ProofFailed
from escale.backup.prune import Prune
from escale.backup.repository import Repository
from escale.backup.retention import Keep
from escale.backup.save import Save, Saved
from escale.backup.snapshot import Snapshot
from escale.backup.writer import Writer
from escale.errors import Refused, SecretError
from escale.store.adding import AddingStore

from .places import MACHINE, Place
from .test_check import made
from .test_prune import CHUNKER, content, fill

OWNER = Machine("desk", "root", 0, 0, 77)
DAYS = 86400


def adding(place: Place) -> Repository:
    """Opened by a machine that only adds."""
    repository = place.repository()
    opened = AddingStore(place.store(), removable=("locks",))
    return Repository(Objects(opened), repository.master, repository.config, repository.catalog, lambda: opened)


def save(place: Place, folder: Path, state: Path, machine: Machine = MACHINE, wait_s: float = 3600) -> Saved:
    place.clock.advance(wait_s)
    repository = adding(place)
    with locked(repository, machine, place.clock, exclusive=False), Writer(repository, 1, 1) as writer:
        heads = Heads(repository, machine, place.clock, state, adds=True)
        return Save(repository, writer, place.clock, machine, CHUNKER, Proof(repository, place.clock.now()), heads).run(
            [str(folder)]
        )


def owner_heads(place: Place, state: Path) -> Heads:
    return Heads(place.repository(), OWNER, place.clock, state)


def check(place: Place, state: Path) -> Checked:
    """By the owner, who was there before, unless the state is new."""
    return Check(place.repository(), connections=1).run(0.0, owner_heads(place, state))


def codes(checked: Checked) -> list[str]:
    return [damage.error.code for damage in checked.damage] + [notice.code for notice in checked.notices]


def prune_twice(place: Place) -> None:
    """Both steps, with the grace between them."""
    Prune(place.repository(), OWNER, place.clock, threads=1, connections=1).run()
    place.clock.advance(GRACE_S + 3600)
    Prune(place.repository(), OWNER, place.clock, threads=1, connections=1).run()


@contextmanager
def forbidden(place: Place, error: Exception, *verbs: str) -> Iterator[None]:
    def refuse(verb: str, name: str) -> None:
        if verb in verbs:
            raise error

    before, place.before = place.before, refuse
    yield
    place.before = before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "folder", 1)
    return tmp_path / "folder"


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return tmp_path / "laptop"


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    return tmp_path / "owner"


# --- what ours does


def test_saving_asks_for_nothing_but_new_objects_and_the_end_of_its_own_lock(folder, laptop):
    place, done = made(), []
    place.before = lambda verb, name: done.append((verb, name, name in place.blobs))
    for seed in range(3):
        fill(folder, seed)
        save(place, folder, laptop)
    verbs = {verb for verb, _, _ in done}
    assert verbs == {"create", "delete"}
    assert not [name for verb, name, is_there in done if verb == "create" and is_there]
    removed = [name for verb, name, _ in done if verb == "delete"]
    assert len(removed) == 3 and all(name.startswith("locks/") for name in removed)


@pytest.mark.parametrize("error", [Refused(where="s3", reason="no"), SecretError(what="s3 does not let us in")])
def test_a_lock_that_may_not_be_removed_is_no_failure_and_keeps_nobody_out_for_long(folder, laptop, error):
    place = made()
    with forbidden(place, error, "delete"):
        first = save(place, folder, laptop).snapshot
        second = save(place, folder, laptop).snapshot
        with locked(adding(place), MACHINE, place.clock, exclusive=False) as lock:
            pass
    assert lock.left is error
    assert len(place.names("locks")) == 3
    with pytest.raises(RepositoryLocked), locked(place.repository(), OWNER, place.clock, exclusive=True):
        pass
    place.clock.advance(STALE_S + 60)
    with locked(place.repository(), OWNER, place.clock, exclusive=True):
        assert len(place.names("locks")) == 1
    assert content(place, first) == content(place, second)


def test_a_lock_that_was_renewed_leaves_the_old_one_where_it_may_not_be_removed(laptop):
    place = made()
    with (
        forbidden(place, Refused(where="sftp", reason="no"), "delete"),
        locked(adding(place), MACHINE, place.clock, exclusive=False) as lock,
    ):
        place.clock.advance(301)
        lock.renew()
        lock.must_hold()
    assert len(place.names("locks")) == 2


def test_a_version_that_turned_out_wrong_stays_without_a_signature_where_it_may_not_be_removed(folder, laptop, owner):
    """GIVEN a machine that slept before its version was written WHEN what it needs is gone THEN nobody signs it."""
    place = made()

    def sleep_and_lose(verb: str, name: str) -> None:
        if name.startswith("snapshots/"):
            place.clock.advance(GRACE_S)
            for pack in place.names("data"):
                del place.blobs[pack]

    place.before = sleep_and_lose
    with pytest.raises(ProofFailed):
        save(place, folder, laptop)
    place.before = lambda verb, name: None
    assert len(place.names("snapshots")) == 1
    save(place, folder, laptop)
    found = check(place, owner)
    assert codes(found).count("B453") == 1 and len(place.names("snapshots")) == 2


def test_who_may_delete_again_is_another_client(folder, laptop):
    place = made()
    saved = save(place, folder, laptop).snapshot
    first = Memory.load(memory_path(laptop, place.config))
    assert first.adds
    heads = Heads(place.repository(), MACHINE, place.clock, laptop)
    heads.forgot([saved.id])
    place.repository().objects.delete(Kind.SNAPSHOT, saved.id)
    second = Memory.load(memory_path(laptop, place.config))
    assert second.seed != first.seed and not second.adds
    # It was there when the first one signed, so nothing of that is strange to it.
    found = Check(place.repository(), connections=1).run(0.0, Heads(place.repository(), MACHINE, place.clock, laptop))
    assert codes(found) == []


# --- what a thief does


def test_a_version_that_is_gone_is_missed_even_if_the_thief_signs_that_it_was_forgotten(folder, laptop, owner):
    place = made()
    saved = save(place, folder, laptop).snapshot
    save(place, folder, laptop)
    check(place, owner)
    thief = Heads(adding(place), MACHINE, place.clock, laptop, adds=True)
    thief.forgot([saved.id])
    assert codes(check(place, owner)) == ["B456"]
    place.damage(f"snapshots/{saved.id}", "gone")
    assert codes(check(place, owner)) == ["B456", "B450"]


def test_records_that_are_cut_off_are_missed(folder, laptop, owner):
    place = made()
    for _ in range(2):
        save(place, folder, laptop)
    check(place, owner)
    place.damage(place.names("x-escale/heads")[-1], "gone")
    assert codes(check(place, owner)) == ["B451", "B453"]


def test_a_number_that_somebody_else_has_taken_is_told(folder, laptop, owner):
    """The thief of one machine puts rubbish where the next record of another one goes."""
    place = made()
    save(place, folder, laptop)
    check(place, owner)
    client = Heads(place.repository(), MACHINE, place.clock, laptop).client
    place.store("x-escale/heads/").create(f"{client}-0000000003", b"rubbish")
    save(place, folder, laptop)
    found = check(place, owner)
    assert "B453" not in codes(found) and any("-0000000003" in str(damage.error) for damage in found.damage)


def forged(snapshot: Snapshot, day: float, number: int) -> Snapshot:
    time_ns = snapshot.time_ns + round((day * DAYS + number) * 1e9)
    return replace(snapshot, time_ns=time_ns)


@pytest.mark.parametrize("keep", [Keep(last=3), Keep(daily=7), Keep(within_s=3 * DAYS), Keep(hourly=5)])
def test_versions_that_nobody_signed_push_out_none_that_somebody_did(folder, laptop, owner, keep):
    place = made()
    good = [save(place, folder, laptop, wait_s=DAYS).snapshot for _ in range(7)]
    check(place, owner)
    for number in range(20):
        adding(place).write_snapshot(forged(good[-1], number * 1.0 - 10, number))
    repository = place.repository()
    versions = [one for one in repository.snapshots() if isinstance(one, Snapshot)]
    assert len(versions) == 27
    without = plan_forget(good, keep)
    plan = plan_forget(versions, keep, trusted(repository, versions, owner_heads(place, owner)))
    assert {one.id for one in good} & set(plan.kept) == set(without.kept)
    assert len(without.kept) >= 3


def test_versions_of_other_days_push_out_none_though_they_are_signed(folder, laptop, owner):
    """The thief has the key of the machine; but the store tells when his versions came."""
    place = made()
    good = [save(place, folder, laptop, wait_s=DAYS).snapshot for _ in range(7)]
    check(place, owner)
    place.clock.advance(DAYS)
    thief = Heads(adding(place), MACHINE, place.clock, laptop, adds=True)
    for day in range(-6, 20):
        thief.saved(adding(place).write_snapshot(forged(good[-1], day, 3600)))
    repository = place.repository()
    versions = [one for one in repository.snapshots() if isinstance(one, Snapshot)]
    # This day is his, and no other.
    times = trusted(repository, versions, owner_heads(place, owner))
    kept = plan_forget(versions, Keep(daily=8), times).kept
    assert {one.id for one in good} <= set(kept)


@pytest.mark.parametrize("is_new", [False, True], ids=["with the key of his machine", "with a new key"])
def test_versions_in_the_name_of_another_machine_push_out_none_of_its_own(folder, laptop, owner, tmp_path, is_new):
    place = made()
    desk = tmp_path / "desk"
    good = [save(place, folder, desk, OWNER, wait_s=DAYS).snapshot for _ in range(4)]
    save(place, folder, laptop)
    check(place, owner)
    where = tmp_path / "thief" if is_new else laptop
    thief = Heads(adding(place), OWNER, place.clock, where, adds=True)
    bad = [thief.saved(adding(place).write_snapshot(forged(good[-1], 0.0, n + 3600))) for n in range(9)]
    repository = place.repository()
    versions = [one for one in repository.snapshots() if isinstance(one, Snapshot) and one.hostname == "desk"]
    assert len(versions) == len(good) + len(bad)
    times = trusted(repository, versions, owner_heads(place, owner))
    kept = plan_forget(versions, Keep(last=4), times).kept
    assert {one.id for one in good} <= set(kept)
    assert codes(check(place, owner)) == (["B455"] if is_new else ["B457"])


def test_marks_on_everything_make_nothing_go(folder, laptop):
    place = made()
    saved = save(place, folder, laptop).snapshot
    before = content(place, saved)
    for pack in place.names("data"):
        Doomed(adding(place), place.clock).mark(pack.rpartition("/")[2])
    place.clock.advance(GRACE_S + 3600)
    prune_twice(place)
    assert content(place, saved) == before and before


def test_packs_that_say_to_hold_what_they_do_not_make_nothing_go(folder, laptop):
    """The thief adds a pack with rubbish under the ids of what is needed, and lists it: so true packs seem needless."""
    place = made()
    saved = save(place, folder, laptop).snapshot
    before = content(place, saved)
    thief = adding(place)
    thief.refresh()
    for pack in place.names("data"):
        blobs = thief.catalog.blobs_of(pack.rpartition("/")[2])
        rubbish = Pack()
        for blob in blobs:
            rubbish.add(blob.id, blob.kind, thief.master.seal(random.Random(1).randbytes(blob.length)), None)
        name = thief.objects.write(Kind.PACK, bytes(rubbish.finish(thief.master)))
        thief.write_unpacked(Kind.INDEX, IndexFile({name: rubbish.blobs}).encode())
    place.clock.advance(DAYS)
    prune_twice(place)
    assert content(place, saved) == before and before


def test_an_exclusive_lock_of_next_year_keeps_nobody_out_for_long(folder, laptop):
    place = made()
    year_ns = round((place.clock.now() + 365 * DAYS) * 1e9)
    adding(place).write_unpacked(Kind.LOCK, Claim(year_ns, True, "elsewhere", "thief", 1).encode())
    with pytest.raises(RepositoryLocked), locked(place.repository(), OWNER, place.clock, exclusive=False):
        pass
    place.clock.advance(STALE_S + 60)
    with locked(place.repository(), OWNER, place.clock, exclusive=True):
        assert len(place.names("locks")) == 1
