"""The blob store contract on real servers: one class for each kind of store, one run for each server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from escale.store.blob import BlobStore
from escale.store.ftp import FtpStore
from escale.store.sftp import SftpStore
from escale.testing.contracts import BlobStoreContract, OpenStore

from ..servers import Relay, Server


def on_servers(*names: str) -> pytest.MarkDecorator:
    """Run the class once on each of these servers."""
    marked = [pytest.param(name, marks=pytest.mark.real(name)) for name in names]
    return pytest.mark.parametrize("server_name", marked)


class RemoteContract(BlobStoreContract):
    """The fixtures of all remote stores; a subclass says how a relay is opened."""

    @staticmethod
    def at(relay: Relay) -> BlobStore:
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, server: Callable[[str], Server], server_name: str) -> OpenStore:
        return partial(self.at, server(server_name).relay())

    @pytest.fixture
    def store(self, open_store: OpenStore) -> BlobStore:
        return open_store()

    @pytest.fixture
    def no_relay(self, server: Callable[[str], Server], server_name: str) -> BlobStore:
        return self.at(server(server_name).relay_at("nowhere"))


class SftpContract(RemoteContract):
    @staticmethod
    def at(relay: Relay) -> BlobStore:
        return SftpStore(
            relay.host,
            relay.directory,
            port=relay.port,
            user=relay.user,
            key_file=relay.key_file,
            host_key=relay.host_key,
        )


@on_servers("sshd")
class TestSftp(SftpContract):
    pass


@on_servers("sshd_plain")
class TestSftpWithoutExtensions(SftpContract):
    test_readers_see_whole_blobs_during_overwrites = None  # without a rename that replaces, it is absent for an instant


@on_servers("vsftpd", "vsftpd_tls", "pyftpd", "pyftpd_tls")
class TestFtp(RemoteContract):
    @staticmethod
    def at(relay: Relay) -> BlobStore:
        return FtpStore(
            relay.host,
            relay.directory,
            port=relay.port,
            user=relay.user,
            password=relay.password,
            tls=relay.url.startswith("ftps:"),
            ca_file=relay.ca_file,
        )
