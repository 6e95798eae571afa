"""Stores that hold a store: what happens between us and the storage is a wrapper, never a flag.

Usual order, from the outside: RetryingStore(CountingStore(S3Store(...))): a retry is counted.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import BinaryIO, Self, TypeVar, cast

from ..clock import Backoff, Clock
from ..errors import Missing, StoreError, Unreachable
from ..stream import PIECE, stream_of
from .blob import BLOB_BYTES_MAX, BlobInfo, BlobStore

Result = TypeVar("Result")

ATTEMPTS = 5
"""With the waits between them about 4 to 8 seconds: a hiccup is bridged, an outage is left to the next pass."""


class WrapperStore(BlobStore):
    """Passes every verb on; wrappers change some of them.

    But `read_some` goes by `get`, so that what a wrapper makes of that holds for all who read.
    """

    def __init__(self, inner: BlobStore) -> None:
        self.inner = inner
        self.url = inner.url
        self.guarantees = inner.guarantees

    def get(self, name: str) -> BinaryIO:
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self.inner.get_range(name, offset, length)

    def put(self, name: str, source: BinaryIO) -> int:
        return self.inner.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        return self.inner.create(name, data)

    def delete(self, name: str) -> None:
        self.inner.delete(name)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return self.inner.list(prefix)

    def within(self, directory: str) -> Self:
        """The same wrapper around what is within; whatever else it holds is shared."""
        store = copy(self)
        store.inner = self.inner.within(directory)
        store.url = store.inner.url
        return store

    def another(self) -> Self | None:
        """The same wrapper around another one of the inner store; whatever else it holds is shared."""
        inner = self.inner.another()
        if inner is None:
            return None
        store = copy(self)
        store.inner = inner
        return store

    def list_below(self) -> Iterator[BlobInfo]:
        return self.inner.list_below()

    def info(self, name: str) -> BlobInfo | None:
        return self.inner.info(name)

    def sweep(self, older_than_s: float) -> int:
        return self.inner.sweep(older_than_s)

    def close(self) -> None:
        self.inner.close()


class RetryingStore(WrapperStore):
    """Tries again what was Unreachable, up to `attempts` times in all, with growing waits; the only place that does.

    A `put` is tried again only if its source can be rewound.  A `get` that broke while it was read is the reader's: he
    knows what he has already used.
    """

    def __init__(self, inner: BlobStore, clock: Clock, rng: random.Random, attempts: int = ATTEMPTS) -> None:
        super().__init__(inner)
        self._clock = clock
        self._rng = rng
        self._attempts = attempts

    def get(self, name: str) -> BinaryIO:
        return self._persist(lambda: self.inner.get(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._persist(lambda: self.inner.get_range(name, offset, length))

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        return self._persist(lambda: self.inner.read_some(names, size_max))

    def put(self, name: str, source: BinaryIO) -> int:
        if not _can_rewind(source):
            return self.inner.put(name, source)
        start = source.tell()

        def attempt() -> int:
            source.seek(start)
            return self.inner.put(name, source)

        return self._persist(attempt, leaves_parts=True)

    def create(self, name: str, data: bytes) -> bool:
        """After a lost answer a taken name may be taken by ourselves: `data` tells, and must be unique."""
        lost = 0

        def attempt() -> bool:
            nonlocal lost
            lost += 1
            return self.inner.create(name, data) or (lost > 1 and self._holds(name, data))

        return self._persist(attempt, leaves_parts=True)

    def delete(self, name: str) -> None:
        self._persist(lambda: self.inner.delete(name))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        # A listing that breaks off is begun again, so none of it is given away before it is complete.
        return iter(self._persist(lambda: tuple(self.inner.list(prefix))))

    def list_below(self) -> Iterator[BlobInfo]:
        return iter(self._persist(lambda: tuple(self.inner.list_below())))

    def info(self, name: str) -> BlobInfo | None:
        return self._persist(lambda: self.inner.info(name))

    def sweep(self, older_than_s: float) -> int:
        return self._persist(lambda: self.inner.sweep(older_than_s))

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self.inner.read_bytes(name) == data
        except Missing:
            return False

    def _persist(self, attempt: Callable[[], Result], *, leaves_parts: bool = False) -> Result:
        """`leaves_parts`: what breaks off may leave a part that nobody can remove over a line that was cut."""
        backoff = Backoff(self._rng)
        for tried in range(self._attempts):
            try:
                result = attempt()
            except Unreachable:
                if tried == self._attempts - 1:
                    raise
                self._clock.sleep(backoff.next_wait())
                continue
            break
        if leaves_parts and tried:
            with suppress(StoreError):
                self.inner.sweep(math.inf)
        return result


@dataclass(slots=True)
class Flow:
    """What went one way: payload bytes, and the seconds the transfers took of which `source_s` waited for our side.

    Figures of S3 uploads overlap: there the rate is an upper bound.
    """

    bytes: int = 0
    seconds: float = 0.0
    source_s: float = 0.0

    @property
    def rate(self) -> float | None:
        """Bytes per second of the line itself; None as long as too little was moved to tell."""
        busy_s = self.seconds - self.source_s
        return self.bytes / busy_s if self.bytes >= PIECE and busy_s > 0 else None


@dataclass(slots=True)
class Traffic:
    """What one store was asked for: calls by verb, bytes up and down, seconds in other calls."""

    requests: Counter[str] = field(default_factory=Counter)
    up: Flow = field(default_factory=Flow)
    down: Flow = field(default_factory=Flow)
    other_s: float = 0.0


class CountingStore(WrapperStore):
    """Counts and times into `traffic`, which several stores may share."""

    def __init__(self, inner: BlobStore, clock: Clock, traffic: Traffic | None = None) -> None:
        super().__init__(inner)
        self._clock = clock
        self.traffic = traffic or Traffic()

    def get(self, name: str) -> BinaryIO:
        self.traffic.requests["get"] += 1
        began = self._clock.monotonic()
        stream = self.inner.get(name)
        self.traffic.down.seconds += self._clock.monotonic() - began
        return stream_of(_Received(stream, self._clock, self.traffic.down))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        self.traffic.requests["get_range"] += 1
        began = self._clock.monotonic()
        try:
            part = self.inner.get_range(name, offset, length)
        finally:
            self.traffic.down.seconds += self._clock.monotonic() - began
        self.traffic.down.bytes += len(part)
        return part

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        self.traffic.requests["get"] += len(names)
        began = self._clock.monotonic()
        try:
            blobs = self.inner.read_some(names, size_max)
        finally:
            self.traffic.down.seconds += self._clock.monotonic() - began
        self.traffic.down.bytes += sum(len(blob) for blob in blobs if blob is not None)
        return blobs

    def put(self, name: str, source: BinaryIO) -> int:
        self.traffic.requests["put"] += 1
        began = self._clock.monotonic()
        try:
            return self.inner.put(name, cast(BinaryIO, _Sent(source, self._clock, self.traffic.up)))
        finally:
            self.traffic.up.seconds += self._clock.monotonic() - began

    def create(self, name: str, data: bytes) -> bool:
        self.traffic.up.bytes += len(data)
        return self._timed("create", lambda: self.inner.create(name, data))

    def delete(self, name: str) -> None:
        self._timed("delete", lambda: self.inner.delete(name))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return iter(self._timed("list", lambda: tuple(self.inner.list(prefix))))

    def list_below(self) -> Iterator[BlobInfo]:
        return iter(self._timed("list_below", lambda: tuple(self.inner.list_below())))

    def info(self, name: str) -> BlobInfo | None:
        return self._timed("info", lambda: self.inner.info(name))

    def sweep(self, older_than_s: float) -> int:
        return self._timed("sweep", lambda: self.inner.sweep(older_than_s))

    def _timed(self, verb: str, act: Callable[[], Result]) -> Result:
        self.traffic.requests[verb] += 1
        began = self._clock.monotonic()
        try:
            return act()
        finally:
            self.traffic.other_s += self._clock.monotonic() - began


class _Source:
    """A source under observation: whoever could rewind it still can."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        return self._source.read(size)

    def seekable(self) -> bool:
        return _can_rewind(self._source)

    def tell(self) -> int:
        return self._source.tell()

    def seek(self, offset: int) -> int:
        return self._source.seek(offset)


class _Sent(_Source):
    """Counts into a flow, and the seconds our side took to come up with the bytes."""

    def __init__(self, source: BinaryIO, clock: Clock, flow: Flow) -> None:
        super().__init__(source)
        self._clock = clock
        self._flow = flow

    def read(self, size: int = -1, /) -> bytes:
        began = self._clock.monotonic()
        data = super().read(size)
        self._flow.source_s += self._clock.monotonic() - began
        self._flow.bytes += len(data)
        return data


class _Received(Iterator[bytes]):
    """The pieces of a download, counted and timed; an iterator, because closing it must close the download."""

    def __init__(self, stream: BinaryIO, clock: Clock, flow: Flow) -> None:
        self._stream = stream
        self._clock = clock
        self._flow = flow
        self.close = stream.close

    def __next__(self) -> bytes:
        began = self._clock.monotonic()
        piece = self._stream.read(PIECE)
        self._flow.seconds += self._clock.monotonic() - began
        self._flow.bytes += len(piece)
        if not piece:
            raise StopIteration
        return piece


def _can_rewind(source: BinaryIO) -> bool:
    """Sources need nothing but `read`; those that can do more say so."""
    seekable = getattr(source, "seekable", None)
    return bool(seekable and seekable())
