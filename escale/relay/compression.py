"""Compression of archives: bz2 for everybody, zstd among ourselves, none where nothing can be gained.

bz2 takes 0.1 s for a megabyte, so it is done on all cores.  Writing, the plain bytes are cut into blocks and each
becomes a bz2 stream of its own; a file of several streams is a valid .bz2.  Reading, such streams are found by their
first bytes and decompressed ahead.  What looks like the start of a stream may be chance, and others write one long
stream; so results obtained ahead are used only where the stream before really ended, and everything else is
decompressed in order.

Whatever the input, a step produces a bounded number of bytes: a bomb costs time, which the caller limits by counting
what it reads, but no memory.
"""

from __future__ import annotations

import bz2
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import BinaryIO, TypeVar

from ..errors import Corrupt
from ..stream import PIECE, blocks_of, pieces_of, read_exactly, stream_of

CODECS = ("none", "zstd", "bz2")
"""What `compress` accepts, cheapest first."""

BZ2_BLOCK = 890_000
"""Plain bytes in a bz2 stream: just below the 899 981 that one block of level 9 holds."""

BZ2_STEP = 1024 * 1024
"""The most plain bytes of one decompression step: a stream of ours fits, a bomb (a block may hold 46 MB) does not."""

BZ2_STREAM_MAX = 1280 * 1024
"""Compressed bytes in which the next stream must begin, else we read on in order.  Ours have about 900 kB at most."""

BZ2_AHEAD_MIN = 4096
"""Compressed bytes below which a stream is not worth a turn in the pool."""

ZSTD_LEVEL = 3
ZSTD_JOB = 2 * 1024 * 1024
"""Plain bytes a zstd thread takes at a time.  The library would take 8 MiB, which costs memory and gains 1 %."""

ZSTD_WINDOW_MAX = 8 * 1024 * 1024
"""The history a frame may ask us to keep; level 3 asks for 2 MiB."""

_AHEAD = 2
"""Blocks in flight beyond one per worker: enough to keep the pool busy while we read or send."""

_BZ2_START = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""The start of a bz2 stream: header, then the mark of a block, or at once the mark of the end (an empty stream)."""

_BZ2_START_BYTES = 10

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_BYTES_MAX = 18

Item = TypeVar("Item")


def compress(pieces: Iterable[bytes], codec: str, workers: int) -> Iterator[bytes]:
    """The compressed bytes of the pieces, computed by `workers` threads as they are pulled.

    `codec` is one of CODECS.  No piece that comes out is empty.  Close the iterator to release the threads before its
    end.
    """
    assert codec in CODECS
    if codec == "bz2":
        return _compress_bz2(blocks_of(pieces, BZ2_BLOCK), workers)
    if codec == "zstd":
        return _compress_zstd(blocks_of(pieces, PIECE), workers)
    return blocks_of(pieces, PIECE)


def decompress(source: BinaryIO, where: str, workers: int) -> BinaryIO:
    """The plain bytes of a compressed stream, whose codec is recognised by its first bytes; anything unknown is plain.

    The reader raises Corrupt, naming `where`, for what is damaged, cut off or goes on after its end.  Closing it
    releases the threads but does not close `source`.
    """
    start = read_exactly(source, _ZSTD_HEADER_BYTES_MAX)
    pieces = chain([start] if start else [], pieces_of(source))
    if start.startswith(b"BZh"):
        return stream_of(_decompress_bz2(pieces, where, workers))
    if start.startswith(_ZSTD_MAGIC):
        return stream_of(_decompress_zstd(start, stream_of(iter(pieces)), where))
    return stream_of(iter(pieces))


def _compress_bz2(blocks: Iterator[bytes], workers: int) -> Iterator[bytes]:
    with _pool(workers) as pool:
        streams = (pool.submit(bz2.compress, block, 9) for block in blocks)
        is_empty = True
        for stream in _ahead(streams, workers + _AHEAD):
            is_empty = False
            yield stream.result()
    if is_empty:
        yield bz2.compress(b"")


def _decompress_bz2(pieces: Iterable[bytes], where: str, workers: int) -> Iterator[bytes]:
    with _pool(workers) as pool:
        parts = ((part, _begin_ahead(pool, part)) for part in _cut_streams(pieces))
        yield from _joined_streams(_ahead(parts, workers + _AHEAD), where)


_Begun = tuple[bytes, bz2.BZ2Decompressor]
"""The first step of a stream, and the decompressor to go on with."""


def _begin_ahead(pool: ThreadPoolExecutor, part: bytes) -> Future[_Begun] | None:
    return pool.submit(_begin, part) if len(part) >= BZ2_AHEAD_MIN and _BZ2_START.match(part) else None


def _begin(part: bytes) -> _Begun:
    decoder = bz2.BZ2Decompressor()
    return decoder.decompress(part, BZ2_STEP), decoder


def _cut_streams(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut where a stream may begin, and after BZ2_STREAM_MAX bytes without such a place."""
    held = b""
    for piece in pieces:
        searched = max(1, len(held) - _BZ2_START_BYTES + 1)
        held += piece
        begin = 0
        for found in _BZ2_START.finditer(held, searched):
            yield held[begin : found.start()]
            begin = found.start()
        held = held[begin:]
        if len(held) > BZ2_STREAM_MAX:
            yield held
            held = b""
    if held:
        yield held


