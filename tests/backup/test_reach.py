"""Reach: all that versions need is known, and few requests for their directories tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from escale.backup.fetch import Fetch
from escale.backup.index import IndexFile
from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind
from escale.backup.progress import silent
from escale.backup.reach import Reached, reach
from escale.backup.repository import Repository

from .places import Place

DEPTH = 6
VERSIONS = 4


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Directories in directories, of which each version changes another one."""
    place = Place()
    for version in range(VERSIONS):
        for number in range(1 if version else VERSIONS):
            directory = tmp_path / "folder" / str(number or version) / "/".join("abcdef"[:DEPTH])
            directory.mkdir(parents=True, exist_ok=True)
            for parent in (directory, *directory.parents[:DEPTH]):
                (parent / "file").write_text(f"{version} {parent}")
        place.save(tmp_path / "folder")
    return place


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packs that were read, each time."""
    made: list[str] = []
    read_part = Objects.read_part

    def noted(self: Objects, kind: Kind, name: str, offset: int, length: int) -> bytes:
        made.append(name)
        return read_part(self, kind, name, offset, length)

    monkeypatch.setattr(Objects, "read_part", noted)
    return made


def looked(repository: Repository) -> Reached:
    with Fetch(repository, 2) as fetch:
        return reach(repository, fetch, silent, is_strict=True)


def packs_of_trees(repository: Repository) -> list[str]:
    catalog = repository.catalog
    return sorted(
        pack for pack in catalog.packs() if any(blob.kind is BlobKind.TREE for blob in catalog.blobs_of(pack))
    )


def test_a_pack_of_directories_is_read_once_however_deep_they_are(place, reads):
    repository = place.repository()
    found = looked(repository)
    assert found.is_complete and len(found.snapshots) == VERSIONS
    assert sorted(reads) == packs_of_trees(repository)
    assert len(reads) == VERSIONS
    assert repository.catalog.needed_bytes().once.keys() == repository.catalog.packs()


def test_each_directory_that_is_damaged_is_named_and_no_other(place):
    """Flipped one after the other, wherever they lie in what is read at once."""
    repository = place.repository()
    assert looked(repository).is_complete
    for pack in packs_of_trees(repository):
        full = f"data/{pack[:2]}/{pack}"
        data, time = place.blobs[full]
        for blob in repository.catalog.blobs_of(pack):
            middle = blob.offset + blob.length // 2
            place.blobs[full] = (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], time)
            assert looked(repository).trees_damaged.keys() == {blob.id}
        place.blobs[full] = (data, time)


def test_a_damaged_directory_that_another_pack_has_whole_is_no_damage(place):
    repository = place.repository()
    assert looked(repository).is_complete
    pack = packs_of_trees(repository)[0]
    full, blobs = f"data/{pack[:2]}/{pack}", repository.catalog.blobs_of(pack)
    data, time = place.blobs[full]
    place.blobs[full] = (bytes(len(data)), time)
    assert looked(repository).trees_damaged
    twin = repository.objects.write(Kind.PACK, data + b"longer, so that it has another name")
    repository.write_unpacked(Kind.INDEX, IndexFile({twin: blobs}).encode())
    assert looked(repository).is_complete
