"""Remnants: uploads that were broken off go when nobody can be at them any more, and nothing else goes with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from escale.backup.catalog import Catalog
from escale.backup.doomed import GRACE_S
from escale.backup.objects import EXTRA, Kind, Objects
from escale.backup.prune import Prune
from escale.backup.remnants import DAYS, EXTRA_DIRECTORIES, sweep_remnants
from escale.backup.repository import Repository
from escale.errors import Refused
from escale.store.blob import TEMPORARY, BlobStore, Guarantees
from escale.store.directory import DirectoryStore
from escale.store.memory import MemoryStore
from escale.testing.clock import SimClock

from ..contracts.test_contract_remote import on_servers
from ..servers import Server
from .places import MACHINE, Place
from .test_on_servers import opener

DIRECTORIES = (
    "",
    *(kind.value for kind in Kind if kind is not Kind.PACK),
    *("data/00", "data/7f", "data/ff"),
    EXTRA,
    *(f"{EXTRA}/{directory}" for directory in EXTRA_DIRECTORIES),
)
"""Of which `data/00`, `data/7f` and `data/ff` have their turns on different days."""


def spill(root: Path, age_s: float) -> set[str]:
    """In each directory a remnant of this age, one that is being written, and a blob that is as old; returns what has
    to stay."""
    stays = set()
    for directory in DIRECTORIES:
        place = root / directory
        place.mkdir(parents=True, exist_ok=True)
        # Servers run as somebody else than we.
        place.chmod(0o777)
        for name, age in ((f"{TEMPORARY}old", age_s), (f"{TEMPORARY}new", 60.0), ("blob", age_s)):
            path = place / name
            path.write_bytes(b"half of it")
            os.utime(path, (time.time() - age, time.time() - age))
            if name != f"{TEMPORARY}old":
                stays.add(str(path.relative_to(root)))
    return stays


def there(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def sweep_for_days(open_store: Callable[[], BlobStore], days: int = DAYS) -> int:
    with open_store() as store:
        return sum(sweep_remnants(Objects(store), GRACE_S, day * 86400.0) for day in range(days))


def test_old_remnants_go_wherever_they_are(tmp_path):
    stays = spill(tmp_path, GRACE_S + 60)
    assert sweep_for_days(lambda: DirectoryStore(tmp_path)) == len(DIRECTORIES)
    assert there(tmp_path) == stays


def test_each_directory_of_packs_has_its_day(tmp_path):
    spill(tmp_path, GRACE_S + 60)
    removed = [sweep_remnants(Objects(DirectoryStore(tmp_path)), GRACE_S, day * 86400.0 + 7) for day in range(DAYS)]
    assert removed == [len(DIRECTORIES) - 2, 0, 0, 0, 0, 0, 0, 2]


def test_those_that_somebody_may_be_at_stay(tmp_path):
    spill(tmp_path, GRACE_S - 60)
    before = there(tmp_path)
    assert sweep_for_days(lambda: DirectoryStore(tmp_path)) == 0
    assert there(tmp_path) == before


def test_directories_that_are_not_there_are_not_made(tmp_path):
    assert sweep_for_days(lambda: DirectoryStore(tmp_path)) == 0
    assert [*tmp_path.iterdir()] == []


@on_servers("sshd", "pyftpd_tls", "lighttpd")
def test_on_servers(server: Callable[[str], Server], server_name: str) -> None:
    relay = server(server_name).relay()
    assert relay.path is not None
    stays = spill(relay.path, GRACE_S + 3600)
    assert sweep_for_days(opener(relay)) == len(DIRECTORIES)
    assert there(relay.path) == stays


class Sweeping(MemoryStore):
    """Where one request reaches all directories, as on S3."""

    guarantees = Guarantees(sweeps_below=True)
    swept: ClassVar[list[str]] = []

    def sweep(self, older_than_s: float) -> int:
        self.swept.append(self._directory)
        return super().sweep(older_than_s)

    def within(self, directory: str) -> MemoryStore:
        return Sweeping(self._now, self.blobs, super().within(directory)._directory)


def test_where_one_request_reaches_all_directories_no_other_is_made():
    clock = SimClock(4_000_000_000.0)
    Sweeping.swept.clear()
    sweep_remnants(Objects(Sweeping(clock.now, {})), GRACE_S, clock.now())
    assert Sweeping.swept == [""]


class Guarded(MemoryStore):
    """Where nobody may remove a thing."""

    def sweep(self, older_than_s: float) -> int:
        raise Refused(where=self.url, reason="not yours")

    def within(self, directory: str) -> MemoryStore:
        inner = super().within(directory)
        return Guarded(self._now, self.blobs, inner._directory)


def test_what_may_not_be_removed_stays_and_is_no_error():
    clock = SimClock(4_000_000_000.0)
    store = Guarded(clock.now, {f"data/00/{TEMPORARY}old": (b"half of it", 0.0)})
    assert sweep_remnants(Objects(store), GRACE_S, clock.now()) == 0
    assert len(store.blobs) == 1


@pytest.mark.parametrize("has_marks", [False, True])
def test_prune_takes_them_away(has_marks):
    place = Place()
    repository = place.repository()
    place.blobs[f"index/{TEMPORARY}old"] = (b"half of it", place.clock.now())
    place.clock.advance(GRACE_S)
    place.blobs[f"index/{TEMPORARY}new"] = (b"half of it", place.clock.now())
    if has_marks:
        place.blobs[f"x-escale/doomed/{'7' * 64}"] = (b"", place.clock.now())
    done = Prune(repository, MACHINE, place.clock, threads=1, connections=1).run()
    assert (done.swept, done.damage) == (1, [])
    assert place.names("index") == [f"index/{TEMPORARY}new"]


def test_prune_that_may_delete_nothing_yet_takes_none_away():
    """Where something is damaged nothing is removed at all."""
    place = Place()
    place.blobs["snapshots/" + "5" * 64] = (b"what is no version", place.clock.now())
    place.blobs[f"index/{TEMPORARY}old"] = (b"half of it", 0.0)
    repository = Repository(Objects(place.store()), place.master, place.config, Catalog(None), place.store)
    assert Prune(repository, MACHINE, place.clock, threads=1, connections=1).run().damage
    assert place.names("index") == [f"index/{TEMPORARY}old"]
