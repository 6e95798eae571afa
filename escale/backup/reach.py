"""Reach: everything that versions need, found from their trees downwards, each tree read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from ..errors import EscaleError, PeerError
from .fetch import Fetch
from .objects import Kind
from .pack import BlobKind
from .repository import Repository
from .snapshot import Snapshot
from .tree import decode_tree

BATCH_TREES = 20_000
"""Asked for at once: many lie beside each other, and what waits takes some megabytes."""


@dataclass(slots=True)
class Reached:
    """`snapshots`: all versions that can be read.  What is wrong: `snapshots_damaged`; `trees_damaged`, by id, with the
    reason; `lost`: blobs that no pack holds which is there and as long as it should be.  `packs`: the bytes of each
    pack that is listed."""

    snapshots: list[Snapshot] = field(default_factory=list)
    packs: dict[str, int] = field(default_factory=dict)
    mtimes: dict[str, float | None] = field(default_factory=dict)
    indices_damaged: list[PeerError] = field(default_factory=list)
    snapshots_damaged: list[PeerError] = field(default_factory=list)
    trees_damaged: dict[bytes, str] = field(default_factory=dict)
    lost: list[tuple[BlobKind, bytes]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything that any version needs is known, and there as far as a listing tells."""
        return not (self.snapshots_damaged or self.trees_damaged or self.lost)

    def damage(self, where: str) -> list[EscaleError]:
        """What is wrong, for people."""
        trees = [Unreadable(where=where, what=f"directory {id_.hex()[:12]}") for id_ in self.trees_damaged]
        lost = [Unreadable(where=where, what=f"{kind.value} {blob_id.hex()[:12]}") for kind, blob_id in self.lost]
        return [*self.indices_damaged, *self.snapshots_damaged, *trees, *lost]


class Unreadable(PeerError):
    """{where}: {what}, which a version needs, cannot be read"""

    code = "B445"
    advice = "Which versions and files it concerns:    escalectl backup check"


def reach(repository: Repository, fetch: Fetch, tell: Callable[[], None]) -> Reached:
    """Look at everything.  The catalog knows afterwards what is needed, and who holds it.

    In the order of readers: versions, then the index, then packs; so what a version needs that is written meanwhile
    is not taken for lost.  `tell` is called every now and then.
    """
    found = Reached()
    for one in repository.snapshots():
        if isinstance(one, Snapshot):
            found.snapshots.append(one)
        else:
            found.snapshots_damaged.append(one)
    found.indices_damaged = repository.refresh()
    for blob in repository.objects.list(Kind.PACK):
        found.packs[blob.name], found.mtimes[blob.name] = blob.size, blob.mtime
    catalog = repository.catalog
    catalog.forget_needs()
    catalog.hold(whole_packs(repository, found.packs))
    trees = catalog.need(BlobKind.TREE, {bytes.fromhex(snapshot.tree) for snapshot in found.snapshots})
    _Descent(repository, fetch, tell, found).run(trees)
    found.lost = catalog.unheld()
    return found


def whole_packs(repository: Repository, listed: dict[str, int]) -> list[str]:
    """The packs of the index that are there, and at least as long as what is known to be in them.

    restic may list a part of a pack only, so longer ones are right.
    """
    return [pack for pack, size in repository.catalog.pack_sizes().items() if listed.get(pack, -1) >= size]


class _Descent:
    """From trees to what is below them, one level at a time."""

    def __init__(self, repository: Repository, fetch: Fetch, tell: Callable[[], None], found: Reached) -> None:
        self._catalog = repository.catalog
        self._where = repository.objects.url
        self._fetch = fetch
        self._tell = tell
        self._found = found
        self._lock = Lock()
        self._below: list[bytes] = []

    def run(self, trees: Sequence[bytes]) -> None:
        waiting = [*trees]
        while waiting:
            batch = [waiting.pop() for _ in range(min(BATCH_TREES, len(waiting)))]
            self._below = []
            self._found.trees_damaged |= self._fetch.blobs(BlobKind.TREE, batch, self._receive)
            waiting += self._below
            self._tell()

    def _receive(self, tree: bytes, clear: bytes) -> None:
        try:
            nodes = decode_tree(clear, f"{self._where}, tree {tree.hex()[:12]}")
        except PeerError as error:
            with self._lock:
                self._found.trees_damaged[tree] = str(error)
            return
        self._catalog.need(BlobKind.DATA, {bytes.fromhex(text) for node in nodes for text in node.content})
        below = self._catalog.need(BlobKind.TREE, {bytes.fromhex(node.subtree) for node in nodes if node.subtree})
        with self._lock:
            self._below += below
