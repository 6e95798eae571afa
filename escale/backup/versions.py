"""What is in the versions of a repository: choosing one, walking it, finding names, comparing two."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import Corrupt, PeerError, UserError
from .node import Node, NodeType
from .repository import Repository
from .snapshot import Snapshot
from .tree import decode_tree
from .trees import NEAR_BYTES, Trees

DEPTH_MAX = 2000
"""Directories within each other; what is deeper was made by a hand, not by a backup: paths end at 4096 bytes."""

LATEST = "latest"
_HEX = re.compile(r"[0-9a-f]{1,64}")


class NoVersion(UserError):
    """there is no version {wanted} in {where}"""

    code = "B420"
    advice = "List them:    escale-restore list"


@dataclass(frozen=True, slots=True)
class Found:
    """A node and its path below the root of its version, with "/" between names and none at its beginning."""

    path: str
    node: Node


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a path between two versions; one of the nodes may be None."""

    path: str
    before: Node | None
    after: Node | None

    @property
    def sign(self) -> str:
        """ "+" new, "-" gone, "M" other content, "T" other type, "U" other attributes only."""
        if self.before is None or self.after is None:
            return "+" if self.before is None else "-"
        if self.before.type is not self.after.type:
            return "T"
        return "M" if _content(self.before) != _content(self.after) else "U"


class Versions:
    """Read-only views of a repository whose catalog is up to date; trees that cannot be read are told and left out."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._trees = Trees(repository, NEAR_BYTES)
        self.damaged: list[PeerError] = []

    def all(self) -> list[Snapshot]:
        """Every version that can be read, the oldest first."""
        found = []
        for one in self._repository.snapshots():
            if isinstance(one, Snapshot):
                found.append(one)
            else:
                self.damaged.append(one)
        return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id))

    def nodes(self, tree: str) -> list[Node]:
        """The nodes of one directory; Corrupt if its tree cannot be read."""
        where = f"{self._repository.objects.url}, tree {tree[:12]}"
        return decode_tree(self._trees.load(tree), where)

    def walk(self, tree: str, path: str = "") -> Iterator[Found]:
        """Everything below a tree, each directory before what is in it; one directory at a time is in memory."""
        stack = [iter(self._below(tree, path))]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                continue
            yield found
            if found.node.type is NodeType.DIRECTORY and found.node.subtree:
                if len(stack) >= DEPTH_MAX:
                    self.damaged.append(Corrupt(where=found.path, reason="there are too many directories in it"))
                else:
                    stack.append(iter(self._below(found.node.subtree, found.path)))

    def at(self, snapshot: Snapshot, path: str) -> Found | None:
        """One path of a version, None if it is not there; "" is the root.  Corrupt if the way there is damaged."""
        root = Node("", NodeType.DIRECTORY, mode=0o755, subtree=snapshot.tree)
        found = Found("", root)
        for name in filter(None, path.split("/")):
            if not found.node.subtree:
                return None
            node = next((node for node in self.nodes(found.node.subtree) if node.name == name), None)
            if node is None:
                return None
            found = Found(_join(found.path, name), node)
        return found

    def find(self, snapshot: Snapshot, pattern: str) -> Iterator[Found]:
        """What bears a name, or lies at a path, that fits the pattern (*, ?, [...])."""
        for found in self.walk(snapshot.tree):
            subject = f"/{found.path}" if "/" in pattern else found.node.name
            if fnmatch.fnmatchcase(subject, pattern):
                yield found

    def history(self, snapshots: Iterable[Snapshot], path: str) -> Iterator[tuple[Snapshot, Node | None]]:
        """The versions in which a path changed, the oldest first; None where it was gone."""
        before: Node | None = None
        for snapshot in snapshots:
            found = self.at(snapshot, path)
            node = found.node if found else None
            if (node is None) != (before is None) or (node and before and _differ(before, node)):
                yield snapshot, node
            before = node

    def diff(self, before: str, after: str, path: str = "") -> Iterator[Change]:
        """What differs between two trees, in the order of paths; equal subtrees are not even read."""
        pairs = [iter(self._pairs(before, after, path))]
        while pairs:
            change = next(pairs[-1], None)
            if change is None:
                pairs.pop()
                continue
            if change.before is None or change.after is None or _differ(change.before, change.after):
                yield change
            old, new = _subtree(change.before), _subtree(change.after)
            if old != new:
                pairs.append(iter(self._pairs(old, new, change.path)))

    def _pairs(self, before: str, after: str, path: str) -> list[Change]:
        old = {found.node.name: found.node for found in self._below(before, path)} if before else {}
        new = {found.node.name: found.node for found in self._below(after, path)} if after else {}
        return [Change(_join(path, name), old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]

    def _below(self, tree: str, path: str) -> list[Found]:
        try:
            return [Found(_join(path, node.name), node) for node in self.nodes(tree)]
        except PeerError as error:
            self.damaged.append(error)
            return []


def choose(snapshots: Iterable[Snapshot], wanted: str, at_ns: int | None, where: str) -> Snapshot:
    """By id or its beginning, "latest", or the last one that was begun no later than `at_ns`; NoVersion."""
    ordered = sorted(snapshots, key=lambda snapshot: (snapshot.time_ns, snapshot.id))
    if at_ns is not None:
        ordered = [snapshot for snapshot in ordered if snapshot.time_ns <= at_ns]
    elif wanted != LATEST:
        fits = _HEX.fullmatch(wanted) is not None
        ordered = [snapshot for snapshot in ordered if fits and snapshot.id.startswith(wanted)]
        if len(ordered) > 1:
            raise NoVersion(wanted=f"{wanted}: it may be {', '.join(one.short for one in ordered)}", where=where)
    if not ordered:
        raise NoVersion(wanted=wanted, where=where)
    return ordered[-1]


def _content(node: Node) -> tuple[object, ...]:
    return (node.content, node.target, node.device, node.size)


def _differ(before: Node, after: Node) -> bool:
    if before.type is not after.type or _content(before) != _content(after):
        return True
    attributes = [(node.mode, node.uid, node.gid, node.xattrs, node.mtime_ns) for node in (before, after)]
    return attributes[0] != attributes[1]


def _subtree(node: Node | None) -> str:
    return node.subtree if node is not None else ""


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
