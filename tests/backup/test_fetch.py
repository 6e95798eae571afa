"""Fetch: few requests for many blobs, each verified; what nobody has is told with its reason."""

from __future__ import annotations

import hashlib
import random
from threading import Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.fetch import GAP_BYTES, RANGE_BYTES, Fetch, ranges
from escale.backup.pack import BlobKind, PackedBlob
from escale.errors import Unreachable

from .places import Place
from .versions_made import Maker, opened

PLACES = st.lists(st.tuples(st.integers(0, 40 << 20), st.integers(1, 9 << 20)), min_size=1, max_size=30)


@given(PLACES, st.sampled_from([RANGE_BYTES, 1 << 20]))
def test_ranges_hold_each_blob_once_and_are_not_too_long(places, range_bytes):
    blobs = [PackedBlob(bytes(32), BlobKind.DATA, offset, length) for offset, length in places]
    found = [*ranges({"p": blobs}, range_bytes)]
    assert sorted(blob.offset for one in found for blob in one.blobs) == sorted(offset for offset, _ in places)
    for one in found:
        assert len(one.blobs) == 1 or one.length <= range_bytes
        ends = [blob.offset + blob.length for blob in one.blobs]
        assert all(blob.offset - end <= GAP_BYTES for blob, end in zip(one.blobs[1:], ends, strict=False))


def received(place: Place, ids: list[bytes], connections: int = 2) -> tuple[dict[bytes, bytes], dict[bytes, str], int]:
    found: dict[bytes, bytes] = {}
    lock = Lock()

    def receive(blob_id: bytes, clear: bytes) -> None:
        with lock:
            assert blob_id not in found
            found[blob_id] = clear

    with Fetch(opened(place), connections) as fetch:
        failed = fetch.blobs(BlobKind.DATA, ids, receive)
        return found, failed, fetch.bytes_read


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def ids(place) -> list[bytes]:
    """300 blobs are there."""
    maker = Maker(place)
    file = maker.file("x", *(random.Random(number).randbytes(500) for number in range(300)))
    maker.close()
    return [bytes.fromhex(part) for part in file.content]


def test_every_blob_comes_once_and_is_what_its_id_tells(place, ids):
    found, failed, read = received(place, ids)
    assert failed == {} and found.keys() == set(ids)
    assert all(hashlib.sha256(clear).digest() == blob_id for blob_id, clear in found.items())
    assert read == 300 * 532


def test_what_no_index_knows(place, ids):
    found, failed, _ = received(place, [ids[0], bytes(32)])
    assert (set(found), failed) == ({ids[0]}, {bytes(32): "no index lists it"})


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_what_is_damaged_is_told_and_the_rest_comes(place, ids, how):
    catalog = opened(place).catalog
    ((name, _),) = catalog.find(BlobKind.DATA, ids[0])
    there = {blob.id for blob in catalog.blobs_of(name)}
    place.damage(f"data/{name[:2]}/{name}", how)
    found, failed, _ = received(place, ids)
    assert set(found) | set(failed) == set(ids) and not set(found) & set(failed)
    assert set(failed) == there if how == "gone" else len(failed) == 1
    assert all(hashlib.sha256(clear).digest() == blob_id for blob_id, clear in found.items())


def test_what_the_receiver_raises_comes_through_and_it_is_not_called_afterwards(place, ids):
    calls: list[bytes] = []

    def receive(blob_id: bytes, clear: bytes) -> None:
        calls.append(blob_id)
        raise Unreachable(where="here", reason="on purpose")

    with Fetch(opened(place), 3) as fetch:
        with pytest.raises(Unreachable):
            fetch.blobs(BlobKind.DATA, ids, receive)
        count = len(calls)
        assert 1 <= count <= 4
    assert len(calls) == count


@pytest.mark.parametrize(("count", "connections"), [(1, 4), (300, 1), (300, 4)])
def test_the_open_connection_is_one_of_them(place, ids, count, connections):
    """Whoever wants one file does not log in twice."""
    repository, made, found = opened(place), [], []
    another = repository.another_connection
    repository.another_connection = lambda: made.append(another()) or made[-1]
    with Fetch(repository, connections) as fetch:
        for _ in range(2):
            assert fetch.blobs(BlobKind.DATA, ids[:count], lambda blob_id, clear: found.append(blob_id)) == {}
    assert len(found) == 2 * count
    assert len(made) <= (0 if count == 1 else connections - 1)


def test_the_open_connection_is_given_back_whatever_happens(place, ids):
    repository = opened(place)

    def refuse(blob_id: bytes, clear: bytes) -> None:
        raise OSError("the disk is full")

    with Fetch(repository, 2) as fetch:
        with pytest.raises(OSError, match="full"):
            fetch.blobs(BlobKind.DATA, ids, refuse)
        assert repository.objects not in fetch._idle
    assert repository.load_blob(BlobKind.DATA, ids[0])
