"""A directory of an SSH account as a store.

Turns of the verbs, once connected: put and create 3 (open; write, sync, close; rename or link), get and get_range 2,
read_some 2 for all of them, list 2, list_below 2 and 2 more for every 64 directories, info 1, delete 1.
A blob is durable when `put` returns if the server offers fsync@openssh.com, as OpenSSH does; the rename itself is
then as durable as the server's file system makes it.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from ..errors import EscaleError, Missing, NoRelaySpace, NoSuchRelay, Refused, StoreError, Unreachable
from ..stream import PIECE
from . import sftp_names as names
from . import sftp_requests as sftp
from .blob import (
    BLOB_BYTES_MAX,
    TEMPORARY,
    BlobInfo,
    BlobStore,
    Guarantees,
    is_own,
    temporary_name,
    validate_directory,
    validate_name,
)
from .sftp_listing import list_directories, list_directory
from .sftp_names import Connection
from .sftp_requests import Answers, Download, StatusError, Upload
from .sftp_session import Session
from .ssh import Login

if TYPE_CHECKING:
    from paramiko.sftp_attr import SFTPAttributes

    from .sftp_listing import Entry

Result = TypeVar("Result")

FULL = 1024 * 1024
"""Bytes left on the server's disk below which a failed write is taken for a full disk: version 3 has no word for it."""

FULL_WORDS = ("space", "quota", "disk full")


