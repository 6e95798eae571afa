"""Reading ahead changes when bytes are read, and nothing else."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO, cast

import pytest

from escale.app.ahead import BEGIN_BYTES, PIECES_AHEAD, ReadAheadStore
from escale.errors import Changing, Unreachable
from escale.store.memory import MemoryStore
from escale.stream import PIECE

LARGE = bytes(range(256)) * (BEGIN_BYTES // 128)


class Source(io.RawIOBase):
    """Bytes that come once, until `failure` instead of the byte at `failing_at`; tells who read it and how far."""

    def __init__(self, content: bytes, failing_at: int = -1, failure: Exception | None = None) -> None:
        self._content = io.BytesIO(content)
        self._failing_at = failing_at
        self._failure = failure
        self.readers: set[str] = set()
        self.given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self.readers.add(threading.current_thread().name)
        if self._failure is not None and self.given >= self._failing_at:
            raise self._failure
        data = self._content.read(size)
        self.given += len(data)
        return data


class Store(MemoryStore):
    """A store whose downloads come from one source."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def get(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self.source)


def test_what_is_put_comes_back() -> None:
    store = ReadAheadStore(MemoryStore())
    assert store.put("large", cast(BinaryIO, Source(LARGE))) == len(LARGE)
    assert store.put("small", io.BytesIO(b"small")) == 5
    with store.get("large") as large, store.get("small") as small:
        assert large.read() == LARGE and small.read() == b"small"


def test_a_thread_reads_what_is_large_and_only_that() -> None:
    source = Source(LARGE)
    ReadAheadStore(MemoryStore()).put("name", cast(BinaryIO, source))
    assert source.readers == {"MainThread", "read ahead"}
    source = Source(LARGE[: BEGIN_BYTES - 1])
    ReadAheadStore(MemoryStore()).put("name", cast(BinaryIO, source))
    assert source.readers == {"MainThread"}


@pytest.mark.parametrize("place", [0, BEGIN_BYTES, BEGIN_BYTES + 3 * PIECE])
def test_the_failure_of_a_source_reaches_who_waits_for_its_bytes(place: int) -> None:
    with pytest.raises(Changing):
        ReadAheadStore(MemoryStore()).put("name", cast(BinaryIO, Source(LARGE, place, Changing("a file"))))


def test_a_download_that_breaks_gives_what_came_before_and_never_an_end() -> None:
    failure = Unreachable(where="here", reason="cut")
    stream = ReadAheadStore(Store(Source(LARGE, BEGIN_BYTES + PIECE, failure))).get("name")
    assert stream.read(BEGIN_BYTES + PIECE) == LARGE[: BEGIN_BYTES + PIECE]
    for _ in range(2):
        with pytest.raises(Unreachable):
            stream.read(1)


def test_it_stays_few_pieces_ahead_and_ends_when_it_is_closed() -> None:
    source = Source(LARGE * 4)
    stream = ReadAheadStore(Store(source)).get("name")
    taken = len(stream.read(BEGIN_BYTES + PIECE))
    stream.close()
    assert source.closed and "read ahead" not in {thread.name for thread in threading.enumerate()}
    assert source.given <= taken + (PIECES_AHEAD + 1) * PIECE
