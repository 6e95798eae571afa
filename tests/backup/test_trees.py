"""Trees: fetched with their pack once, kept beside the catalog, never believed."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind
from escale.backup.repository import Repository
from escale.backup.trees import ALL_BYTES, NEAR_BYTES, Trees
from escale.backup.writer import Writer
from escale.errors import Corrupt
from escale.store.memory import MemoryStore

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
        trees = Trees(opened(place, tmp_path), ALL_BYTES)
        assert [trees.load(tree) for tree in IDS] == TEXTS
    assert len([name for name in requests if f"data/{name[:2]}/{name}" in place.blobs]) == 1


def test_without_a_cache_a_pack_is_fetched_once_for_all_its_trees(place, requests):
    trees = Trees(opened(place, None), ALL_BYTES)
    requests.clear()
    assert [trees.load(tree) for tree in IDS] == TEXTS
    assert len(requests) == 1


@pytest.mark.parametrize("change", [b"", b"nonsense" * 10_000])
def test_what_is_damaged_in_the_cache_is_fetched_again(place, tmp_path, change):
    Trees(opened(place, tmp_path), ALL_BYTES).load(IDS[0])
    (kept,) = (tmp_path / "catalog.trees").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(change)
    trees = Trees(opened(place, tmp_path), ALL_BYTES)
    assert [trees.load(tree) for tree in IDS] == TEXTS
    assert kept.read_bytes() == whole


def test_what_no_index_lists_any_more_goes(place, tmp_path):
    Trees(opened(place, tmp_path), ALL_BYTES).load(IDS[0])
    (gone,) = (tmp_path / "catalog.trees").iterdir()
    for name in place.names("index"):
        del place.blobs[name]
    with Writer(place.repository(), 2, 2) as writer:
        other = writer.add(BlobKind.TREE, b"other")
        writer.flush()
    assert Trees(opened(place, tmp_path), ALL_BYTES).load(other) == b"other"
    (kept,) = (tmp_path / "catalog.trees").iterdir()
    assert kept.name != gone.name


def test_what_nobody_has_is_told(place, tmp_path):
    for name in place.names("data"):
        del place.blobs[name]
    with pytest.raises(Corrupt):
        Trees(opened(place, tmp_path), ALL_BYTES).load(IDS[0])


def test_a_pack_that_is_damaged_is_fetched_once_and_the_rest_of_it_one_by_one(place, requests):
    """Or each of its trees would cost as much as all of them."""
    trees = Trees(opened(place, None), ALL_BYTES)
    requests.clear()
    (pack, at), *_ = trees._repository.catalog.find(BlobKind.TREE, bytes.fromhex(IDS[7]))
    flip(place, pack, at.offset + 20)
    for number, tree in enumerate(IDS):
        if number == 7:
            with pytest.raises(Corrupt):
                trees.load(tree)
        else:
            assert trees.load(tree) == TEXTS[number]
    assert len(requests) == 1 + len(IDS)


# --- a large pack, of which somebody may want little


@pytest.fixture(scope="module")
def large() -> tuple[Place, list[str]]:
    """One pack of 5 MB, trees of 5 kB that nobody can compress."""
    place, rng = Place(), random.Random(5)
    with Writer(place.repository(), 2, 2) as writer:
        ids = [writer.add(BlobKind.TREE, rng.randbytes(5000)) for _ in range(1000)]
        writer.flush()
    return place, ids


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each request for a part of a blob or for all of one."""
    made: list[int] = []
    part, whole = MemoryStore.get_range, MemoryStore.read_bytes

    def noted_part(self: MemoryStore, name: str, offset: int, length: int) -> bytes:
        made.append(length)
        return part(self, name, offset, length)

    def noted_whole(self: MemoryStore, name: str, *more: int) -> bytes:
        data = whole(self, name, *more)
        made.append(len(data))
        return data

    monkeypatch.setattr(MemoryStore, "get_range", noted_part)
    monkeypatch.setattr(MemoryStore, "read_bytes", noted_whole)
    return made


def test_who_wants_one_tree_does_not_fetch_a_large_pack(large, parts):
    place, ids = large
    trees = Trees(opened(place, None), NEAR_BYTES)
    parts.clear()
    for _ in range(3):
        trees.load(ids[500])
    assert parts == [NEAR_BYTES]


@pytest.mark.parametrize("has_cache", [True, False])
@pytest.mark.parametrize("order", ["forwards", "backwards", "at random"])
def test_who_wants_all_trees_needs_few_requests_and_little_more_than_their_bytes(
    large, parts, order, has_cache, tmp_path
):
    place, ids = large
    trees = Trees(opened(place, tmp_path if has_cache else None), NEAR_BYTES)
    parts.clear()
    wanted = [*ids] if order != "backwards" else [*reversed(ids)]
    if order == "at random":
        random.Random(6).shuffle(wanted)
    for tree in wanted:
        trees.load(tree)
    assert len(parts) <= 8
    assert sum(parts) <= 2 * 5_100_000


def test_many_packs_in_turn_do_not_fill_the_memory(large, monkeypatch):
    place, ids = large
    monkeypatch.setattr("escale.backup.trees._WINDOWS_BYTES", NEAR_BYTES)
    trees = Trees(opened(place, None), NEAR_BYTES)
    with Writer(place.repository(), 2, 2) as writer:
        others = [writer.add(BlobKind.TREE, random.Random(7).randbytes(300_000))]
        writer.flush()
    trees._repository.refresh()
    for _ in range(3):
        for tree in (ids[3], others[0], ids[900]):
            trees.load(tree)
            assert len(trees._windows) == 1


def flip(place: Place, pack: str, at: int) -> None:
    (name,) = (name for name in place.names("data") if name.endswith(pack))
    data, time = place.blobs[name]
    place.blobs[name] = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], time)
