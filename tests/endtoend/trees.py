"""Trees: everything a folder holds as values, and the few steps of the file system that cannot tear.

A test that writes while the program is at work must know what it has replaced.  So it prepares elsewhere and exchanges
in one step: whatever lay there then is in its hands.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PRIVATE = ".escale"
NO_REPLACE, EXCHANGE = 1, 2
_AT_FDCWD = -100


@dataclass(frozen=True, slots=True)
class Node:
    """One path: `content` of a file, or the target of a link; the mode of a file or a directory."""

    kind: str
    content: bytes = b""
    mode: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.mode:o} {len(self.content)} {self.content[:60]!r}"


Tree = dict[str, Node]


def directory(mode: int) -> Node:
    """A directory as a value."""
    return Node("directory", b"", mode)


def node(path: Path) -> Node | None:
    """What lies there; None for nothing."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return Node("link", os.readlink(os.fsencode(path)))
        mode = stat.S_IMODE(status.st_mode)
        return directory(mode) if stat.S_ISDIR(status.st_mode) else Node("file", path.read_bytes(), mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def tree(folder: Path) -> Tree:
    """Everything below the folder, what the program keeps there for itself aside; what vanishes meanwhile is not."""
    found: Tree = {}
    for place, directories, leaves in os.walk(folder):
        if place == str(folder) and PRIVATE in directories:
            directories.remove(PRIVATE)
        for name in (*directories, *leaves):
            path = Path(place, name)
            if (seen := node(path)) is not None:
                found[str(path.relative_to(folder))] = seen
    return found


def difference(one: Tree, other: Tree) -> list[str]:
    """What is not the same, a line for each path."""
    return [
        f"{path!r}: {one.get(path)} / {other.get(path)}"
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path)
    ]


def move(source: Path, target: Path, flag: int = NO_REPLACE) -> None:
    """Rename in one step that destroys nothing: FileExistsError if something is there, or exchange the two."""
    if _renameat2()(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source), None, str(target))


def put(prepared: Path, target: Path) -> bool:
    """Bring what is prepared to its place; whether `prepared` is now what lay there before."""
    while True:
        try:
            move(prepared, target)
            return False
        except FileExistsError:
            pass
        try:
            move(prepared, target, EXCHANGE)
            return True
        except OSError as error:
            if error.errno != errno.ENOENT or not target.parent.is_dir():
                raise


@functools.cache
def _renameat2() -> Callable[..., int]:
    function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)  # type: ignore[attr-defined]
    return function
