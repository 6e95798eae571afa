"""A store in memory: the reference that the real ones are compared with, and the relay of the simulator."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..errors import Missing
from ..stream import PIECE
from .blob import TEMPORARY, BlobInfo, BlobStore, Guarantees, validate_name


class MemoryStore(BlobStore):
    """Blobs in a dictionary.  `now` stamps them; give several stores one `blobs` to share a relay."""

    guarantees = Guarantees(exclusive_create=True)

    def __init__(
        self, now: Callable[[], float] = lambda: 0.0, blobs: dict[str, tuple[bytes, float]] | None = None
    ) -> None:
        self.url = "memory:"
        self.blobs = {} if blobs is None else blobs
        self._now = now
        self._lock = threading.Lock()

    def get(self, name: str) -> BinaryIO:
        try:
            return io.BytesIO(self.blobs[validate_name(name)][0])
        except KeyError:
            raise Missing(where=self.url, name=name) from None

    def put(self, name: str, source: BinaryIO) -> int:
        data = b"".join(iter(lambda: source.read(PIECE), b""))
        self.blobs[validate_name(name)] = (data, self._now())
        return len(data)

    def create(self, name: str, data: bytes) -> bool:
        with self._lock:
            if validate_name(name) in self.blobs:
                return False
            self.blobs[name] = (data, self._now())
            return True

    def delete(self, name: str) -> None:
        self.blobs.pop(validate_name(name), None)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        for name, (data, mtime) in sorted(self.blobs.items()):
            if name.startswith(prefix) and not name.startswith(TEMPORARY):
                yield BlobInfo(name, len(data), mtime, hashlib.sha256(data).hexdigest())

    def sweep(self, older_than_s: float) -> int:
        old = [
            name
            for name, (_, mtime) in list(self.blobs.items())
            if name.startswith(TEMPORARY) and self._now() - mtime >= older_than_s
        ]
        for name in old:
            self.delete(name)
        return len(old)
