"""Repositories that never change: as restic 0.19.1, restic 0.14.0 and the first escale wrote them, of one folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cache
from pathlib import Path

from escale.backup.catalog import Catalog
from escale.backup.cipher import MasterKey
from escale.backup.config import Config
from escale.backup.node import Node, NodeType
from escale.backup.objects import Objects
from escale.backup.repository import Repository
from escale.store.directory import DirectoryStore

from .conftest import PASSWORD

HERE = Path(__file__).parent / "golden"
NAMES = ("restic-0.19.1", "restic-0.14.0", "escale-1")
TEXT = b"words and words, " * 64
CONTENTS = {'dir/na\udcffme\n"q"': b"x", "empty": b"", "file": b"hello\n", "second": b"hello\n", "text": TEXT}

_SECOND = 10**9
_AT = 1_700_000_000 * _SECOND


def _stamp(number: int) -> int:
    return _AT + number * (_SECOND + 1000)


F, D, L = NodeType.FILE, NodeType.DIRECTORY, NodeType.LINK
EXPECTED: dict[str, tuple[NodeType, int, int, int, int, int, str, int]] = {
    "dir": (D, 0o1777, 7, 0, 0, 0, "", 0),
    'dir/na\udcffme\n"q"': (F, 0o644, 5, 0, 0, 1, "", 0),
    "empty": (F, 0o644, -1, 0, 0, 0, "", 0),
    "file": (F, 0o644, _stamp(8), 0, 0, 6, "", 0),
    "link": (L, 0o777, _stamp(3), 0, 0, 0, "text", 0),
    "loop": (NodeType.BLOCK_DEVICE, 0o644, _stamp(4), 0, 0, 0, "", os.makedev(7, 300)),
    "null": (NodeType.CHARACTER_DEVICE, 0o644, _stamp(5), 0, 0, 0, "", os.makedev(1, 3)),
    "odd": (L, 0o777, _stamp(6), 0, 0, 0, "\udcff/no", 0),
    "pipe": (NodeType.FIFO, 0o644, _stamp(7), 0, 0, 0, "", 0),
    "second": (F, 0o644, _stamp(8), 0, 0, 6, "", 0),
    "text": (F, 0o4755, _stamp(10), 1000, 1001, 1088, "", 0),
}
"""Type, mode, time, owner, group, size, target, device by path below the folder."""


def told(node: Node) -> tuple[object, ...]:
    """The same of a node."""
    return (node.type, node.mode, node.mtime_ns, node.uid, node.gid, node.size, node.target, node.device)


def content_ids(path: str) -> tuple[str, ...]:
    """The blobs of a file: one, or none."""
    content = CONTENTS[path]
    return (hashlib.sha256(content).hexdigest(),) if content else ()


def copied(name: str, to: Path) -> Path:
    """A copy, to be changed."""
    shutil.copytree(HERE / name, to)
    return to


def opened(directory: Path, password: str = PASSWORD, catalogs: Path | None = None) -> Repository:
    """A repository in a directory, with all its index files read."""
    repository = Repository.open(lambda: DirectoryStore(directory), password, catalogs)
    assert repository.refresh() == []
    return repository


@cache
def master(name: str) -> MasterKey:
    """The key of a golden repository; to derive it from the password takes half a second each time."""
    return Repository.open(lambda: DirectoryStore(HERE / name), PASSWORD, None).master


def unlocked(directory: Path, name: str, catalogs: Path | None = None) -> Repository:
    """A copy of that golden repository, by somebody who has the key already."""
    objects = Objects(DirectoryStore(directory))
    config = Config.decode(master(name).open(objects.read_config(), "config"), "config")
    path = None if catalogs is None else catalogs / f"{name}.catalog"
    return Repository(objects, master(name), config, Catalog(path), lambda: DirectoryStore(directory))


def one_of(name: str, kind: str) -> Path:
    """The only object of a kind."""
    (found,) = (HERE / name / kind).iterdir()
    return found
