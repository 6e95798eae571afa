"""What contract tests are written with: sources of any size, threads whose failures come out, expected errors."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeVar, cast

from ..store.blob import BlobInfo, BlobStore
from ..stream import PIECE

Error = TypeVar("Error", bound=Exception)

MIB = 1024 * 1024


class Stream:
    """A source of `size` reproducible bytes that gives short reads and forgets what it gave."""

    def __init__(self, size: int, fails_at: int | None = None) -> None:
        self.left = size
        self.given = 0
        self.digest = hashlib.sha256()
        self._fails_at = fails_at

    def read(self, size: int = -1) -> bytes:
        if self._fails_at is not None and self.given >= self._fails_at:
            raise SourceFailed(errno.ENOENT, "the disk was pulled out")
        piece = min(self.left, size if size >= 0 else self.left, 1 if self.given == 0 else 100_000)
        data = (hashlib.sha256(str(self.given).encode()).digest() * (piece // 32 + 1))[:piece]
        self.left -= piece
        self.given += piece
        self.digest.update(data)
        return data


class SourceFailed(OSError):
    """The user's file could not be read on: an error of the system, and not of the store that called for it."""


class Background:
    """A thread that starts at once and whose failure comes out of `join`."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as failure:
            self._failure = failure

    def join(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive(), "still busy after two minutes"
        if self._failure is not None:
            raise self._failure


def as_file(stream: Stream) -> BinaryIO:
    """A `Stream` under the type that `put` declares; it needs nothing but `read`."""
    return cast(BinaryIO, stream)


def whole(stream: Stream) -> bytes:
    """All bytes of a stream."""
    return b"".join(iter(lambda: stream.read(PIECE), b""))


def info(store: BlobStore, name: str) -> BlobInfo:
    """What the store says of a blob that must be there."""
    found = store.info(name)
    assert found is not None, name
    return found


def close(*stores: BlobStore) -> None:
    """Let go of all their connections."""
    for store in stores:
        store.close()


def raised(kind: type[Error], act: Callable[[], object]) -> Error:
    """The error that `act` raises, which must be of this kind."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