class SftpStore(BlobStore):
    """Blobs as files of `directory` on `host`, which must exist; relative ones begin at the account's home.

    `host_key`: a "SHA256:..." fingerprint, the path of a known_hosts file, "accept-new" (remember the first key in
    `known_hosts`, refuse another), or empty for `known_hosts`, which is ~/.ssh/known_hosts unless given.  Without
    `password` and `key_file` the agent and the keys in ~/.ssh are tried.  `timeout_s` is the longest silence of the
    server that is waited for; `owner` as of `temporary_name`.

    `create` links a whole file to a name that is free.  On a server without hardlink@openssh.com it is exclusive by
    O_EXCL instead: somebody who reads at that very moment, or after a crash of ours, may find an empty blob.  On one
    without posix-rename@openssh.com a `put` that replaces a blob leaves it missing for an instant.
    """

    guarantees = Guarantees(exclusive_create=True)

    def __init__(
        self,
        host: str,
        directory: str,
        *,
        port: int = 22,
        user: str | None = None,
        password: str | None = None,
        key_file: Path | None = None,
        passphrase: str | None = None,
        host_key: str = "",
        known_hosts: Path | None = None,
        connect_timeout_s: float = 15.0,
        timeout_s: float = 120.0,
        owner: str = "",
    ) -> None:
        login = Login(host, port, user, password, key_file, passphrase, host_key, known_hosts, connect_timeout_s)
        self._session = Session(login, timeout_s)
        self._directory = directory or "."
        self._owner = owner
        self._parent: SftpStore | None = None
        account = f"{user}@" if user else ""
        self.url = f"sftp://{account}{host}:{port}/{directory.removeprefix('/')}"

    def get(self, name: str) -> BinaryIO:
        path = self._path(name)
        with self._errors(name) as connection:
            answers, handle = self._open(connection, path)
            download = Download(answers, handle, connection.read_size)
        return io.BufferedReader(_Reader(download, partial(self._errors, name, connection)), PIECE)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        path = self._path(name)
        with self._errors(name) as connection:
            answers, handle = self._open(connection, path)
            with Download(answers, handle, connection.read_size, offset, length) as download:
                return download.readall()

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        with self._errors("") as connection, ExitStack() as opened:
            answers = Answers(connection.channel)
            asked = [
                answers.send(sftp.OPEN, self._path(name), sftp.FOR_READING, sftp.no_attributes()) for name in names
            ]
            relay = answers.send(sftp.STAT, self._relay)
            handles = [self._handle(answers, number) for number in asked]
            if None in handles:
                self._must_exist(answers, relay)
            streams: list[BinaryIO | None] = [None] * len(names)
            for place, handle in enumerate(handles):
                if handle is not None:
                    download = Download(answers, handle, connection.read_size)
                    streams[place] = opened.enter_context(io.BufferedReader(download, PIECE))
            return [
                None if stream is None else self._all_of(stream, name, size_max)
                for name, stream in zip(names, streams, strict=True)
            ]

    def put(self, name: str, source: BinaryIO) -> int:
        path, temporary = self._path(name), self._temporary()
        with self._errors("") as connection:
            upload = self._in_place(connection, lambda: names.open_upload(connection, temporary))
        try:
            while piece := source.read(PIECE):
                with self._errors("", connection):
                    upload.write(piece)
            with self._errors("", connection):
                connection.can_sync = upload.finish(connection.can_sync)
                names.replace(connection, temporary, path)
        except BaseException:
            names.discard(connection, upload, temporary)
            raise
        return upload.sent

    def create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with self._errors("") as connection:
            created = self._create_by_link(connection, path, data) if connection.can_link else None
            if created is not None:
                return created
            upload = self._in_place(connection, lambda: names.open_if_free(connection, path))
            if upload is not None:
                _fill(connection, upload, path, data)
            return upload is not None

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._errors(name) as connection:
            names.remove(connection, path)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = [
            blob for blob in self._entries() if blob.name.startswith(prefix) and not blob.name.startswith(TEMPORARY)
        ]
        yield from sorted(found, key=lambda blob: blob.name)

    def within(self, directory: str) -> SftpStore:
        inner = self
        for component in validate_directory(directory).split("/"):
            outer, inner = inner, copy(inner)
            inner._parent = outer
            inner._directory = f"{outer._directory.rstrip('/')}/{component}"
            inner.url = f"{outer.url.rstrip('/')}/{component}"
        return inner

    def list_below(self) -> Iterator[BlobInfo]:
        found = []
        with self._errors("") as connection:
            answers = Answers(connection.channel)
            entries = _decoded(list_directory(answers, self._directory))
            directories = [name for name, told in entries if _is_directory(told)]
            paths = [f"{self._directory.rstrip('/')}/{name}" for name in directories]
            for directory, listing in zip(directories, list_directories(answers, paths), strict=True):
                for name, told in _decoded(listing):
                    if _is_file(told) and not name.startswith(TEMPORARY):
                        found.append(_blob(f"{directory}/{name}", told))
        yield from found

    def info(self, name: str) -> BlobInfo | None:
        path = self._path(name)
        with self._errors("") as connection:
            answers = Answers(connection.channel)
            asked, relay = answers.send(sftp.LSTAT, path), answers.send(sftp.STAT, self._relay)
            try:
                found = sftp.attributes(answers.take(asked)[1])
            except StatusError as error:
                self._must_exist(answers, relay)
                if error.code != sftp.NO_SUCH_FILE:
                    raise
                return None
        return _blob(name, found) if _is_file(found) else None

    def sweep(self, older_than_s: float) -> int:
        left = [blob for blob in self._entries() if blob.name.startswith(TEMPORARY)]
        if not left:
            return 0
        with self._errors("") as connection:
            now = self._now(connection)
            old = [blob for blob in left if is_own(blob.name, self._owner) or now - (blob.mtime or now) >= older_than_s]
            for blob in old:
                names.remove(connection, self._path(blob.name))
        return len(old)

    def close(self) -> None:
        self._session.close()

    @property
    def _relay(self) -> str:
        """The directory that must exist: this one, or that of the store which this one is within."""
        return self._directory if self._parent is None else self._parent._relay

    def _open(self, connection: Connection, path: str) -> tuple[Answers, bytes]:
        answers = Answers(connection.channel)
        opened = answers.send(sftp.OPEN, path, sftp.FOR_READING, sftp.no_attributes())
        relay = answers.send(sftp.STAT, self._relay)
        try:
            return answers, answers.take(opened)[1].get_string()
        except StatusError:
            self._must_exist(answers, relay)
            raise

    def _handle(self, answers: Answers, asked: int) -> bytes | None:
        """Of an open file; None if there is none."""
        try:
            return answers.take(asked)[1].get_string()
        except StatusError as error:
            if error.code != sftp.NO_SUCH_FILE:
                raise
            return None

    def _in_place(self, connection: Connection, act: Callable[[], Result]) -> Result:
        """Do something in our directory, and once more if it had to be made for that."""
        try:
            return act()
        except StatusError as error:
            if error.code != sftp.NO_SUCH_FILE or self._parent is None:
                raise
        self._make(connection)
        return act()

    def _make(self, connection: Connection) -> None:
        if self._parent is not None:
            self._parent._in_place(connection, lambda: names.make_directory(connection, self._directory))

    def _create_by_link(self, connection: Connection, path: str, data: bytes) -> bool | None:
        """A whole file gets the name: whoever reads it, even after our crash, finds all of it.  None: not possible."""
        temporary = self._temporary()
        upload = self._in_place(connection, lambda: names.open_upload(connection, temporary))
        _fill(connection, upload, temporary, data)
        return names.link_if_free(connection, temporary, path)

    def _entries(self) -> Sequence[BlobInfo]:
        with self._errors("") as connection:
            entries = _decoded(list_directory(Answers(connection.channel), self._directory))
        return [_blob(name, found) for name, found in entries if _is_file(found)]

    def _now(self, connection: Connection) -> float:
        """The time of the server's file system, in whole seconds."""
        probe = self._temporary()
        upload = names.open_upload(connection, probe)
        upload.finish(is_synced=False)
        answers = Answers(connection.channel)
        asked, removed = answers.send(sftp.LSTAT, probe), answers.send(sftp.REMOVE, probe)
        now = sftp.attributes(answers.take(asked)[1]).st_mtime
        answers.take(removed)
        return float(now or 0)

    def _path(self, name: str) -> str:
        return f"{self._directory.rstrip('/')}/{validate_name(name)}"

    def _temporary(self) -> str:
        return self._path(temporary_name(self._owner))

    def _must_exist(self, answers: Answers, asked: int) -> None:
        """NoSuchRelay if the answer about the directory was not that it is one."""
        try:
            mode = sftp.attributes(answers.take(asked)[1]).st_mode
        except StatusError as error:
            if error.code != sftp.NO_SUCH_FILE:
                raise
            raise NoSuchRelay(where=self.url, reason="there is no such directory") from error
        if mode is not None and not stat.S_ISDIR(mode):
            raise NoSuchRelay(where=self.url, reason="it is not a directory")

    @contextmanager
    def _errors(self, name: str, connection: Connection | None = None) -> Iterator[Connection]:
        """Give a connection and translate what happens on it; without a `name` a missing file is a missing relay."""
        import paramiko

        connection = connection or self._session.connected()
        try:
            yield connection
        except EscaleError:
            raise
        except StatusError as error:
            raise self._refusal(connection, name, error) from error
        except (*sftp.BROKEN, paramiko.SSHException, paramiko.SFTPError) as error:
            self._session.drop(connection)
            raise Unreachable(where=self.url, reason=self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._session.timeout_s:g} s"
        return str(error) or "the connection was lost"

    def _refusal(self, connection: Connection, name: str, error: StatusError) -> StoreError:
        if error.code == sftp.NO_SUCH_FILE:
            return Missing(where=self.url, name=name) if name else NoSuchRelay(where=self.url, reason=error.text)
        if any(word in error.text.lower() for word in FULL_WORDS):
            return NoRelaySpace(where=self.url, reason=error.text)
        if error.code == sftp.FAILURE and self._is_full(connection):
            return NoRelaySpace(where=self.url, reason="no space left on its disk")
        return Refused(where=self.url, reason=error.text or f"status {error.code}")

    def _is_full(self, connection: Connection) -> bool:
        with suppress(StatusError, OSError, EOFError):
            answer = Answers(connection.channel).ask(sftp.EXTENDED, "statvfs@openssh.com", self._relay)
            _, fragment, _, _, blocks_left, _, _, files_left = (answer.get_int64() for _ in range(8))
            return blocks_left * fragment < FULL or files_left == 0
        return False


