"""Byte streams as generators: pieces of bytes in, a readable stream out.

Everything between a file and the relay (tar, compression, sealing) is a generator of pieces that pulls from the one
before it.  So memory is bounded by the pieces in flight, nothing needs a thread, and an error travels to whoever reads.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 256 * 1024
"""Bytes asked of a stream at a time: large enough to amortise a call, small enough to forget about in memory."""


class Readable(Protocol):
    """The one verb of a stream that we need.  Fewer bytes than asked for do not mean the end; none do."""

    def read(self, size: int = -1, /) -> bytes: ...


class PieceReader(io.RawIOBase):
    """Pieces as a raw stream; wrap it in a BufferedReader.

    An error of the pieces is raised again by every later read: a finished generator would look like a clean end.
    Closing it closes the generator, hence releases what that holds, and then `source` if one is given.
    """

    def __init__(self, pieces: Iterator[bytes], source: BinaryIO | None = None) -> None:
        self._pieces = pieces
        self._source = source
        self._rest = memoryview(b"")
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer, /) -> int:
        room = memoryview(target)
        while not self._rest:
            piece = self._next()
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(room), len(self._rest))
        room[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        try:
            if hasattr(self._pieces, "close"):
                self._pieces.close()
        finally:
            if self._source is not None:
                self._source.close()

    def _next(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        try:
            return next(self._pieces, None)
        except Exception as error:
            self._error = error
            raise


class ViewReader(io.RawIOBase):
    """Bytes that are in memory as a stream that can be rewound, without a copy of them."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer, /) -> int:
        room = memoryview(target)
        piece = self._data[self._at : self._at + len(room)]
        room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at


def stream_of(pieces: Iterator[bytes], source: BinaryIO | None = None) -> io.BufferedReader:
    """The pieces as a stream whose `read(n)` returns n bytes unless the end comes first; owns `source`, if given."""
    return io.BufferedReader(PieceReader(pieces, source), PIECE)


def pieces_of(source: Readable) -> Iterator[bytes]:
    """The stream as pieces, until its end; does not close it."""
    while piece := source.read(PIECE):
        yield piece


def blocks_of(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of exactly `size`; the last may be shorter, none is empty."""
    held: list[memoryview] = []
    count = 0
    for piece in pieces:
        view = memoryview(piece)
        while count + len(view) >= size:
            held.append(view[: size - count])
            view = view[size - count :]
            yield b"".join(held)
            held, count = [], 0
        if view:
            held.append(view)
            count += len(view)
    if held:
        yield b"".join(held)


def read_exactly(source: Readable, size: int) -> bytes:
    """`size` bytes, or fewer if the stream ends before."""
    pieces = []
    while size and (piece := source.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
