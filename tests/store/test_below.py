"""Directories of remote stores beyond the contract: how often the server is asked, and what may not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from escale.errors import Refused, Unreachable
from escale.store.blob import BlobStore
from escale.store.remote import Address, open_store

from ..contracts.test_contract_remote import on_servers
from ..servers import Proxy, Relay, Server
from .spoiler import Spoiler

StartServer = Callable[[str], Server]
StartProxy = Callable[..., Proxy]

DIRECTORIES = 130
"""Of a repository there are 256."""


@contextmanager
def opened(relay: Relay, port: int) -> Iterator[BlobStore]:
    """The relay's store through another port."""
    options = dict(relay.options)
    if "endpoint_url" in options:
        options["endpoint_url"] = options["endpoint_url"].replace(f":{relay.port}", f":{port}")
    address = Address.parse(
        relay.url.replace(f":{relay.port}", f":{port}"),
        user=relay.user,
        password=relay.password,
        key_file=relay.key_file,
        host_key=relay.host_key,
        proxy="none",
        options=options,
    )
    with open_store(address) as store:
        yield store


@on_servers("sshd", "vsftpd", "pyftpd", "moto_locked", "lighttpd")
def test_a_store_and_those_within_share_a_connection(server: StartServer, proxy: StartProxy, server_name: str) -> None:
    relay = server(server_name).relay()
    between = proxy(relay.port)
    with opened(relay, between.port) as store:
        for number in range(10):
            # Servers hang up where they refuse an upload, as they do as long as there is no such directory.
            store.within(f"data/{number}").write_bytes("other", b"content")
        between.traffic()
        for number in range(10):
            inner = store.within(f"data/{number}")
            inner.write_bytes("name", b"content")
            assert inner.get_range("name", 3, 4) == b"tent"
            assert [blob.name for blob in inner.list()] == ["name", "other"]
            inner.delete("name")
        assert between.traffic().connections == 0


@pytest.mark.real("sshd")
def test_sftp_lists_many_directories_in_few_turns(server: StartServer, proxy: StartProxy) -> None:
    running = server("sshd")
    relay = running.relay()
    assert relay.path is not None
    for number in range(DIRECTORIES):
        (relay.path / f"{number:03d}").mkdir()
        (relay.path / f"{number:03d}" / "name").write_bytes(b"content")
    running.hand_over(relay.path)
    between = proxy(relay.port, delay_s=0.05)
    with opened(relay, between.port) as store:
        store.info("name")
        between.traffic()
        assert len(list(store.list_below())) == DIRECTORIES
        # One listing, and three times so many directories as may be open together; each in two turns.
        assert between.traffic().turns <= 2 + 3 * 2 + 1


@pytest.mark.real("sshd")
def test_sftp_reads_a_part_in_few_turns(server: StartServer, proxy: StartProxy) -> None:
    relay = server("sshd").relay()
    between = proxy(relay.port, delay_s=0.05)
    with opened(relay, between.port) as store:
        store.write_bytes("name", bytes(3_000_000))
        between.traffic()
        assert store.get_range("name", 500_000, 1_000_000) == bytes(1_000_000)
        told = between.traffic()
        # The third tells the server to close the file, and nobody waits for an answer.
        assert (told.turns, told.connections) == (3, 0)
        assert told.down < 1_100_000


@pytest.mark.real("moto_locked")
def test_s3_lists_what_is_below_at_once(server: StartServer) -> None:
    relay = server("moto_locked").relay()
    with Spoiler(relay.port) as spoiler, opened(relay, spoiler.port) as store:
        for number in range(5):
            store.within(f"data/{number}").write_bytes("name", b"content")
        assert spoiler.requests == ["PUT"] * 5
        spoiler.requests.clear()
        assert len(list(store.within("data").list_below())) == 5
        assert spoiler.requests == ["GET"]


@pytest.mark.real("lighttpd")
def test_webdav_makes_collections_only_where_there_are_none(server: StartServer) -> None:
    relay = server("lighttpd").relay()
    with Spoiler(relay.port) as spoiler, opened(relay, spoiler.port) as store:
        store.within("data/ab").write_bytes("name", b"content")
        assert spoiler.requests.count("MKCOL") >= 2
        spoiler.requests.clear()
        store.within("data/ab").write_bytes("other", b"content")
        assert spoiler.requests == ["PUT", "MOVE"]
        spoiler.requests.clear()
        assert len(list(store.within("data").list_below())) == 2
        assert spoiler.requests == ["PROPFIND", "PROPFIND"]


@on_servers("sshd", "vsftpd", "pyftpd", "apache", "lighttpd")
def test_what_may_not_be_read_is_not_left_out(server: StartServer, server_name: str) -> None:
    running = server(server_name)
    relay = running.relay()
    assert relay.path is not None
    with opened(relay, relay.port) as store:
        store.within("data/ab").write_bytes("name", b"content")
        store.within("data/ac").write_bytes("name", b"content")
        denied = relay.path / "data" / "ab"
        denied.chmod(0)
        try:
            if running.account == "root":
                pytest.skip("NOT TESTED: the server runs as root, who reads everything")
            # Apache drops the connection instead of an answer.
            with pytest.raises((Refused, Unreachable)):
                pytest.fail(f"{list(store.within('data').list_below())}")
            with pytest.raises((Refused, Unreachable)):
                pytest.fail(f"{list(store.within('data/ab').list())}")
        finally:
            denied.chmod(0o755)
