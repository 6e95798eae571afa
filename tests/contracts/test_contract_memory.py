"""The blob store contract on the store in memory."""

from __future__ import annotations

from functools import partial

import pytest

from escale.store.memory import MemoryStore
from escale.testing.contracts import BlobStoreContract, OpenStore


class TestMemoryStore(BlobStoreContract):
    test_large_blob_in_bounded_memory = None  # it keeps what it is given
    test_no_such_relay = None  # a dictionary is always there
    test_directories_of_no_relay = None  # likewise

    @pytest.fixture
    def open_store(self) -> OpenStore:
        return partial(MemoryStore, blobs={})

    @pytest.fixture
    def store(self, open_store: OpenStore) -> MemoryStore:
        return open_store()
