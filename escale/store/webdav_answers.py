"""Answers of WebDAV servers that go on and on, which the library would collect until there is no memory left."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx

from ..errors import Refused

ANSWER_MAX = 1024 * 1024
"""Bytes of an answer that nobody reads: a page in which the server explains itself has some thousand."""


def bound_answers(where: str) -> Callable[[httpx.Response], None]:
    """What a client is to do with each answer before it reads it; Refused comes of one that is too long.

    Blobs and listings are streams, and whoever reads them counts.
    """

    def bound(response: httpx.Response) -> None:
        is_stream = response.request.method in ("GET", "PROPFIND") and response.is_success
        if not is_stream and isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Bounded(where, response.stream)
            # Nobody asked for it, and what is unpacked may be a thousand times as long.
            response.headers.pop("Content-Encoding", None)

    return bound


class _Bounded(httpx.SyncByteStream):
    def __init__(self, where: str, stream: httpx.SyncByteStream) -> None:
        self._where = where
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for piece in self._stream:
            received += len(piece)
            if received > ANSWER_MAX:
                raise Refused(where=self._where, reason=f"it answers with more than {ANSWER_MAX} bytes")
            yield piece

    def close(self) -> None:
        self._stream.close()
