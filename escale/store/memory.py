"""A store in memory: the reference that the real ones are compared with, and the relay of the simulator."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..errors import Missing
from ..stream import PIECE
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, validate_directory, validate_name


class MemoryStore(BlobStore):
    """Blobs in a dictionary.  `now` stamps them; give several stores one `blobs` to share a relay.

    `directory`: "" or the beginning of all keys that are in this store, with a slash at its end.
    """

    guarantees = Guarantees(exclusive_create=True)

    def __init__(
        self,
        now: Callable[[], float] = lambda: 0.0,
        blobs: dict[str, tuple[bytes, float]] | None = None,
        directory: str = "",
    ) -> None:
        self.url = f"memory:{directory}"
        self._directory = directory
        self.blobs = {} if blobs is None else blobs
        self._now = now
        self._lock = threading.Lock()

    def get(self, name: str) -> BinaryIO:
        try:
            return io.BytesIO(self.blobs[self._key(name)][0])
        except KeyError:
            raise Missing(where=self.url, name=name) from None

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        with self.get(name) as stream:
            stream.seek(offset)
            return stream.read(length)

    def put(self, name: str, source: BinaryIO) -> int:
        data = b"".join(iter(lambda: source.read(PIECE), b""))
        self.blobs[self._key(name)] = (data, self._now())
        return len(data)

    def create(self, name: str, data: bytes) -> bool:
        with self._lock:
            if self._key(name) in self.blobs:
                return False
            self.blobs[self._key(name)] = (data, self._now())
            return True

    def delete(self, name: str) -> None:
        self.blobs.pop(self._key(name), None)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return (blob for blob in self._all(prefix) if "/" not in blob.name and not blob.name.startswith(TEMPORARY))

    def within(self, directory: str) -> MemoryStore:
        return MemoryStore(self._now, self.blobs, f"{self._directory}{validate_directory(directory)}/")

    def list_below(self) -> Iterator[BlobInfo]:
        return (blob for blob in self._all() if blob.name.count("/") == 1 and f"/{TEMPORARY}" not in blob.name)

    def sweep(self, older_than_s: float) -> int:
        remnants = [blob for blob in self._all(TEMPORARY) if "/" not in blob.name]
        old = [blob.name for blob in remnants if self._now() - (blob.mtime or 0.0) >= older_than_s]
        for name in old:
            self.delete(name)
        return len(old)

    def _all(self, prefix: str = "") -> Iterator[BlobInfo]:
        start = self._directory + prefix
        for key, (data, mtime) in sorted(self.blobs.items()):
            if key.startswith(start):
                yield BlobInfo(key[len(self._directory) :], len(data), mtime, hashlib.sha256(data).hexdigest())

    def _key(self, name: str) -> str:
        return self._directory + validate_name(name)
