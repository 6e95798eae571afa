"""Trial: what saving would do, with nothing stored and nothing removed.

Everything is read and cut as for a version, for only so it is known what of it the store has already.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

import zstandard

from ..errors import EscaleError, Refused
from ..store.memory import MemoryStore
from ..store.wrapped import WrapperStore
from .catalog import Catalog
from .chunks import chunker_of
from .cipher import OVERHEAD, MasterKey
from .config import Config
from .objects import Objects
from .pack import BlobKind
from .progress import Report, silent
from .proof import Proof, Withdrawn
from .repository import LEVEL, Repository
from .save import NothingToSave
from .snapshot import Snapshot
from .summary import Counts
from .walk import Excludes, Unread, Walk


class ReadingStore(WrapperStore):
    """Refuses whatever would change anything."""

    def put(self, name: str, source: BinaryIO) -> int:
        raise self._refused(name)

    def create(self, name: str, data: bytes) -> bool:
        raise self._refused(name)

    def delete(self, name: str) -> None:
        raise self._refused(name)

    def _refused(self, name: str) -> Refused:
        return Refused(where=f"{self.url}/{name}", reason="this only looks")


@dataclass(frozen=True, slots=True)
class Tried:
    """What a version would be.  `bytes_new`: of what the store does not have yet, `bytes_stored` what that takes there.

    `damaged`: what the store has lost of what the version needs, and would be given again.
    """

    counts: Counts
    bytes_new: int
    bytes_stored: int
    changed_meanwhile: tuple[str, ...]
    unreadable: tuple[Unread, ...]
    damaged: tuple[EscaleError, ...]


class Tally:
    """Takes blobs as a Writer does, and only counts them."""

    def __init__(self, repository: Repository) -> None:
        self.bytes_new = 0
        self.bytes_stored = 0
        self._repository = repository
        self._fresh: set[bytes] = set()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def known(self, kind: BlobKind, ids: list[bytes]) -> set[bytes]:
        """Those of many that need not be stored."""
        return self._repository.catalog.known(kind, ids, self._repository.missing)

    def add(self, kind: BlobKind, raw: bytes) -> str:
        """Count it, unless it is there; its id in hex."""
        blob_id = hashlib.sha256(raw).digest()
        # Trees and contents do not meet, and half an id tells as many blobs apart as anybody has.
        if blob_id[:16] not in self._fresh and not self.known(kind, [blob_id]):
            self._fresh.add(blob_id[:16])
            self.bytes_new += len(raw)
            self.bytes_stored += min(len(raw), len(self._compressor.compress(raw))) + OVERHEAD
        return blob_id.hex()


def nothing_yet() -> Repository:
    """The repository that would be made, in memory."""
    store = MemoryStore()
    return Repository(Objects(store), MasterKey.generate(), Config.generate(), Catalog(None), lambda: store)


def try_saving(
    repository: Repository,
    paths: Sequence[str],
    now: float,
    excludes: Excludes | None = None,
    parent: Snapshot | None = None,
    report: Report = silent,
) -> Tried:
    """What `Save` would do with them at this Unix time; NothingToSave."""
    paths = sorted({os.path.abspath(path) for path in paths})
    for path in paths:
        if not os.path.lexists(path):
            raise NothingToSave(path=path)
    proof = Proof(repository, now)
    damaged = proof.look()
    tally = Tally(repository)
    chunker = cache(lambda: chunker_of(repository, paths))
    walk = Walk(repository, tally, chunker, proof, excludes, parent, report)
    walk.run(paths)
    told = tuple(one for one in (*damaged, *walk.damaged) if not isinstance(one, Withdrawn))
    amounts = (tally.bytes_new, tally.bytes_stored)
    return Tried(walk.counts, *amounts, tuple(walk.changed), tuple(walk.unread), told)
