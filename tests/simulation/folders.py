"""Folders as values: what lies in them, and how to put it there again."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

PRIVATE = ".escale"


class Node(NamedTuple):
    """What a path is: "file", "directory" or "link"; the content or target; the permissions."""

    kind: str
    value: bytes
    mode: int


Tree = dict[str, Node]
"""Nodes by path."""


def read_tree(root: Path, *, private: bool = False) -> Tree:
    """All that is or should be synchronised; with `private` also what escale keeps there for itself."""
    found: Tree = {}
    _read(os.fspath(root), "", found)
    if private and os.path.isdir(f"{root}/{PRIVATE}"):
        found[PRIVATE] = Node("directory", b"", 0o755)
        _read(os.fspath(root), f"{PRIVATE}/", found)
    return found


def read_trash(root: Path) -> set[tuple[str, bytes]]:
    """Kinds and values of what lies in the trash."""
    found: Tree = {}
    trash = f"{root}/{PRIVATE}/trash"
    if os.path.isdir(trash):
        _read(trash, "", found)
    return {(node.kind, node.value) for node in found.values()}


def write_tree(root: Path, tree: Tree, times: dict[str, int]) -> None:
    """Make the folder hold exactly this, with these modification times (nanoseconds)."""
    shutil.rmtree(root, ignore_errors=True)
    os.mkdir(root)
    for path, node in sorted(tree.items()):
        full = f"{root}/{path}"
        if node.kind == "directory":
            os.mkdir(full, node.mode)
        elif node.kind == "link":
            os.symlink(node.value, full)
        else:
            write_file(full, node.value, node.mode, times[path])


def read_times(root: Path, tree: Tree) -> dict[str, int]:
    """Modification times of the files."""
    return {path: os.stat(f"{root}/{path}").st_mtime_ns for path, node in tree.items() if node.kind == "file"}


def write_file(full: str, content: bytes, mode: int, mtime_ns: int) -> None:
    """A new file, as editors make it: whoever keeps inode, size and time of another version deceives everybody."""
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    os.write(descriptor, content)
    os.fchmod(descriptor, mode)
    os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    os.close(descriptor)


def _read(root: str, prefix: str, found: Tree) -> None:
    with os.scandir(f"{root}/{prefix}") as items:
        for item in items:
            path = prefix + item.name
            status = item.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if path != PRIVATE:
                    found[path] = Node("directory", b"", status.st_mode & 0o777)
                    _read(root, f"{path}/", found)
            elif stat.S_ISLNK(status.st_mode):
                found[path] = Node("link", os.fsencode(os.readlink(item.path)), 0)
            else:
                found[path] = Node("file", _content(item.path, status.st_size), status.st_mode & 0o777)


def _content(full: str, size: int) -> bytes:
    descriptor = os.open(full, os.O_RDONLY)
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)
