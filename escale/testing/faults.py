"""Stores that misbehave on purpose, and clients that die on purpose."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..errors import Missing
from ..store.blob import TEMPORARY, BlobInfo, BlobStore

MUTATIONS = frozenset({"put", "create", "delete"})


class Crash(BaseException):
    """The simulated process died.  Not an Exception: no handler may survive it."""


class HookedStore(BlobStore):
    """Calls `before(verb, name)` ahead of each operation and `after(verb, name)` when it is done: to count, to stop,
    to fail, to die.  What the hooks raise comes through."""

    def __init__(
        self,
        inner: BlobStore,
        before: Callable[[str, str], None] = lambda verb, name: None,
        after: Callable[[str, str], None] = lambda verb, name: None,
    ) -> None:
        self._inner = inner
        self._before = before
        self._after = after
        self.url = inner.url
        self.guarantees = inner.guarantees

    def get(self, name: str) -> BinaryIO:
        self._before("get", name)
        stream = self._inner.get(name)
        self._after("get", name)
        return stream

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        self._before("get_range", name)
        part = self._inner.get_range(name, offset, length)
        self._after("get_range", name)
        return part

    def put(self, name: str, source: BinaryIO) -> int:
        self._before("put", name)
        sent = self._inner.put(name, source)
        self._after("put", name)
        return sent

    def create(self, name: str, data: bytes) -> bool:
        self._before("create", name)
        created = self._inner.create(name, data)
        self._after("create", name)
        return created

    def delete(self, name: str) -> None:
        self._before("delete", name)
        self._inner.delete(name)
        self._after("delete", name)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        self._before("list", prefix)
        found = [*self._inner.list(prefix)]
        self._after("list", prefix)
        return iter(found)

    def within(self, directory: str) -> BlobStore:
        """The same hooks hear of the whole name, "directory/name"."""
        inner = self._inner.within(directory)
        return HookedStore(inner, _below(directory, self._before), _below(directory, self._after))

    def list_below(self) -> Iterator[BlobInfo]:
        self._before("list_below", "")
        found = [*self._inner.list_below()]
        self._after("list_below", "")
        return iter(found)

    def info(self, name: str) -> BlobInfo | None:
        self._before("info", name)
        found = self._inner.info(name)
        self._after("info", name)
        return found

    def sweep(self, older_than_s: float) -> int:
        self._before("sweep", TEMPORARY)
        swept = self._inner.sweep(older_than_s)
        self._after("sweep", TEMPORARY)
        return swept

    def close(self) -> None:
        self._inner.close()


def _below(directory: str, hook: Callable[[str, str], None]) -> Callable[[str, str], None]:
    return lambda verb, name: hook(verb, f"{directory}/{name}")


class Fuse:
    """A hook that dies at the n-th mutation and stays dead: every later operation raises again."""

    def __init__(self, mutations: int) -> None:
        self.left = mutations
        self.blown = False

    def __call__(self, verb: str, name: str) -> None:
        if self.blown:
            raise Crash
        if verb in MUTATIONS:
            if self.left == 0:
                self.blown = True
                raise Crash
            self.left -= 1


class GrantingStore(HookedStore):
    """Grants every lock to everybody: each client sees its own locks and nobody else's.

    What remains of a protocol when its lock means nothing.
    """

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)
        self._locks: dict[str, bytes] = {}

    def create(self, name: str, data: bytes) -> bool:
        if ".lock" not in name:
            return super().create(name, data)
        self._locks[name] = data
        return True

    def put(self, name: str, source: BinaryIO) -> int:
        if ".lock" not in name:
            return super().put(name, source)
        self._locks[name] = source.read()
        return len(self._locks[name])

    def get(self, name: str) -> BinaryIO:
        if ".lock" not in name:
            return super().get(name)
        if name not in self._locks:
            raise Missing(where=self.url, name=name)
        return io.BytesIO(self._locks[name])

    def delete(self, name: str) -> None:
        if self._locks.pop(name, None) is None:
            super().delete(name)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        mine = [BlobInfo(name, len(data)) for name, data in self._locks.items() if name.startswith(prefix)]
        theirs = [blob for blob in super().list(prefix) if ".lock" not in blob.name]
        return iter(sorted([*mine, *theirs], key=lambda blob: blob.name))
