"""The repository: golden ones are read, each object's damage is told and named, and bombs do not go off."""

from __future__ import annotations

import hashlib
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from escale.backup.index import IndexFile
from escale.backup.keys import WrongPassword
from escale.backup.objects import Kind
from escale.backup.pack import BlobKind, PackedBlob
from escale.backup.repository import Repository
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.errors import Corrupt, EscaleError, PeerError
from escale.store.directory import DirectoryStore
from tests.fuzz.bounds import bounded

from . import golden
from .conftest import PASSWORD
from .places import Place


def contents(repository: Repository) -> dict[str, bytes]:
    """Every file that can be read, by its path below the folder, from every version that can be read."""
    found = {}
    versions = Versions(repository)
    for snapshot in versions.all():
        for one in versions.walk(snapshot.tree):
            if one.node.type.value == "file":
                path = one.path.removeprefix("tmp/golden/").removeprefix("src/")
                try:
                    parts = [repository.load_blob(BlobKind.DATA, bytes.fromhex(part)) for part in one.node.content]
                except PeerError:
                    continue
                found[path] = b"".join(parts)
    return found


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_repositories_hold_what_was_saved(name):
    repository = golden.opened(golden.HERE / name)
    assert contents(repository) == golden.CONTENTS
    versions = Versions(repository)
    (snapshot,) = versions.all()
    nodes = {one.path.partition("src/")[2]: one.node for one in versions.walk(snapshot.tree)}
    expected = dict(golden.EXPECTED)
    if name == "restic-0.14.0":
        # It lost what is not UTF-8 in the target of a link.
        expected["odd"] = (*expected["odd"][:6], "\ufffd/no", 0)
    assert {path: golden.told(nodes[path]) for path in golden.EXPECTED} == expected
    assert set(nodes) - set(golden.EXPECTED) == {""}
    assert {path: node.content for path, node in nodes.items() if node.content} == {
        path: golden.content_ids(path) for path, content in golden.CONTENTS.items() if content
    }
    assert nodes["file"].xattrs == (("user.note", b"\0\xff"),)
    assert (nodes["file"].links, nodes["file"].inode) == (2, nodes["second"].inode)


def objects_of(name: str) -> list[str]:
    found = [path for path in (golden.HERE / name).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(golden.HERE / name)) for path in found)


OBJECTS = [(name, path) for name in ("restic-0.19.1", "escale-1") for path in objects_of(name)]


@pytest.mark.parametrize(("name", "path"), OBJECTS, ids=lambda value: value[:24])
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "gone", "swapped"])
def test_damage_to_any_object_brings_no_wrong_byte_and_is_told(tmp_path, name, path, how):
    golden.master(name)
    place = golden.copied(name, tmp_path / "place")
    damage(place, name, path, how)
    told: list[EscaleError] = []
    found: dict[str, bytes] = {}
    try:
        if path.startswith("keys/"):
            repository = Repository.open(lambda: DirectoryStore(place), PASSWORD, None)
        else:
            repository = golden.unlocked(place, name)
        told += repository.refresh()
        found = contents(repository)
        told += [one for one in repository.snapshots() if isinstance(one, EscaleError)]
        told += damage_of_packs(repository)
    except EscaleError as error:
        told.append(error)
    assert found.items() <= golden.CONTENTS.items()
    is_needed = not path.startswith(("locks/", "x-escale/"))
    # Of a snapshot or an index that is not there nobody knows here; signed heads and `check` do.
    assert (bool(told) or (how == "gone" and not found)) == is_needed
    if is_needed and how != "gone" and path != "config":
        assert any(Path(path).name[:12] in str(error) for error in told), told


def damage(place: Path, name: str, path: str, how: str) -> None:
    """One object changed; `swapped`: another one of its kind under its name."""
    data = (place / path).read_bytes()
    if how == "flipped":
        half = len(data) // 2
        (place / path).write_bytes(data[:half] + bytes([data[half] ^ 16]) + data[half + 1 :])
    elif how == "gone":
        (place / path).unlink()
    elif how == "swapped":
        others = [other for other in objects_of(name) if other.split("/")[0] == path.split("/")[0] and other != path]
        shutil.copy(
            golden.HERE / name / others[0] if others else golden.HERE / "restic-0.14.0" / "config", place / path
        )
    else:
        (place / path).write_bytes(data[:-1] if how == "cut" else b"")


def damage_of_packs(repository: Repository) -> list[EscaleError]:
    told: list[EscaleError] = []
    for pack in sorted(repository.catalog.packs()):
        try:
            repository.objects.read(Kind.PACK, pack)
        except EscaleError as error:
            told.append(error)
    return told


@pytest.mark.parametrize("name", golden.NAMES)
def test_a_wrong_password(name):
    with pytest.raises(WrongPassword):
        golden.opened(golden.HERE / name, "wrong")


def test_the_key_of_another_repository(tmp_path):
    place = golden.copied("restic-0.19.1", tmp_path / "place")
    shutil.rmtree(place / "keys")
    shutil.copytree(golden.HERE / "escale-1" / "keys", place / "keys")
    with pytest.raises(EscaleError, match="config"):
        golden.opened(place)


def test_index_files_that_go_and_come(tmp_path):
    place = golden.copied("restic-0.19.1", tmp_path / "place")
    repository = golden.opened(place, catalogs=tmp_path)
    (name,) = repository.catalog.index_names()
    index = IndexFile.decode(repository.read_unpacked(Kind.INDEX, name), "here")
    packs = [*index.packs.items()]
    new = [repository.write_unpacked(Kind.INDEX, IndexFile(dict([pack]), (name,)).encode()) for pack in packs]
    repository.objects.delete(Kind.INDEX, name)
    again = golden.opened(place, catalogs=tmp_path)
    assert again.catalog.index_names() == {*new}
    assert contents(again) == golden.CONTENTS
    again.objects.delete(Kind.INDEX, new[0])
    assert again.refresh() == []
    assert again.catalog.count() == len(packs[1][1])


