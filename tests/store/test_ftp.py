"""FtpStore beyond the contract: log-in, certificates, lost connections, what a server refuses, odd listings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from escale.errors import Missing, NoRelaySpace, NoSuchRelay, Refused, SecretError, Unreachable
from escale.store.blob import TEMPORARY
from escale.store.ftp import FtpStore

from ..servers import Proxy, Relay, Server

MIB = 1024 * 1024

StartServer = Callable[[str], Server]
StartProxy = Callable[..., Proxy]

BOTH = [pytest.param(name, marks=pytest.mark.real(name)) for name in ("vsftpd", "pyftpd")]


def store_at(relay: Relay, **changes: Any) -> FtpStore:
    settings: dict[str, Any] = {
        "port": relay.port,
        "user": relay.user,
        "password": relay.password,
        "tls": relay.url.startswith("ftps:"),
        "ca_file": relay.ca_file,
    }
    return FtpStore(changes.pop("host", relay.host), relay.directory, **(settings | changes))


def path_of(relay: Relay) -> Path:
    assert relay.path is not None
    return relay.path


class TestLogin:
    @pytest.mark.real("pyftpd")
    def test_wrong_password(self, server: StartServer) -> None:
        with pytest.raises(SecretError, match="refused the log-in") as caught:
            store_at(server("pyftpd").relay(), password="wrong").info("name")
        assert caught.value.code == "K202"

    @pytest.mark.real("vsftpd")
    def test_user_that_is_not_let_in(self, server: StartServer) -> None:
        with pytest.raises(SecretError, match="refused the log-in"):
            store_at(server("vsftpd").relay(), user="somebody").info("name")

    @pytest.mark.real("pyftpd_tls")
    def test_server_that_demands_tls(self, server: StartServer) -> None:
        with pytest.raises(Refused, match="SSL/TLS required"):
            store_at(server("pyftpd_tls").relay(), tls=False).info("name")

    @pytest.mark.real("pyftpd")
    def test_server_without_tls_is_not_spoken_to_in_clear(self, server: StartServer) -> None:
        with pytest.raises(Refused):
            store_at(server("pyftpd").relay(), tls=True).info("name")


@pytest.mark.real("pyftpd_tls")
class TestCertificate:
    def test_unknown_authority(self, server: StartServer) -> None:
        with pytest.raises(Refused, match="certificate is not accepted"):
            store_at(server("pyftpd_tls").relay(), ca_file=None).info("name")

    def test_another_name(self, server: StartServer) -> None:
        with pytest.raises(Refused, match="certificate is not accepted"):
            store_at(server("pyftpd_tls").relay(), host="localhost").info("name")

    def test_unverified_on_demand(self, server: StartServer) -> None:
        with store_at(server("pyftpd_tls").relay(), ca_file=None, verify=False) as store:
            store.write_bytes("name", b"content")
            assert store.read_bytes("name") == b"content"


class TestConnection:
    @pytest.mark.real("pyftpd")
    def test_nobody_listens(self, own_server: StartServer) -> None:
        gone = own_server("pyftpd")
        relay = gone.relay()
        gone.halt()
        with pytest.raises(Unreachable):
            store_at(relay).info("name")

    @pytest.mark.parametrize("name", BOTH)
    def test_lost_connection_is_unreachable_once_and_then_mended(
        self, server: StartServer, proxy: StartProxy, name: str
    ) -> None:
        relay = server(name).relay()
        way = proxy(relay.port)
        store = store_at(relay, port=way.port)
        store.write_bytes("name", b"content")
        way.refuse()
        with pytest.raises(Unreachable):
            store.info("name")
        way.refuse(False)
        assert store.read_bytes("name") == b"content"

    @pytest.mark.real("pyftpd")
    def test_silence_after_the_log_in(self, server: StartServer, proxy: StartProxy) -> None:
        relay = server("pyftpd").relay()
        way = proxy(relay.port)
        store = store_at(relay, port=way.port, timeout_s=0.3)
        store.write_bytes("name", b"content")
        way.delay(5.0)
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            store.info("name")

    @pytest.mark.parametrize("name", ["vsftpd", "pyftpd"])
    def test_server_killed_during_an_upload(self, own_server: StartServer, name: str) -> None:
        server = own_server(name)
        relay = server.relay()
        store = store_at(relay)
        store.write_bytes("name", b"old")

        class Killing:
            given = 0

            def read(self, size: int = -1) -> bytes:
                self.given += 1
                if self.given == 20:
                    server.kill()
                return os.urandom(size) if self.given < 100 else b""

        source: Any = Killing()
        with pytest.raises(Unreachable):
            store.put("name", source)
        server.start()
        assert store.read_bytes("name") == b"old"
        assert [blob.name for blob in store.list()] == ["name"]
        assert store.sweep(older_than_s=0) == 1
        assert [path.name for path in path_of(relay).iterdir()] == ["name"]

    @pytest.mark.parametrize("name", ["vsftpd", "pyftpd"])
    def test_server_killed_during_a_download(self, own_server: StartServer, name: str) -> None:
        server = own_server(name)
        relay = server.relay()
        (path_of(relay) / "name").write_bytes(os.urandom(64 * MIB))
        server.hand_over(path_of(relay))
        stream = store_at(relay).get("name")
        assert len(stream.read(1000)) == 1000
        server.kill()
        with pytest.raises(Unreachable):
            while stream.read(65536):
                pass
        with pytest.raises(Unreachable):
            stream.read(1)
        stream.close()

    @pytest.mark.parametrize("name", BOTH)
    def test_one_idle_connection_is_kept(self, server: StartServer, proxy: StartProxy, name: str) -> None:
        relay = server(name).relay()
        way = proxy(relay.port)
        store = store_at(relay, port=way.port)
        for number in range(5):
            store.write_bytes(f"name-{number}", b"content")
            assert store.read_bytes(f"name-{number}") == b"content"
        assert len(list(store.list())) == 5
        assert way.traffic().connections == 1


class TestRefusals:
    @pytest.mark.parametrize("name", BOTH)
    def test_relay_that_vanishes(self, server: StartServer, name: str) -> None:
        relay = server(name).relay()
        store = store_at(relay)
        assert list(store.list()) == []
        path_of(relay).rmdir()
        verbs: list[Callable[[], object]] = [
            lambda: list(store.list()),
            lambda: store.info("name"),
            lambda: store.get("name"),
            lambda: store.write_bytes("name", b""),
        ]
        for verb in verbs:
            with pytest.raises(NoSuchRelay):
                verb()

    @pytest.mark.parametrize("name", BOTH)
    def test_directories_are_no_blobs(self, server: StartServer, name: str) -> None:
        relay = server(name).relay()
        (path_of(relay) / "directory").mkdir()
        store = store_at(relay)
        assert list(store.list()) == []
        assert store.info("directory") is None
        with pytest.raises(Missing):
            store.get("directory")

    @pytest.mark.real("vsftpd")
    def test_names_that_are_not_utf_8_are_not_ours(self, server: StartServer) -> None:
        relay = server("vsftpd").relay()
        (path_of(relay) / os.fsdecode(b"not utf-8 \xff")).touch()
        assert list(store_at(relay).list()) == []

    @pytest.mark.real("vsftpd")
    def test_permission_denied(self, server: StartServer) -> None:
        relay = server("vsftpd").relay()
        (path_of(relay) / "name").write_bytes(b"content")
        server("vsftpd").hand_over(path_of(relay))
        (path_of(relay) / "name").chmod(0)
        path_of(relay).chmod(0o555)
        store = store_at(relay)
        try:
            with pytest.raises(Refused):
                store.get("name")
            with pytest.raises(Refused):
                store.delete("name")
            with pytest.raises(Refused):
                store.write_bytes("new", b"content")
        finally:
            path_of(relay).chmod(0o755)

    @pytest.mark.real("vsftpd")
    def test_full_disk(self, server: StartServer, mount_small_disk: Callable[[Path], None]) -> None:
        relay = server("vsftpd").relay()
        mount_small_disk(path_of(relay))
        with store_at(relay) as store:
            store.write_bytes("name", b"old")
            with pytest.raises(NoRelaySpace):
                store.write_bytes("name", os.urandom(8 * MIB))
            assert store.read_bytes("name") == b"old"
            assert [path.name for path in path_of(relay).iterdir()] == ["name"]


@pytest.mark.parametrize("name", BOTH)
def test_times_are_those_of_the_files(server: StartServer, name: str) -> None:
    relay = server(name).relay()
    for number, mtime in enumerate((0, 951_782_400, 1_700_000_001)):
        path = path_of(relay) / f"name-{number}"
        path.touch()
        os.utime(path, (mtime, mtime))
    server(name).hand_over(path_of(relay))
    store = store_at(relay)
    assert [blob.mtime for blob in store.list()] == [0, 951_782_400, 1_700_000_001]


@pytest.mark.parametrize("name", BOTH)
def test_sweep_goes_by_the_time_of_the_server(server: StartServer, name: str) -> None:
    relay = server(name).relay()
    store = store_at(relay)
    for age in ("old", "new"):
        store.write_bytes(f"{TEMPORARY}{age}", b"")
    new = path_of(relay) / f"{TEMPORARY}new"
    os.utime(path_of(relay) / f"{TEMPORARY}old", (0, new.stat().st_mtime - 7200))
    assert store.sweep(older_than_s=3600) == 1
    assert [path.name for path in path_of(relay).iterdir()] == [new.name]
