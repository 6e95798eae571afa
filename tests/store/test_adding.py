"""AddingStore: what is there stays, whatever is asked."""

from __future__ import annotations

import io

import pytest

from escale.errors import Missing, Refused
from escale.store.adding import AddingStore
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.clock import SimClock


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(SimClock(1_000_000.0).now, {})


@pytest.fixture
def store(memory: MemoryStore) -> BlobStore:
    return AddingStore(memory, removable=("locks",))


def test_a_new_blob_is_stored_and_the_same_bytes_once_more_are_fine(store, memory):
    assert store.put("a", io.BytesIO(b"first")) == 5
    assert store.put("a", io.BytesIO(b"first")) == 5
    assert memory.read_bytes("a") == b"first"


def test_what_is_there_is_not_replaced(store, memory):
    store.write_bytes("a", b"first")
    with pytest.raises(Refused, match="only adds"):
        store.write_bytes("a", b"second")
    assert store.create("a", b"second") is False
    assert memory.read_bytes("a") == b"first"


@pytest.mark.parametrize("directory", ["", "data/ab", "snapshots", "x-escale/heads"])
def test_nothing_is_removed(store, memory, directory):
    place, below = (store.within(directory), memory.within(directory)) if directory else (store, memory)
    place.write_bytes("a", b"ours")
    with pytest.raises(Refused, match="only adds"):
        place.delete("a")
    assert below.read_bytes("a") == b"ours"


def test_of_what_may_be_removed_only_that_which_it_put_there_itself(store, memory):
    memory.within("locks").write_bytes("theirs", b"l")
    locks = store.within("locks")
    locks.write_bytes("ours", b"l")
    locks.delete("ours")
    with pytest.raises(Missing):
        memory.within("locks").read_bytes("ours")
    with pytest.raises(Refused):
        locks.delete("theirs")
    assert memory.within("locks").read_bytes("theirs") == b"l"
    with pytest.raises(Refused):
        locks.delete("ours")


def test_every_upload_is_a_create(memory):
    verbs = []

    class Watched(MemoryStore):
        def put(self, name, source):
            verbs.append("put")
            return super().put(name, source)

        def create(self, name, data):
            verbs.append("create")
            return super().create(name, data)

    store = AddingStore(Watched(SimClock(1_000_000.0).now, {}))
    store.write_bytes("a", b"1")
    store.create("b", b"2")
    assert verbs == ["create", "create"]
