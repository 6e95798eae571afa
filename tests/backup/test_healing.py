"""Healing: whatever became of the store, a version that is said to be saved is whole to who knows nothing else."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from escale.backup.check import Check, Checked
from escale.backup.doomed import GRACE_S
from escale.backup.objects import Kind, Objects
from escale.backup.repair import Repair
from escale.backup.save import Saved
from escale.backup.snapshot import Snapshot
from escale.errors import EscaleError, NoRelaySpace, Unreachable
from escale.testing.faults import Crash

from .places import MACHINE, Place, dies_at
from .test_prune import fill, prune
from .test_save import below, disk, tree_of, version

RUNS = 40
"""So many at most until a sample finds what a listing does not show."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    rng = random.Random(1)
    for number in range(6):
        (folder / "below" / f"small {number}").write_bytes(rng.randbytes(900))
    (folder / "large").write_bytes(rng.randbytes(60_000))
    return folder


def check(place: Place, cache: Path | None = None, share: float = 1.0) -> Checked:
    return Check(place.repository(cache), connections=1, rng=random.Random(1)).run(share)


def told(checked: Checked) -> str:
    return "\n".join(str(damage.error) for damage in checked.damage)


def second(place: Place, folder: Path, cache: Path | None) -> tuple[Snapshot, Snapshot]:
    """Two versions that share most, with two index files."""
    first = place.save(folder, cache=cache).snapshot
    (folder / "large").write_bytes(random.Random(2).randbytes(60_000))
    return first, place.save(folder, parent=first, cache=cache).snapshot


def saved_in_the_end(place: Place, folder: Path, parent: Snapshot, cache: Path | None, *names: str) -> list[Saved]:
    """Runs until they have named the objects; all of what they said."""
    runs: list[Saved] = []
    while not all(name.rpartition("/")[2][:12] in str([run.damaged for run in runs]) for name in names):
        assert len(runs) < RUNS, names
        runs.append(place.save(folder, parent=parent, cache=cache, seed=len(runs)))
    return runs


# --- index files that this machine need not read


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_index_that_is_known_here_is_told_and_its_blobs_are_stored_again(folder, tmp_path, how):
    """Else only this machine, as long as it has its catalog, could find them."""
    place, cache = Place(), tmp_path / "cache"
    _, latest = second(place, folder, cache)
    for name in place.names("index"):
        place.damage(name, how)
        runs = saved_in_the_end(place, folder, latest, cache, name)
        assert how == "flipped" or len(runs) == 1
        assert version(place, runs[-1].snapshot, folder) == disk(folder)


def test_an_index_that_is_damaged_while_we_save_is_told_and_its_blobs_are_stored_again(folder, tmp_path):
    place, torn = Place(), list[str]()

    def tear(verb: str, name: str) -> None:
        if name.startswith("index/") and not torn:
            torn.append(name)
            place.damage(name, "cut")

    place.after = tear
    saved = place.save(folder, cache=tmp_path)
    assert torn[0].rpartition("/")[2][:12] in str(saved.damaged)
    assert version(place, saved.snapshot, folder) == disk(folder)


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_check_reads_index_files_that_it_knows_and_repair_makes_them_again(folder, tmp_path, how):
    place, cache = Place(), tmp_path / "cache"
    _, latest = second(place, folder, cache)
    place.blobs["config"] = (place.master.seal(place.config.encode()), place.clock.now())
    assert check(place, cache, 0.0).is_sound
    for name in place.names("index"):
        place.damage(name, how)
        assert name.rpartition("/")[2][:12] in told(check(place, cache, 0.0))
        Repair(place.repository(cache), MACHINE, place.clock).run()
        assert check(place, cache).is_sound and check(place).is_sound
        assert version(place, latest, folder) == disk(folder)


def test_index_files_are_read_back_in_turn_and_not_all_at_once(folder, tmp_path, monkeypatch):
    place, reads = Place(), list[str]()
    for seed in range(6):
        (folder / "large").write_bytes(random.Random(seed).randbytes(60_000))
        latest = place.save(folder, cache=tmp_path).snapshot
    original = Objects.read_many

    def read_many(self, kind, names):
        reads.extend(names if kind is Kind.INDEX else [])
        return original(self, kind, names)

    monkeypatch.setattr(Objects, "read_many", read_many)
    known = {name.partition("/")[2] for name in place.names("index")}
    for _ in range(3 * len(known)):
        before = len(reads)
        place.save(folder, parent=latest, cache=tmp_path)
        assert len(reads) - before <= 2
    assert known <= set(reads)


# --- every object, and what may become of it


