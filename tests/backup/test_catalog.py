"""The catalog: every blob is found where an index file says; a lost, damaged or foreign one is made again."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest

from escale.backup import catalog as catalog_module
from escale.backup.catalog import Catalog
from escale.backup.index import IndexFile
from escale.backup.pack import ENTRY_COMPRESSED_BYTES, BlobKind, PackedBlob, pack_bytes
from escale.errors import EscaleError, LocalError

from . import golden

DATA, TREE = BlobKind.DATA, BlobKind.TREE


def blob(number: int, kind: BlobKind = DATA, offset: int = 0, raw_length: int | None = 900) -> PackedBlob:
    return PackedBlob(number.to_bytes(32, "big"), kind, offset, 100 + number, raw_length)


def name(number: int) -> str:
    return f"{number:064x}"


ONE = IndexFile({name(1): [blob(1), blob(2, offset=101)], name(2): [blob(3, TREE, raw_length=None)]})
OTHER = IndexFile({name(2): [blob(3, TREE, raw_length=None)], name(3): [blob(1, offset=7)]})


@pytest.fixture
def catalog() -> Catalog:
    found = Catalog(None)
    found.add(name(100), ONE)
    found.add(name(200), OTHER)
    return found


def test_every_pack_that_holds_a_blob_is_found(catalog):
    assert sorted(catalog.find(DATA, blob(1).id)) == [(name(1), blob(1)), (name(3), blob(1, offset=7))]
    assert catalog.find(TREE, blob(3).id) == [(name(2), blob(3, TREE, raw_length=None))]
    assert catalog.find(DATA, blob(3).id) == [] == catalog.find(TREE, blob(1).id)
    assert [catalog.has(DATA, blob(number).id) for number in (1, 2, 3)] == [True, True, False]
    assert catalog.packs() == {name(1), name(2), name(3)}
    assert catalog.blobs_of(name(1)) == [blob(1), blob(2, offset=101)]
    assert catalog.pack_sizes()[name(1)] == pack_bytes(ONE.packs[name(1)])
    assert catalog.index_names() == {name(100), name(200)}
    assert catalog.count() == 4


def test_an_index_file_that_is_gone_takes_what_only_it_lists(catalog):
    catalog.remove([name(100)])
    assert catalog.packs() == {name(2), name(3)}
    assert catalog.find(DATA, blob(1).id) == [(name(3), blob(1, offset=7))]
    assert not catalog.has(DATA, blob(2).id)
    assert catalog.has(TREE, blob(3).id)
    catalog.remove([name(200), name(999)])
    assert (catalog.packs(), catalog.count(), catalog.index_names()) == (set(), 0, set())


def test_an_index_file_twice_is_an_index_file(catalog):
    catalog.add(name(100), ONE)
    assert catalog.count() == 4
    assert catalog.indices_of(name(2)) == {name(100), name(200)}
    assert catalog.packs_of(name(100)) == [name(1), name(2)]


def test_what_is_needed_and_held(catalog):
    assert catalog.need(DATA, [blob(1).id, blob(2).id, blob(1).id, blob(9).id]) == [blob(1).id, blob(2).id, blob(9).id]
    assert catalog.need(DATA, [blob(2).id]) == []
    catalog.hold([name(3), name(77)])
    assert sorted(catalog.unheld()) == sorted([(DATA, blob(2).id), (DATA, blob(9).id)], key=lambda one: one[1])
    assert catalog.needed_blobs_of(name(1)) == [(DATA, blob(2).id)]
    assert catalog.other_holders(name(1)) == {name(3)}
    catalog.hold([name(1)])
    needed = catalog.needed_bytes()
    first, second = 101 + ENTRY_COMPRESSED_BYTES, 102 + ENTRY_COMPRESSED_BYTES
    assert needed.in_all == {name(1): first + second, name(3): first}
    assert needed.once == {name(1): first + second}
    catalog.let_go([name(1), name(3)])
    assert len(catalog.unheld()) == 3
    catalog.forget_needs()
    assert catalog.unheld() == []


def test_trees_that_are_sound_are_remembered_as_long_as_an_index_lists_them(catalog):
    trees = [blob(3).id, blob(4).id]
    assert catalog.sound(trees) == set()
    catalog.remember_sound(trees)
    catalog.remember_sound(trees)
    assert catalog.sound([*trees, bytes(32)]) == {*trees}
    catalog.remove([name(999)])
    assert catalog.sound(trees) == {blob(3).id}


def test_a_note_is_lost_with_what_it_told_of(catalog):
    catalog.note("whole", "x")
    assert (catalog.noted("whole"), catalog.noted("other")) == ("x", "")
    catalog.remove([name(200)])
    assert catalog.noted("whole") == ""


def test_it_lasts(tmp_path):
    first = Catalog(tmp_path / "deep" / "c")
    first.add(name(100), ONE)
    first.close()
    again = Catalog(tmp_path / "deep" / "c")
    assert again.has(DATA, blob(1).id)
    assert (tmp_path / "deep").stat().st_mode & 0o077 == 0


def test_two_at_once(tmp_path):
    one, other = Catalog(tmp_path / "c"), Catalog(tmp_path / "c")
    one.add(name(100), ONE)
    assert other.find(DATA, blob(1).id)
    other.add(name(200), OTHER)
    assert one.count() == 4


def other_tables(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE blobs (a); CREATE TABLE packs (b); CREATE TABLE indices (c);")
    database.close()


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(random.Random(1).randbytes(50_000)),
    "cut": lambda path: os.truncate(path, 4096),
    "cut in a page": lambda path: os.truncate(path, 5000),
    "another database": lambda path: (path.unlink(), other_tables(path)),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_one_is_read_again_from_the_store(tmp_path, how):
    repository = golden.opened(golden.HERE / "restic-0.19.1", catalogs=tmp_path)
    count = repository.catalog.count()
    repository.close()
    (path,) = (path for path in tmp_path.iterdir() if path.suffix == ".catalog")
    DAMAGE[how](path)
    again = golden.opened(golden.HERE / "restic-0.19.1", catalogs=tmp_path)
    assert again.catalog.count() == count == 6
    assert again.load_blob(DATA, bytes.fromhex(golden.content_ids("text")[0])) == golden.TEXT


def test_a_repository_has_a_catalog_of_its_own(tmp_path):
    counts = [golden.opened(golden.HERE / name, catalogs=tmp_path).catalog.count() for name in golden.NAMES]
    assert counts == [6, 6, 8]


@pytest.mark.parametrize("seed", range(20))
def test_any_flipped_bytes_bring_no_wrong_content(tmp_path, seed):
    """Found when it is opened, or the blob does not open: which bytes are a blob's, its id tells."""
    repository = golden.opened(golden.HERE / "escale-1", catalogs=tmp_path)
    repository.close()
    (path,) = (path for path in tmp_path.iterdir() if path.suffix == ".catalog")
    data, rng = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(8):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    try:
        again = golden.opened(golden.HERE / "escale-1", catalogs=tmp_path)
        assert again.load_blob(DATA, bytes.fromhex(golden.content_ids("text")[0])) == golden.TEXT
    except EscaleError:
        return


def test_where_none_can_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError):
        Catalog(tmp_path / "file" / "c")
    (tmp_path / "c").mkdir()
    with pytest.raises(LocalError):
        Catalog(tmp_path / "c")


def test_a_catalog_without_a_path_takes_little_memory_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(catalog_module, "_CACHE_KIB", 64)
    blobs = [PackedBlob(number.to_bytes(32, "little"), DATA, 100 * number, 100, 300) for number in range(1, 20_001)]
    found = Catalog(None)
    found.add(name(100), IndexFile({name(1): blobs}))
    files = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd/") if _is_open(number)]
    assert any("etilqs" in file and file.endswith("(deleted)") for file in files)
    assert found.find(DATA, blobs[7777].id) == [(name(1), blobs[7777])]
    assert found.count() == 20_000
    found.close()


def _is_open(number: str) -> bool:
    """The listing itself had one that is closed by now."""
    return os.path.lexists(f"/proc/self/fd/{number}")
