"""A local or mounted directory as a store: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from ..errors import Missing, NoRelaySpace, NoSuchRelay, Refused, StoreError, Unreachable
from ..stream import PIECE
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_directory, validate_name


class DirectoryStore(BlobStore):
    """Blobs as files of one directory, which must exist; `owner` as of `temporary_name`."""

    guarantees = Guarantees(exclusive_create=True)

    def __init__(self, directory: Path | str, owner: str = "") -> None:
        self.directory = Path(directory)
        self.url = str(self.directory)
        self._owner = owner

    def get(self, name: str) -> BinaryIO:
        with self._errors(name):
            return open(self.directory / validate_name(name), "rb")

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        with self._errors(name), open(self.directory / validate_name(name), "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)

    def put(self, name: str, source: BinaryIO) -> int:
        target = self.directory / validate_name(name)
        temporary = self._temporary()
        try:
            sent = self._write(temporary, source)
            with self._errors(name):
                os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        with self._errors(name):
            self._sync_directory()
        return sent

    def create(self, name: str, data: bytes) -> bool:
        """Exclusive by link(2), which also makes the content whole at once; by O_EXCL where there are no hard links."""
        target = self.directory / validate_name(name)
        with self._errors(name):
            temporary = self._temporary()
            try:
                self._write(temporary, io.BytesIO(data))
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                    raise
                return self._create_plain(target, data)
            finally:
                temporary.unlink(missing_ok=True)
            self._sync_directory()
        return True

    def delete(self, name: str) -> None:
        with self._errors(name):
            (self.directory / validate_name(name)).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = []
        with self._errors(""), os.scandir(self.directory) as entries:
            for entry in entries:
                if not entry.name.startswith(prefix) or entry.name.startswith(TEMPORARY):
                    continue
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        found.append(_info(entry.name, entry.stat(follow_symlinks=False)))
        yield from sorted(found, key=lambda blob: blob.name)

    def within(self, directory: str) -> BlobStore:
        return _SubdirectoryStore(self, validate_directory(directory))

    def list_below(self) -> Iterator[BlobInfo]:
        with self._errors(""), os.scandir(self.directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in names:
            # One that goes away meanwhile is empty.
            with suppress(NoSuchRelay):
                for blob in self.within(name).list():
                    yield replace(blob, name=f"{name}/{blob.name}")

    def info(self, name: str) -> BlobInfo | None:
        with self._errors(name):
            try:
                status = os.lstat(self.directory / validate_name(name))
            except FileNotFoundError:
                self._must_exist()
                return None
            return _info(name, status) if stat.S_ISREG(status.st_mode) else None

    def sweep(self, older_than_s: float) -> int:
        removed = 0
        with self._errors(""):
            now = self._now()
            for path in self.directory.glob(f"{TEMPORARY}*"):
                with suppress(FileNotFoundError):
                    if is_own(path.name, self._owner) or now - path.stat().st_mtime >= older_than_s:
                        path.unlink()
                        removed += 1
        return removed

    def _now(self) -> float:
        """The time of the file system that holds the directory, which need not be ours."""
        probe = self._temporary()
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        return self.directory / temporary_name(self._owner)

    def _write(self, temporary: Path, source: BinaryIO) -> int:
        """Only our own side is translated: what `source` raises comes through as it is."""
        sent = 0
        with self._errors(temporary.name):
            target = open(temporary, "xb", buffering=0)  # noqa: SIM115 - closed below
        with target:
            while piece := source.read(PIECE):
                with self._errors(temporary.name):
                    _write_whole(target, piece)
                sent += len(piece)
            with self._errors(temporary.name):
                os.fsync(target.fileno())
        return sent

    def _create_plain(self, target: Path, data: bytes) -> bool:
        try:
            with open(target, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        return True

    def _sync_directory(self) -> None:
        _sync(self.directory)

    def _must_exist(self) -> None:
        if not self.directory.is_dir():
            raise NoSuchRelay(where=self.url, reason="there is no such directory")

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Translate the system's errors."""
        try:
            yield
        except FileNotFoundError as error:
            self._must_exist()
            if not name:
                # The relay is there, but not this directory within it.
                raise NoSuchRelay(where=self.url, reason="there is no such directory") from error
            raise Missing(where=self.url, name=name) from error
        except IsADirectoryError as error:
            raise Refused(where=self.url, reason=f"{name} is a directory") from error
        except OSError as error:
            raise _translated(self.url, error) from error


class _SubdirectoryStore(DirectoryStore):
    """A directory that is made when something is put there, if its parent is there."""

    def __init__(self, parent: DirectoryStore, directory: str) -> None:
        super().__init__(parent.directory / directory, parent._owner)
        self._parent = parent

    def put(self, name: str, source: BinaryIO) -> int:
        self._make()
        return super().put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        self._make()
        return super().create(name, data)

    def _must_exist(self) -> None:
        self._parent._must_exist()

    def _make(self) -> None:
        """Durable, each level of it, before anything in it is."""
        with self._errors(""):
            self._parent._must_exist()
            missing = []
            directory = self.directory
            while not directory.is_dir():
                missing.append(directory)
                directory = directory.parent
            for directory in reversed(missing):
                directory.mkdir(exist_ok=True)
                _sync(directory.parent)


def _write_whole(target: FileIO, data: bytes) -> None:
    """An unbuffered write may take a part only, as a disk that fills up does before it says so."""
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) :]


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _info(name: str, status: os.stat_result) -> BlobInfo:
    return BlobInfo(name, status.st_size, status.st_mtime, f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}")


def _translated(url: str, error: OSError) -> StoreError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRelaySpace(where=url, reason=reason)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Refused(where=url, reason=reason)
    if error.errno == errno.ENOTDIR:
        return NoSuchRelay(where=url, reason=reason)
    return Unreachable(where=url, reason=reason)
