"""Streams of pieces: exact reads, block borders, errors that stay errors, closing that releases."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.stream import ViewReader, blocks_of, pieces_of, read_exactly, stream_of


class Dribble(io.BytesIO):
    """Gives one byte at a time, as a socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 1) if size is not None and size >= 0 else 1)


@given(st.lists(st.binary(max_size=9)), st.integers(1, 7))
def test_blocks_are_the_same_bytes_in_full_blocks(pieces: list[bytes], size: int) -> None:
    blocks = list(blocks_of(pieces, size))
    assert b"".join(blocks) == b"".join(pieces)
    assert all(len(block) == size for block in blocks[:-1])
    assert all(0 < len(block) <= size for block in blocks)


@given(st.lists(st.binary(max_size=9)), st.integers(1, 7))
def test_reads_are_full_until_the_end(pieces: list[bytes], size: int) -> None:
    stream = stream_of(iter(pieces))
    read = list(iter(lambda: stream.read(size), b""))
    assert b"".join(read) == b"".join(pieces)
    assert all(len(part) == size for part in read[:-1])


def test_short_reads_are_made_up_for() -> None:
    assert read_exactly(Dribble(b"abcdef"), 4) == b"abcd"
    assert read_exactly(Dribble(b"ab"), 4) == b"ab"
    assert b"".join(pieces_of(Dribble(b"abc"))) == b"abc"


def test_an_error_never_turns_into_a_clean_end() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"good"
        raise ValueError("bad")

    stream = stream_of(pieces())
    assert stream.read(4) == b"good"
    for _ in range(3):
        with pytest.raises(ValueError, match="bad"):
            stream.read(4)


def test_closing_the_stream_closes_what_it_pulls_from() -> None:
    released = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            released.append(True)

    source = io.BytesIO()
    stream = stream_of(pieces(), source)
    assert stream.read(3) == b"one"
    assert not source.closed
    stream.close()
    assert released == [True] and source.closed


def test_bytes_in_memory_can_be_read_again_from_any_place() -> None:
    data = bytes(range(256)) * 300
    with io.BufferedReader(ViewReader(memoryview(data)), 1000) as stream:
        assert stream.seekable()
        assert stream.read(700) == data[:700]
        stream.seek(100)
        assert stream.read() == data[100:]
        stream.seek(-5, io.SEEK_END)
        assert (stream.read(), stream.read(1)) == (data[-5:], b"")
