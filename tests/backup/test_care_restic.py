"""Forget, prune, check and repair beside restic: each reads on after the other, and neither runs over the other."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from escale.backup.check import Check
from escale.backup.doomed import doomed
from escale.backup.forget import Forgetting, forget
from escale.backup.ids import is_id
from escale.backup.locks import RepositoryLocked, locked
from escale.backup.machine import Machine
from escale.backup.objects import Kind
from escale.backup.prune import Prune, Pruned
from escale.backup.repair import Repair
from escale.backup.repository import Repository
from escale.backup.save import Save, Saved
from escale.backup.snapshot import Snapshot
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.store.directory import DirectoryStore

from .conftest import PASSWORD, Restic
from .test_prune import CHUNKER, fill

CLOCK = SystemClock()
WAIT_S = 60.0


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    place = tmp_path / "repository"
    place.mkdir()
    repository = Repository.init(lambda: DirectoryStore(place), PASSWORD, None, Machine.this(), CLOCK.now())
    yield repository
    repository.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "folder"


def save(repository: Repository, folder: Path) -> Saved:
    with Writer(repository, 1, 1) as writer:
        return Save(repository, writer, CLOCK, None, CHUNKER).run([str(folder)])


def mark(repository: Repository) -> Pruned:
    return Prune(repository, Machine.this(), CLOCK, grace_s=0.0).mark()


def sweep(repository: Repository) -> Pruned:
    return Prune(repository, Machine.this(), CLOCK, grace_s=0.0).sweep()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_restored(
    restic: Restic, place: Path, version: str, wanted: dict[str, bytes], target: Path, folder: Path
) -> bool:
    restic.run(place, "restore", version, "--target", str(target))
    return files_of(target / str(folder)[1:]) == wanted


def history(repository: Repository, folder: Path) -> list[tuple[Snapshot, dict[str, bytes]]]:
    """Versions that share some files; each with what it holds."""
    versions = []
    for seeds in [range(12), range(3), range(1, 20), range(2)]:
        fill(folder, *seeds)
        versions.append((save(repository, folder).snapshot, files_of(folder)))
    return versions


def test_restic_finds_nothing_wrong_after_our_forgetting_and_pruning(restic, repository, place, folder, tmp_path):
    versions = history(repository, folder)
    forget(repository, Forgetting({versions[0][0].id: (), versions[3][0].id: ()}, (versions[1][0], versions[2][0])))
    assert mark(repository).marked
    restic.run(place, "check", "--read-data")
    assert sweep(repository).deleted
    restic.run(place, "check", "--read-data")
    for number, (snapshot, wanted) in enumerate([versions[0], versions[3]]):
        assert is_restored(restic, place, snapshot.id, wanted, tmp_path / f"back {number}", folder)
    assert "x-escale" in os.listdir(place)
    restic.run(place, "backup", str(folder))
    restic.run(place, "prune")
    restic.run(place, "check", "--read-data")


def test_we_find_nothing_wrong_after_restic_forgot_and_pruned(restic, repository, place, folder):
    history(repository, folder)
    fill(folder, *range(5, 9))
    restic.run(place, "backup", str(folder))
    restic.run(place, "forget", "--keep-last", "2", "--prune", "--group-by", "host", "--max-unused", "0")
    checked = Check(repository).run(1.0)
    assert checked.is_sound and checked.versions == 2
    assert checked.packs_read == len(list((place / "data").glob("*/*")))
    saved = save(repository, folder)
    assert not saved.damaged
    restic.run(place, "check", "--read-data")


def test_what_restic_relies_on_is_spared(restic, repository, place, folder, tmp_path):
    """It knows no marks; files as small as these are one blob to it as they are to us."""
    fill(folder, *range(8), size=900)
    first = save(repository, folder).snapshot
    wanted = files_of(folder)
    fill(folder, 99)
    save(repository, folder)
    repository.objects.delete(Kind.SNAPSHOT, first.id)
    marked = set(mark(repository).marked)
    fill(folder, *range(8), size=900)
    restic.run(place, "backup", str(folder))
    assert doomed(repository) == marked
    done = sweep(repository)
    assert done.spared and done.spared < marked and not done.damage
    restic.run(place, "check", "--read-data")
    assert is_restored(restic, place, "latest", wanted, tmp_path / "back", folder)


def locks_of(place: Path) -> set[str]:
    return {path.name for path in (place / "locks").glob("*") if is_id(path.name)}


@contextmanager
def restic_at_work(restic: Restic, place: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Until the end of the block; it has its lock when the block begins, under its own name and not under that of an
    upload."""
    locks = locks_of(place)
    command = [restic.program, "--no-cache", "-r", str(place), *arguments]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = CLOCK.monotonic() + WAIT_S
        while locks_of(place) <= locks:
            assert process.poll() is None and CLOCK.monotonic() < deadline
            CLOCK.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.communicate()


def test_our_deleting_waits_for_restic(restic, repository, place, folder):
    """While restic saves we mark, and do not delete."""
    fill(folder, 1)
    first = save(repository, folder).snapshot
    fill(folder, 2)
    save(repository, folder)
    repository.objects.delete(Kind.SNAPSHOT, first.id)
    mark(repository)
    (place / "locks").mkdir(exist_ok=True)
    with restic_at_work(restic, place, "backup", "--stdin", "--stdin-filename", "talk"):
        with pytest.raises(RepositoryLocked):
            sweep(repository)
        assert not mark(repository).damage
    assert sweep(repository).deleted
    restic.run(place, "check", "--read-data")


def test_who_is_alone_by_restic_is_alone_for_us(restic, repository, place, folder):
    fill(folder, *range(200))
    save(repository, folder)
    (place / "locks").mkdir(exist_ok=True)
    with (
        restic_at_work(restic, place, "check", "--read-data", "--limit-download", "64"),
        pytest.raises(RepositoryLocked),
        locked(repository, Machine.this(), CLOCK, exclusive=False),
    ):
        pass


def test_who_is_alone_by_us_is_alone_for_restic(restic, repository, place, folder):
    fill(folder, 1)
    code = 11 if "0.14" not in restic.run(place, "version") else 1
    with locked(repository, Machine.this(), CLOCK, exclusive=True):
        restic.run(place, "backup", str(folder), exit_code=code)
        restic.run(place, "prune", exit_code=code)
    with locked(repository, Machine.this(), CLOCK, exclusive=False) as lock:
        assert lock.name in restic.run(place, "list", "locks", "--no-lock")
        restic.run(place, "backup", str(folder))
        restic.run(place, "prune", exit_code=code)


def test_restic_finds_nothing_wrong_after_our_repair(restic, repository, place, folder, tmp_path):
    fill(folder, *range(6))
    snapshot = save(repository, folder).snapshot
    wanted = files_of(folder)
    for name in list((place / "index").iterdir()):
        name.unlink()
    assert Repair(repository, Machine.this(), CLOCK).run().listed
    restic.run(place, "check", "--read-data")
    pack = random.Random(1).choice(sorted((place / "data").glob("*/*")))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 16
    pack.chmod(0o600)
    pack.write_bytes(bytes(data))
    checked = Check(repository).run(1.0)
    assert pack.name[:12] in str(checked.damage[0].error)
    assert Repair(repository, Machine.this(), CLOCK).run(checked.salvage).aside
    save(repository, folder)
    restic.run(place, "check", "--read-data")
    assert is_restored(restic, place, snapshot.id, wanted, tmp_path / "back", folder)
