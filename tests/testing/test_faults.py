"""Stores with hooks: nothing changes but what the hooks do, in directories as above them."""

from __future__ import annotations

import pytest

from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.contracts import BlobStoreContract, OpenStore
from escale.testing.faults import Crash, Fuse, HookedStore
from escale.testing.weather import Odds, TornStore, WeatherStore


class InMemory(BlobStoreContract):
    # The store in memory keeps what it is given, and is always there.
    test_large_blob_in_bounded_memory = None
    test_no_such_relay = None
    test_directories_of_no_relay = None

    @pytest.fixture
    def store(self, open_store: OpenStore) -> BlobStore:
        return open_store()


class Never(Choices):
    """Nothing happens."""

    def happens(self, odds: float) -> bool:
        return False


class TestHookedStore(InMemory):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        memory = MemoryStore()
        return lambda: HookedStore(memory)


class TestWeatherStore(InMemory):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        memory = MemoryStore()
        return lambda: WeatherStore(memory, Never(), Odds())


class TestTornStore(InMemory):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        memory = MemoryStore()
        return lambda: TornStore(memory, lambda name: False)


def test_hooks_hear_of_whole_names():
    heard: list[tuple[str, str]] = []
    store = HookedStore(MemoryStore(), lambda verb, name: heard.append((verb, name)))
    inner = store.within("data").within("ab")
    inner.write_bytes("name", b"content")
    inner.get_range("name", 0, 1)
    list(store.within("data").list_below())
    assert heard == [("put", "data/ab/name"), ("get_range", "data/ab/name"), ("list_below", "data/")]


def test_a_fuse_blows_in_directories_too():
    fuse = Fuse(1)
    store = HookedStore(MemoryStore(), fuse)
    store.within("data").write_bytes("first", b"x")
    with pytest.raises(Crash):
        store.within("keys").write_bytes("second", b"x")
    with pytest.raises(Crash):
        store.get("anything")