@pytest.mark.parametrize("has_cache", [True, False])
def test_of_two_objects_that_changed_places_both_are_healed(folder, tmp_path, has_cache):
    cache = tmp_path / "cache" if has_cache else None
    place = Place()
    _, latest = second(place, folder, cache)
    pairs = 0
    for kind in ("data", "index"):
        for one, other in itertools.combinations(place.names(kind), 2):
            place.blobs[one], place.blobs[other] = place.blobs[other], place.blobs[one]
            runs = saved_in_the_end(place, folder, latest, cache, one, other)
            pairs += 1
            assert version(place, runs[-1].snapshot, folder) == disk(folder), (one, other)
            place.blobs[one], place.blobs[other] = place.blobs[other], place.blobs[one]
    assert pairs > 5


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("has_cache", [True, False])
def test_a_store_of_which_some_directories_were_put_back(folder, tmp_path, has_cache, seed):
    """Each kind of object to another moment; the client's catalog knows the last one."""
    rng, place = random.Random(seed), Place()
    cache = tmp_path / "cache" if has_cache else None
    place.blobs["config"] = (place.master.seal(place.config.encode()), place.clock.now())
    moments = []
    for number in range(4):
        (folder / "large").write_bytes(random.Random(number % 3).randbytes(60_000))
        (folder / f"new {number}").write_bytes(random.Random(100 + number).randbytes(2000))
        place.save(folder, cache=cache)
        if number == 1:
            oldest = min(place.repository().snapshots(), key=lambda one: one.time_ns)
            place.repository().objects.delete(Kind.SNAPSHOT, oldest.id)
            prune(place)
            place.clock.advance(GRACE_S)
            assert prune(place).deleted
        moments.append(dict(place.blobs))
    for kind in ("data", "index", "snapshots", "x-escale"):
        then = rng.choice(moments)
        place.blobs = {name: one for name, one in place.blobs.items() if not name.startswith(f"{kind}/")}
        place.blobs |= {name: one for name, one in then.items() if name.startswith(f"{kind}/")}
    readable = [one for one in place.repository().snapshots() if isinstance(one, Snapshot)]
    parent = max(readable, key=lambda one: one.time_ns)
    saved = place.save(folder, parent=parent, cache=cache)
    assert version(place, saved.snapshot, folder) == disk(folder)
    checked = check(place)
    for snapshot in readable:
        try:
            version(place, snapshot, folder)
        except EscaleError:
            hit = {short for damage in checked.damage for one in damage.touched for short in one.versions}
            assert snapshot.short in hit


@pytest.mark.parametrize("failure", [Crash, NoRelaySpace, Unreachable])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_end_at_every_change_of_a_run_that_heals_harms_nothing(folder, tmp_path, when, failure):
    """Whatever version there is afterwards is whole, and the next run heals what is left."""
    error = failure if failure is Crash else failure(where="memory:", reason="on purpose")
    deaths = 0
    for nth in range(60):
        place, cache = Place(), tmp_path / f"cache {nth}"
        _, latest = second(place, folder, cache)
        before, tree = set(place.names("snapshots")), tree_of(place, latest, folder)
        place.damage(place.names("data")[0], "gone")
        place.damage(place.names("data")[0], "cut")
        place.damage(place.names("index")[0], "cut")
        setattr(place, when, dies_at(nth, error))
        try:
            place.save(folder, parent=latest, cache=cache)
            has_died = False
        except (Crash, NoRelaySpace, Unreachable):
            has_died = True
            deaths += 1
        setattr(place, when, lambda verb, name: None)
        for one in place.repository().snapshots():
            if f"snapshots/{one.id}" not in before:
                assert version(place, one, folder) == disk(folder), nth
        saved = place.save(folder, parent=latest, cache=cache)
        assert version(place, saved.snapshot, folder) == below(place, tree) == disk(folder), nth
        if not has_died:
            break
    assert deaths == nth > 2


def test_what_no_version_needs_any_more_can_go_after_healing(folder, tmp_path):
    """Damage of a store that was healed does not keep prune from its work for ever."""
    place, cache = Place(), tmp_path / "cache"
    first, latest = second(place, folder, cache)
    place.damage(place.names("data")[0], "gone")
    saved = place.save(folder, parent=latest, cache=cache)
    assert saved.damaged
    for snapshot in (first, latest):
        place.repository().objects.delete(Kind.SNAPSHOT, snapshot.id)
    fill(folder / "below", 9)
    last = place.save(folder, parent=saved.snapshot, cache=cache).snapshot
    place.repository().objects.delete(Kind.SNAPSHOT, saved.snapshot.id)
    assert prune(place).damage == []
    place.clock.advance(GRACE_S)
    assert prune(place).deleted
    assert version(place, last, folder) == disk(folder)
