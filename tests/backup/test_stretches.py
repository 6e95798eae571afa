"""Stretches: whatever is waited for comes once, most of it with few stretches, and few of them are in memory."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.catalog import Catalog
from escale.backup.fetch import GAP_BYTES, Range
from escale.backup.index import IndexFile
from escale.backup.pack import BlobKind, PackedBlob
from escale.backup.stretches import TOGETHER_BYTES, Stretches

STRETCH_BYTES = 1000
Sizes = dict[str, list[int]]


def name_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def tree(pack: str, number: int) -> bytes:
    return name_of(f"{pack} {number}")


def catalog_of(packs: Sizes, kinds: list[BlobKind] | None = None) -> Catalog:
    """Packs of trees of these sizes, one behind the other; or of kinds in turn."""
    catalog, found = Catalog(None), {}
    for pack, sizes in packs.items():
        blobs, offset = [], 0
        for number, size in enumerate(sizes):
            kind = kinds[number % len(kinds)] if kinds else BlobKind.TREE
            blobs.append(PackedBlob(tree(pack, number), kind, offset, size))
            offset += size
        found[name_of(pack).hex()] = blobs
    catalog.add(name_of("index").hex(), IndexFile(found))
    return catalog


def read(stretches: Stretches, taken: list[Range]) -> list[bytes]:
    """As somebody who fetches them, and gives what they give."""
    for one in taken:
        stretches.kept.setdefault((one.pack, one.offset), bytes(one.length))
    return [blob.id for one in taken for blob in one.blobs]


SIZES = st.lists(st.integers(1, 2500), min_size=1, max_size=12)


@given(st.lists(SIZES, min_size=1, max_size=4), st.data())
def test_what_is_waited_for_comes_once_and_lies_where_it_is_read(sizes, data):
    packs = {str(number): each for number, each in enumerate(sizes)}
    ids = [tree(pack, number) for pack, each in packs.items() for number in range(len(each))]
    stretches = Stretches(catalog_of(packs), STRETCH_BYTES)
    came: list[bytes] = []
    waiting = data.draw(st.permutations(ids))
    for start in range(0, len(ids), 5):
        assert stretches.wait_for(waiting[start : start + 5]) == {}
        taken = stretches.take()
        for one in taken:
            assert one.length <= STRETCH_BYTES or len(one.blobs) == 1
            for blob in one.blobs:
                assert one.offset <= blob.offset <= blob.offset + blob.length <= one.offset + one.length
        came += read(stretches, taken)
    while taken := stretches.take():
        came += read(stretches, taken)
    assert sorted(came) == sorted(ids)


def test_what_no_index_lists_is_told():
    stretches = Stretches(catalog_of({"a": [10]}), STRETCH_BYTES)
    assert stretches.wait_for([tree("a", 0), bytes(32)]) == {bytes(32): "no index lists it"}


def test_what_was_read_serves_until_something_else_is_read():
    stretches = Stretches(catalog_of({"a": [400, 400, 400, 400]}), STRETCH_BYTES)
    stretches.wait_for([tree("a", 3)])
    (last,) = stretches.take()
    assert (last.offset, last.length) == (800, 800)
    read(stretches, [last])
    stretches.wait_for([tree("a", 2), tree("a", 0)])
    (again,) = stretches.take()
    assert (again.pack, again.offset) in stretches.kept
    assert [blob.id for blob in again.blobs] == [tree("a", 2)]
    (first,) = stretches.take()
    assert (first.offset, stretches.kept) == (0, {})
    assert stretches.take() == []


def test_a_pack_is_read_from_its_end():
    """Each tree names the one before it, as a directory does that was stored after what is in it."""
    size, count = 600 << 10, 40
    stretches = Stretches(catalog_of({"a": [size] * count}), 1 << 20)
    stretches.wait_for([tree("a", count - 1)])
    offsets: list[int] = []
    for number in reversed(range(count)):
        (one,) = stretches.take()
        assert read(stretches, [one]) == [tree("a", number)]
        offsets.append(one.offset)
        stretches.wait_for([tree("a", number - 1)] if number else [])
    assert offsets == sorted(offsets, reverse=True)


@pytest.mark.parametrize("packs", [1, 30])
def test_little_is_in_memory(packs):
    size, each = 100 << 10, 300 // packs
    names = [str(number) for number in range(packs)]
    stretches = Stretches(catalog_of({name: [size] * each for name in names}), 1 << 20)
    stretches.wait_for(tree(name, number) for name in names for number in range(each))
    came: list[bytes] = []
    while taken := stretches.take():
        came += read(stretches, taken)
        assert sum(map(len, stretches.kept.values())) <= TOGETHER_BYTES + (1 << 20)
    assert len(came) == len({*came}) == packs * each


def test_contents_that_lie_around_a_tree_are_not_read():
    """As other programs may have stored them."""
    sizes = [500, 4 * GAP_BYTES] * 3
    stretches = Stretches(catalog_of({"a": sizes}, [BlobKind.TREE, BlobKind.DATA]), 1 << 20)
    stretches.wait_for([tree("a", 2)])
    (one,) = stretches.take()
    assert (one.offset, one.length) == (500 + 4 * GAP_BYTES, 500)
