"""Reach: everything that versions need, found from their trees downwards, each tree read once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from ..errors import EscaleError, PeerError
from .fetch import Fetch, Range
from .objects import Kind
from .pack import BlobKind
from .progress import Progress, Report
from .repository import Repository
from .snapshot import Snapshot
from .stretches import Stretches
from .tree import decode_needs, decode_tree

RANGE_BYTES = 1 << 20
"""Of a request: some hundreds of trees, so that those that are read at once take little memory."""

TOGETHER_IDS = 50_000
"""Of contents, noted at once and in order: ten times as fast as one by one, for some megabytes."""


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
    def trees(self) -> set[bytes]:
        """Those at the tops of the versions."""
        return {bytes.fromhex(snapshot.tree) for snapshot in self.snapshots}

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


def reach(
    repository: Repository,
    fetch: Fetch,
    report: Report,
    *,
    is_strict: bool = False,
    before: Reached | None = None,
) -> Reached:
    """Look at everything.  The catalog knows afterwards what is needed, and who holds it.

    In the order of readers: versions, then the index, then packs; so what a version needs that is written meanwhile
    is not taken for lost.  `report` is called every now and then.  `is_strict`: a directory counts as damaged, too, if
    anything in it is not as it has to be to be restored.  `before`: what was found with this catalog last; what a
    version needs never changes, so then only new versions are read.
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
    if before is None or not before.is_complete or not before.trees <= found.trees:
        catalog.forget_needs()
    catalog.let_go(catalog.packs())
    catalog.hold(whole_packs(repository, found.packs))
    _Descent(repository, fetch, report, found, is_strict).run()
    found.lost = catalog.unheld()
    return found


def whole_packs(repository: Repository, listed: dict[str, int]) -> list[str]:
    """The packs of the index that are there, and at least as long as what is known to be in them.

    restic may list a part of a pack only, so longer ones are right.
    """
    return [pack for pack, size in repository.catalog.pack_sizes().items() if listed.get(pack, -1) >= size]


class _Descent:
    """From the tops of the versions to what is below them, some stretches of packs at a time.

    `is_strict`: whether a directory has to be right in everything, or only in what it needs.
    """

    def __init__(self, repository: Repository, fetch: Fetch, report: Report, found: Reached, is_strict: bool) -> None:
        self._catalog = repository.catalog
        self._where = repository.objects.url
        self._fetch = fetch
        self._report = report
        self._found = found
        self._is_strict = is_strict
        self._lock = Lock()
        self._stretches = Stretches(repository.catalog, RANGE_BYTES)
        self._sound: set[bytes] = set()
        self._data: set[bytes] = set()
        self._below: set[bytes] = set()

    def run(self) -> None:
        # New versions need what old ones have stored, and seldom the other way round.
        ordered = sorted(self._found.snapshots, key=lambda snapshot: snapshot.time_ns, reverse=True)
        self._need(bytes.fromhex(snapshot.tree) for snapshot in ordered)
        known, known_bytes = self._catalog.amount(BlobKind.TREE)
        done = 0
        while stretches := self._stretches.take():
            done += self._step(stretches)
            # Trees that no version needs any more are known, too: this ends a little before its end.
            self._report(Progress(done, known, known_bytes * done // max(known, done), known_bytes, noun="directories"))
        self._catalog.need(BlobKind.DATA, sorted(self._data))

    def _need(self, trees: Iterable[bytes]) -> None:
        self._found.trees_damaged |= self._stretches.wait_for(self._catalog.need(BlobKind.TREE, trees))

    def _step(self, stretches: Sequence[Range]) -> int:
        """What is waited for in them is read; returns how many trees that were."""
        trees = [blob.id for stretch in stretches for blob in stretch.blobs]
        self._below = set()
        self._sound = self._catalog.sound(trees) if self._is_strict else set(trees)
        self._found.trees_damaged |= self._fetch.read_ranges(stretches, self._receive, kept=self._stretches.kept)
        if self._is_strict:
            self._catalog.remember_sound(sorted({*trees} - self._sound - self._found.trees_damaged.keys()))
        self._need(sorted(self._below))
        return len(trees)

    def _receive(self, tree: bytes, clear: bytes) -> None:
        try:
            needs_of = decode_needs if tree in self._sound else _strict_needs
            data, below = needs_of(clear, f"{self._where}, tree {tree.hex()[:12]}")
        except PeerError as error:
            with self._lock:
                self._found.trees_damaged[tree] = str(error)
            return
        with self._lock:
            self._below |= below
            self._data |= data
            if len(self._data) < TOGETHER_IDS:
                return
            many, self._data = self._data, set()
        self._catalog.need(BlobKind.DATA, sorted(many))


def _strict_needs(clear: bytes, where: str) -> tuple[set[bytes], set[bytes]]:
    nodes = decode_tree(clear, where)
    data = {bytes.fromhex(text) for node in nodes for text in node.content}
    return data, {bytes.fromhex(node.subtree) for node in nodes if node.subtree}
