"""Check and repair: whatever happens to an object is named, and what can be put right is."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from escale.backup.check import Check, Checked
from escale.backup.doomed import GRACE_S
from escale.backup.fetch import Fetch
from escale.backup.heads import Heads
from escale.backup.objects import Kind
from escale.backup.pack import BlobKind
from escale.backup.prune import Prune
from escale.backup.repair import Repair, Repaired
from escale.backup.repository import NoRepository, Repository
from escale.backup.restore import Restore
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.errors import Corrupt, EscaleError
from escale.store.memory import MemoryStore
from escale.testing.faults import Crash

from .places import MACHINE, Place, dies_at
from .test_prune import content, fill, prune


def check(place: Place, share: float = 1.0, heads: Heads | None = None) -> Checked:
    return Check(place.repository(), connections=1, rng=random.Random(1)).run(share, heads)


def repair(place: Place, checked: Checked | None = None) -> Repaired:
    return Repair(place.repository(), MACHINE, place.clock).run(checked.salvage if checked else None)


def named(checked: Checked) -> str:
    """All that is said."""
    return "\n".join([*(str(damage.error) for damage in checked.damage), *map(str, checked.notices)])


def made() -> Place:
    """With a config, which `Place` knows without reading it."""
    place = Place()
    place.blobs["config"] = (place.master.seal(place.config.encode()), place.clock.now())
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    fill(folder, 1, 2)
    (folder / "below").mkdir()
    (folder / "below" / "small").write_bytes(b"a few words")
    return folder


def restored(place: Place, snapshot: Snapshot, target: Path) -> tuple[dict[str, bytes], set[str]]:
    """What comes back of a version by its path, and which paths are told to be missing."""
    repository = place.repository()
    repository.refresh()
    versions = Versions(repository)
    target.mkdir()
    with Fetch(repository, 1) as fetch:
        done = Restore(repository, target, fetch).run(versions.walk(snapshot.tree))
    back = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    return back, {path for path, _ in done.missing} | {str(error) for error in versions.damaged}


def test_a_sound_repository_is_sound(folder):
    place = made()
    place.save(folder)
    checked = check(place)
    assert checked.is_sound and not checked.notices
    assert checked.versions == 1
    assert checked.packs == checked.packs_read == len(place.names("data"))
    assert checked.bytes_read == sum(len(place.blobs[name][0]) for name in place.names("data"))


def test_a_share_of_the_packs_is_read(folder):
    place = made()
    place.save(folder)
    assert check(place, 0).packs_read == 0
    assert 0 < check(place, 0.5).packs_read < len(place.names("data"))


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_every_object_in_turn_is_named_and_restores_nothing_wrong(folder, tmp_path, how):
    place = made()
    first = place.save(folder).snapshot
    (folder / "file 1").write_bytes(random.Random(7).randbytes(30_000))
    second = place.save(folder, parent=first).snapshot
    wholes = [(snapshot, content(place, snapshot)) for snapshot in (first, second)]
    place.repository().add_key("another", MACHINE, place.clock.now())
    sound = dict(place.blobs)
    for number, name in enumerate(sorted(sound)):
        place.blobs = dict(sound)
        place.damage(name, how)
        if name == "config":
            with pytest.raises((NoRepository, Corrupt)):
                Repository.open(place.store, "another", None)
            continue
        checked = check(place)
        told = named(checked)
        base = name.rpartition("/")[2]
        if name.startswith("x-escale/"):
            # The parameters of the chunker: who saves next writes them anew.
            assert checked.is_sound and ("x-escale" in told or how == "gone")
            continue
        if how == "gone" and name.startswith(("snapshots/", "keys/")):
            # What is not there misses nobody but those who signed it (see test_heads).
            assert checked.is_sound
            continue
        if how == "gone" and name.startswith("index/"):
            assert "in no pack that an index lists" in told and "is listed by no index" in told
        else:
            assert base[:12] in told, name
        assert not checked.is_sound, name
        for which, (snapshot, whole) in enumerate(wholes):
            back, missing = restored(place, snapshot, tmp_path / f"back {number} {which}")
            assert all(whole[path] == data for path, data in back.items()), name
            files = {path for path in whole if whole[path]}
            assert missing or files <= back.keys() or name == f"snapshots/{snapshot.id}"


def test_what_opened_the_repository_is_not_read_again(folder, monkeypatch):
    place = made()
    place.save(folder)
    ours, theirs = (place.repository().add_key(word, MACHINE, place.clock.now()) for word in ("ours", "theirs"))
    repository = Repository.open(place.store, "ours", None)
    assert repository.key == ours
    read: list[str] = []
    original = MemoryStore.get
    monkeypatch.setattr(MemoryStore, "get", lambda self, name: [read.append(self._key(name)), original(self, name)][1])
    assert Check(repository).run().is_sound
    assert f"keys/{theirs}" in read
    assert not {"config", f"keys/{ours}"} & {*read}


def test_damage_says_which_files_of_which_versions_it_touches(folder):
    place = made()
    first = place.save(folder).snapshot
    (folder / "file 1").write_bytes(random.Random(7).randbytes(30_000))
    second = place.save(folder, parent=first).snapshot
    repository = place.repository()
    repository.refresh()
    versions = Versions(repository)
    path = f"{str(folder)[1:]}/file 2"
    node = versions.at(first, path).node
    pack, blob = repository.catalog.find(BlobKind.DATA, bytes.fromhex(node.content[0]))[0]
    name = f"data/{pack[:2]}/{pack}"
    data, time = place.blobs[name]
    place.blobs[name] = (data[: blob.offset + 3] + bytes([data[blob.offset + 3] ^ 1]) + data[blob.offset + 4 :], time)
    assert check(place, 0).is_sound
    (damage,) = check(place).damage
    (touched,) = damage.touched
    assert (touched.path, touched.versions) == (f"/{path}", (first.short, second.short))


def test_damage_that_touches_nothing_says_so(folder):
    place = made()
    place.save(folder)
    repository = place.repository()
    with Writer(repository, 1, 1) as writer:
        writer.add(BlobKind.DATA, b"something that no version has")
        writer.flush()
    (pack,) = writer.written.packs
    place.damage(f"data/{pack[:2]}/{pack}", "flipped")
    (damage,) = check(place).damage
    assert not damage.touched
    place.damage(f"data/{pack[:2]}/{pack}", "gone")
    checked = check(place)
    assert checked.is_sound
    assert [type(notice).__name__ for notice in checked.notices] == ["Unneeded"]


def objects(place: Place) -> list[str]:
    """But the config, without which nobody comes as far as checking."""
    return [name for name in sorted(place.blobs) if not name.startswith("x-escale/") and name != "config"]


def test_two_objects_that_changed_places_are_both_named(folder, tmp_path):
    place = made()
    snapshot = place.save(folder).snapshot
    place.repository().add_key("one", MACHINE, place.clock.now())
    place.repository().add_key("two", MACHINE, place.clock.now())
    whole = content(place, snapshot)
    sound = dict(place.blobs)
    number = 0
    for one in objects(place):
        for other in objects(place):
            if one >= other:
                continue
            number += 1
            place.blobs = dict(sound)
            place.blobs[one], place.blobs[other] = sound[other], sound[one]
            told = named(check(place))
            assert one.rpartition("/")[2][:12] in told, (one, other)
            assert other.rpartition("/")[2][:12] in told, (one, other)
            back, _ = restored(place, snapshot, tmp_path / f"back {number}")
            assert all(whole[path] == data for path, data in back.items())
    assert number > 20


def test_old_objects_that_are_put_back_harm_nobody_and_are_named(folder, tmp_path):
    """After forgetting and pruning every object that went comes back, one by one."""
    place = made()
    heads = Heads(place.repository(), MACHINE, place.clock, tmp_path / "state")
    first = place.save(folder).snapshot
    heads.saved(first)
    old = dict(place.blobs)
    fill_again(folder, 3)
    second = place.save(folder).snapshot
    heads.saved(second)
    heads.forgot([first.id])
    place.repository().objects.delete(Kind.SNAPSHOT, first.id)
    prune(place)
    place.clock.advance(GRACE_S)
    assert prune(place).deleted
    assert check(place, heads=heads).is_sound
    now, whole = dict(place.blobs), content(place, second)
    gone = old.keys() - now.keys()
    assert {name.partition("/")[0] for name in gone} == {"data", "index", "snapshots"}
    for number, name in enumerate(sorted(gone)):
        place.blobs = {**now, name: old[name]}
        checked = check(place, heads=heads)
        told = named(checked)
        if name.startswith("index/"):
            # It lists packs that are gone, and nobody needs.
            assert "is listed by an index and is not there; no version needs it" in told and checked.is_sound
        elif name.startswith("data/"):
            assert name.rpartition("/")[2][:12] in told and checked.is_sound
        else:
            # The version is there again, and what it needs is not.
            assert "was forgotten, and is there" in told and not checked.is_sound
        back, missing = restored(place, second, tmp_path / f"back {number}")
        assert {path: back.get(path) for path in whole if whole[path]} == {p: d for p, d in whole.items() if d}
        assert not missing


def fill_again(folder: Path, *seeds: int) -> None:
    (folder / "below" / "small").unlink()
    (folder / "below").rmdir()
    fill(folder, *seeds)


def test_a_hostile_index_that_points_elsewhere_is_named(folder):
    place = made()
    place.save(folder)
    repository = place.repository()
    repository.refresh()
    from dataclasses import replace

    from escale.backup.index import IndexFile

    (name,) = place.names("index")
    index = IndexFile.decode(repository.read_unpacked(Kind.INDEX, name.partition("/")[2]), name)
    pack, blobs = max(index.packs.items(), key=lambda one: len(one[1]))
    moved = [replace(blobs[0], length=blobs[1].length), *blobs[1:]]
    place.damage(name, "gone")
    repository.write_unpacked(Kind.INDEX, IndexFile({**index.packs, pack: moved}).encode())
    assert pack[:12] in named(check(place))


# --- repair


def test_a_lost_index_is_made_again(folder):
    place = made()
    snapshot = place.save(folder).snapshot
    whole = content(place, snapshot)
    for name in place.names("index"):
        place.damage(name, "gone")
    assert not check(place).is_sound
    assert len(repair(place).listed) == len(place.names("data"))
    assert check(place).is_sound
    assert content(place, snapshot) == whole


def test_a_damaged_index_is_made_again_and_put_aside(folder):
    place = made()
    snapshot = place.save(folder).snapshot
    whole = content(place, snapshot)
    (name,) = place.names("index")
    place.damage(name, "flipped")
    damaged = place.blobs[name][0]
    done = repair(place)
    assert done.aside and name not in place.blobs
    assert place.blobs[f"x-escale/damaged/{name.partition('/')[2]}"][0] == damaged
    assert check(place).is_sound
    assert content(place, snapshot) == whole


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_is_whole_of_a_damaged_pack_is_stored_anew_and_the_next_backup_heals_the_rest(folder, how):
    place = made()
    snapshot = place.save(folder).snapshot
    whole = content(place, snapshot)
    for name in place.names("data"):
        place.damage(name, how)
        checked = check(place)
        assert not checked.is_sound
        done = repair(place, checked)
        assert name not in place.blobs
        assert (how == "gone") == bool(done.gone)
        place.save(folder, parent=snapshot)
        assert check(place).is_sound, name
        assert content(place, snapshot) == whole


def test_many_damaged_packs_do_not_keep_a_backup_from_ending(folder):
    """Each run reads a few old ones, and heals what this version needs of those."""
    place = made()
    first = place.save(folder).snapshot
    for seed in range(3, 8):
        fill(folder / "below", seed)
        place.save(folder)
    for name in place.names("data"):
        place.damage(name, "flipped")
    told = [place.save(folder, parent=first, seed=seed).damaged for seed in range(20)]
    assert any(told)


def test_a_sound_repository_is_left_alone_by_repair(folder):
    place = made()
    place.save(folder)
    before = dict(place.blobs)
    assert repair(place, check(place)) == Repaired()
    assert place.blobs == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_change_of_a_repair_loses_nothing(folder, when):
    deaths = 0
    for nth in range(100):
        place = made()
        snapshot = place.save(folder).snapshot
        whole = content(place, snapshot)
        fill_again(folder, 4) if (folder / "below").exists() else fill(folder, 4)
        place.save(folder)
        fill(folder, 1, 2)
        (folder / "below").mkdir()
        (folder / "below" / "small").write_bytes(b"a few words")
        indices = place.names("index")
        place.damage(indices[0], "gone")
        place.damage(indices[1], "flipped")
        checked = check(place)
        setattr(place, when, dies_at(nth))
        try:
            repair(place, checked)
            has_died = False
        except Crash:
            has_died = True
            deaths += 1
        setattr(place, when, lambda verb, name: None)
        place.clock.advance(3600)
        repair(place, check(place))
        assert check(place).is_sound, nth
        assert content(place, snapshot) == whole
        if not has_died:
            break
    assert deaths == nth >= 4


def test_a_pack_with_a_damaged_table_is_told_and_left(folder):
    place = made()
    place.save(folder)
    (index,) = place.names("index")
    name = place.names("data")[0]
    place.damage(index, "gone")
    place.damage(name, "cut")
    done = repair(place)
    assert name in place.blobs
    assert name.rpartition("/")[2][:12] in "".join(map(str, done.damage))


def test_the_catalog_of_somebody_else_learns_of_a_repair(folder, tmp_path):
    place = made()
    snapshot = place.save(folder, cache=tmp_path).snapshot
    whole = content(place, snapshot)
    (index,) = place.names("index")
    place.damage(index, "flipped")
    repair(place)
    repository: Repository = place.repository(tmp_path)
    assert repository.refresh() == []
    saved = place.save(folder, parent=snapshot, cache=tmp_path)
    assert not [error for error in saved.damaged if isinstance(error, EscaleError)]
    assert content(place, saved.snapshot) == whole


def test_prune_goes_on_after_a_repair(folder):
    place = made()
    first = place.save(folder).snapshot
    fill_again(folder, 3)
    second = place.save(folder).snapshot
    whole = content(place, second)
    place.repository().objects.delete(Kind.SNAPSHOT, first.id)
    (*_, index) = place.names("index")
    place.damage(index, "flipped")
    assert prune(place).damage
    repair(place)
    assert Prune(place.repository(), MACHINE, place.clock).run().marked
    place.clock.advance(GRACE_S)
    assert prune(place).deleted
    assert content(place, second) == whole


def test_what_a_check_found_is_healed_by_the_next_run(folder, tmp_path):
    """GIVEN a damaged pack that no sample of a run would read WHEN it was found by a check THEN the next run stores its
    blobs anew, and no path of it is touched any more; of the first one none but directories above, which others use."""
    place = made()
    first = place.save(folder, cache=tmp_path).snapshot
    for pack in place.names("data"):
        place.damage(pack, "flipped")
    found = Check(place.repository(tmp_path), connections=1, rng=random.Random(1)).run(1.0)
    assert any(damage.touched for damage in found.damage)
    healed = place.save(folder, parent=first, cache=tmp_path)
    told = " ".join(map(str, healed.damaged))
    assert found.salvage
    assert all(pack[:12] in told for pack in found.salvage)
    after = Check(place.repository(tmp_path), connections=1, rng=random.Random(1)).run(1.0)
    touched = [one for damage in after.damage for one in damage.touched]
    assert not any(healed.snapshot.short in one.versions for one in touched)
    assert all(str(folder).startswith(one.path) for one in touched)


def test_a_directory_that_cannot_be_restored_is_told_each_time_and_prune_knows_what_it_needs(folder, tmp_path):
    place = made()
    saved = place.save(folder).snapshot
    repository = place.repository(tmp_path)
    repository.refresh()
    with Writer(repository, 1, 1) as writer:
        text = b'{"nodes":[{"name":"a","type":"fifo","mtime":"at noon"}]}'
        tree = hashlib.sha256(text).digest()
        writer.add(BlobKind.TREE, text)
        writer.flush()
    repository.write_snapshot(replace(saved, tree=tree.hex()))
    for _ in range(2):
        again = place.repository(tmp_path)
        again.refresh()
        (damage,) = Check(again, connections=1).run().damage
        assert tree.hex()[:12] in str(damage.error)
        assert [touched.path for touched in damage.touched] == ["/"]
    assert not prune(place).damage
