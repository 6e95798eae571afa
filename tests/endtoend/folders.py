"""Folders: made from a seed, changed, and looked at byte by byte."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from dataclasses import dataclass
from pathlib import Path

PRIVATE = b".escale"

AWKWARD = (
    b"with spaces .txt ",
    b" leading",
    b"line\nfeed",
    b"tab\tand\rreturn",
    b"latin1-\xe9\xff\xfe.bin",
    b"\x01control\x1b[31m",
    b"x" * 255,
    "ü".encode() * 127,
    "日本語 🙂.txt".encode(),
    "é".encode(),  # the same letter composed ...
    "e\u0301".encode(),  # ... and decomposed: two files
    b"-rf",
    b"--once",
    b"a'b\"c`d$e;f&g|h",
    b"back\\slash",
    b"question?star*[x]",
    b"#hash",
    b"per%cent%20",
    b"con.",
    b".hidden",
    b"~tilde~",
    b"Case",
    b"case",
    b"notes.conflict-bob-20200101-000000.txt",
    b"name.lock",
    b"0.index.0000000001-0123456789abcdef",
)
"""Names that a file may have here and that some program somewhere trips over; all may stand in one directory."""


@dataclass(frozen=True, slots=True)
class State:
    """One file as it lies there; `mtime_ns` as the file system tells it, `mode` without the type."""

    digest: str
    size: int
    mtime_ns: int
    mode: int


Files = dict[bytes, State]


def files(folder: Path) -> Files:
    """Every file below the folder by its path in bytes, what the program keeps there for itself aside."""
    root = os.fsencode(folder)
    found: Files = {}
    for directory, names, leaves in os.walk(root):
        if directory == root and PRIVATE in names:
            names.remove(PRIVATE)
        for leaf in leaves:
            path = os.path.join(directory, leaf)
            found[os.path.relpath(path, root)] = _state(path)
    return found


def contents(folder: Path) -> dict[bytes, bytes]:
    """Path and content of small folders, where the test says what it expects."""
    return {path: (folder / os.fsdecode(path)).read_bytes() for path in files(folder)}


def write(folder: Path, path: bytes | str, content: bytes | str, mtime_s: int | None = None) -> Path:
    """Write one file; its time is now, or Unix second `mtime_s`."""
    target = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(path))))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    if mtime_s is not None:
        os.utime(target, ns=(mtime_s * 10**9 + 123_456_789, mtime_s * 10**9 + 123_456_789))
    return target


def fill(folder: Path, seed: str, count: int, size_mean: int) -> None:
    """`count` files around `size_mean` bytes in some directories; half of them compress well.  Same seed, same bytes.

    Files that exist are written anew, so another seed is an edit of everything.
    """
    rng = random.Random(seed)
    for number in range(count):
        size = rng.randrange(size_mean * 2)
        content = rng.randbytes(size) if number % 2 else (b"%d %d\n" % (number, rng.getrandbits(32))) * (size // 12)
        target = write(folder, f"d{number % 7}/e{number % 3}/{number}", content, 1_700_000_000 + rng.randrange(10**7))
        target.chmod(0o755 if number % 10 == 0 else 0o644)


def fill_awkward(folder: Path) -> None:
    """A file for each awkward name, a directory for most, an empty file and a deep path."""
    for number, name in enumerate(AWKWARD):
        write(folder, name, b"%d: " % number + name, 1_600_000_000 + number)
        if len(name) < 200:
            write(folder, b"below/" + name + b".d/" + name, name, 1_600_100_000 + number)
    write(folder, "empty", b"")
    write(folder, "/".join(["deep"] * 40) + "/file", b"forty levels down")


def difference(one: Files, other: Files) -> str:
    """What is not the same, in words; empty if nothing."""
    told = []
    for path in sorted({*one, *other}):
        if one.get(path) != other.get(path):
            told.append(f"{path!r}: {one.get(path)} / {other.get(path)}")
    return "\n".join(told[:10]) + (f"\n... {len(told)} in all" if len(told) > 10 else "")


def _state(path: bytes) -> State:
    status = os.lstat(path)
    assert stat.S_ISREG(status.st_mode), f"{path!r} is not a regular file"
    with open(path, "rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return State(digest, status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode))
