"""From an address to a store: the one door.

file:///srv/relay  /srv/relay      DirectoryStore
sftp://host/srv/relay  ssh://      SftpStore     (sftp://host/~/relay: below the home directory)
s3://bucket/prefix                 S3Store       (option endpoint_url, region_name, addressing_style ...)
http(s)://host/path                WebdavStore   (also webdav:// dav:// in clear, webdavs:// davs:// with TLS)
ftp://host/path  ftps://host/path  FtpStore      (ftps: explicit TLS; a second slash makes the path absolute)
memory://name                      MemoryStore   (one for the whole process: for tests and for trying out)
anything else                      FsspecStore   (options are those of that fsspec driver)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..clock import SystemClock
from ..errors import Refused
from .address import Address as Address
from .blob import BlobStore
from .directory import DirectoryStore
from .memory import MemoryStore
from .tls import Identity


def open_store(address: Address) -> BlobStore:
    """The store at an address; nothing is contacted before its first verb.

    ConfigError for an address nobody understands, or one whose driver is not installed.
    """
    return _OPENERS.get(address.scheme, _open_fsspec)(address)


def create_relay(address: Address) -> None:
    """Make the directory, collection or bucket; no error if it is there.  Only for a user who asked for it.

    Refused where the store cannot do that.
    """
    if address.scheme == "file":
        Path(address.path).mkdir(parents=True, exist_ok=True)
        return
    with open_store(address) as store:
        if isinstance(store, _MakesRelay):
            store.make_relay()
        elif not isinstance(store, MemoryStore):
            raise Refused(where=store.url, reason="directories cannot be made there by escale, only by yourself")


@runtime_checkable
class _MakesRelay(Protocol):
    """A store that can make the place where its blobs go."""

    def make_relay(self) -> None:
        """Make it; no error if it is there."""


def _open_directory(address: Address) -> BlobStore:
    return DirectoryStore(address.path, address.owner)


def _open_sftp(address: Address) -> BlobStore:
    from .sftp import SftpStore

    return SftpStore(
        address.host,
        address.path.removeprefix("/~/"),
        port=address.port or 22,
        user=address.user or None,
        password=address.password or None,
        key_file=address.key_file,
        passphrase=address.passphrase or None,
        host_key=address.host_key,
        known_hosts=address.known_hosts,
        connect_timeout_s=address.connect_timeout_s,
        timeout_s=address.timeout_s,
        owner=address.owner,
    )


def _open_s3(address: Address) -> BlobStore:
    from .s3 import S3Store

    options = dict(address.options)
    return S3Store(
        address.host,
        address.path,
        endpoint_url=options.pop("endpoint_url", None),
        region=options.pop("region_name", None),
        access_key=address.user or None,
        secret_key=address.password or None,
        session_token=options.pop("aws_session_token", None),
        ca_file=address.ca_file,
        verify=address.verify,
        connect_timeout_s=address.connect_timeout_s,
        timeout_s=address.timeout_s,
        owner=address.owner,
        proxy=address.proxy or None,
        options=options,
    )


def _open_webdav(address: Address) -> BlobStore:
    from .webdav import WebdavStore

    scheme = "https" if address.scheme in ("https", "webdavs", "davs") else "http"
    return WebdavStore(
        scheme + address.url.removeprefix(address.scheme),
        user=address.user or None,
        password=address.password or None,
        ca_file=address.ca_file,
        verify=address.verify,
        identity=_identity(address),
        proxy=address.proxy or None,
        connect_timeout_s=address.connect_timeout_s,
        timeout_s=address.timeout_s,
        owner=address.owner,
    )


def _open_ftp(address: Address) -> BlobStore:
    from .ftp import FtpStore

    return FtpStore(
        address.host,
        address.path.removeprefix("/"),
        port=address.port or 21,
        user=address.user or "anonymous",
        password=address.password,
        tls=address.scheme == "ftps",
        ca_file=address.ca_file,
        verify=address.verify,
        identity=_identity(address),
        connect_timeout_s=address.connect_timeout_s,
        timeout_s=address.timeout_s,
        owner=address.owner,
    )


def _identity(address: Address) -> Identity:
    return Identity(address.certificate, address.key_file if address.certificate else None, address.oldest_tls)


_MEMORIES: dict[str, MemoryStore] = {}


def _open_memory(address: Address) -> BlobStore:
    return _MEMORIES.setdefault(address.host + address.path.rstrip("/"), MemoryStore(SystemClock().now))


def _open_fsspec(address: Address) -> BlobStore:
    from .fsspec import FsspecStore

    login = {"username": address.user, "password": address.password} if address.password else {}
    return FsspecStore(address.url, {**login, **address.options}, address.owner)


_OPENERS: Mapping[str, Callable[[Address], BlobStore]] = {
    "file": _open_directory,
    "sftp": _open_sftp,
    "ssh": _open_sftp,
    "s3": _open_s3,
    "http": _open_webdav,
    "https": _open_webdav,
    "webdav": _open_webdav,
    "webdavs": _open_webdav,
    "dav": _open_webdav,
    "davs": _open_webdav,
    "ftp": _open_ftp,
    "ftps": _open_ftp,
    "memory": _open_memory,
}
