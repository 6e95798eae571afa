"""A collection on a WebDAV server as a store.

Half of the servers write an upload in place, so a reader would see a part of it: every upload goes to a temporary name
and is moved.  Listings are PROPFIND with a body of our own, because servers without one send properties nobody needs.

Uploads of unknown length are sent in chunks.  Some servers refuse that and some store nothing and say that all is
well, so the first large upload tries it out with a few bytes; where it fails, uploads are collected on disk first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from ..errors import Missing, NoRelaySpace, NoSuchRelay, Refused, SecretError, StoreError, TooLarge, Unreachable
from ..stream import pieces_of, read_exactly
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_directory, validate_name
from .body import body_stream
from .multistatus import PROPERTIES, Multistatus
from .part import range_header, take_part, told_range
from .tls import Identity, authorities
from .webdav_session import Session
from .webdav_upload import CountedUpload

if TYPE_CHECKING:
    import httpx

Result = TypeVar("Result")

ASKED_TOGETHER = 8
"""Collections asked for at the same time, each on a connection of its own, where one after the other takes too long."""

HEAD = 1024 * 1024
"""Bytes read before the first request: what is shorter is sent with its length, in one piece and in one round trip."""

TRIAL = b"escale tries chunks"
"""What the first chunked upload of a connection consists of."""

DATE_LAG_S = 1.0
"""How far the Date of an answer may be behind the times of files: lighttpd's is up to a second old."""


