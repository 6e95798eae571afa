"""Answers of S3 servers that were cut, which the library would take for whole ones.

`http.client` takes the end of a connection for the end of the headers, and what it has lost by then is not missed: a
length is one digit shorter, or there is none and so no body.  Where the body should be XML, an empty one is read as
one that says nothing, which for a listing means that the bucket is empty.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from ..errors import Unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SPEAKING = ("ListObjectsV2", "ListMultipartUploads", "CreateMultipartUpload")
"""Operations we use whose good answer is never without a body."""


def refuse_cut_answers(client: S3Client, where: str) -> None:
    """Let `client` raise where an answer was cut: its own errors for headers, Unreachable for a body that is missing.

    A body that is cut further on is noticed by its length, or because it is no XML.
    """
    # The library has no other door to the connections it makes, with or without a proxy.
    session: Any = client._endpoint.http_session  # type: ignore[attr-defined]
    session._pool_classes_by_scheme.update(http=_Pool, https=_SecurePool)

    def must_speak(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] < 300 and not response_dict["body"]:
            raise Unreachable(where=where, reason="its answer has ended before it began")

    for operation in SPEAKING:
        client.meta.events.register(f"before-parse.s3.{operation}", must_speak)


class _Lines:
    """The lines of a file; `last` is the one that was read last."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def readline(self, size: int = -1) -> bytes:
        self.last = self._file.readline(size)
        return self.last

    def close(self) -> None:
        self._file.close()

    def flush(self) -> None:
        # What closes a response flushes it first; there is nothing to write.
        pass


class _Response(http.client.HTTPResponse):
    """One whose headers end with an empty line, or it is none."""

    def begin(self) -> None:
        file: Any = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        super().begin()
        self.fp = file
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("the headers of an answer were cut")


class _Connection(AWSHTTPConnection):
    response_class = _Response  # type: ignore[assignment]


class _SecureConnection(AWSHTTPSConnection):
    response_class = _Response  # type: ignore[assignment]


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):
    ConnectionCls = _SecureConnection