@pytest.mark.parametrize("times", [1, 2])
def test_an_index_file_that_is_replaced_while_it_is_read(tmp_path, times):
    """As prune does: what the listing showed is gone, and what took its place is in none."""
    place = golden.copied("restic-0.19.1", tmp_path / "place")
    repository, other, left = golden.unlocked(place, "restic-0.19.1"), golden.unlocked(place, "restic-0.19.1"), times
    original = repository.objects.read_many

    def read_many(kind, names):
        nonlocal left
        for name in names if left else ():
            left -= 1
            other.write_unpacked(kind, other.read_unpacked(kind, name))
            other.objects.delete(kind, name)
        return original(kind, names)

    repository.objects.read_many = read_many
    assert repository.refresh() == []
    assert contents(repository) == golden.CONTENTS
    assert left == 0


def test_an_index_file_that_is_listed_and_never_there_is_left_out(tmp_path):
    """A server that remembers wrongly keeps nobody for ever."""
    place = golden.copied("restic-0.19.1", tmp_path / "place")
    repository = golden.unlocked(place, "restic-0.19.1")
    original = repository.objects.list

    def list_of(kind):
        there = [*original(kind)]
        return iter([*there, replace(there[0], name="ab" * 32)] if kind is Kind.INDEX else there)

    repository.objects.list = list_of
    assert repository.refresh() == []
    assert contents(repository) == golden.CONTENTS


def test_a_damaged_index_file_is_named_and_the_others_are_read(tmp_path):
    place = golden.copied("escale-1", tmp_path / "place")
    (place / "index" / ("ab" * 32)).write_bytes(b"noise")
    repository = golden.unlocked(place, "escale-1")
    (damaged,) = repository.refresh()
    assert "abababababab" in str(damaged)
    assert contents(repository) == golden.CONTENTS


def test_an_old_snapshot_under_the_name_of_another_is_told_and_the_others_are_read():
    place = Place()
    repository = place.repository()
    first = repository.write_snapshot(Snapshot("ab" * 32, 5, ("/x",), "anvil"))
    second = repository.write_snapshot(Snapshot("cd" * 32, 6, ("/x",), "anvil"))
    place.blobs[f"snapshots/{second.id}"] = place.blobs[f"snapshots/{first.id}"]
    place.blobs["snapshots/" + "cd" * 32] = (b"noise", 0.0)
    found = [*repository.snapshots()]
    told = " ".join(str(one) for one in found if not isinstance(one, Snapshot))
    assert [one for one in found if isinstance(one, Snapshot)] == [first]
    assert second.id[:12] in told and "cdcdcdcdcdcd" in told


# --- bombs, from somebody who has the key


def frame_that_claims(size: int) -> bytes:
    """A zstd frame with a content size of 8 bytes and nothing in it."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + b"\1\0\0"


def bomb(size: int) -> bytes:
    """Zeros, without telling how many."""
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=False).compressobj()
    pieces = [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*pieces, compressor.flush()])


@pytest.mark.parametrize("size", [(512 << 20) + 1, 2 << 30, 1 << 40, (1 << 64) - 3])
def test_a_frame_that_claims_to_be_huge(size):
    place = Place()
    repository = place.repository()
    name = repository.objects.write(Kind.INDEX, place.master.seal(b"\2" + frame_that_claims(size)))
    with bounded(2.0, 64), pytest.raises(Corrupt):
        repository.read_unpacked(Kind.INDEX, name)
    assert [type(error) for error in repository.refresh()] == [Corrupt]


@pytest.mark.parametrize("told", [1, 1000, (512 << 20) + 1, (1 << 32) - 1])
def test_a_blob_that_is_larger_than_its_index_tells(told):
    place = Place()
    repository = place.repository()
    sealed = place.master.seal(bomb(64 << 20))
    blob = PackedBlob(hashlib.sha256(bytes(64 << 20)).digest(), BlobKind.DATA, 0, len(sealed), told)
    pack = repository.objects.write(Kind.PACK, sealed)
    repository.catalog.add("ab" * 32, IndexFile({pack: [blob]}))
    with bounded(2.0, 32), pytest.raises(Corrupt):
        repository.load_blob(BlobKind.DATA, blob.id)


@pytest.mark.parametrize("clear", [b"", b"\1", b"\2", b"\3abc", b"x", b"\2{}"])
def test_a_file_of_a_kind_that_nobody_knows(clear):
    place = Place()
    repository = place.repository()
    name = repository.objects.write(Kind.SNAPSHOT, place.master.seal(clear))
    with pytest.raises(Corrupt, match=name[:12]):
        repository.read_unpacked(Kind.SNAPSHOT, name)


def test_files_that_are_not_compressed_are_read_as_restic_reads_them():
    place = Place()
    repository = place.repository()
    name = repository.objects.write(Kind.SNAPSHOT, place.master.seal(b'{"tree":1}'))
    assert repository.read_unpacked(Kind.SNAPSHOT, name) == b'{"tree":1}'


def test_a_blob_that_no_index_knows():
    repository = Place().repository()
    with pytest.raises(Corrupt, match="no index"):
        repository.load_blob(BlobKind.DATA, bytes(32))
