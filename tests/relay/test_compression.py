"""Compression: other programs read ours, we read theirs, damage is told, bombs stay small."""

import bz2
import io
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from escale.errors import Corrupt
from escale.relay.compression import BZ2_BLOCK, CODECS, ZSTD_WINDOW_MAX, compress, decompress

from ..memory import extra_mib


def text(size: int, seed: int = 1) -> bytes:
    """Compressible bytes."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randint(2, 8)) for _ in range(500)]
    return b" ".join(rng.choices(words, k=size // 4))[:size].ljust(size, b".")


def compressed(data: bytes, codec: str, workers: int = 2) -> bytes:
    return b"".join(compress(iter([data]), codec, workers))


def plain(data: bytes, workers: int = 2) -> bytes:
    with decompress(io.BytesIO(data), "the archive", workers) as stream:
        return stream.read()


def filtered(data: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


borders = st.builds(
    lambda unit, count, shift: max(0, unit * count + shift),
    st.sampled_from([BZ2_BLOCK, 256 * 1024, 1000]),
    st.integers(0, 2),
    st.integers(-2, 2),
)


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=12, deadline=None)
@given(size=borders, workers=st.integers(1, 3))
def test_round_trip(codec: str, size: int, workers: int) -> None:
    data = text(size)
    assert plain(compressed(data, codec, workers), workers) == data


@pytest.mark.parametrize("codec", CODECS)
def test_incompressible_bytes_round_trip(codec: str) -> None:
    data = os.urandom(3_000_000)
    assert plain(compressed(data, codec)) == data


# With other programs


@pytest.mark.parametrize("program", ["bzip2", "lbzip2"])
@pytest.mark.parametrize("size", [0, 5, 2_500_000])
def test_others_read_our_bz2(program: str, size: int) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    ours = compressed(text(size), "bz2")
    filtered(ours, program, "-t")
    assert filtered(ours, program, "-dc") == text(size)
    assert bz2.decompress(ours) == text(size)


@pytest.mark.parametrize(
    "command", [("bzip2", "-9"), ("bzip2", "-1"), ("lbzip2", "-9"), ("zstd", "-3"), ("zstd", "-19")]
)
@pytest.mark.parametrize("size", [0, 5, 5_000_000])
def test_we_read_what_others_write(command: tuple[str, ...], size: int) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    assert plain(filtered(text(size), *command, "-c")) == text(size)


def test_zstd_is_one_frame_with_a_checksum() -> None:
    ours = compressed(text(3_000_000), "zstd")
    assert zstandard.get_frame_parameters(ours).has_checksum
    decoder = zstandard.ZstdDecompressor().decompressobj()
    assert decoder.decompress(ours) == text(3_000_000)
    assert decoder.eof and not decoder.unused_data


# bz2 streams and what looks like them


def test_a_start_mark_inside_a_stream_is_no_start() -> None:
    """Random bytes grow in bz2 with the mark in the compressed data: stored marks must not be cut at."""
    mark = b"BZh91AY&SY"
    pieces = [bz2.compress(text(300_000, seed)) for seed in range(3)]
    assert plain(b"".join(pieces)) == b"".join(text(300_000, seed) for seed in range(3))
    # A false mark within: the damage must be told, by us as by bzip2, and not taken for a start.
    for place in (20_000, 60_000):
        damaged = pieces[0][:place] + mark + pieces[0][place:] + pieces[1]
        with pytest.raises(OSError, match="Invalid data"):
            bz2.decompress(damaged)
        with pytest.raises(Corrupt):
            plain(damaged)


def test_results_ahead_are_not_used_inside_another_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at every place: a valid stream that is continued by others decodes as the sequential reader does."""
    from escale.relay import compression

    streams = b"".join(bz2.compress(text(size, size)) for size in (40_000, 1, 60_000, 0, 30_000))
    expected = bz2.decompress(streams)
    rng = random.Random(7)

    def cut_anywhere(pieces: Iterator[bytes]) -> Iterator[bytes]:
        data = b"".join(pieces)
        places = sorted(rng.sample(range(1, len(data)), 9))
        for begin, end in zip([0, *places], [*places, len(data)], strict=True):
            yield data[begin:end]

    monkeypatch.setattr(compression, "_cut_streams", cut_anywhere)
    for _ in range(50):
        assert plain(streams) == expected


def test_thousands_of_tiny_streams() -> None:
    streams = b"".join(bz2.compress(bytes([n % 256])) + bz2.compress(b"") for n in range(3000))
    assert plain(streams) == bytes(n % 256 for n in range(3000))


