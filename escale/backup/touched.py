"""Touched: which paths of which versions rely on blobs that are lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from ..errors import Corrupt, PeerError
from .node import Node
from .pack import BlobKind
from .repository import Repository
from .snapshot import Snapshot
from .tree import decode_tree
from .versions import DEPTH_MAX


@dataclass(frozen=True, slots=True)
class Touched:
    """A path that lacks something, or all that is below it, in these versions (their short ids, the oldest first)."""

    path: str
    versions: tuple[str, ...]


def touched(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    lost: Collection[tuple[BlobKind, bytes]],
    tell: Callable[[], None],
) -> dict[tuple[BlobKind, bytes], list[Touched]]:
    """For each lost blob the paths that need it; below a tree that is lost nobody knows what there was."""
    search = _Search(repository, lost)
    for snapshot in sorted(snapshots, key=lambda snapshot: (snapshot.time_ns, snapshot.id)):
        search.look(snapshot)
        tell()
    return {
        blob: [Touched(path, tuple(versions)) for path, versions in sorted(paths.items())]
        for blob, paths in search.found.items()
    }


@dataclass(slots=True)
class _Level:
    """A directory that is being looked at."""

    tree: bytes
    path: str
    nodes: Iterator[Node]
    is_hit: bool = False


class _Search:
    """`_clean`: trees below which nothing is lost; most are, and are read once."""

    def __init__(self, repository: Repository, lost: Collection[tuple[BlobKind, bytes]]) -> None:
        self.found: dict[tuple[BlobKind, bytes], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._repository = repository
        self._lost = set(lost)
        self._clean: set[bytes] = set()

    def look(self, snapshot: Snapshot) -> None:
        """All of one version; not by calling itself, for directories may be deeper than calls."""
        stack: list[_Level] = []
        self._enter(stack, bytes.fromhex(snapshot.tree), "", snapshot.short)
        while stack:
            level = stack[-1]
            node = next(level.nodes, None)
            if node is None:
                stack.pop()
                if not level.is_hit:
                    self._clean.add(level.tree)
                elif stack:
                    stack[-1].is_hit = True
                continue
            path = f"{level.path}/{node.name}"
            for text in node.content:
                if (BlobKind.DATA, bytes.fromhex(text)) in self._lost:
                    self._hit(BlobKind.DATA, bytes.fromhex(text), path, snapshot.short)
                    level.is_hit = True
            if node.subtree:
                self._enter(stack, bytes.fromhex(node.subtree), path, snapshot.short)

    def _enter(self, stack: list[_Level], tree: bytes, path: str, version: str) -> None:
        if tree in self._clean:
            return
        try:
            if (BlobKind.TREE, tree) in self._lost or len(stack) > DEPTH_MAX:
                raise Corrupt(where=path, reason="it cannot be read")
            nodes = decode_tree(self._repository.load_blob(BlobKind.TREE, tree), path)
        except PeerError:
            self._hit(BlobKind.TREE, tree, path or "/", version)
            if stack:
                stack[-1].is_hit = True
            return
        stack.append(_Level(tree, path, iter(nodes)))

    def _hit(self, kind: BlobKind, blob_id: bytes, path: str, version: str) -> None:
        versions = self.found[kind, blob_id][path]
        if version not in versions:
            versions.append(version)
