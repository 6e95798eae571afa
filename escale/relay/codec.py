"""Which codec is fastest, for `compression = auto`: measured on a sample, decided by arithmetic.

Packing, sending and unpacking overlap, so the slowest of the three decides how long an archive takes.  On a fast link
that is the compressor, on a slow link the compressed size; in between is what nobody wants to work out by hand.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..clock import Clock
from .compression import ZSTD_LEVEL

SAMPLE_BLOCKS_MAX = 4
SAMPLE_BLOCK_BYTES_MAX = 256 * 1024
"""One megabyte of sample takes bz2 about 0.2 s, which is what a wrong choice costs on a few megabytes."""

GAIN_MIN = 1.05
"""How much faster a dearer codec must be: below that we measure noise, and its heat is for nothing."""

_SPEED_MAX = 1e12
"""Bytes per second where a measurement took no measurable time."""


@dataclass(frozen=True, slots=True)
class CodecFigures:
    """What a codec does to a kind of data.

    `ratio`: compressed by plain size.  Speeds in plain bytes per second of one core; `packs_on`, `unpacks_on`: how
    many cores it can use.
    """

    codec: str
    ratio: float
    compress_speed: float
    decompress_speed: float
    packs_on: int = 1
    unpacks_on: int = 1

    def seconds_per_byte(self, link_bytes_per_s: float) -> float:
        """Seconds for a plain byte of a long archive, through all three stages."""
        return max(
            1 / (self.compress_speed * self.packs_on),
            self.ratio / link_bytes_per_s,
            1 / (self.decompress_speed * self.unpacks_on),
        )


NONE = CodecFigures("none", 1.0, _SPEED_MAX, _SPEED_MAX)


def choose_codec(sample: Sequence[bytes], link_bytes_per_s: float, cores: int, clock: Clock) -> str:
    """The codec with which data like the sample arrives first; takes about 0.2 s.

    `sample` are some blocks of the files to be sent, `cores` those of this machine and, for want of better knowledge,
    of the other.  `link_bytes_per_s` is positive, and infinite for a relay on this machine.
    """
    blocks = [block[:SAMPLE_BLOCK_BYTES_MAX] for block in sample[:SAMPLE_BLOCKS_MAX] if block]
    if not blocks:
        return NONE.codec
    return fastest([NONE, _measured_zstd(blocks, cores, clock), _measured_bz2(blocks, cores, clock)], link_bytes_per_s)


def fastest(figures: Iterable[CodecFigures], link_bytes_per_s: float) -> str:
    """The codec of least time; `figures` come cheapest first, and a dearer one must be faster by GAIN_MIN."""
    best, *others = figures
    for other in others:
        if other.seconds_per_byte(link_bytes_per_s) * GAIN_MIN < best.seconds_per_byte(link_bytes_per_s):
            best = other
    return best.codec


def _measured_zstd(blocks: Sequence[bytes], cores: int, clock: Clock) -> CodecFigures:
    import zstandard

    compressor, decompressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL), zstandard.ZstdDecompressor()
    return _measured("zstd", blocks, compressor.compress, decompressor.decompress, (cores, 1), clock)


def _measured_bz2(blocks: Sequence[bytes], cores: int, clock: Clock) -> CodecFigures:
    return _measured("bz2", blocks, bz2.compress, bz2.decompress, (cores, cores), clock)


def _measured(
    codec: str,
    blocks: Sequence[bytes],
    compress: Callable[[bytes], bytes],
    decompress: Callable[[bytes], bytes],
    cores: tuple[int, int],
    clock: Clock,
) -> CodecFigures:
    begin = clock.monotonic()
    compressed = [compress(block) for block in blocks]
    middle = clock.monotonic()
    for block in compressed:
        decompress(block)
    end = clock.monotonic()
    size = sum(map(len, blocks))
    return CodecFigures(
        codec,
        sum(map(len, compressed)) / size,
        min(_SPEED_MAX, size / max(middle - begin, 1e-9)),
        min(_SPEED_MAX, size / max(end - middle, 1e-9)),
        *cores,
    )
