"""Answers of S3 servers that were cut, which the library would take for whole ones, and answers without end.

`http.client` takes the end of a connection for the end of the headers, and what it has lost by then is not missed: a
length is one digit shorter, or there is none and so no body.  Where the body should be XML, an empty one is read as
one that says nothing, which for a listing means that the bucket is empty.  Where it should be an error, the status
alone has to do, and then a missing bucket is a missing blob.  A listing that goes on and does not say where is taken
for one that has ended.
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

from ..errors import Refused, Unreachable
from ..stream import PIECE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SPEAKING = ("ListObjectsV2", "ListMultipartUploads", "CreateMultipartUpload")
"""Operations we use whose good answer is never without a body."""

ANSWER_MAX = 8 * 1024 * 1024
"""Bytes of an answer other than a blob: a thousand names of the greatest length have some three million."""


def refuse_cut_answers(client: S3Client, where: str) -> None:
    """Let `client` raise where an answer was cut: its own errors for headers, Unreachable for a body that is not whole.

    Refused for a body that is too long, and for a listing that does not say where it goes on.
    """
    # The library has no other door to the connections it makes, with or without a proxy.
    session: Any = client._endpoint.http_session  # type: ignore[attr-defined]
    session._pool_classes_by_scheme.update(http=_Pool, https=_SecurePool)

    def collect(request: Any, **_: object) -> Any:
        # Blobs are streams for the library; all else is now one for us, so that we can stop.
        is_blob, request.stream_output = request.stream_output, True
        answer = session.send(request)
        if not is_blob or answer.status_code >= 300:
            answer._content = _body(where, request.method, answer)
        return answer

    def must_go_on(parsed: dict[str, Any], **_: object) -> None:
        if parsed.get("IsTruncated") and not parsed.get("NextContinuationToken"):
            raise Refused(where=where, reason="it does not tell where its listing goes on")

    def must_speak(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] < 300 and not response_dict["body"]:
            raise Unreachable(where=where, reason="its answer has ended before it began")

    client.meta.events.register("before-send.s3", collect)
    client.meta.events.register("after-call.s3.ListObjectsV2", must_go_on)
    for operation in SPEAKING:
        client.meta.events.register(f"before-parse.s3.{operation}", must_speak)


def _body(where: str, method: str, answer: Any) -> bytes:
    body = bytearray()
    for piece in answer.raw.stream(PIECE):
        body += piece
        if len(body) > ANSWER_MAX:
            answer.raw.close()
            raise Refused(where=where, reason=f"it answers with more than {ANSWER_MAX} bytes")
    length = answer.headers.get("content-length")
    if method == "HEAD" or answer.status_code == 204:
        is_whole = True
    elif length is not None:
        is_whole = length == str(len(body))
    else:
        # Chunks tell their end themselves; an error that ends with the connection is one of the server's at least.
        is_chunked = "transfer-encoding" in answer.headers
        is_whole = is_chunked or answer.status_code < 300 or body.rstrip().endswith(b"</Error>")
    if not is_whole:
        raise Unreachable(where=where, reason=f"its answer has ended after {len(body)} bytes")
    return bytes(body)


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
