"""From an address to a store: the one door, and FsspecStore for all that has no store of its own here.

file:///srv/relay  /srv/relay      DirectoryStore
sftp://host/srv/relay  ssh://      SftpStore     (sftp://host/~/relay: below the home directory)
s3://bucket/prefix                 S3Store       (option endpoint_url, region_name, addressing_style ...)
http(s)://host/path                WebdavStore   (also webdav:// dav:// in clear, webdavs:// davs:// with TLS)
ftp://host/path  ftps://host/path  FtpStore      (ftps: explicit TLS; a second slash makes the path absolute)
memory://name                      MemoryStore   (one for the whole process: for tests and for trying out)
anything else                      FsspecStore   (options are those of that fsspec driver)
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from ..clock import SystemClock
from ..errors import ConfigError, EscaleError, Missing, NoRelaySpace, NoSuchRelay, Refused, Unreachable
from ..stream import PIECE, pieces_of
from .address import Address as Address
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_name
from .body import body_stream
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


class FsspecStore(BlobStore):
    """Blobs as files of one directory of an fsspec file system, which must exist.

    Every upload has a temporary name until it is whole.  Drivers that cannot rename copy instead: those are the ones
    of object storages, where a copy appears whole, too, and where nobody knows directories.
    """

    guarantees = Guarantees(exclusive_create=False)

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, owner: str = "") -> None:
        self.url = url
        self._owner = owner
        self._options = dict(options or {})
        self._opened: tuple[Any, str] | None = None

    def get(self, name: str) -> BinaryIO:
        path = self._path(name)
        with self._errors(name):
            file = self._files.open(path, "rb")
        size = getattr(file, "size", None)
        pieces = iter(lambda: file.read(PIECE), b"")
        return body_stream(pieces, size, self.url, file.close, lambda: self._errors(name))

    def put(self, name: str, source: BinaryIO) -> int:
        target = self._path(name)
        temporary = self._path(temporary_name(self._owner))
        try:
            sent = self._write(name, temporary, source)
            with self._errors(name):
                self._files.mv(temporary, target)
        except Exception:
            with suppress(Exception):
                self._files.rm_file(temporary)
            raise
        return sent

    def create(self, name: str, data: bytes) -> bool:
        if self.info(name) is not None:
            return False
        self.write_bytes(name, data)
        return True

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._errors(name), suppress(FileNotFoundError):
            self._files.rm_file(path)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        for blob in self._all():
            if blob.name.startswith(prefix) and not blob.name.startswith(TEMPORARY):
                yield blob

    def info(self, name: str) -> BlobInfo | None:
        path = self._path(name)
        with self._errors(name):
            try:
                return _info(name, self._files.info(path))
            except FileNotFoundError:
                self._must_exist()
                return None

    def sweep(self, older_than_s: float) -> int:
        remnants = [blob for blob in self._all() if blob.name.startswith(TEMPORARY)]
        if not remnants:
            return 0
        now = self._relay_now()
        old = [
            blob.name
            for blob in remnants
            if is_own(blob.name, self._owner) or now - (blob.mtime or 0.0) >= older_than_s
        ]
        for name in old:
            self.delete(name)
        return len(old)

    def close(self) -> None:
        self._opened = None

    def make_relay(self) -> None:
        """Create the directory; no error if it is there."""
        with self._errors(""):
            self._files.makedirs(self._directory, exist_ok=True)

    @property
    def _files(self) -> Any:
        return self._connected()[0]

    @property
    def _directory(self) -> str:
        return self._connected()[1]

    def _connected(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec.core
            from fsspec.dircache import DirCache

            try:
                files, path = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **self._options)
            except ImportError as error:
                raise ConfigError(what=f"{self.url} needs a package that is not installed: {error}") from error
            except (TypeError, ValueError) as error:
                raise ConfigError(what=f"{self.url}: {error}") from error
            # Said this way because some drivers choke on the option of that name.
            files.dircache = DirCache(use_listings_cache=False)
            self._opened = (files, path.rstrip("/"))
        return self._opened

    def _path(self, name: str) -> str:
        validate_name(name)
        with self._errors(name):
            return f"{self._directory}/{name}"

    def _write(self, name: str, path: str, source: BinaryIO) -> int:
        """Errors of the source come through as they are; those of the driver are translated."""
        sent = 0
        with self._errors(name):
            file = self._files.open(path, "wb")
        try:
            for piece in pieces_of(source):
                with self._errors(name):
                    file.write(piece)
                sent += len(piece)
        except BaseException:
            _discard(file)
            raise
        with self._errors(name):
            file.close()
        return sent

    def _all(self) -> Sequence[BlobInfo]:
        with self._errors(""):
            try:
                found = self._files.ls(self._directory, detail=True)
            except FileNotFoundError:
                self._must_exist()
                found = []
        files = [_info(each["name"].rstrip("/").rpartition("/")[2], each) for each in found if each["type"] == "file"]
        return sorted(files, key=lambda blob: blob.name)

    def _must_exist(self) -> None:
        """An empty directory of a storage that knows no directories is there if its bucket is."""
        from fsspec import AbstractFileSystem

        has_directories = type(self._files).mv is not AbstractFileSystem.mv
        place = self._directory if has_directories else self._directory.lstrip("/").partition("/")[0]
        with self._errors(""):
            if not self._files.exists(place or "/"):
                raise NoSuchRelay(where=self.url, reason="there is no such directory")

    def _relay_now(self) -> float:
        name = temporary_name(self._owner)
        self.write_bytes(name, b"")
        blob = self.info(name)
        self.delete(name)
        return (blob.mtime if blob else None) or 0.0

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Translate what drivers raise, which may be anything."""
        try:
            yield
        except EscaleError:
            raise
        except FileNotFoundError as error:
            self._must_exist()
            raise Missing(where=self.url, name=name) from error
        except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError, NotImplementedError) as error:
            raise Refused(where=self.url, reason=_words(error)) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRelaySpace(where=self.url, reason=_words(error)) from error
            raise Unreachable(where=self.url, reason=_words(error)) from error


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


def _info(name: str, told: Mapping[str, Any]) -> BlobInfo:
    mtime = _mtime(told)
    size = int(told.get("size") or 0)
    tag = next((str(told[key]) for key in ("ETag", "etag", "md5Hash", "content_hash") if told.get(key)), "")
    return BlobInfo(name, size, mtime, tag or f"{mtime}-{size}-{told.get('ino', '')}")


def _mtime(told: Mapping[str, Any]) -> float | None:
    """The time of the last change, under whatever name and in whatever form the driver tells it."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "last_write_time", "created"):
        value = told.get(key)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
        with suppress(TypeError, ValueError):
            return datetime.fromisoformat(value).timestamp()  # type: ignore[arg-type]
    return None


def _discard(file: Any) -> None:
    """Forget an upload: closing a driver's file would complete it, and so would its destructor."""
    with suppress(Exception):
        file.discard()
    with suppress(Exception):
        file.closed = True


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
