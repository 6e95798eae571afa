"""What a server sends as a blob, turned into a stream that ends only when the blob is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from ..errors import Unreachable
from ..stream import stream_of


def body_stream(
    pieces: Iterator[bytes],
    size: int | None,
    where: str,
    release: Callable[[], object],
    errors: Callable[[], AbstractContextManager[None]],
) -> BinaryIO:
    """`pieces` as a readable stream of `size` bytes (None: not told).

    The library's errors pass through `errors()`, which translates them.  Fewer bytes than promised are Unreachable.
    Closing the stream calls `release`, whether or not anything was read.
    """
    return stream_of(_WholeBody(pieces, size, where, release, errors))


class _WholeBody(Iterator[bytes]):
    """An iterator and not a generator: closing a generator that never began would not release the connection."""

    def __init__(
        self,
        pieces: Iterator[bytes],
        size: int | None,
        where: str,
        release: Callable[[], object],
        errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._pieces = pieces
        self._size = size
        self._where = where
        self._errors = errors
        self._received = 0
        self.close = release

    def __next__(self) -> bytes:
        with self._errors():
            piece = next(self._pieces, b"")
        self._received += len(piece)
        if not piece:
            self._must_be_whole()
            raise StopIteration
        return piece

    def _must_be_whole(self) -> None:
        if self._size is not None and self._received != self._size:
            reason = f"the transfer ended after {self._received} of {self._size} bytes"
            raise Unreachable(where=self._where, reason=reason)