class _Reader(io.RawIOBase):
    """A download whose errors are translated."""

    def __init__(self, download: Download, errors: Callable[[], AbstractContextManager[object]]) -> None:
        self._download = download
        self._errors = errors
        self._failure: EscaleError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._failure is not None:
            # Once cut short, never ended: what came later in the transfer must not follow the gap.
            raise self._failure
        try:
            with self._errors():
                return self._download.readinto(buffer)
        except EscaleError as failure:
            self._failure = failure
            raise

    def close(self) -> None:
        super().close()
        # The connection may be gone, and the handle with it.
        with suppress(Exception):
            self._download.close()


def _fill(connection: Connection, upload: Upload, path: str, data: bytes) -> None:
    try:
        upload.write(data)
        connection.can_sync = upload.finish(connection.can_sync)
    except StatusError:
        names.discard(connection, upload, path)
        raise


def _is_file(found: SFTPAttributes) -> bool:
    return found.st_mode is None or stat.S_ISREG(found.st_mode)


def _is_directory(found: SFTPAttributes) -> bool:
    return found.st_mode is not None and stat.S_ISDIR(found.st_mode)


def _decoded(entries: Sequence[Entry]) -> Sequence[tuple[str, SFTPAttributes]]:
    """With names as text, without ".", ".." and those that are not UTF-8, which are not ours."""
    decoded = [(name.decode("utf-8", "replace"), found) for name, found in entries]
    return [(name, found) for name, found in decoded if "\ufffd" not in name and name not in (".", "..")]


def _blob(name: str, found: SFTPAttributes) -> BlobInfo:
    mtime = None if found.st_mtime is None else float(found.st_mtime)
    return BlobInfo(name, found.st_size or 0, mtime, f"{found.st_mtime}-{found.st_size}")
