"""Versions made by hand, without a folder: any nodes, also those that no folder could give; and bringing them back."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from escale.backup.fetch import Fetch
from escale.backup.node import Node, NodeType
from escale.backup.pack import BlobKind
from escale.backup.repository import Repository
from escale.backup.restore import Restore, Restored
from escale.backup.tree import encode_node
from escale.backup.versions import Found, Versions
from escale.backup.writer import Writer

from .places import Place

TIME_NS = 1_700_000_000_123_456_789


class Maker:
    """Stores blobs and trees into a place; `close` makes them durable."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._repository = place.repository()
        self._writer = Writer(self._repository, 1, 1)

    def file(self, name: str, *parts: bytes, **more: Any) -> Node:
        """A file of these parts, each a blob."""
        content = tuple(self._writer.add(BlobKind.DATA, part) for part in parts)
        size = more.pop("size", sum(map(len, parts)))
        return node(name, NodeType.FILE, content=content, size=size, **more)

    def directory(self, name: str, *nodes: Node, **more: Any) -> Node:
        """A directory of these nodes."""
        return node(name, NodeType.DIRECTORY, subtree=self.tree(nodes), **{"mode": 0o755, **more})

    def tree(self, nodes: Iterable[Node]) -> str:
        """The id of a tree."""
        return self._writer.add(BlobKind.TREE, encode_tree(nodes))

    def raw_tree(self, text: bytes) -> str:
        """The id of what is said to be a tree."""
        return self._writer.add(BlobKind.TREE, text)

    def close(self) -> None:
        """All of it is durable."""
        self._writer.flush()
        self._writer.close()


def encode_tree(nodes: Iterable[Node]) -> bytes:
    """A whole directory, sorted by the bytes of the names; saving makes it piece by piece."""
    ordered = sorted(nodes, key=lambda node: os.fsencode(node.name))
    return f'{{"nodes":[{",".join(map(encode_node, ordered))}]}}\n'.encode()


def node(name: str, kind: NodeType, **more: Any) -> Node:
    """A node of ours: the owner is who runs the test."""
    mine: dict[str, Any] = {"mode": 0o644, "mtime_ns": TIME_NS, "atime_ns": TIME_NS, "uid": os.getuid()}
    return Node(name=name, type=kind, **{**mine, "gid": os.getgid(), "links": 1, **more})


def opened(place: Place) -> Repository:
    """By somebody else, who has read all index files."""
    repository = place.repository()
    assert repository.refresh() == []
    return repository


def restored(place: Place, tree: str, target: Path, *paths: str, **more: Any) -> Restored:
    """Everything below a tree, or only these paths and what is in them."""
    repository = opened(place)
    target.mkdir(exist_ok=True)
    versions = Versions(repository)
    with Fetch(repository, 2) as fetch:
        found = (one for one in versions.walk(tree) if not paths or _is_in(one, paths))
        done = Restore(repository, target, fetch, **more).run(found)
    assert not versions.damaged
    return done


def _is_in(found: Found, paths: Iterable[str]) -> bool:
    return any(found.path == path or found.path.startswith(f"{path}/") for path in paths)


def names(directory: Path) -> list[str]:
    """Everything there is below, also what only we would call temporary."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def described(path: Path) -> tuple[object, ...]:
    """What a restored file must agree in with what was saved."""
    status = os.lstat(path)
    content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    xattrs = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path, follow_symlinks=False)))
    kind = stat.S_IFMT(status.st_mode)
    size = status.st_size if kind == stat.S_IFREG else 0
    mine = (kind, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, size)
    return (*mine, content, xattrs)


def linked(first: Node, *names: str) -> list[Node]:
    """The names of one file."""
    one = replace(first, links=len(names), inode=99, device_id=5)
    return [replace(one, name=name) for name in names]
