"""Packs: what was put in lies where the table of contents says, and a table that lies is refused or harmless."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.cipher import OVERHEAD, MasterKey
from escale.backup.index import IndexFile
from escale.backup.objects import Kind
from escale.backup.pack import (
    HEADER_BYTES_MAX,
    PACK_BYTES,
    BlobKind,
    Pack,
    PackedBlob,
    decode_header,
    encode_header,
    header_length,
    pack_bytes,
    read_contents,
)
from escale.errors import Corrupt

from . import golden

KEY = MasterKey.of_bytes(bytes(range(64)))
BLOBS = st.builds(
    PackedBlob,
    id=st.binary(min_size=32, max_size=32),
    kind=st.sampled_from(BlobKind),
    offset=st.just(0),
    length=st.integers(0, 2**32 - 1),
    raw_length=st.none() | st.integers(1, 2**32 - 1),
)


def placed(blobs: list[PackedBlob]) -> list[PackedBlob]:
    """One after the other."""
    found, offset = [], 0
    for blob in blobs:
        found.append(PackedBlob(blob.id, blob.kind, offset, blob.length, blob.raw_length))
        offset += blob.length
    return found


def filled(*blobs: bytes) -> bytes:
    """A pack of these."""
    pack = Pack()
    for blob in blobs:
        pack.add(hashlib.sha256(blob).digest(), BlobKind.DATA, KEY.seal(blob), None)
    return bytes(pack.finish(KEY))


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_packs_hold_what_the_index_says(name):
    repository = golden.opened(golden.HERE / name)
    packs = sorted(repository.catalog.packs())
    assert len(packs) >= 2
    for pack in packs:
        data = repository.objects.read(Kind.PACK, pack)
        assert read_contents(data, repository.master, pack) == repository.catalog.blobs_of(pack)
        assert pack_bytes(repository.catalog.blobs_of(pack)) == len(data)


@given(st.lists(BLOBS, max_size=6))
def test_a_table_of_contents_can_be_read(blobs):
    assert decode_header(encode_header(blobs), "here") == placed(blobs)


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_blobs_lie_where_the_table_says(blobs):
    data = filled(*blobs)
    contents = read_contents(data, KEY, "here")
    assert pack_bytes(contents) == len(data)
    assert [KEY.open(data[one.offset : one.offset + one.length], "here") for one in contents] == blobs


def test_the_end_of_a_pack_is_enough_to_read_its_table():
    data = filled(b"one", b"two")
    assert read_contents(data[-(4 + OVERHEAD + 74) :], KEY, "here") == read_contents(data, KEY, "here")


def test_a_pack_of_one_blob_that_is_larger_than_a_pack():
    large = bytes(3 * PACK_BYTES)
    pack = Pack()
    pack.add(b"i" * 32, BlobKind.TREE, large, 5)
    data = bytes(pack.finish(KEY))
    assert data[: len(large)] == large
    assert read_contents(data, KEY, "here") == pack.blobs


def test_every_flipped_bit_in_the_table_is_noticed():
    data = filled(b"one", b"two")
    for at in range(len(data) - 4 - OVERHEAD - 74, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(Corrupt):
            read_contents(bytes(changed), KEY, "here")


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 40, 100, 149, 150])
def test_a_pack_that_was_cut(length):
    with pytest.raises(Corrupt):
        read_contents(filled(b"one", b"two")[:length], KEY, "here")


@pytest.mark.parametrize("told", [0, 1, OVERHEAD - 1, 1000, HEADER_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_that_cannot_be(told):
    with pytest.raises(Corrupt):
        header_length(struct.pack("<I", told), 200, "here")


@pytest.mark.parametrize(
    "clear", [b"\4" + bytes(36), b"\xff" + bytes(40), b"\0" + bytes(35), b"\2" + bytes(39), b"\0" + bytes(36) + b"\1"]
)
def test_a_table_that_is_none(clear):
    sealed = KEY.seal(clear)
    data = bytes(100) + sealed + struct.pack("<I", len(sealed))
    with pytest.raises(Corrupt):
        read_contents(data, KEY, "here")


def test_a_table_that_tells_of_more_than_there_is_brings_no_wrong_byte(tmp_path):
    place = golden.copied("restic-0.19.1", tmp_path / "place")
    repository = golden.opened(place)
    (index,) = repository.catalog.index_names()
    found = IndexFile.decode(repository.read_unpacked(Kind.INDEX, index), "here")
    for blobs in found.packs.values():
        blobs[:] = [PackedBlob(one.id, one.kind, one.offset + 2**31, one.length, one.raw_length) for one in blobs]
    repository.write_unpacked(Kind.INDEX, found.encode())
    repository.objects.delete(Kind.INDEX, index)
    other = golden.opened(place)
    for blobs in found.packs.values():
        for blob in blobs:
            with pytest.raises(Corrupt):
                other.load_blob(blob.kind, blob.id)
