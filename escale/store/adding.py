"""AddingStore: for a machine that only adds.  What is there stays as it is, whatever verb is called.

It is the polite half: that nothing can be taken away or replaced is up to the store's own permissions, and they are
asked for no more than this needs.  Every blob is written by `create`, so a server that wants to see `If-None-Match: *`
with each upload sees it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import BinaryIO, Self

from ..errors import Refused
from ..stream import read_exactly
from .blob import BLOB_BYTES_MAX, BlobStore
from .wrapped import WrapperStore

ADDED_BYTES_MAX = 512 << 20
"""A blob is held in memory as a whole; packs have 16 MiB."""


class AddingStore(WrapperStore):
    """Nothing is replaced, and nothing removed, but in the `removable` directories what was put there by ourselves."""

    def __init__(self, inner: BlobStore, removable: Collection[str] = ()) -> None:
        super().__init__(inner)
        self._removable = removable
        self._ours: set[str] | None = None

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        return self.inner.read_some(names, size_max)

    def put(self, name: str, source: BinaryIO) -> int:
        """The same bytes once more are fine; Refused if the name is taken by others."""
        data = read_exactly(source, ADDED_BYTES_MAX + 1)
        if len(data) > ADDED_BYTES_MAX:
            raise Refused(where=f"{self.url}/{name}", reason=f"it is larger than {ADDED_BYTES_MAX} bytes")
        if not self.create(name, data) and self.inner.read_bytes(name) != data:
            raise Refused(where=f"{self.url}/{name}", reason="it is there already, and this machine only adds")
        return len(data)

    def create(self, name: str, data: bytes) -> bool:
        is_new = self.inner.create(name, data)
        if is_new and self._ours is not None:
            self._ours.add(name)
        return is_new

    def delete(self, name: str) -> None:
        if self._ours is None or name not in self._ours:
            raise Refused(where=f"{self.url}/{name}", reason="it is to be removed, and this machine only adds")
        self.inner.delete(name)
        self._ours.discard(name)

    def within(self, directory: str) -> Self:
        store = super().within(directory)
        store._ours = set() if directory in self._removable else None
        return store