class WebdavStore(BlobStore):
    """Blobs as files of one collection, which must exist; `url` begins with http or https and carries no password.

    `proxy`: None follows the environment, "none" goes straight.  Moves that do not overwrite are exact on all known
    servers but Apache, so `create` does its best and promises nothing.
    """

    guarantees = Guarantees(exclusive_create=False)

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca_file: Path | str | None = None,
        verify: bool = True,
        identity: Identity | None = None,
        proxy: str | None = None,
        connect_timeout_s: float = 15,
        timeout_s: float = 120,
        owner: str = "",
    ) -> None:
        parts = urlsplit(url)
        path = quote(parts.path.rstrip("/"), safe="/%~:@!$&'()*+,;=")
        self._collection = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], f"{path}/", "", ""))
        self.url = self._collection.rstrip("/")
        login = (user, password or "") if user else None
        trust = partial(authorities, ca_file, verify, identity or Identity()) if parts.scheme == "https" else None
        self._session = Session(self.url, login, trust, proxy, connect_timeout_s, timeout_s)
        self._owner = owner
        self._relay_now = 0.0
        self._parent: WebdavStore | None = None

    def get(self, name: str) -> BinaryIO:
        response = self._fetch(name)
        try:
            if response.status_code != 200:
                raise self._refusal(response)
            length = self._length(name, response)
        except BaseException:
            response.close()
            raise
        return body_stream(response.iter_raw(), length, self.url, response.close, self._session.errors)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        response = self._fetch(name, {"Range": range_header(offset, length)})
        if response.status_code == 416:
            return b""
        with closing(response), self._session.errors():
            if response.status_code not in (200, 206):
                raise self._refusal(response)
            told = told_range(response.status_code, response.headers.get("content-range"))
            size = None if told else self._length(name, response)
            return take_part(response.iter_raw(), told, size, offset, length, self.url)

    def put(self, name: str, source: BinaryIO) -> int:
        self._url(name)
        head = read_exactly(source, HEAD)
        temporary = self._temporary()
        with self._removed_on_failure(temporary):
            if len(head) < HEAD:
                sent = self._in_place(lambda: self._send(temporary, head))
            else:
                # What is read once cannot be sent again when the collection was made.
                self._must_be_made()
                sent = self._send_large(temporary, head, source)
            self._move(temporary, name, sent)
        self._session.made.add(self._collection)
        return sent

    def create(self, name: str, data: bytes) -> bool:
        """Upload, then move without overwriting.  An unclear answer is settled by reading: `data` must be unique."""
        self._url(name)
        temporary = self._temporary()
        with self._removed_on_failure(temporary):
            self._in_place(lambda: self._send(temporary, data))
            try:
                response = self._move_request(temporary, name, "F")
                if response.is_success:
                    return True
                if response.status_code != 412:
                    raise self._refusal(response)
            except Unreachable:
                try:
                    return self.read_bytes(name) == data
                except Missing:
                    pass
                raise
        self._remove_quietly(temporary)
        return False

    def delete(self, name: str) -> None:
        response = self._session.request("DELETE", self._url(name))
        if not response.is_success and response.status_code not in (404, 410):
            raise self._refusal(response)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = [
            blob
            for blob in self._propfind(self._collection, "1").blobs()
            if blob.name.startswith(prefix) and not blob.name.startswith(TEMPORARY)
        ]
        yield from sorted(found, key=lambda blob: blob.name)

    def within(self, directory: str) -> WebdavStore:
        inner = self
        for component in validate_directory(directory).split("/"):
            outer, inner = inner, copy(inner)
            inner._parent = outer
            inner._collection = f"{outer._collection}{quote(component, safe='')}/"
            inner.url = inner._collection.rstrip("/")
        return inner

    def list_below(self) -> Iterator[BlobInfo]:
        directories = self._propfind(self._collection, "1").collections()
        with ThreadPoolExecutor(ASKED_TOGETHER, "list") as pool:
            asked = [pool.submit(self._list_one, directory) for directory in directories]
            try:
                found = [blob for each in asked for blob in each.result()]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        yield from found

    def info(self, name: str) -> BlobInfo | None:
        url = self._url(name)
        try:
            found = self._propfind(url, "0")
        except Missing:
            self._must_exist()
            try:
                found = self._propfind(url, "0")
            except Missing:
                return None
        return next(iter(found.blobs()), None)

    def sweep(self, older_than_s: float) -> int:
        removed = 0
        remnants = [blob for blob in self._propfind(self._collection, "1").blobs() if blob.name.startswith(TEMPORARY)]
        now = self._relay_now + DATE_LAG_S
        for blob in remnants:
            if is_own(blob.name, self._owner) or now - (blob.mtime or 0.0) >= older_than_s:
                self.delete(blob.name)
                removed += 1
        return removed

    def close(self) -> None:
        self._session.close()

    def make_relay(self) -> None:
        """Create the collection; no error if it is there.  Its parent must exist."""
        response = self._session.request("MKCOL", self._collection)
        if not response.is_success and response.status_code != 405:
            raise self._refusal(response)

    def _url(self, name: str) -> str:
        return self._collection + quote(validate_name(name), safe="")

    def _temporary(self) -> str:
        return temporary_name(self._owner)

    def _length(self, name: str, response: httpx.Response) -> int | None:
        """Bytes of the body of an answer; None if it tells its end itself, in chunks."""
        if "content-length" in response.headers:
            return int(response.headers["content-length"])
        if response.headers.get("transfer-encoding", "").lower() == "chunked":
            return None
        # It ends where the connection does, as it would if it was cut: somebody has to say how much there is.
        return self._size(name)

    def _fetch(self, name: str, headers: dict[str, str] | None = None) -> httpx.Response:
        url = self._url(name)
        response = self._session.request("GET", url, headers=headers, is_stream=True)
        if response.status_code in (403, 404):
            self._must_exist()
            # Some servers delete what a move replaces before they move: a second look is past that moment.  Apache
            # forbids (403) what goes between its own look and its opening it.
            response = self._session.request("GET", url, headers=headers, is_stream=True)
        if response.status_code == 404:
            raise Missing(where=self.url, name=name)
        return response

    def _list_one(self, directory: str) -> Sequence[BlobInfo]:
        """The blobs of one collection in ours, of which there are none if it has gone."""
        try:
            found = self._propfind(f"{self._collection}{quote(directory, safe='')}/", "1").blobs()
        except Missing:
            return []
        return [replace(blob, name=f"{directory}/{blob.name}") for blob in found if not blob.name.startswith(TEMPORARY)]

    def _in_place(self, act: Callable[[], Result]) -> Result:
        """Do something in our collection, and once more if it had to be made for that."""
        try:
            return act()
        except (NoSuchRelay, Refused):
            # Refused, if somebody else made it after it was missed and before we looked why.
            if self._parent is None:
                raise
        self._make()
        return act()

    def _must_be_made(self) -> None:
        if self._parent is not None and self._collection not in self._session.made:
            self._make()

    def _make(self) -> None:
        """Make our collection and those above it that are lacking, but never that of the relay."""
        if self._parent is None:
            self._must_exist()
            return
        response = self._session.request("MKCOL", self._collection)
        if response.status_code in (403, 404, 409):
            self._parent._make()
            response = self._session.request("MKCOL", self._collection)
        if response.is_success or response.status_code == 405:
            return
        with suppress(NoSuchRelay):
            # Apache forbids (403) the second of two clients to make at the same instant what the first has just made.
            self._propfind(self._collection, "0")
            return
        raise self._refusal(response)

    def _propfind(self, url: str, depth: str) -> Multistatus:
        """What the server tells; Missing, or NoSuchRelay for the collection itself."""
        headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
        response = self._session.request("PROPFIND", url, content=PROPERTIES, headers=headers, is_stream=True)
        with self._session.errors(), closing(response):
            if response.status_code == 404:
                if url == self._collection:
                    raise NoSuchRelay(where=self.url, reason="the server knows no such collection")
                raise Missing(where=self.url, name=url[len(self._collection) :])
            if response.status_code != 207:
                raise self._refusal(response)
            self._note_time(response)
            return Multistatus(self.url, response.iter_bytes())

    def _must_exist(self) -> None:
        """NoSuchRelay unless the collection is there that has to be: ours, or the one that we are within."""
        if self._parent is not None:
            self._parent._must_exist()
        else:
            self._propfind(self._collection, "0")

    def _note_time(self, response: httpx.Response) -> None:
        with suppress(KeyError, ValueError, ArithmeticError):
            self._relay_now = parsedate_to_datetime(response.headers["date"]).timestamp()

    def _send(self, name: str, data: bytes | Iterable[bytes], length: int | None = None) -> int:
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers["Content-Length"] = str(length)
        response = self._session.request("PUT", self._url(name), content=data, headers=headers)
        if not response.is_success:
            raise self._refusal(response)
        return len(data) if isinstance(data, bytes) else 0

    def _send_large(self, temporary: str, head: bytes, source: BinaryIO) -> int:
        if self._chunks_work(temporary):
            return self._send_chunks(temporary, head, source)
        return self._send_collected(temporary, head, source)

    def _chunks_work(self, temporary: str) -> bool:
        """Try once, with a few bytes under a name that is overwritten next.  This settles the log-in, too."""
        if self._session.takes_chunks is None or self._session.has_digest_login:
            try:
                self._send(temporary, [TRIAL])
                self._session.takes_chunks = self._size(temporary) == len(TRIAL)
            except Refused:
                self._session.takes_chunks = False
        return self._session.takes_chunks

    def _send_chunks(self, temporary: str, head: bytes, source: BinaryIO) -> int:
        counted = CountedUpload(self.url, head, source)
        self._send(temporary, counted)
        stored = self._size(temporary)
        if stored != counted.given:
            reason = f"it stored {stored} of {counted.given} bytes of an upload"
            raise Unreachable(where=self.url, reason=reason)
        return counted.given

    def _send_collected(self, temporary: str, head: bytes, source: BinaryIO) -> int:
        with tempfile.TemporaryFile() as spool:
            spool.write(head)
            for piece in pieces_of(source):
                spool.write(piece)
            length = spool.tell()
            spool.seek(0)
            self._send(temporary, pieces_of(spool), length)
        return length

    def _size(self, name: str) -> int:
        blob = next(iter(self._propfind(self._url(name), "0").blobs()), None)
        return blob.size if blob is not None else -1

    def _move(self, temporary: str, name: str, size: int) -> None:
        """Give the upload its name.  After an unclear answer look: it is done if the upload has gone from its place."""
        try:
            response = self._move_request(temporary, name, "T")
            if not response.is_success:
                raise self._refusal(response)
        except Unreachable:
            moved = self.info(temporary) is None and self._size(name) == size
            if not moved:
                raise

    def _move_request(self, temporary: str, name: str, overwrite: str) -> httpx.Response:
        headers = {"Destination": self._url(name), "Overwrite": overwrite}
        return self._session.request("MOVE", self._url(temporary), headers=headers)

    @contextmanager
    def _removed_on_failure(self, temporary: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # Who cannot be reached is not asked again, and who is told to stop does not wait.
            if isinstance(error, Exception) and not isinstance(error, Unreachable | NoSuchRelay | SecretError):
                self._remove_quietly(temporary)
            raise

    def _remove_quietly(self, temporary: str) -> None:
        with suppress(StoreError, SecretError):
            self.delete(temporary)

    def _refusal(self, response: httpx.Response) -> StoreError | SecretError:
        """The error that a status stands for; looks first whether the collection is there at all."""
        status = response.status_code
        reason = f"{status} {response.reason_phrase} to {response.request.method}"
        if status in (401, 407):
            return SecretError(what=f"{self.url} does not accept the user or the password: {reason}")
        if status == 507:
            return NoRelaySpace(where=self.url, reason=reason)
        if status == 413:
            return TooLarge(where=self.url, reason=reason)
        if status in (404, 405, 409, 500) and response.request.method in ("PUT", "MOVE"):
            self._propfind(self._collection, "0")
        if response.request.method == "MKCOL" and status == 409:
            return NoSuchRelay(where=self.url, reason="the collection above it does not exist")
        if status in (408, 423, 425, 429) or status >= 500:
            return Unreachable(where=self.url, reason=reason)
        if response.has_redirect_location:
            reason = f"{reason}, it lies at {response.headers['location']}"
        return Refused(where=self.url, reason=reason)
