"""Any storage that the library fsspec has a driver for, as a store; for those that have no store of their own here."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO

from ..errors import ConfigError, EscaleError, Missing, NoRelaySpace, NoSuchRelay, Refused, Unreachable
from ..stream import PIECE, pieces_of
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_directory, validate_name
from .body import body_stream


class _Driver:
    """The file system and the relay's directory in it, opened when needed; shared by a store and those within it."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self._opened: tuple[Any, str] | None = None

    def opened(self) -> tuple[Any, str]:
        """Both; ConfigError if there is no such driver or it does not know an option."""
        if self._opened is None:
            import fsspec.core
            from fsspec.dircache import DirCache

            try:
                files, path = fsspec.core.url_to_fs(self._url, skip_instance_cache=True, **self._options)
            except ImportError as error:
                raise ConfigError(what=f"{self._url} needs a package that is not installed: {error}") from error
            except (TypeError, ValueError) as error:
                raise ConfigError(what=f"{self._url}: {error}") from error
            # Said this way because some drivers choke on the option of that name.
            files.dircache = DirCache(use_listings_cache=False)
            self._opened = (files, path.rstrip("/"))
        return self._opened

    def close(self) -> None:
        """Forget it; the next verb opens it again."""
        self._opened = None

    @property
    def knows_directories(self) -> bool:
        """Whether there are any; where there are none, as in object storages, a listing goes to the bottom at once."""
        from fsspec import AbstractFileSystem

        return type(self.opened()[0]).mv is not AbstractFileSystem.mv


class FsspecStore(BlobStore):
    """Blobs as files of one directory of an fsspec file system, which must exist.

    Every upload has a temporary name until it is whole.  Drivers that cannot rename copy instead: those are the ones
    of object storages, where a copy appears whole, too, and where nobody knows directories.
    """

    guarantees = Guarantees(exclusive_create=False)

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, owner: str = "") -> None:
        self.url = url
        self._owner = owner
        self._driver = _Driver(url, dict(options or {}))
        self._below = ""

    def get(self, name: str) -> BinaryIO:
        path = self._path(name)
        with self._errors(name):
            file = self._files.open(path, "rb")
        size = getattr(file, "size", None)
        pieces = iter(lambda: file.read(PIECE), b"")
        return body_stream(pieces, size, self.url, file.close, lambda: self._errors(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        path = self._path(name)
        with self._errors(name):
            found = self._files.info(path)
            end = min(offset + length, int(found["size"]))
            # Drivers do not agree on what a range is that is empty, or begins where there is nothing.
            part: bytes = self._files.cat_file(path, start=offset, end=end) if offset < end else b""
        if len(part) != max(0, end - offset):
            raise Unreachable(where=self.url, reason=f"the transfer ended after {len(part)} of {end - offset} bytes")
        return part

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

    def within(self, directory: str) -> FsspecStore:
        inner = copy(self)
        inner._below = f"{self._below}/{validate_directory(directory)}"
        inner.url = f"{self.url.rstrip('/')}/{directory}"
        return inner

    def list_below(self) -> Iterator[BlobInfo]:
        # Where there are directories, the library goes through them one by one, without those that it cannot read.
        found = self._below_one_by_one() if self._driver.knows_directories else self._all_below()
        yield from (blob for blob in found if not blob.name.rpartition("/")[2].startswith(TEMPORARY))

    def info(self, name: str) -> BlobInfo | None:
        path = self._path(name)
        with self._errors(name):
            try:
                found = self._files.info(path)
                return _info(name, found) if found["type"] == "file" else None
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
        self._driver.close()

    def make_relay(self) -> None:
        """Create the directory; no error if it is there."""
        with self._errors(""):
            self._files.makedirs(self._directory, exist_ok=True)

    @property
    def _files(self) -> Any:
        return self._driver.opened()[0]

    @property
    def _relay(self) -> str:
        return self._driver.opened()[1]

    @property
    def _directory(self) -> str:
        return self._relay + self._below

    def _path(self, name: str) -> str:
        validate_name(name)
        with self._errors(name):
            return f"{self._directory}/{name}"

    def _write(self, name: str, path: str, source: BinaryIO) -> int:
        """Errors of the source come through as they are; those of the driver are translated."""
        sent = 0
        with self._errors(name):
            file = self._begin(path)
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

    def _begin(self, path: str) -> Any:
        """An upload, to a directory that is made for it if need be."""
        try:
            return self._files.open(path, "wb")
        except FileNotFoundError:
            if not self._below:
                raise
        self._must_exist()
        self._files.makedirs(self._directory, exist_ok=True)
        return self._files.open(path, "wb")

    def _all(self) -> Sequence[BlobInfo]:
        files = [_info(_name(each), each) for each in self._listing() if each["type"] == "file"]
        return sorted(files, key=lambda blob: blob.name)

    def _listing(self) -> Sequence[Mapping[str, Any]]:
        with self._errors(""):
            try:
                found: Sequence[Mapping[str, Any]] = self._files.ls(self._directory, detail=True)
            except FileNotFoundError as error:
                self._must_exist()
                if self._below and self._driver.knows_directories:
                    raise NoSuchRelay(where=self.url, reason="there is no such directory") from error
                return []
        # Some drivers say of a file that is asked for as a directory that it is in itself.
        return [each for each in found if each["name"].rstrip("/") != self._directory]

    def _below_one_by_one(self) -> Iterator[BlobInfo]:
        for name in [_name(each) for each in self._listing() if each["type"] == "directory"]:
            # One that goes away meanwhile is empty.
            with suppress(NoSuchRelay):
                for blob in self.within(name)._all():
                    yield replace(blob, name=f"{name}/{blob.name}")

    def _all_below(self) -> Iterator[BlobInfo]:
        """By one listing of everything."""
        with self._errors(""):
            found = self._files.find(self._directory, maxdepth=2, detail=True)
            if not found:
                self._must_exist()
        depth = self._directory.strip("/").count("/") + 2
        for path, told in found.items():
            if path.strip("/").count("/") == depth:
                yield _info("/".join(path.rsplit("/", 2)[1:]), told)

    def _must_exist(self) -> None:
        """An empty directory of a storage that knows no directories is there if its bucket is."""
        place = self._relay if self._driver.knows_directories else self._relay.lstrip("/").partition("/")[0]
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


def _info(name: str, told: Mapping[str, Any]) -> BlobInfo:
    mtime = _mtime(told)
    size = int(told.get("size") or 0)
    tag = next((str(told[key]) for key in ("ETag", "etag", "md5Hash", "content_hash") if told.get(key)), "")
    return BlobInfo(name, size, mtime, tag or f"{mtime}-{size}-{told.get('ino', '')}")


def _name(told: Mapping[str, Any]) -> str:
    name: str = told["name"]
    return name.rstrip("/").rpartition("/")[2]


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
