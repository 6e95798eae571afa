"""An S3 bucket, or a prefix in one, as a store: Amazon's or anything that speaks S3.

Every object appears whole or not at all, so there are no temporary names; what an interrupted upload leaves is an
unfinished multipart upload, which costs money but is visible to nobody: `sweep` aborts it.

A blob that fits into one part is one request.  Larger ones go through s3transfer, whose threads keep several parts in
flight; `source` is then read by one of its threads, one read at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from copy import copy
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ..errors import Missing, Refused, Unreachable
from ..stream import PIECE, Readable, read_exactly
from .blob import (
    BLOB_BYTES_MAX,
    READ_TOGETHER,
    TEMPORARY,
    BlobInfo,
    BlobStore,
    Guarantees,
    validate_directory,
    validate_name,
)
from .body import body_stream
from .part import range_header, take_part, told_range
from .s3_session import Session, settings
from .s3_words import BeyondTheEnd, Conflict, headers_of, relay_now

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

PART = 8 * 1024 * 1024
"""Bytes of one part.  Amazon wants 5 MiB at least and 10 000 parts at most: so the largest blob has 78 GiB."""

PARTS_IN_FLIGHT = 4
"""Uploads of parts at the same time: enough to fill a long line, few enough to keep in memory."""

CONNECTIONS = READ_TOGETHER + 4 * (PARTS_IN_FLIGHT + 2)
"""That stay open between requests, if so many were needed at once: for several threads that send parts or read."""

PAGES_MAX = 500
"""Pages of a listing that we take, of a thousand names each; a relay has a handful of names for each of its pages."""

REGION = "us-east-1"
"""What servers that have no regions expect."""


class S3Store(BlobStore):
    """Blobs as the objects `prefix/name` of one bucket, which must exist.

    Without `access_key` the library looks where Amazon's own tools look (profile, instance role).  `endpoint_url`: a
    server other than Amazon's.  `proxy`: None follows the environment, "none" goes straight.
    """

    guarantees = Guarantees(exclusive_create=True, sweeps_below=True)

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        ca_file: Path | str | None = None,
        verify: bool = True,
        connect_timeout_s: float = 15,
        timeout_s: float = 120,
        proxy: str | None = None,
        options: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self.bucket = bucket
        self._owner = owner
        self._directory = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self._directory}".rstrip("/")
        login = (access_key or None, secret_key or None, session_token or None)
        region = region or (REGION if endpoint_url else None)
        trusted: bool | str = (str(ca_file) if ca_file else True) if verify else False
        driver = settings(connect_timeout_s, timeout_s, proxy, bool(endpoint_url), CONNECTIONS, options or {})
        self._session = Session(login, endpoint_url or None, region, trusted, driver)

    def get(self, name: str) -> BinaryIO:
        key = self._key(name)
        with self._errors(name):
            answer = self._connected().get_object(Bucket=self.bucket, Key=key)
        body = answer["Body"]
        pieces = iter(lambda: body.read(PIECE), b"")
        return body_stream(pieces, self._size(answer), self.url, body.close, lambda: self._errors(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        wanted = range_header(offset, length)
        try:
            with self._errors(name):
                answer = self._connected().get_object(Bucket=self.bucket, Key=self._key(name), Range=wanted)
        except BeyondTheEnd:
            return b""
        with closing(answer["Body"]) as body, self._errors(name):
            pieces = iter(lambda: body.read(PIECE), b"")
            told = told_range(answer["ResponseMetadata"]["HTTPStatusCode"], answer.get("ContentRange"))
            return take_part(pieces, told, self._size(answer), offset, length, self.url)

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        self._connected()  # Made here, it is taken once only.
        with ThreadPoolExecutor(READ_TOGETHER, "read") as pool:
            return list(pool.map(self._read_or_none, names, repeat(size_max)))

    def put(self, name: str, source: BinaryIO) -> int:
        key = self._key(name)
        upload = _Upload(source)
        if len(upload.head) == PART:
            return self._put_parts(name, upload)
        with self._errors(name):
            self._connected().put_object(Bucket=self.bucket, Key=key, Body=upload.head)
        return len(upload.head)

    def create(self, name: str, data: bytes) -> bool:
        """Exclusive by `If-None-Match: *`.  An unclear answer is settled by reading back: `data` must be unique."""
        key = self._key(name)
        try:
            with self._errors(name):
                self._connected().put_object(Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*")
        except Conflict:
            return False
        except Unreachable:
            try:
                return self.read_bytes(name) == data
            except Missing:
                pass
            raise
        return True

    def delete(self, name: str) -> None:
        with self._errors(name):
            self._connected().delete_object(Bucket=self.bucket, Key=self._key(name))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        found = []
        with self._errors(prefix):
            # The delimiter leaves out what lies in deeper "directories".
            for page in self._pages(Prefix=self._directory + prefix, Delimiter="/"):
                for item in page.get("Contents", ()):
                    name = item["Key"][len(self._directory) :]
                    if name and not name.startswith(TEMPORARY):
                        found.append(_info(name, item["Size"], item["LastModified"].timestamp(), item["ETag"]))
        # Amazon's express buckets list in no order.
        yield from sorted(found, key=lambda blob: blob.name)

    def within(self, directory: str) -> S3Store:
        inner = copy(self)
        inner._directory = f"{self._directory}{validate_directory(directory)}/"
        inner.url = f"{self.url}/{directory}"
        return inner

    def another(self) -> S3Store:
        other = copy(self)
        other._session = self._session.another()
        return other

    def list_below(self) -> Iterator[BlobInfo]:
        found = []
        with self._errors(""):
            for page in self._pages(Prefix=self._directory):
                for item in page.get("Contents", ()):
                    name = item["Key"][len(self._directory) :]
                    directory, _, own = name.partition("/")
                    if directory and own and "/" not in own and not own.startswith(TEMPORARY):
                        found.append(_info(name, item["Size"], item["LastModified"].timestamp(), item["ETag"]))
        yield from found

    def info(self, name: str) -> BlobInfo | None:
        key = self._key(name)
        try:
            with self._errors(name):
                head = self._connected().head_object(Bucket=self.bucket, Key=key)
        except Missing:
            self._must_exist()
            return None
        size, modified, tag = (self._said(head, field) for field in ("ContentLength", "LastModified", "ETag"))
        return _info(name, size, modified.timestamp(), tag)

    def sweep(self, older_than_s: float) -> int:
        """Abort unfinished uploads, those of directories below as well, and remove temporary names that another program
        left; by the relay's clock.

        An upload has the name of what it would have become.  The large ones are archives, whose names have their client
        in them: so an upload is our own if its name has the owner in it.
        """
        removed = 0
        with self._errors(""):
            for key, since, now in self._remnants():
                if now - since >= older_than_s:
                    self._connected().delete_object(Bucket=self.bucket, Key=key)
                    removed += 1
        try:
            with self._errors(""):
                removed += self._abort_uploads(older_than_s)
        except Missing:
            # So say servers that do not list uploads when there are none.
            pass
        return removed

    def close(self) -> None:
        self._session.close()

    def make_relay(self) -> None:
        """Create the bucket; no error if it is there and open to us."""
        with self._errors(None):
            client = self._connected()
            there: Any = {"LocationConstraint": client.meta.region_name}
            try:
                if client.meta.region_name == REGION:
                    client.create_bucket(Bucket=self.bucket)
                else:
                    client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=there)
            except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                self._must_exist()

    def _connected(self) -> S3Client:
        return self._session.client(self.url)

    def _errors(self, name: str | None) -> AbstractContextManager[None]:
        return self._session.errors(self.url, name)

    def _key(self, name: str) -> str:
        return self._directory + validate_name(name)

    def _put_parts(self, name: str, upload: _Upload) -> int:
        from s3transfer.manager import TransferConfig, TransferManager

        config = TransferConfig(
            multipart_threshold=PART,
            multipart_chunksize=PART,
            max_request_concurrency=PARTS_IN_FLIGHT,
            max_submission_concurrency=1,
            max_in_memory_upload_chunks=PARTS_IN_FLIGHT,
        )
        with self._errors(name), TransferManager(self._connected(), config) as manager:
            upload.transfer = manager.upload(cast(BinaryIO, upload), self.bucket, self._key(name))
            try:
                upload.transfer.result()
            except Exception as error:
                # Whatever the library says when its reader gave up, the reader's own error is the reason.
                raise upload.failure or error from None
        return upload.given

    def _size(self, answer: Any) -> int | None:
        """Bytes of a body; None of one in chunks, which tell their end themselves."""
        is_chunked = headers_of(answer).get("transfer-encoding", "").lower() == "chunked"
        return None if is_chunked else int(self._said(answer, "ContentLength"))

    def _said(self, answer: Any, field: str) -> Any:
        """What the headers of an answer say; they are whole, so what they lack the server does not tell."""
        if answer.get(field) is None:
            raise Refused(where=self.url, reason=f"it does not tell the {field} of a blob")
        return answer[field]

    def _must_exist(self) -> None:
        with self._errors(None):
            self._connected().head_bucket(Bucket=self.bucket)

    def _remnants(self) -> Iterator[tuple[str, float, float]]:
        """Key, time of writing and the relay's present time, in whole seconds, of what bears a temporary name."""
        for page in self._pages(Prefix=self._directory + TEMPORARY):
            for item in page.get("Contents", ()):
                yield item["Key"], float(int(item["LastModified"].timestamp())), relay_now(page)

    def _pages(self, **which: str) -> Iterator[Any]:
        pages: Any = self._connected().get_paginator("list_objects_v2")
        for number, page in enumerate(pages.paginate(Bucket=self.bucket, **which)):
            if number == PAGES_MAX:
                raise Refused(where=self.url, reason=f"its listing has more than {PAGES_MAX} pages")
            yield page

    def _abort_uploads(self, older_than_s: float) -> int:
        client = self._connected()
        answer = client.list_multipart_uploads(Bucket=self.bucket, Prefix=self._directory)
        oldest = relay_now(answer) - older_than_s
        old = [
            each
            for each in answer.get("Uploads", ())
            if (self._owner and self._owner in each["Key"]) or int(each["Initiated"].timestamp()) <= oldest
        ]
        for each in old:
            client.abort_multipart_upload(Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"])
        return len(old)


class _Upload(io.RawIOBase):
    """A source as s3transfer wants it: full reads, no seeking.  Counts, and keeps the error of its source.

    `head` is the first part, or all of a small source.

    When a part has failed there is no use in reading on, which the library would do to the very end.
    """

    def __init__(self, source: Readable) -> None:
        self.head = read_exactly(source, PART)
        self._source = source
        self.given = 0
        self.failure: Exception | None = None
        self.transfer: TransferFuture | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.transfer is not None and self.transfer.done():
            return b""
        wanted = PART if size is None or size < 0 else size
        data, self.head = self.head[:wanted], self.head[wanted:]
        try:
            data += read_exactly(self._source, wanted - len(data))
        except Exception as error:
            self.failure = error
            raise
        self.given += len(data)
        return data


def _info(name: str, size: int, mtime: float, tag: str) -> BlobInfo:
    # A listing may tell fractions of a second where the object itself does not.
    return BlobInfo(name, size, float(int(mtime)), tag.strip('"'))
