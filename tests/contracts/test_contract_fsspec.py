"""The blob store contract on drivers of fsspec: one that renames, one that cannot, one with a real server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from escale.store.fsspec import FsspecStore
from escale.testing.contracts import BlobStoreContract, OpenStore

from ..servers import Relay, Server


class FsspecContract(BlobStoreContract):
    @pytest.fixture
    def store(self, open_store: OpenStore) -> FsspecStore:
        return open_store()


class TestLocalDriver(FsspecContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(FsspecStore, f"local://{tmp_path}")

    @pytest.fixture
    def no_relay(self, tmp_path: Path) -> FsspecStore:
        return FsspecStore(f"local://{tmp_path}/nowhere")


class TestMemoryDriver(FsspecContract):
    # Its files lie in our own memory.
    test_large_blob_in_bounded_memory = None
    # It makes directories as they are needed.
    test_no_such_relay = None
    test_directories_of_no_relay = None

    @pytest.fixture
    def open_store(self) -> OpenStore:
        url = f"memory://{uuid.uuid4().hex}/relay"
        FsspecStore(url).make_relay()
        return partial(FsspecStore, url)

    @pytest.fixture
    def no_relay(self) -> FsspecStore:
        return FsspecStore("memory://nowhere/relay")


@pytest.mark.real("sshd")
class TestSftpDriver(FsspecContract):
    @pytest.fixture
    def open_store(self, server: Callable[[str], Server]) -> OpenStore:
        return partial(sftp_driver, server("sshd").relay())

    @pytest.fixture
    def no_relay(self, server: Callable[[str], Server]) -> FsspecStore:
        return sftp_driver(server("sshd").relay_at("nowhere"))


def sftp_driver(relay: Relay) -> FsspecStore:
    return FsspecStore(relay.url, {"key_filename": str(relay.key_file)})
