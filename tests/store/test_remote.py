"""Addresses, the store behind each, and FsspecStore beyond the contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from escale.errors import ConfigError
from escale.store.directory import DirectoryStore
from escale.store.fsspec import FsspecStore
from escale.store.ftp import FtpStore
from escale.store.memory import MemoryStore
from escale.store.remote import Address, create_relay, open_store
from escale.store.s3 import S3Store
from escale.store.sftp import SftpStore
from escale.store.webdav import WebdavStore
from escale.testing.contracts import SourceFailed, Stream, as_file

from ..servers import Relay, Server


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("/srv/relay", ("file", "", None, "/srv/relay", "")),
        ("relay beside", ("file", "", None, "relay beside", "")),
        ("file:///srv/a b%20#?", ("file", "", None, "/srv/a b%20#?", "")),
        ("file:relay", ("file", "", None, "relay", "")),
        ("sftp://me@host.example:2222/srv/x", ("sftp", "host.example", 2222, "/srv/x", "me")),
        ("SFTP://host", ("sftp", "host", None, "/", "")),
        ("sftp://[2001:db8::1]:22/x", ("sftp", "2001:db8::1", 22, "/x", "")),
        ("sftp://[2001:db8::1]/x", ("sftp", "2001:db8::1", None, "/x", "")),
        ("s3://bucket/a/prefix", ("s3", "bucket", None, "/a/prefix", "")),
        ("https://user%40example.org@dav/x", ("https", "dav", None, "/x", "user@example.org")),
        ("gs://bucket", ("gs", "bucket", None, "/", "")),
    ],
)
def test_parse(url: str, parts: tuple[Any, ...]) -> None:
    address = Address.parse(url)
    assert (address.scheme, address.host, address.port, address.path, address.user) == parts


@pytest.mark.parametrize("url", ["sftp://host:ssh/x", "sftp://host:0/x", "https://host:65536/"])
def test_bad_port(url: str) -> None:
    with pytest.raises(ConfigError):
        Address.parse(url)


def test_what_the_configuration_says_goes_first() -> None:
    address = Address.parse("sftp://me@host:22/x", user="you", timeout_s=7.0)
    assert (address.user, address.port, address.timeout_s) == ("you", 22, 7.0)


def test_secrets_are_not_shown() -> None:
    address = Address.parse("https://me:very-secret@host/x", passphrase="more-secret")
    assert "secret" not in repr(address) + address.url + open_store(address).url


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("/srv/relay", DirectoryStore, "/srv/relay"),
        ("file:///srv/relay", DirectoryStore, "/srv/relay"),
        ("sftp://me@host/srv/relay", SftpStore, "sftp://me@host:22/srv/relay"),
        ("ssh://me@host/srv/relay", SftpStore, "sftp://me@host:22/srv/relay"),
        ("s3://bucket/prefix/", S3Store, "s3://bucket/prefix"),
        ("http://host/relay/", WebdavStore, "http://host/relay"),
        ("https://me@host:8443/re lay", WebdavStore, "https://host:8443/re%20lay"),
        ("webdav://host/relay", WebdavStore, "http://host/relay"),
        ("davs://host/relay", WebdavStore, "https://host/relay"),
        ("ftp://me@host/relay", FtpStore, "ftp://me@host:21/relay"),
        ("ftps://me@host/relay", FtpStore, "ftps://me@host:21/relay"),
        ("memory://one", MemoryStore, "memory:"),
        ("smb://host/share/relay", FsspecStore, "smb://host/share/relay"),
    ],
)
def test_store_of_an_address(url: str, kind: type, shown: str) -> None:
    store = open_store(Address.parse(url))
    assert type(store) is kind
    assert store.url == shown


def test_memory_is_one_for_the_process() -> None:
    one, two = (open_store(Address.parse("memory://test-remote/relay")) for _ in range(2))
    one.write_bytes("name", b"content")
    assert two.read_bytes("name") == b"content"
    assert list(open_store(Address.parse("memory://another")).list()) == []


@pytest.mark.parametrize("scheme", ["smb", "gs"])
def test_driver_that_is_not_installed(scheme: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{scheme}://host/share needs a package that is not installed: .*(smb|gcsfs)"
    ):
        list(open_store(Address.parse(f"{scheme}://host/share")).list())


def test_scheme_nobody_knows() -> None:
    with pytest.raises(ConfigError, match="warp://host"):
        list(open_store(Address.parse("warp://host/x")).list())


def test_opening_an_address_imports_nothing_heavy() -> None:
    code = (
        "import sys; from escale.store.remote import Address, open_store\n"
        "for url in ('sftp://h/x', 's3://b/x', 'https://h/x', 'ftp://h/x', 'gs://b'): open_store(Address.parse(url))\n"
        "print([name for name in ('boto3', 'botocore', 'paramiko', 'httpx', 'fsspec') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_failing_source_leaves_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed):
        FsspecStore(f"local://{tmp_path}").put("name", as_file(Stream(10_000_000, fails_at=5_000_000)))
    assert list(tmp_path.iterdir()) == []


def address_of(relay: Relay) -> Address:
    return Address.parse(
        relay.url,
        user=relay.user,
        password=relay.password,
        key_file=relay.key_file,
        host_key=relay.host_key,
        ca_file=relay.ca_file,
        options=relay.options,
    )


def test_create_directory(tmp_path: Path) -> None:
    address = Address.parse(str(tmp_path / "new" / "relay"))
    create_relay(address)
    create_relay(address)
    open_store(address).write_bytes("name", b"content")


@pytest.mark.real("moto_locked", "wsgidav")
def test_create_on_a_server(server: Callable[[str], Server]) -> None:
    for name, place in (("moto_locked", "made-by-escale/relay"), ("wsgidav", "made-by-escale")):
        address = address_of(server(name).relay_at(place))
        create_relay(address)
        create_relay(address)
        assert list(open_store(address).list()) == []


REAL = ("sshd", "moto_locked", "apache", "wsgidav", "pyftpd", "pyftpd_tls")


@pytest.mark.parametrize("server_name", [pytest.param(name, marks=pytest.mark.real(name)) for name in REAL])
def test_address_of_a_real_server(server: Callable[[str], Server], server_name: str) -> None:
    with open_store(address_of(server(server_name).relay())) as store:
        store.write_bytes("name", b"content")
        assert store.read_bytes("name") == b"content"
        assert [blob.name for blob in store.list()] == ["name"]
