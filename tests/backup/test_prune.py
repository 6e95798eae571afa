"""Prune: what no version needs goes after the grace, and nothing else ever does."""

from __future__ import annotations

import contextlib
import itertools
import random
from pathlib import Path

import pytest

from escale.backup.check import Check
from escale.backup.chunks import Chunker
from escale.backup.doomed import GRACE_S, Doomed, doomed
from escale.backup.fetch import Fetch
from escale.backup.forget import TooManyVersions, forget, plan_forget
from escale.backup.heads import Heads
from escale.backup.locks import LockLost, RepositoryLocked, locked
from escale.backup.machine import Machine
from escale.backup.objects import Kind
from escale.backup.pack import BlobKind
from escale.backup.progress import Progress, silent
from escale.backup.prune import Prune, Pruned
from escale.backup.reach import reach
from escale.backup.repository import Repository
from escale.backup.retention import Keep
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.errors import Unreachable
from escale.testing.faults import Crash

from .places import MACHINE, Place, dies_at

CHUNKER = Chunker(4096, 7)
"""As that of `Place.save`."""


def fill(folder: Path, *seeds: int, size: int = 30_000) -> None:
    """One file of each seed, and nothing else."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for seed in seeds:
        (folder / f"file {seed}").write_bytes(random.Random(seed).randbytes(size))


def pruning(place: Place, repository: Repository | None = None, machine: Machine = MACHINE) -> Prune:
    return Prune(repository or place.repository(), machine, place.clock, threads=1, connections=1)


def prune(place: Place, machine: Machine = MACHINE) -> Pruned:
    return pruning(place, machine=machine).run()


def drop(place: Place, *snapshots: Snapshot) -> None:
    for snapshot in snapshots:
        place.repository().objects.delete(Kind.SNAPSHOT, snapshot.id)


def content(place: Place, snapshot: Snapshot) -> dict[str, bytes]:
    """Every file of a version, read back."""
    repository = place.repository()
    assert repository.refresh() == []
    versions = Versions(repository)
    files = {
        found.path: b"".join(repository.load_blob(BlobKind.DATA, bytes.fromhex(text)) for text in found.node.content)
        for found in versions.walk(snapshot.tree)
    }
    assert not versions.damaged
    return files


def stored_bytes(place: Place) -> int:
    return sum(len(place.blobs[name][0]) for name in place.names("data"))


def test_what_no_version_needs_goes_after_the_grace_and_not_before(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    first = place.save(folder).snapshot
    fill(folder, 3, 4)
    second = place.save(folder).snapshot
    before = content(place, second)
    drop(place, first)
    done = prune(place)
    assert done.marked and not done.deleted and not done.damage
    assert doomed(place.repository()) == set(done.marked)
    names = place.names("data")
    place.clock.advance(GRACE_S - 3600)
    done = prune(place)
    assert (done.waiting, done.deleted, place.names("data")) == (len(doomed(place.repository())), {}, names)
    place.clock.advance(3600)
    done = prune(place)
    assert sum(done.deleted.values()) > 60_000
    assert not place.names("x-escale/doomed")
    assert content(place, second) == before
    assert stored_bytes(place) < 70_000


def test_nothing_is_to_do_where_everything_is_needed(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    place.save(folder)
    before = dict(place.blobs)
    assert prune(place) == Pruned()
    assert place.blobs == before


def test_the_rest_of_a_wasteful_pack_is_stored_anew(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, *range(40))
    first = place.save(folder).snapshot
    fill(folder, *range(4))
    second = place.save(folder, parent=first).snapshot
    before = content(place, second)
    drop(place, first)
    done = prune(place)
    assert 120_000 < done.repacked_bytes < 160_000
    assert content(place, second) == before
    place.clock.advance(GRACE_S)
    prune(place)
    assert content(place, second) == before
    assert stored_bytes(place) < 160_000
    place.clock.advance(GRACE_S)
    assert prune(place) == Pruned()


def test_a_pack_that_is_a_little_wasteful_stays(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, *range(40))
    first = place.save(folder).snapshot
    fill(folder, *range(36))
    place.save(folder, parent=first)
    drop(place, first)
    done = prune(place)
    assert not [pack for pack, size in done.marked.items() if size > 40_000]


@pytest.mark.parametrize("count", [1, 300])
def test_packs_of_tiny_files_stay(tmp_path, count):
    """What stands around such a blob is longer than the blob, but not wasted."""
    place, folder = Place(), tmp_path / "folder"
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).write_text(str(number))
    place.save(folder)
    place.clock.advance(GRACE_S)
    assert prune(place) == Pruned()


@pytest.mark.parametrize("size", [0, 1])
def test_a_tiny_pack_of_which_nothing_is_needed_goes(tmp_path, size):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    place.save(folder)
    repository = place.repository()
    with Writer(repository, 1, 1) as writer:
        writer.add(BlobKind.DATA, bytes(size))
        writer.flush()
    place.clock.advance(GRACE_S)
    assert set(prune(place).marked) == set(writer.written.packs)


def test_a_version_that_comes_to_need_a_marked_pack_spares_it(tmp_path):
    """As one of restic would, which knows no marks."""
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    first = place.save(folder).snapshot
    before = content(place, first)
    fill(folder, 3)
    place.save(folder)
    drop(place, first)
    marked = prune(place).marked
    again = place.repository().write_snapshot(first)
    place.clock.advance(GRACE_S)
    done = prune(place)
    assert done.spared and not done.deleted
    assert done.spared <= set(marked)
    assert content(place, again) == before
    assert not place.names("x-escale/doomed")


def test_a_backup_does_not_rely_on_a_marked_pack(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    first = place.save(folder).snapshot
    fill(folder, 3)
    place.save(folder)
    drop(place, first)
    prune(place)
    place.clock.advance(GRACE_S)
    fill(folder, 1, 2)
    saved = place.save(folder)
    assert not saved.damaged
    done = prune(place)
    assert done.deleted and not done.damage
    assert len(content(place, saved.snapshot)) > 2


def test_the_damaged_copy_goes_and_not_the_healed_one(tmp_path):
    """Two packs are said to hold the same; which one is whole is seen by reading, whatever the order of names."""
    for _ in range(6):
        place, folder = Place(), tmp_path / "folder"
        fill(folder, 1, 2)
        version = place.save(folder).snapshot
        before = content(place, version)
        damaged = [name for name in place.names("data") if len(place.blobs[name][0]) > 20_000]
        for name in damaged:
            place.damage(name, "flipped")
        repository = place.repository()
        repository.refresh()
        repository.missing = {name.rpartition("/")[2] for name in damaged}
        with Writer(repository, 1, 1) as writer:
            for path in folder.iterdir():
                for piece in CHUNKER.cut(path.open("rb"), path.stat().st_size):
                    writer.add(BlobKind.DATA, piece)
            writer.flush()
        for _ in range(3):
            place.clock.advance(GRACE_S)
            assert prune(place).damage == []
        assert not set(damaged) & set(place.names("data"))
        assert content(place, version) == before


def test_packs_of_whoever_is_at_work_are_not_marked(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    place.save(folder)
    other = Machine("forge", "bob", 1000, 1000, 4242)
    place.clock.advance(3600)
    repository = place.repository()
    with locked(repository, other, place.clock, exclusive=False), Writer(repository, 1, 1) as writer:
        place.clock.advance(120)
        writer.add(BlobKind.DATA, random.Random(5).randbytes(10_000))
        writer.flush()
        place.clock.advance(120)
        assert prune(place) == Pruned()
    place.clock.advance(1)
    assert set(prune(place).marked) == set(writer.written.packs)


def test_deleting_waits_until_nobody_is_at_work(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    first = place.save(folder).snapshot
    fill(folder, 2)
    place.save(folder)
    drop(place, first)
    prune(place)
    place.clock.advance(GRACE_S)
    other = Machine("forge", "bob", 1000, 1000, 4242)
    before = place.names("data")
    with locked(place.repository(), other, place.clock, exclusive=False), pytest.raises(RepositoryLocked):
        prune(place)
    assert place.names("data") == before
    assert prune(place).deleted


def test_nobody_has_to_be_alone_for_marks_that_are_not_old_enough(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    first = place.save(folder).snapshot
    fill(folder, 2)
    place.save(folder)
    drop(place, first)
    marked = prune(place).marked
    place.clock.advance(GRACE_S - 3600)
    other = Machine("forge", "bob", 1000, 1000, 4242)
    with locked(place.repository(), other, place.clock, exclusive=False):
        claims: list[str] = []
        place.after = lambda verb, name: claims.append(name) if (verb, name[:6]) == ("put", "locks/") else None
        done = prune(place)
    assert (done.waiting, done.deleted, len(claims)) == (len(marked), {}, 1)
    assert marked


@pytest.mark.parametrize("what", ["snapshots", "index", "data"])
@pytest.mark.parametrize("how", ["gone", "cut", "flipped"])
def test_nothing_goes_while_something_cannot_be_read(tmp_path, what, how):
    if (what, how) == ("snapshots", "gone"):
        pytest.skip("a version that is not there needs nothing")
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    first = place.save(folder).snapshot
    fill(folder, 2)
    second = place.save(folder).snapshot
    drop(place, first)
    prune(place)
    place.clock.advance(GRACE_S)
    repository = place.repository()
    repository.refresh()
    pack = repository.catalog.find(BlobKind.TREE, bytes.fromhex(second.tree))[0][0]
    (index,) = repository.catalog.indices_of(pack)
    name = {"snapshots": f"snapshots/{second.id}", "index": f"index/{index}", "data": f"data/{pack[:2]}/{pack}"}[what]
    place.damage(name, how)
    names = place.names("data") + place.names("index")
    done = prune(place)
    assert done.damage and not done.deleted and not done.marked
    assert place.names("data") + place.names("index") == names


def test_an_old_mark_of_a_pack_that_is_gone_goes(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    place.save(folder)
    Doomed(place.repository(), place.clock).mark("ab" * 32)
    place.clock.advance(GRACE_S)
    assert prune(place).deleted == {}
    assert not place.names("x-escale/doomed")


def test_a_mark_of_a_wrong_clock_is_made_anew(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    first = place.save(folder).snapshot
    fill(folder, 2)
    place.save(folder)
    drop(place, first)
    place.clock.jump(10 * GRACE_S)
    prune(place)
    place.clock.jump(-10 * GRACE_S)
    place.clock.advance(GRACE_S)
    assert not prune(place).deleted
    place.clock.advance(GRACE_S)
    assert prune(place).deleted


def test_a_forged_mark_gains_nothing_but_time(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    version = place.save(folder).snapshot
    before = content(place, version)
    for name in place.names("data"):
        place.blobs[f"x-escale/doomed/{name.rpartition('/')[2]}"] = (b"", place.clock.now() - 2 * GRACE_S)
    for _ in range(3):
        prune(place)
        place.clock.advance(GRACE_S)
    assert content(place, version) == before


def test_who_slept_through_his_exclusive_lock_deletes_nothing_more(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1)
    first = place.save(folder).snapshot
    fill(folder, 2)
    place.save(folder)
    drop(place, first)
    prune(place)
    place.clock.advance(GRACE_S)
    before = place.names("data")

    def sleep(verb: str, name: str) -> None:
        if name.startswith("index/"):
            place.clock.advance(3600)

    place.after = sleep
    with pytest.raises(LockLost):
        prune(place)
    assert place.names("data") == before
    place.after = lambda verb, name: None
    assert prune(place).deleted


@pytest.mark.parametrize(
    "failure", [Crash(), Unreachable(where="memory:", reason="on purpose")], ids=["dead", "cut off"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_end_at_every_change_loses_nothing_and_the_next_run_finishes(tmp_path, when, failure):
    """All that marking, storing anew and deleting change at the store, in turn; from then on nothing works."""
    deaths = 0
    for nth in range(200):
        place, folder = Place(), tmp_path / "folder"
        fill(folder, *range(12), size=3000)
        first = place.save(folder).snapshot
        fill(folder, *range(3), size=3000)
        second = place.save(folder, parent=first).snapshot
        before = content(place, second)
        drop(place, first)
        setattr(place, when, dies_at(nth, failure))
        try:
            prune(place)
            place.clock.advance(GRACE_S)
            prune(place)
            has_died = False
        except (Crash, Unreachable, RepositoryLocked):
            has_died = True
            deaths += 1
        setattr(place, when, lambda verb, name: None)
        assert content(place, second) == before, nth
        for _ in range(3):
            # The lock of the dead is old by then.
            place.clock.advance(GRACE_S)
            prune(place)
        assert content(place, second) == before, nth
        assert stored_bytes(place) < 14_000, nth
        assert not place.names("x-escale/doomed")
        if not has_died:
            break
    assert deaths == nth > 10


# --- forgetting


def versions_of(place: Place, folder: Path, count: int) -> list[Snapshot]:
    found = []
    for number in range(count):
        fill(folder, number, size=2000)
        found.append(place.save(folder).snapshot)
    return found


def test_forgetting_takes_the_versions_that_no_rule_keeps(tmp_path):
    place = Place()
    saved = versions_of(place, tmp_path / "folder", 4)
    repository = place.repository()
    plan = plan_forget(saved, Keep(last=2))
    assert [snapshot.id for snapshot in plan.gone] == [snapshot.id for snapshot in saved[:2]]
    forget(repository, plan)
    assert {snapshot.id for snapshot in repository.snapshots()} == {snapshot.id for snapshot in saved[2:]}


def test_forgetting_much_needs_a_word(tmp_path):
    place = Place()
    saved = versions_of(place, tmp_path / "folder", 14)
    plan = plan_forget(saved, Keep(last=1))
    names = place.names("snapshots")
    with pytest.raises(TooManyVersions):
        forget(place.repository(), plan)
    assert place.names("snapshots") == names
    forget(place.repository(), plan, is_approved=True)
    assert len(place.names("snapshots")) == 1


@pytest.mark.parametrize("nth", range(5))
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_while_forgetting_leaves_versions_that_are_whole_or_gone(tmp_path, when, nth):
    """And those that were to go and are there go with the next run, which finds nothing that nobody signed for."""
    place = made()
    saved = versions_of(place, tmp_path / "folder", 4)
    heads = Heads(place.repository(), MACHINE, place.clock, tmp_path / "state")
    for snapshot in saved:
        heads.saved(snapshot)
    whole = content(place, saved[-1])
    setattr(place, when, dies_at(nth))
    with contextlib.suppress(Crash):
        forget(place.repository(), plan_forget(saved, Keep(last=1)), heads_again(place, tmp_path))
    setattr(place, when, lambda verb, name: None)
    checked = Check(place.repository(), connections=1).run(1.0, heads_again(place, tmp_path))
    assert checked.is_sound and {notice.code for notice in checked.notices} <= {"B454"}
    left_over = [one for one in place.repository().snapshots() if isinstance(one, Snapshot)]
    forget(place.repository(), plan_forget(left_over, Keep(last=1)), heads_again(place, tmp_path))
    assert Check(place.repository(), connections=1).run(1.0, heads_again(place, tmp_path)).notices == []
    assert content(place, saved[-1]) == whole


def heads_again(place: Place, tmp_path: Path) -> Heads:
    return Heads(place.repository(), MACHINE, place.clock, tmp_path / "state")


def made() -> Place:
    """With a config, which `Place` knows without reading it."""
    place = Place()
    place.blobs["config"] = (place.master.seal(place.config.encode()), place.clock.now())
    return place


def test_an_empty_rule_forgets_nothing(tmp_path):
    place = Place()
    assert not plan_forget(versions_of(place, tmp_path / "folder", 3), Keep()).gone


def test_everything_that_is_needed_is_known(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2, 3)
    place.save(folder)
    repository = place.repository()
    with Fetch(repository, 1) as fetch:
        reached = reach(repository, fetch, silent)
    assert reached.is_complete
    assert repository.catalog.needed_bytes().once.keys() == repository.catalog.packs()


def spoil_trees(place: Place) -> None:
    """Every pack of directories stays as long as it is, and cannot be read any more."""
    repository = place.repository()
    repository.refresh()
    for pack in repository.catalog.packs():
        if repository.catalog.blobs_of(pack)[0].kind is BlobKind.TREE:
            place.damage(f"data/{pack[:2]}/{pack}", "flipped")


def test_what_a_version_needs_is_read_once(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    place.save(folder)
    repository = place.repository()
    with Fetch(repository, 1) as fetch:
        before = reach(repository, fetch, silent)
        needed = repository.catalog.needed_bytes()
        spoil_trees(place)
        fill(folder, 1, 3)
        place.save(folder)
        again = reach(repository, fetch, silent, before=before)
        assert again.is_complete and len(again.snapshots) == 2
        assert repository.catalog.needed_bytes().in_all.items() > needed.in_all.items()
        assert reach(repository, fetch, silent).trees_damaged


def test_a_version_that_went_meanwhile_needs_nothing_any_more(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    first = place.save(folder).snapshot
    fill(folder, 3)
    place.save(folder)
    repository = place.repository()
    with Fetch(repository, 1) as fetch:
        before = reach(repository, fetch, silent)
        most = sum(repository.catalog.needed_bytes().once.values())
        drop(place, first)
        assert reach(repository, fetch, silent, before=before).is_complete
    assert sum(repository.catalog.needed_bytes().once.values()) < most - 60_000


def test_what_was_not_read_whole_is_read_again(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, 1, 2)
    place.save(folder)
    sound = dict(place.blobs)
    spoil_trees(place)
    repository = place.repository()
    with Fetch(repository, 1) as fetch:
        before = reach(repository, fetch, silent)
        assert before.trees_damaged
        place.blobs.update(sound)
        again = reach(repository, fetch, silent, before=before)
        assert again.is_complete
    assert repository.catalog.needed_bytes().once.keys() == repository.catalog.packs()


def test_it_tells_how_far_it_is(tmp_path):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, *range(40))
    first = place.save(folder).snapshot
    fill(folder, *range(4))
    place.save(folder)
    drop(place, first)
    told: list[Progress] = []
    Prune(place.repository(), MACHINE, place.clock, threads=1, connections=1, report=told.append).run()
    assert [*dict.fromkeys(progress.noun for progress in told)] == ["directories", "packs"]
    for progress in told:
        assert 0 < progress.files_done <= (progress.files_known or 0)
        assert 0 < progress.bytes_done <= (progress.bytes_known or 0)
    assert told[-1].files_done == told[-1].files_known
    assert told[-1].bytes_done == told[-1].bytes_known > 100_000


class Stop(Exception):
    """Somebody wants us to end."""


@pytest.mark.parametrize("nth", range(4))
def test_whoever_is_told_may_end_it_and_the_next_one_finishes(tmp_path, nth):
    place, folder = Place(), tmp_path / "folder"
    fill(folder, *range(40))
    first = place.save(folder).snapshot
    fill(folder, *range(4))
    second = place.save(folder).snapshot
    before = content(place, second)
    drop(place, first)
    calls = itertools.count()

    def stop(progress: Progress) -> None:
        if next(calls) == nth:
            raise Stop

    with contextlib.suppress(Stop):
        Prune(place.repository(), MACHINE, place.clock, threads=1, connections=1, report=stop).mark()
    assert not place.names("locks")
    assert prune(place).damage == []
    place.clock.advance(GRACE_S)
    prune(place)
    assert content(place, second) == before
    assert stored_bytes(place) < 160_000