def _joined_streams(parts: Iterable[tuple[bytes, Future[_Begun] | None]], where: str) -> Iterator[bytes]:
    """The plain bytes of the parts; results obtained ahead count where the part before ended its stream."""
    decoder: bz2.BZ2Decompressor | None = None
    for part, begun in parts:
        if decoder is None and begun is not None:
            with _valid(where, "bz2", OSError):
                plain, decoder = begun.result()
            yield plain
            part = b""
        elif begun is not None:
            begun.cancel()
        decoder = yield from _decode(decoder or bz2.BZ2Decompressor(), part, where)
    if decoder is not None:
        raise Corrupt(where=where, reason="it is cut off")


def _decode(
    decoder: bz2.BZ2Decompressor, part: bytes, where: str
) -> Generator[bytes, None, bz2.BZ2Decompressor | None]:
    """Step through a part; return the decompressor if its stream goes on in the next one, None if it ended here."""
    while True:
        if not decoder.eof:
            with _valid(where, "bz2", OSError):
                plain = decoder.decompress(part, BZ2_STEP)
            yield plain
        if decoder.eof:
            part = decoder.unused_data
            if not part:
                return None
            decoder = bz2.BZ2Decompressor()
        elif decoder.needs_input:
            return decoder
        else:
            part = b""


def _compress_zstd(blocks: Iterator[bytes], workers: int) -> Iterator[bytes]:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, threads=workers, job_size=ZSTD_JOB, write_checksum=True
    )
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    for block in blocks:
        if packed := encoder.compress(block):
            yield packed
    yield encoder.flush()


def _decompress_zstd(start: bytes, source: BinaryIO, where: str) -> Iterator[bytes]:
    """One frame, fed block by block: by the format a block yields 128 KiB at most, and we see where the frame ends.

    (The library's own reader bounds its output too, but takes a frame that is cut off for a complete one.)
    """
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX).decompressobj()
    for part in _zstd_parts(start, source, where):
        with _valid(where, "zstd", zstandard.ZstdError, MemoryError):
            plain = decoder.decompress(part)
        yield plain
    if not decoder.eof:
        raise Corrupt(where=where, reason="it is not valid zstd")
    if source.read(1):
        raise Corrupt(where=where, reason="it goes on after its end")


_ZSTD_BLOCK_HEADER_BYTES = 3
_ZSTD_CHECKSUM_BYTES = 4
_ZSTD_RUN = 1
"""The block type that holds one byte and a count; in the others the count is that of the bytes in the block."""


def _zstd_parts(start: bytes, source: BinaryIO, where: str) -> Iterator[bytes]:
    """The frame's header, each block, and its checksum (RFC 8878, 3.1.1).  `start`: the first bytes of `source`."""
    import zstandard

    def take(size: int) -> bytes:
        part = source.read(size)
        if len(part) < size:
            raise Corrupt(where=where, reason="it is cut off")
        return part

    with _valid(where, "zstd", zstandard.ZstdError):
        header_size = zstandard.frame_header_size(start)
        has_checksum = zstandard.get_frame_parameters(start).has_checksum
    yield take(header_size)
    is_last = False
    while not is_last:
        header = take(_ZSTD_BLOCK_HEADER_BYTES)
        fields = int.from_bytes(header, "little")
        is_last = bool(fields & 1)
        yield header + take(1 if fields >> 1 & 3 == _ZSTD_RUN else fields >> 3)
    if has_checksum:
        yield take(_ZSTD_CHECKSUM_BYTES)


@contextmanager
def _valid(where: str, codec: str, *errors: type[Exception]) -> Iterator[None]:
    """What the library raises for bad input is Corrupt; used around the library's calls only, not around reading."""
    try:
        yield
    except errors as error:
        raise Corrupt(where=where, reason=f"it is not valid {codec}") from error


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bz2")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """The same items in the same order, each asked for `count` items before it is needed."""
    held: deque[Item] = deque()
    for item in items:
        held.append(item)
        if len(held) > count:
            yield held.popleft()
    while held:
        yield held.popleft()
