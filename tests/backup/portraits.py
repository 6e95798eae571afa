"""Portraits: all that a version keeps of a folder, as values to compare, without a second copy of the folder."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Feature:
    """One path.  `content`: the digest of a file, the target of a link; `names`: every name of the same file."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    device: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    names: tuple[bytes, ...]


Portrait = Mapping[bytes, Feature]
"""By path below the top, in bytes."""


def portrait(top: Path) -> Portrait:
    """Of everything below."""
    root = os.fsencode(top)
    found = dict(_walk(root, b""))
    names: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    for path, status in found.items():
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            names[status.st_dev, status.st_ino].append(path)
    return {
        path: _feature(root + b"/" + path, status, tuple(sorted(names[status.st_dev, status.st_ino])))
        for path, status in found.items()
    }


def differences(wanted: Portrait, found: Portrait) -> list[str]:
    """In words; nothing if both are of the same folder."""
    said = [f"{os.fsdecode(path)} is missing" for path in wanted.keys() - found.keys()]
    said += [f"{os.fsdecode(path)} should not be there" for path in found.keys() - wanted.keys()]
    for path in wanted.keys() & found.keys():
        one, other = wanted[path], found[path]
        what = [name for name in Feature.__dataclass_fields__ if getattr(one, name) != getattr(other, name)]
        said += [f"{os.fsdecode(path)}: {name} {getattr(one, name)!r}, not {getattr(other, name)!r}" for name in what]
    return sorted(said)


def _walk(root: bytes, below: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(root + b"/" + below) as entries:
        for entry in entries:
            path = below + b"/" + entry.name if below else entry.name
            yield path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, path)


def _feature(path: bytes, status: os.stat_result, names: tuple[bytes, ...]) -> Feature:
    is_file, is_link = stat.S_ISREG(status.st_mode), stat.S_ISLNK(status.st_mode)
    is_device = stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)
    return Feature(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size if is_file else 0,
        device=status.st_rdev if is_device else 0,
        content=_digest(path) if is_file else os.readlink(path) if is_link else b"",
        xattrs=() if is_link else _xattrs(path),
        names=names,
    )


def _digest(path: bytes) -> bytes:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.digest()


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