@pytest.mark.parametrize("size", [1, 9, 10, 4096])
def test_short_reads_of_the_source_do_not_matter(size: int) -> None:
    class Dribble(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            return super().read(min(count or 0, size))

    for codec in CODECS:
        data = text(30_000 if size < 100 else 2_000_000)
        with decompress(Dribble(compressed(data, codec)), "the archive", 2) as stream:
            assert stream.read() == data


# Damage


@pytest.mark.parametrize("codec", ["bz2", "zstd"])
def test_every_truncation_is_told(codec: str) -> None:
    data = compressed(text(300), codec)
    for length in range(4, len(data)):
        with pytest.raises(Corrupt):
            plain(data[:length])


@pytest.mark.parametrize("codec", ["bz2", "zstd"])
def test_every_damaged_byte_is_told(codec: str) -> None:
    """But for bits that mean nothing: then the plain bytes are right."""
    data = compressed(text(300), codec)
    told = 0
    for position in range(4, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            assert plain(bytes(damaged)) == text(300)
        except Corrupt as error:
            told += 1
            assert str(error).startswith("the archive is damaged: ") and "\n" not in str(error)
    assert told >= len(data) - 8


@pytest.mark.parametrize("codec", ["bz2", "zstd"])
@pytest.mark.parametrize("tail", [b"\0", b"garbage after the end", b"BZh9"])
def test_bytes_after_the_end_are_told(codec: str, tail: bytes) -> None:
    with pytest.raises(Corrupt):
        plain(compressed(text(1_000_000), codec) + tail)


@given(st.sampled_from([b"BZh9", b"BZh91AY&SY", b"\x28\xb5\x2f\xfd"]), st.binary(max_size=5000))
def test_garbage_is_told(start: bytes, data: bytes) -> None:
    with pytest.raises(Corrupt):
        plain(start + data)


def test_a_damaged_stream_in_the_middle_is_told() -> None:
    data = bytearray(compressed(text(4 * BZ2_BLOCK), "bz2"))
    data[len(data) // 2] ^= 1
    with pytest.raises(Corrupt):
        plain(bytes(data))


def test_a_zstd_window_beyond_reason_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    assert ZSTD_WINDOW_MAX < 2**27
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(Corrupt):
        plain(encoder.compress(text(100_000)) + encoder.flush())


def test_an_error_of_the_source_is_not_called_damage() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 100_000:
                raise ConnectionResetError("gone")
            return super().read(50_000)

    for codec in CODECS:
        with pytest.raises(ConnectionResetError):
            decompress(Broken(compressed(os.urandom(3_000_000), codec)), "the archive", 2).read()


def test_closing_early_releases_the_threads() -> None:
    import threading

    before = threading.active_count()
    with closing(compress(iter([text(1_000_000)] * 20), "bz2", 2)) as pieces:  # type: ignore[type-var]
        next(pieces)
        assert threading.active_count() > before
    assert threading.active_count() == before
    with decompress(io.BytesIO(compressed(text(5_000_000), "bz2")), "the archive", 2) as stream:
        stream.read(1)
        assert threading.active_count() > before
    assert threading.active_count() == before


# Memory


@pytest.mark.parametrize("codec", CODECS)
def test_memory_does_not_grow_with_the_stream(codec: str, tmp_path: Path) -> None:
    preparation = f"""
import os, zstandard
from escale.relay.compression import compress, decompress
path = {str(tmp_path / "packed")!r}
block = os.urandom(1 << 16) + bytes((1 << 19) - (1 << 16))"""
    packing = extra_mib(
        preparation,
        f"""
with open(path, "wb") as file:
    for piece in compress((block for _ in range(128)), {codec!r}, 2):
        file.write(piece)""",
    )
    unpacking = extra_mib(preparation, 'assert count(decompress(open(path, "rb"), "", 2)) == 64 << 20')
    assert max(packing, unpacking) < 35, f"{packing} and {unpacking} MiB more for a stream of 64 MiB"


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: bz2.compress(bytes(200 << 20)), id="one bz2 stream"),
        pytest.param(lambda: bz2.compress(bytes(40 << 20)) * 5, id="many bz2 streams"),
        pytest.param(lambda: zstandard.compress(bytes(200 << 20)), id="zstd"),
    ],
)
def test_a_bomb_takes_no_memory(bomb: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb())
    assert path.stat().st_size < 40_000
    extra = extra_mib(
        "import zstandard\nfrom escale.relay.compression import decompress",
        f"assert count(decompress(open({str(path)!r}, 'rb'), '', 2)) == 200 << 20",
    )
    assert extra < 30, f"{extra} MiB more for a bomb of 200 MiB"
