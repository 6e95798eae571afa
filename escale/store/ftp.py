"""A directory of an FTP server as a store, in clear or with TLS.

An upload goes to a temporary name and is renamed when the server has said that it is whole.  The protocol cannot ask
for durability, and it cannot exclude: `create` looks first.  One code, 550, says "no such file", "no such directory"
and "permission denied", so after it we look again before we say which.
"""

from __future__ import annotations

import ftplib
import io
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import (
    EscaleError,
    Missing,
    NoSuchRelay,
    Unreachable,
)
from ..stream import PIECE
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_directory, validate_name
from .ftp_session import Login, Session, Upload
from .ftp_words import translated
from .tls import Identity

HELPERS = 3
"""More connections for a while where there are many directories, each of which costs some turns."""

DIRECTORIES_EACH = 16
"""Fewer are listed before another connection is logged in."""


class FtpStore(BlobStore):
    """Blobs as files of `directory`, which must exist; relative ones begin where the server puts us after log-in.

    `tls`: protect the control and the data connections (AUTH TLS); the certificate must be good for `host` and signed
    by an authority of the system or of `ca_file`, unless `verify` is False, which lets anyone in between listen.
    `timeout_s` is the longest silence of the server that is waited for; `owner` as of `temporary_name`.
    """

    guarantees = Guarantees(exclusive_create=False)

    def __init__(
        self,
        host: str,
        directory: str,
        *,
        port: int = 21,
        user: str = "anonymous",
        password: str = "",
        tls: bool = False,
        ca_file: Path | None = None,
        verify: bool = True,
        identity: Identity | None = None,
        connect_timeout_s: float = 15.0,
        timeout_s: float = 120.0,
        owner: str = "",
    ) -> None:
        identity = identity or Identity()
        self._login = Login(host, port, user, password, tls, ca_file, verify, identity, connect_timeout_s, timeout_s)
        self._directory = directory or "."
        self._owner = owner
        self._below = ""
        self._idle: list[Session] = []
        self.url = f"{'ftps' if tls else 'ftp'}://{user}@{host}:{port}/{directory.removeprefix('/')}"

    def get(self, name: str) -> BinaryIO:
        path = self._path(name)
        with self._session(is_lent=True) as session:
            try:
                data, size = session.open_data("RETR", path)
            except ftplib.error_perm as error:
                self._must_be(session, name, error)
                raise
        return io.BufferedReader(_Reader(self, session, data, path, size), PIECE)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        path = self._path(name)
        with self._session() as session:
            try:
                data, _ = session.open_data("RETR", path, offset)
            except ftplib.error_perm as error:
                # Some servers also refuse to begin at the end.
                if self._must_be(session, name, error).size > offset:
                    raise
                return b""
            part = session.take_part(data, length)
            size = offset + length if len(part) == length else session.size(path)
        if size is not None and len(part) != min(length, max(0, size - offset)):
            raise Unreachable(where=self.url, reason=f"the transfer ended after {len(part)} of {length} bytes")
        return part

    def put(self, name: str, source: BinaryIO) -> int:
        path = self._path(name)
        with self._session(is_lent=True) as session:
            upload = self._begin(session)
        try:
            while piece := source.read(PIECE):
                with self.errors():
                    upload.write(piece)
            with self.errors():
                upload.publish(path)
        except BaseException as failure:
            self._abandon(session, upload, failure)
            raise
        self.take_back(session)
        return upload.sent

    def create(self, name: str, data: bytes) -> bool:
        if self.info(name) is not None:
            return False
        self.write_bytes(name, data)
        return True

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._session() as session:
            try:
                session.delete(path)
            except ftplib.error_perm:
                if session.info(path) is not None:
                    raise

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = [blob for blob in self._entries(prefix) if not blob.name.startswith(TEMPORARY)]
        yield from sorted(found, key=lambda blob: blob.name)

    def within(self, directory: str) -> FtpStore:
        inner = copy(self)
        inner._below = f"{self._below}{validate_directory(directory)}/"
        inner.url = f"{self.url.rstrip('/')}/{directory}"
        return inner

    def list_below(self) -> Iterator[BlobInfo]:
        with self._session() as session, ThreadPoolExecutor(HELPERS, "list") as pool:
            self._must_stand(session)
            left = deque(self._directories(session))
            helping = [pool.submit(self._help, left) for _ in range(min(HELPERS, len(left) // DIRECTORIES_EACH))]
            found = [*self._list_some(session, left)]
            for each in helping:
                found += each.result()
        yield from found

    def info(self, name: str) -> BlobInfo | None:
        validate_name(name)
        with self._session() as session:
            return self._look(session, name)

    def sweep(self, older_than_s: float) -> int:
        left = self._entries(TEMPORARY)
        if not left:
            return 0
        now = self._now()
        old = [
            blob.name for blob in left if is_own(blob.name, self._owner) or now - (blob.mtime or now) >= older_than_s
        ]
        for name in old:
            self.delete(name)
        return len(old)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def take_back(self, session: Session) -> None:
        """A session that is free again; one is kept, as a second is needed only while a stream is open."""
        if self._idle:
            session.close()
        else:
            self._idle.append(session)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate what the library and the sockets raise."""
        try:
            yield
        except EscaleError:
            raise
        except (ftplib.Error, OSError, EOFError, ValueError, OverflowError) as error:
            raise translated(self.url, error, self._login.timeout_s) from error

    def _entries(self, prefix: str) -> Sequence[BlobInfo]:
        with self._session() as session:
            self._must_stand(session)
            try:
                return session.entries(prefix, self._below)
            except ftplib.error_perm as error:
                self._must_be_there(session, error)
                raise

    def _directories(self, session: Session) -> Sequence[str]:
        try:
            return session.directories(self._below)
        except ftplib.error_perm as error:
            self._must_be_there(session, error)
            raise

    def _list_some(self, session: Session, left: deque[str]) -> Sequence[BlobInfo]:
        """The blobs of directories that are still left; whoever fails leaves none to the others."""
        found: list[BlobInfo] = []
        try:
            while directory := _next(left):
                blobs = self._list_one(session, directory)
                found += (blob for blob in blobs if not blob.name.rpartition("/")[2].startswith(TEMPORARY))
        except BaseException:
            left.clear()
            raise
        return found

    def _list_one(self, session: Session, directory: str) -> Sequence[BlobInfo]:
        try:
            blobs = session.entries("", f"{self._below}{directory}/")
        except ftplib.error_perm:
            if directory in self._directories(session):
                raise
            # It has gone meanwhile.
            return []
        return [replace(blob, name=f"{directory}/{blob.name}") for blob in blobs]

    def _help(self, left: deque[str]) -> Sequence[BlobInfo]:
        try:
            session = self._connect()
        except (ftplib.Error, OSError, EOFError, EscaleError):
            # Many servers allow a client only so many connections: then there is no help.
            return []
        try:
            return self._list_some(session, left)
        finally:
            session.close()

    def _must_be_there(self, session: Session, error: ftplib.error_perm) -> None:
        """NoSuchRelay if our directory could not be listed because there is none; error_perm if one may not be read."""
        path = ""
        for component in self._below.split("/")[:-1]:
            if component not in session.directories(path):
                raise NoSuchRelay(where=self.url, reason=str(error)) from error
            path += f"{component}/"

    def _path(self, name: str) -> str:
        """Where it is, seen from the relay's directory."""
        return self._below + validate_name(name)

    def _now(self) -> float:
        """The time of the server, by the stamp of a new file."""
        probe = temporary_name(self._owner)
        self.write_bytes(probe, b"")
        found = self.info(probe)
        self.delete(probe)
        return (found.mtime if found else None) or 0.0

    def _begin(self, session: Session) -> Upload:
        temporary = self._path(temporary_name(self._owner))
        try:
            return Upload(session, temporary)
        except ftplib.error_perm:
            self._must_stand(session)
            if not self._below:
                raise
        names = self._below.rstrip("/").split("/")
        session.make_directories(["/".join(names[: depth + 1]) for depth in range(len(names))])
        return Upload(session, temporary)

    def _abandon(self, session: Session, upload: Upload, failure: BaseException) -> None:
        """The temporary blob is removed if the server still answers; `sweep` does it otherwise."""
        if isinstance(failure, Unreachable) and not isinstance(failure.__cause__, ftplib.Error):
            session.close()
            return
        try:
            upload.abandon()
        except (ftplib.Error, OSError, EOFError):
            session.close()
        else:
            self.take_back(session)

    def _look(self, session: Session, name: str) -> BlobInfo | None:
        found = session.info(self._path(name))
        if found is None:
            self._must_stand(session)
            return None
        return replace(found, name=name)

    def _must_be(self, session: Session, name: str, error: ftplib.error_perm) -> BlobInfo:
        found = self._look(session, name)
        if found is None:
            raise Missing(where=self.url, name=name) from error
        return found

    def _must_stand(self, session: Session) -> None:
        try:
            session.must_stand()
        except ftplib.error_perm as error:
            raise NoSuchRelay(where=self.url, reason=str(error)) from error

    @contextmanager
    def _session(self, is_lent: bool = False) -> Iterator[Session]:
        """A session that nobody else uses, taken back afterwards unless it is lent to a stream; closed if it broke."""
        with self.errors():
            session = self._idle.pop() if self._idle else self._connect()
            is_usable = False
            try:
                yield session
                is_usable = True
            except (ftplib.error_perm, EscaleError):
                # An answer, if not the wished one: the connection is fine.
                is_usable, is_lent = True, False
                raise
            finally:
                if not is_usable:
                    session.close()
                elif not is_lent:
                    self.take_back(session)

    def _connect(self) -> Session:
        session = Session(self._login)
        try:
            session.enter(self._directory)
        except ftplib.error_perm as error:
            session.close()
            raise NoSuchRelay(where=self.url, reason=str(error)) from error
        return session


def _next(left: deque[str]) -> str | None:
    try:
        return left.popleft()
    except IndexError:
        # Somebody else has taken the last.
        return None


class _Reader(io.RawIOBase):
    """The bytes of one transfer; at their end the server's word that they are all is waited for.

    Its word alone does not do: it also holds if the data were cut on the way, after the server had sent them.  `size`
    is what it told at the beginning, if anything.
    """

    def __init__(self, store: FtpStore, session: Session, data: socket.socket, name: str, size: int | None) -> None:
        self._store = store
        self._session = session
        self._data: socket.socket | None = data
        self._name = name
        self._size = size
        self._received = 0
        self._failure: EscaleError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._failure is not None:
            # Once cut short, never ended: a second read must not look like the end.
            raise self._failure
        if self._data is None:
            return 0
        try:
            with self._store.errors():
                return self._receive(self._data, buffer)
        except EscaleError as failure:
            self._failure = failure
            self._session.close()
            raise

    def _receive(self, data: socket.socket, buffer: Any) -> int:
        count = data.recv_into(buffer)
        self._received += count
        if count == 0:
            self._data = None
            self._session.end_data(data)
            self._must_be_whole()
            self._store.take_back(self._session)
        return count

    def _must_be_whole(self) -> None:
        size = self._session.size(self._name) if self._size is None else self._size
        if size is not None and size != self._received:
            raise EOFError(f"the transfer ended after {self._received} of {size} bytes")

    def close(self) -> None:
        super().close()
        if self._data is not None:
            # Left half-way: to agree with the server about the rest would take longer than to connect again.
            self._data.close()
            self._session.close()
            self._data = None
