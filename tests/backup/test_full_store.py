"""A store on a disk that is really full: nothing is lost, what cannot be saved is told, and there is a way out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from escale.backup.check import Check
from escale.backup.forget import forget, plan_forget
from escale.backup.locks import locked
from escale.backup.machine import Machine
from escale.backup.prune import Prune
from escale.backup.repository import Repository
from escale.backup.retention import Keep
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.errors import NoLocalSpace, NoRelaySpace
from escale.store.directory import DirectoryStore

from .conftest import PASSWORD, Restic
from .generations import restored
from .places import MACHINE
from .portraits import differences, portrait

CLOCK = SystemClock()
ROOM = 64 << 10

SEED = 3
"""With it what is needed lies in a pack with much that is not; packs are filled by chance."""


def opened(place: Path, cache: Path | None = None) -> Repository:
    repository = Repository.open(lambda: DirectoryStore(place), PASSWORD, cache)
    assert repository.refresh() == []
    return repository


def save(place: Path, folder: Path, cache: Path | None = None, seed: int | None = None) -> Snapshot:
    """With a seed the same contents come into the same packs: of several threads each takes what it is given."""
    threads, rng = (2, None) if seed is None else (1, random.Random(seed))
    repository = opened(place, cache)
    try:
        with (
            locked(repository, Machine.this(), CLOCK, exclusive=False) as lock,
            Writer(repository, threads, 2, rng) as writer,
            writer.giving_room_back(lock),
        ):
            return Save(repository, writer, CLOCK).run([str(folder)]).snapshot
    finally:
        repository.close()


def prune(place: Path, keep: int) -> int:
    repository = opened(place)
    forget(repository, plan_forget(Versions(repository).all(), Keep(last=keep)), is_approved=True)
    deleted = Prune(repository, Machine.this(), CLOCK, grace_s=0.0).run().deleted
    repository.close()
    return len(deleted)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(20):
        (folder / f"file {number}").write_bytes(random.Random(number).randbytes(20_000))
    return folder


@pytest.fixture
def place(small_disk: Path) -> Path:
    Repository.init(lambda: DirectoryStore(small_disk), PASSWORD, None, MACHINE, CLOCK.now()).close()
    return small_disk


def test_a_store_that_is_full_keeps_its_versions_and_takes_new_ones_when_there_is_room(
    folder: Path, place: Path, tmp_path: Path, restic: Restic
) -> None:
    wanted = [(save(place, folder).id, portrait(folder))]
    saved = set(os.listdir(place / "snapshots"))
    (folder / "file 1").write_bytes(b"another")
    (folder / "too much").write_bytes(random.Random(99).randbytes(4 << 20))
    for _ in range(3):
        with pytest.raises(NoRelaySpace):
            save(place, folder)
        assert set(os.listdir(place / "snapshots")) == saved
    (folder / "too much").unlink()
    wanted.append((save(place, folder).id, portrait(folder)))
    repository = opened(place)
    assert Check(repository).run(1.0).is_sound
    for number, (version, features) in enumerate(wanted):
        restored(repository, version, folder, tmp_path / f"{number}")
        assert differences(features, portrait(tmp_path / f"{number}")) == []
    repository.close()
    restic.run(place, "check", "--read-data")


def packs(place: Path) -> set[str]:
    return {path.name for path in (place / "data").rglob("*") if path.is_file()}


def test_a_run_that_found_no_room_leaves_nothing(folder: Path, place: Path) -> None:
    """Else what makes room would find none: not even a lock fits when packs have taken all of it."""
    save(place, folder)
    before, free = packs(place), os.statvfs(place).f_bavail
    (folder / "too much").write_bytes(random.Random(99).randbytes(4 << 20))
    for number in range(40):
        (folder / f"small {number}").write_bytes(random.Random(200 + number).randbytes(20_000))
    with pytest.raises(NoRelaySpace):
        save(place, folder)
    assert packs(place) == before
    assert os.statvfs(place).f_bavail >= free - 8, sorted(map(str, place.rglob("*")))


def test_versions_can_be_let_go_where_hardly_anything_fits(folder: Path, place: Path) -> None:
    """The way out of a full store: a lock, the marks and an index file take less than ROOM."""
    save(place, folder)
    for number in range(20):
        (folder / f"file {number}").write_bytes(random.Random(100 + number).randbytes(20_000))
    latest = save(place, folder)
    free = os.statvfs(place)
    (place / "filling").write_bytes(bytes(free.f_bavail * free.f_bsize - ROOM))
    assert prune(place, keep=1) > 0
    repository = opened(place)
    assert Check(repository).run(1.0).is_sound
    assert [one.id for one in Versions(repository).all()] == [latest.id]
    repository.close()


def test_what_can_go_as_it_is_goes_where_there_is_no_room_to_store_the_rest_anew(folder: Path, place: Path) -> None:
    """Of one pack nothing is needed, of another a little: that stays where it is, and the want of room is told."""
    (folder / "stays").write_bytes(random.Random(50).randbytes(200_000))
    save(place, folder, seed=SEED)
    for number in range(20):
        (folder / f"file {number}").unlink()
        (folder / f"other {number}").write_bytes(random.Random(100 + number).randbytes(20_000))
    save(place, folder, seed=SEED)
    for number in range(20):
        (folder / f"other {number}").unlink()
    latest = save(place, folder, seed=SEED)
    free = os.statvfs(place)
    (place / "filling").write_bytes(bytes(free.f_bavail * free.f_bsize - ROOM))
    repository = opened(place)
    forget(repository, plan_forget(Versions(repository).all(), Keep(last=1)), is_approved=True)
    done = Prune(repository, Machine.this(), CLOCK, grace_s=0.0).run()
    repository.close()
    assert done.full is not None and done.deleted and not done.damage
    (place / "filling").unlink()
    repository = opened(place)
    assert Prune(repository, Machine.this(), CLOCK, grace_s=0.0).run().full is None
    assert Check(repository).run(1.0).is_sound
    assert [one.id for one in Versions(repository).all()] == [latest.id]
    repository.close()


def test_a_full_disk_for_the_catalog_is_told(folder: Path, tmp_path: Path, small_disk: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    Repository.init(lambda: DirectoryStore(place), PASSWORD, None, MACHINE, CLOCK.now()).close()
    first = save(place, folder, small_disk / "cache")
    with open(small_disk / "filling", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    for number in range(300):
        (folder / f"new {number}").write_bytes(random.Random(1000 + number).randbytes(900))
    with pytest.raises(NoLocalSpace):
        save(place, folder, small_disk / "cache")
    (small_disk / "filling").unlink()
    save(place, folder, small_disk / "cache")
    repository = opened(place)
    assert Check(repository).run(1.0).is_sound
    assert first.id in [one.id for one in Versions(repository).all()]
    repository.close()
