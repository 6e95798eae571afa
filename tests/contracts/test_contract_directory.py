"""The blob store contract on a local directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from escale.store.directory import DirectoryStore
from escale.testing.contracts import BlobStoreContract, OpenStore


class TestDirectoryStore(BlobStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(DirectoryStore, tmp_path)

    @pytest.fixture
    def store(self, open_store: OpenStore) -> DirectoryStore:
        return open_store()

    @pytest.fixture
    def no_relay(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path / "nowhere")
