"""Places for repositories: in memory, with hooks to count, to stop and to die, and without the wait for scrypt."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from escale.backup.catalog import Catalog
from escale.backup.chunks import Chunker
from escale.backup.cipher import MasterKey
from escale.backup.config import Config
from escale.backup.machine import Machine
from escale.backup.objects import Objects
from escale.backup.proof import Proof
from escale.backup.repository import Repository
from escale.backup.save import Save, Saved
from escale.backup.snapshot import Snapshot
from escale.backup.writer import Writer
from escale.store.memory import MemoryStore
from escale.testing.clock import SimClock
from escale.testing.faults import Crash

Hook = Callable[[str, str], None]
MACHINE = Machine("anvil", "alice", 1000, 1000, 1)

PAUSE_S = 86400.0
"""Between two runs: long enough for all that is done once a day."""


class HookedMemory(MemoryStore):
    """Calls `place.before` and `place.after` around each change, with the verb and the full name."""

    place: Place

    def put(self, name: str, source: BinaryIO) -> int:
        self.place.before("put", self._key(name))
        sent = super().put(name, source)
        self.place.after("put", self._key(name))
        return sent

    def create(self, name: str, data: bytes) -> bool:
        self.place.before("create", self._key(name))
        created = super().create(name, data)
        self.place.after("create", self._key(name))
        return created

    def delete(self, name: str) -> None:
        self.place.before("delete", self._key(name))
        super().delete(name)
        self.place.after("delete", self._key(name))

    def within(self, directory: str) -> MemoryStore:
        return self.place.store(f"{self._directory}{directory}/")


def dies_at(nth: int, failure: BaseException | type[BaseException] = Crash) -> Hook:
    """A hook that raises at the n-th call, counted from 0, and at every later one."""
    calls = itertools.count()

    def die(verb: str, name: str) -> None:
        if next(calls) >= nth:
            raise failure

    return die


class Place:
    """A store in memory and the key of the repository on it."""

    def __init__(self) -> None:
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self.before: Hook = lambda verb, name: None
        self.after: Hook = lambda verb, name: None
        self.master = MasterKey.generate()
        self.config = Config.generate()
        self.clock = SimClock(4_000_000_000.0)

    def store(self, directory: str = "") -> MemoryStore:
        """Another connection."""
        store = HookedMemory(self.clock.now, self.blobs, directory)
        store.place = self
        return store

    def repository(self, cache: Path | None = None) -> Repository:
        """Opened by somebody who has the key; with an empty catalog, unless the cache has one."""
        path = None if cache is None else cache / "catalog"
        return Repository(Objects(self.store()), self.master, self.config, Catalog(path), self.store)

    def names(self, directory: str) -> list[str]:
        """The full names of the objects below a directory."""
        return sorted(name for name in self.blobs if name.startswith(f"{directory}/"))

    def save(
        self,
        *paths: Path | str,
        parent: Snapshot | None = None,
        cache: Path | None = None,
        seed: int = 1,
        **more: object,
    ) -> Saved:
        """One run by a new process; a pause before it."""
        self.clock.advance(PAUSE_S)
        repository = self.repository(cache)
        with Writer(repository, 2, 2, random.Random(seed)) as writer:
            proof = Proof(repository, self.clock.now(), random.Random(seed))
            chunker = Chunker(4096, 7)
            save = Save(repository, writer, self.clock, MACHINE, chunker, proof)
            return save.run([str(path) for path in paths], parent=parent, **more)  # type: ignore[arg-type]

    def damage(self, name: str, how: str) -> None:
        """Flip a bit in the middle, cut the last byte off, or take the object away."""
        data, time = self.blobs.pop(name)
        if how == "flipped":
            middle = len(data) // 2
            self.blobs[name] = (data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :], time)
        elif how == "cut":
            self.blobs[name] = (data[:-1], time)
