"""Index files: restic's are read, ours are restic's, and numbers that no pack has are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.index import IndexFile
from escale.backup.objects import Kind
from escale.backup.pack import BlobKind, PackedBlob
from escale.errors import Corrupt

from . import golden

U32 = st.integers(0, 2**32 - 1)
IDS = st.binary(min_size=32, max_size=32)
BLOBS = st.builds(
    PackedBlob,
    id=IDS,
    kind=st.sampled_from(BlobKind),
    offset=U32,
    length=U32,
    raw_length=st.none() | st.integers(1, 2**32 - 1),
)
INDICES = st.builds(
    IndexFile,
    packs=st.dictionaries(IDS.map(bytes.hex), st.lists(BLOBS, max_size=4), max_size=3),
    supersedes=st.lists(IDS.map(bytes.hex), max_size=2).map(tuple),
)
PACK, BLOB = "ab" * 32, "cd" * 32


def text_with(**change: object) -> bytes:
    blob = {"id": BLOB, "type": "data", "offset": 0, "length": 38, "uncompressed_length": 700}
    return json.dumps({"packs": [{"id": PACK, "blobs": [blob | change]}]}).encode()


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_index_files(name):
    repository = golden.opened(golden.HERE / name)
    (index,) = repository.catalog.index_names()
    clear = repository.read_unpacked(Kind.INDEX, index)
    found = IndexFile.decode(clear, "here")
    kinds = sorted(blob.kind.value for blobs in found.packs.values() for blob in blobs)
    assert kinds == ["data"] * 3 + ["tree"] * (5 if name == "escale-1" else 3)
    assert len(found.supersedes) == (2 if name == "restic-0.14.0" else 0)
    # But for the end of the line.
    assert found.encode() == clear.rstrip()


@given(INDICES)
def test_what_is_written_can_be_read(index):
    assert IndexFile.decode(index.encode(), "here") == index


def test_a_pack_that_is_told_of_twice():
    one, other = (json.loads(text_with(id=blob * 32))["packs"][0] for blob in ("11", "22"))
    found = IndexFile.decode(json.dumps({"packs": [one, other]}).encode(), "here")
    assert [blob.id.hex() for blob in found.packs[PACK]] == ["11" * 32, "22" * 32]


def test_an_empty_one():
    assert IndexFile.decode(IndexFile().encode(), "here") == IndexFile.decode(b'{"packs":null}', "here") == IndexFile()


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 1 << 40},
        {"offset": -1},
        {"offset": 1.5},
        {"offset": None},
        {"offset": True},
        {"offset": "0"},
        {"length": 1 << 32},
        {"length": 1e999},
        {"uncompressed_length": 1 << 32},
        {"uncompressed_length": -5},
        {"uncompressed_length": "7"},
        {"type": "door"},
        {"type": []},
        {"id": "AB" * 32},
        {"id": "ab"},
        {"id": 5},
        {"id": "../../config"},
    ],
    ids=str,
)
def test_numbers_and_names_that_cannot_be(change):
    IndexFile.decode(text_with(), "here")
    with pytest.raises(Corrupt):
        IndexFile.decode(text_with(**change), "here")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"packs":5}',
        b'{"packs":[5]}',
        b'{"packs":{"a":1}}',
        b'{"packs":[{"id":"x","blobs":[]}]}',
        b'{"packs":[{"id":"' + b"ab" * 32 + b'"}]}',
        b'{"packs":[],"supersedes":["x"]}',
        b'{"packs":[],"supersedes":5}',
        b"[" * 100_000,
        b'{"packs":[' + b"9" * 5000 + b"]}",
    ],
    ids=lambda text: text[:30].decode(),
)
def test_what_is_no_index(text):
    with pytest.raises(Corrupt):
        IndexFile.decode(text, "here")
