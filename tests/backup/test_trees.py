"""Trees: fetched with their pack once, kept beside the catalog, never believed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind
from escale.backup.repository import Repository
from escale.backup.trees import Trees
from escale.backup.writer import Writer
from escale.errors import Corrupt

from .places import Place

TEXTS = [f'{{"nodes":[{number}]}}'.encode() for number in range(50)]
IDS = [hashlib.sha256(text).hexdigest() for text in TEXTS]


@pytest.fixture
def place() -> Place:
    place = Place()
    with Writer(place.repository(), 2, 2) as writer:
        for text in TEXTS:
            writer.add(BlobKind.TREE, text)
        writer.add(BlobKind.DATA, b"content")
        writer.flush()
    return place


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of objects that are read from the store."""
    made: list[str] = []
    for verb in ("read", "read_part"):
        original = getattr(Objects, verb)

        def noted(self: Objects, kind: Kind, name: str, *more: int, _original=original) -> bytes:
            made.append(name)
            return _original(self, kind, name, *more)

        monkeypatch.setattr(Objects, verb, noted)
    return made


def opened(place: Place, cache: Path | None) -> Repository:
    repository = place.repository(cache)
    repository.refresh()
    return repository


def test_a_pack_is_fetched_once_for_all_its_trees_and_all_runs(place, requests, tmp_path):
    for _ in range(2):
        trees = Trees(opened(place, tmp_path))
        assert [trees.load(tree) for tree in IDS] == TEXTS
    assert len([name for name in requests if f"data/{name[:2]}/{name}" in place.blobs]) == 1


def test_without_a_cache_each_is_read_by_itself(place, requests):
    trees = Trees(opened(place, None))
    assert [trees.load(tree) for tree in IDS] == TEXTS
    assert len(requests) >= len(IDS)


@pytest.mark.parametrize("change", [b"", b"nonsense" * 10_000])
def test_what_is_damaged_in_the_cache_is_fetched_again(place, tmp_path, change):
    Trees(opened(place, tmp_path)).load(IDS[0])
    (kept,) = (tmp_path / "catalog.trees").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(change)
    trees = Trees(opened(place, tmp_path))
    assert [trees.load(tree) for tree in IDS] == TEXTS
    assert kept.read_bytes() == whole


def test_what_no_index_lists_any_more_goes(place, tmp_path):
    Trees(opened(place, tmp_path)).load(IDS[0])
    for name in place.names("index"):
        del place.blobs[name]
    Trees(opened(place, tmp_path))
    assert [*(tmp_path / "catalog.trees").iterdir()] == []


def test_what_nobody_has_is_told(place, tmp_path):
    for name in place.names("data"):
        del place.blobs[name]
    with pytest.raises(Corrupt):
        Trees(opened(place, tmp_path)).load(IDS[0])
