"""SftpStore beyond the contract: host keys, log-in, lost connections, refusals, and how often the server is asked."""

from __future__ import annotations

import io
import os
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from escale.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    Missing,
    NoRelaySpace,
    NoSuchRelay,
    Refused,
    SecretError,
    Unreachable,
)
from escale.store.blob import TEMPORARY
from escale.store.sftp import SftpStore

from ..servers import Proxy, Server
from ..servers.ssh import Sshd

pytestmark = pytest.mark.real("sshd")

MIB = 1024 * 1024

StartServer = Callable[[str], Server]
StartProxy = Callable[..., Proxy]


@pytest.fixture
def sshd(server: StartServer) -> Sshd:
    return cast(Sshd, server("sshd"))


@pytest.fixture
def directory(sshd: Sshd) -> Path:
    path = sshd.relay().path
    assert path is not None
    return path


def store_on(sshd: Sshd, directory: Path | str, **changes: Any) -> SftpStore:
    settings: dict[str, Any] = {
        "port": sshd.port,
        "user": sshd.user,
        "key_file": sshd.key_file,
        "host_key": sshd.fingerprint,
    }
    return SftpStore(sshd.host, str(directory), **(settings | changes))


class TestHostKey:
    def test_fingerprint_that_fits(self, sshd: Sshd, directory: Path) -> None:
        with store_on(sshd, directory, host_key=sshd.fingerprint) as store:
            assert list(store.list()) == []

    def test_fingerprint_of_another(self, sshd: Sshd, directory: Path) -> None:
        store = store_on(sshd, directory, host_key="SHA256:" + "A" * 43)
        with pytest.raises(HostKeyChanged) as caught:
            store.info("name")
        assert caught.value.fingerprint == sshd.fingerprint
        assert caught.value.code == "K204"
        assert sshd.fingerprint in caught.value.next_step

    def test_unknown_host(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        empty = tmp_path / "known_hosts"
        empty.touch()
        for nobody in (empty, tmp_path / "absent"):
            with pytest.raises(HostKeyUnknown) as caught:
                store_on(sshd, directory, host_key="", known_hosts=nobody).info("name")
            assert not isinstance(caught.value, HostKeyChanged)
            assert str(caught.value) == (
                f"127.0.0.1 shows a host key that is not known here: ED25519 {sshd.fingerprint}"
            )
            assert f"host key = {sshd.fingerprint}" in caught.value.next_step

    def test_file_of_known_hosts(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        known.write_text("# mine\nother.example.org ssh-ed25519 AAAA\n" + sshd.known_hosts_line())
        with store_on(sshd, directory, host_key=str(known)) as store:
            assert list(store.list()) == []
        with store_on(sshd, directory, host_key="", known_hosts=known) as store:
            assert list(store.list()) == []

    def test_hashed_names(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        known.write_text(sshd.known_hosts_line())
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
        assert "127.0.0.1" not in known.read_text()
        with store_on(sshd, directory, host_key=str(known)) as store:
            assert list(store.list()) == []

    def test_accept_new_remembers_the_first_and_refuses_another(self, own_server: StartServer, tmp_path: Path) -> None:
        sshd = cast(Sshd, own_server("sshd"))
        directory = sshd.relay().directory
        known = tmp_path / "new" / "known_hosts"
        with store_on(sshd, directory, host_key="accept-new", known_hosts=known) as store:
            assert list(store.list()) == []
        assert known.read_text().split()[:2] == [f"[127.0.0.1]:{sshd.port}", "ssh-ed25519"]
        with store_on(sshd, directory, host_key="", known_hosts=known) as store:
            assert list(store.list()) == []
        before = sshd.fingerprint
        sshd.change_host_key()
        with pytest.raises(HostKeyChanged) as caught:
            store_on(sshd, directory, host_key="accept-new", known_hosts=known).info("name")
        assert (caught.value.expected, caught.value.fingerprint) == (before, sshd.fingerprint)
        assert len(known.read_text().splitlines()) == 1

    def test_accept_new_keeps_what_the_file_says(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        known.write_text("# a comment, and no newline at the end")
        with store_on(sshd, directory, host_key="accept-new", known_hosts=known) as store:
            store.info("name")
        assert known.read_text().splitlines() == [
            "# a comment, and no newline at the end",
            sshd.known_hosts_line().rsplit(" ", 1)[0].strip(),
        ]


class TestLogin:
    def test_key_that_is_not_authorised(self, sshd: Sshd, directory: Path) -> None:
        with pytest.raises(SecretError, match="refused user") as caught:
            store_on(sshd, directory, key_file=sshd.other_key_file).info("name")
        assert caught.value.code == "K202"

    def test_password_where_only_keys_count(self, sshd: Sshd, directory: Path) -> None:
        with pytest.raises(SecretError, match="refused user"):
            store_on(sshd, directory, key_file=None, password="secret").info("name")

    def test_key_file_that_is_none(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        garbage = tmp_path / "garbage"
        garbage.write_text("not a key")
        for path in (garbage, tmp_path / "absent"):
            with pytest.raises(SecretError, match="cannot be used"):
                store_on(sshd, directory, key_file=path).info("name")

    def test_key_with_a_passphrase(self, sshd: Sshd, directory: Path, tmp_path: Path) -> None:
        locked = tmp_path / "locked"
        locked.write_bytes(sshd.key_file.read_bytes())
        locked.chmod(0o600)
        change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(locked)]
        subprocess.run(change, check=True, capture_output=True)
        with store_on(sshd, directory, key_file=locked, passphrase="open sesame") as store:
            assert list(store.list()) == []
        for wrong in ("something else", None):
            with pytest.raises(SecretError, match="cannot be used"):
                store_on(sshd, directory, key_file=locked, passphrase=wrong).info("name")


class TestConnection:
    def test_nobody_listens(self, sshd: Sshd, own_server: StartServer) -> None:
        gone = cast(Sshd, own_server("sshd"))
        gone.halt()
        with pytest.raises(Unreachable):
            store_on(gone, "/").info("name")

    def test_server_that_says_nothing(self, sshd: Sshd, directory: Path, proxy: StartProxy) -> None:
        slow = proxy(sshd.port, delay_s=5.0)
        with pytest.raises(Unreachable):
            store_on(sshd, directory, port=slow.port, connect_timeout_s=0.3).info("name")

    def test_silence_after_the_log_in(self, sshd: Sshd, directory: Path, proxy: StartProxy) -> None:
        way = proxy(sshd.port)
        store = store_on(sshd, directory, port=way.port, timeout_s=0.3)
        store.write_bytes("name", b"content")
        way.delay(5.0)
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            store.info("name")
        way.delay(0.0)
        assert store.read_bytes("name") == b"content"

    def test_lost_connection_is_unreachable_once_and_then_mended(
        self, sshd: Sshd, directory: Path, proxy: StartProxy
    ) -> None:
        way = proxy(sshd.port)
        store = store_on(sshd, directory, port=way.port)
        store.write_bytes("name", b"content")
        way.refuse()
        with pytest.raises(Unreachable):
            store.read_bytes("name")
        way.refuse(False)
        assert store.read_bytes("name") == b"content"

    @pytest.mark.parametrize("after", [1, 100_000, 3 * MIB])
    def test_cut_upload_keeps_the_old_content(self, sshd: Sshd, directory: Path, proxy: StartProxy, after: int) -> None:
        way = proxy(sshd.port)
        store = store_on(sshd, directory, port=way.port)
        store.write_bytes("name", b"old")
        way.cut_after(after)
        with pytest.raises(Unreachable):
            store.write_bytes("name", os.urandom(8 * MIB))
        assert store.read_bytes("name") == b"old"
        assert [blob.name for blob in store.list()] == ["name"]
        left = list(directory.glob(f"{TEMPORARY}*"))
        assert store.sweep(older_than_s=0) == len(left)
        assert [path.name for path in directory.iterdir()] == ["name"]

    @pytest.mark.parametrize("after", [1, 100_000, 3 * MIB])
    def test_cut_download_is_never_an_end(self, sshd: Sshd, directory: Path, proxy: StartProxy, after: int) -> None:
        (directory / "name").write_bytes(os.urandom(8 * MIB))
        way = proxy(sshd.port)
        store = store_on(sshd, directory, port=way.port)
        stream = store.get("name")
        way.cut_after(after)
        with pytest.raises(Unreachable):
            while stream.read(65536):
                pass
        with pytest.raises(Unreachable):
            stream.read(1)
        stream.close()

    def test_file_that_shrinks_while_it_is_read(self, sshd: Sshd, directory: Path) -> None:
        (directory / "name").write_bytes(bytes(20 * MIB))
        store = store_on(sshd, directory)
        with store.get("name") as stream:
            assert len(stream.read(1000)) == 1000
            os.truncate(directory / "name", 6 * MIB)
            with pytest.raises(Unreachable, match="ended after"):
                while stream.read(65536):
                    pass


class TestRefusals:
    def test_relay_that_is_a_file(self, sshd: Sshd, directory: Path) -> None:
        (directory / "file").touch()
        store = store_on(sshd, directory / "file")
        for verb in (lambda: list(store.list()), lambda: store.info("x"), lambda: store.write_bytes("x", b"")):
            with pytest.raises(NoSuchRelay):
                verb()

    def test_directories_and_links_are_no_blobs(self, sshd: Sshd, directory: Path) -> None:
        (directory / "directory").mkdir()
        (directory / "link").symlink_to("directory")
        (directory / os.fsdecode(b"not utf-8 \xff")).touch()
        with store_on(sshd, directory) as store:
            assert list(store.list()) == []
            assert store.info("directory") is None
            with pytest.raises(Refused):
                store.get("directory").read()
            with pytest.raises(Refused):
                store.delete("directory")

    @pytest.mark.skipif(os.getuid() == 0, reason="root may do everything")
    def test_permission_denied(self, sshd: Sshd, directory: Path) -> None:
        (directory / "secret").write_bytes(b"content")
        (directory / "secret").chmod(0)
        directory.chmod(0o555)
        try:
            with store_on(sshd, directory) as store:
                with pytest.raises(Refused, match="Permission denied"):
                    store.get("secret")
                with pytest.raises(Refused, match="Permission denied"):
                    store.write_bytes("new", b"content")
                with pytest.raises(Refused, match="Permission denied"):
                    store.delete("secret")
        finally:
            directory.chmod(0o755)

    def test_full_disk(self, sshd: Sshd, small_disk: Path) -> None:
        with store_on(sshd, small_disk) as store:
            store.write_bytes("name", b"old")
            with pytest.raises(NoRelaySpace):
                store.write_bytes("name", os.urandom(8 * MIB))
            assert store.read_bytes("name") == b"old"
            assert [path.name for path in small_disk.iterdir()] == ["name"]

    def test_missing_says_what(self, sshd: Sshd, directory: Path) -> None:
        with store_on(sshd, directory) as store, pytest.raises(Missing, match="there is no name"):
            store.get("name")


class TestTurns:
    """How often the store waits for the server before it speaks again: a round trip each."""

    @pytest.mark.parametrize(
        ("verb", "turns"),
        [
            (lambda store: store.write_bytes("new", b"x" * 1000), 3),
            (lambda store: store.read_bytes("name"), 2),
            (lambda store: store.read_some(["name", "nothing", *["name"] * 6]), 2),
            (lambda store: store.info("name"), 1),
            (lambda store: store.info("nothing"), 1),
            (lambda store: list(store.list()), 2),
            (lambda store: store.create("lock", b"mine"), 3),
            (lambda store: store.create("name", b"mine"), 4),
            (lambda store: store.delete("name"), 1),
        ],
        ids=["put", "get", "some", "info", "info of nothing", "list", "create", "create of a taken name", "delete"],
    )
    def test_turns(
        self, sshd: Sshd, directory: Path, proxy: StartProxy, verb: Callable[[SftpStore], object], turns: int
    ) -> None:
        (directory / "name").write_bytes(b"content")
        way = proxy(sshd.port, delay_s=0.02)
        store = store_on(sshd, directory, port=way.port)
        store.info("name")
        way.traffic()
        verb(store)
        # What the verb sent without waiting, to close a handle, travels with this one.
        store.info("name")
        assert way.traffic().turns == turns + 1


def test_relative_directory_begins_at_home(sshd: Sshd, directory: Path) -> None:
    # By the account's entry, not by the environment; without such a directory sshd leaves us at the root.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    home = home if home.is_dir() else Path("/")
    with store_on(sshd, os.path.relpath(directory, home)) as store:
        store.put("name", io.BytesIO(b"content"))
    assert (directory / "name").read_bytes() == b"content"


def test_sweep_takes_what_belongs_to_the_owner_at_once(sshd: Sshd, directory: Path) -> None:
    """GIVEN uploads that were cut off, WHEN their client starts again, THEN it removes its own and no others."""
    me, somebody = "0123456789abcdef", "fedcba9876543210"
    for owner in (me, somebody, ""):
        (directory / f".part-{owner}0000000000000000").write_bytes(b"half")
    with store_on(sshd, directory, owner=me) as store:
        assert store.sweep(900.0) == 1
    assert not (directory / f".part-{me}0000000000000000").exists()
    assert len(list(directory.iterdir())) == 2
