"""A collection on a WebDAV server as a store.

Half of the servers write an upload in place, so a reader would see a part of it: every upload goes to a temporary name
and is moved.  Listings are PROPFIND with a body of our own, because servers without one send properties nobody needs.

Uploads of unknown length are sent in chunks.  Some servers refuse that and some store nothing and say that all is
well, so the first large upload tries it out with a few bytes; where it fails, uploads are collected on disk first.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from ..errors import Missing, NoRelaySpace, NoSuchRelay, Refused, SecretError, StoreError, Unreachable
from ..stream import pieces_of, read_exactly
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, is_own, temporary_name, validate_name
from .body import body_stream
from .multistatus import PROPERTIES, Multistatus
from .tls import Identity, authorities, must_be_trusted

if TYPE_CHECKING:
    import httpx

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
        self._login = (user, password or "") if user else None
        self._is_encrypted = parts.scheme == "https"
        self._ca_file = ca_file
        self._verify = verify
        self._identity = identity or Identity()
        self._proxy = proxy
        self._owner = owner
        self._timeouts_s = (connect_timeout_s, timeout_s)
        self._has_digest_login = False
        self._takes_chunks: bool | None = None
        self._relay_now = 0.0
        self._client: httpx.Client | None = None

    def get(self, name: str) -> BinaryIO:
        url = self._url(name)
        response = self._request("GET", url, is_stream=True)
        if response.status_code == 404:
            self._must_exist()
            # Some servers delete what a move replaces before they move: a second look is past that moment.
            response = self._request("GET", url, is_stream=True)
        if response.status_code == 404:
            raise Missing(where=self.url, name=name)
        try:
            if response.status_code != 200:
                raise self._refusal(response)
            length = self._length(name, response)
        except BaseException:
            response.close()
            raise
        return body_stream(response.iter_raw(), length, self.url, response.close, self._errors)

    def put(self, name: str, source: BinaryIO) -> int:
        self._url(name)
        head = read_exactly(source, HEAD)
        temporary = self._temporary()
        with self._removed_on_failure(temporary):
            if len(head) < HEAD:
                sent = self._send(temporary, head)
            elif self._chunks_work(temporary):
                sent = self._send_chunks(temporary, head, source)
            else:
                sent = self._send_collected(temporary, head, source)
            self._move(temporary, name, sent)
        return sent

    def create(self, name: str, data: bytes) -> bool:
        """Upload, then move without overwriting.  An unclear answer is settled by reading: `data` must be unique."""
        self._url(name)
        temporary = self._temporary()
        with self._removed_on_failure(temporary):
            self._send(temporary, data)
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
        response = self._request("DELETE", self._url(name))
        if not response.is_success and response.status_code not in (404, 410):
            raise self._refusal(response)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = [
            blob
            for blob in self._propfind(self._collection, "1")
            if blob.name.startswith(prefix) and not blob.name.startswith(TEMPORARY)
        ]
        yield from sorted(found, key=lambda blob: blob.name)

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
        return next(iter(found), None)

    def sweep(self, older_than_s: float) -> int:
        removed = 0
        remnants = [blob for blob in self._propfind(self._collection, "1") if blob.name.startswith(TEMPORARY)]
        now = self._relay_now + DATE_LAG_S
        for blob in remnants:
            if is_own(blob.name, self._owner) or now - (blob.mtime or 0.0) >= older_than_s:
                self.delete(blob.name)
                removed += 1
        return removed

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def make_relay(self) -> None:
        """Create the collection; no error if it is there.  Its parent must exist."""
        response = self._request("MKCOL", self._collection)
        if not response.is_success and response.status_code != 405:
            raise self._refusal(response)

    def _url(self, name: str) -> str:
        return self._collection + quote(validate_name(name), safe="")

    def _temporary(self) -> str:
        return temporary_name(self._owner)

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            from .webdav_answers import bound_answers

            connect_s, other_s = self._timeouts_s
            self._client = httpx.Client(
                auth=self._authentication(),
                verify=self._is_encrypted and authorities(self._ca_file, self._verify, self._identity),
                proxy=self._proxy if self._proxy != "none" else None,
                trust_env=self._proxy is None,
                timeout=httpx.Timeout(other_s, connect=connect_s),
                headers={"Accept-Encoding": "identity", "User-Agent": "escale"},
                event_hooks={"response": [bound_answers(self.url)]},
            )
        return self._client

    def _authentication(self) -> httpx.Auth | None:
        """Basic goes along from the first request on, which saves asking and a body that is sent twice."""
        import httpx

        if self._login is None:
            return None
        return httpx.DigestAuth(*self._login) if self._has_digest_login else httpx.BasicAuth(*self._login)

    def _must_log_in_otherwise(self, response: httpx.Response) -> bool:
        """Whether the server wants Digest instead of Basic; from now on it gets that."""
        wanted = response.headers.get("www-authenticate", "").lower()
        if self._login is None or self._has_digest_login or "digest" not in wanted or "basic" in wanted:
            return False
        self._has_digest_login = True
        self.close()
        return True

    def _length(self, name: str, response: httpx.Response) -> int | None:
        """Bytes of the body of an answer; None if it tells its end itself, in chunks."""
        if "content-length" in response.headers:
            return int(response.headers["content-length"])
        if response.headers.get("transfer-encoding", "").lower() == "chunked":
            return None
        # It ends where the connection does, as it would if it was cut: somebody has to say how much there is.
        return self._size(name)

    def _request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        is_stream: bool = False,
    ) -> httpx.Response:
        """The answer; that of a stream is still to be read, and to be closed, if it is a good one."""
        with self._errors():
            client = self._connected()
            request = client.build_request(method, url, content=content, headers=headers)
            response = client.send(request, stream=is_stream)
            if not response.is_success:
                with closing(response):
                    response.read()
            if response.status_code == 401 and self._must_log_in_otherwise(response):
                return self._request(method, url, content=content, headers=headers, is_stream=is_stream)
        return response

    def _propfind(self, url: str, depth: str) -> Sequence[BlobInfo]:
        """The files the server names; Missing, or NoSuchRelay for the collection itself."""
        headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
        response = self._request("PROPFIND", url, content=PROPERTIES, headers=headers, is_stream=True)
        with self._errors(), closing(response):
            if response.status_code == 404:
                if url == self._collection:
                    raise NoSuchRelay(where=self.url, reason="the server knows no such collection")
                raise Missing(where=self.url, name=url[len(self._collection) :])
            if response.status_code != 207:
                raise self._refusal(response)
            self._note_time(response)
            return Multistatus(self.url, response.iter_bytes()).blobs()

    def _must_exist(self) -> None:
        self._propfind(self._collection, "0")

    def _note_time(self, response: httpx.Response) -> None:
        with suppress(KeyError, ValueError, ArithmeticError):
            self._relay_now = parsedate_to_datetime(response.headers["date"]).timestamp()

    def _send(self, name: str, data: bytes | Iterable[bytes], length: int | None = None) -> int:
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers["Content-Length"] = str(length)
        response = self._request("PUT", self._url(name), content=data, headers=headers)
        if not response.is_success:
            raise self._refusal(response)
        return len(data) if isinstance(data, bytes) else 0

    def _chunks_work(self, temporary: str) -> bool:
        """Try once, with a few bytes under a name that is overwritten next.  This settles the log-in, too."""
        if self._takes_chunks is None or self._has_digest_login:
            try:
                self._send(temporary, [TRIAL])
                self._takes_chunks = self._size(temporary) == len(TRIAL)
            except Refused:
                self._takes_chunks = False
        return self._takes_chunks

    def _send_chunks(self, temporary: str, head: bytes, source: BinaryIO) -> int:
        counted = _Counted(self.url, head, source)
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
        blob = next(iter(self._propfind(self._url(name), "0")), None)
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
        return self._request("MOVE", self._url(temporary), headers=headers)

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
            return Refused(where=self.url, reason=f"the server limits the size of uploads: {reason}")
        if status in (404, 405, 409, 500) and response.request.method in ("PUT", "MOVE"):
            self._must_exist()
        if response.request.method == "MKCOL" and status == 409:
            return NoSuchRelay(where=self.url, reason="the collection above it does not exist")
        if status in (408, 423, 425, 429) or status >= 500:
            return Unreachable(where=self.url, reason=reason)
        if response.has_redirect_location:
            reason = f"{reason}, it lies at {response.headers['location']}"
        return Refused(where=self.url, reason=reason)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate the library's errors; those of a source that is being read pass."""
        import httpx

        try:
            yield
        except (httpx.HTTPError, httpx.StreamError) as error:
            must_be_trusted(self.url, error)
            raise Unreachable(where=self.url, reason=str(error) or type(error).__name__) from error
        except httpx.InvalidURL as error:
            raise Refused(where=self.url, reason=f"not an address: {error}") from error


class _Counted:
    """The first bytes and the rest of a source as pieces, counted.  They are there once only."""

    def __init__(self, where: str, head: bytes, source: BinaryIO) -> None:
        self._where = where
        self._head = io.BytesIO(head)
        self._source = source
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        if self.given:
            raise Unreachable(where=self._where, reason="it wants an upload a second time, after another log-in")
        for stream in (self._head, self._source):
            for piece in pieces_of(stream):
                self.given += len(piece)
                yield piece
