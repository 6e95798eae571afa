"""The data: the same bytes and times at every call with the same arguments, whatever the machine."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from itertools import accumulate
from pathlib import Path

SEED = 7
TIME = 1_700_000_000
"""Modification time of the first file; each further one is a second younger."""

EDIT_TIME = TIME + 10_000_000

IGNORED = ".escale"
"""Where our client keeps what is its own, inside the folder."""

MEBIBYTE = 1024 * 1024
WORDS = 60_000

SDIST = ("grpcio", "1.76.0")
"""A source tree of 5 296 files and 78 MB: C, C++ and Python, a few files of a megabyte, most of some kilobytes."""


def make_small(folder: Path, files: int = 10_000, folders: int = 200) -> None:
    """Files of 1 to 8 KiB which compress like source text, to four tenths of their size."""
    rng = random.Random(SEED)
    vocabulary = ["".join(rng.choices("aeioubcdfghklmnprstvw_", k=rng.randint(2, 14))) for _ in range(WORDS)]
    vocabulary[::9] = [f"{word}\n   " for word in vocabulary[::9]]
    # Some words are everywhere and most are rare, as in any text.
    weights = list(accumulate(1 / (rank + 2000) for rank in range(WORDS)))
    for number in range(files):
        size = rng.randint(1024, 8 * 1024)
        text = " ".join(rng.choices(vocabulary, cum_weights=weights, k=size // 7))
        _write(folder / f"folder-{number % folders:03}" / f"file-{number:05}.txt", text.encode()[:size], TIME + number)


def make_big(folder: Path, size: int = 512 * MEBIBYTE) -> None:
    """One file that does not compress."""
    rng = random.Random(SEED)
    path = folder / "big.bin"
    with open(path, "wb") as file:
        for begin in range(0, size, MEBIBYTE):
            file.write(rng.randbytes(min(MEBIBYTE, size - begin)))
    os.utime(path, (TIME, TIME))


def make_pages(folder: Path, pages: int = 50) -> None:
    """So many directories with two small files each: with `index = topdir` every one is a page."""
    for number in range(2 * pages):
        _write(folder / f"page-{number % pages:02}" / f"file-{number}.txt", b"page\n" * number, TIME + number)


def make_tree(folder: Path) -> None:
    """A real source tree from the package index, which must be reachable at the first call."""
    name, version = SDIST
    archive = Path(tempfile.gettempdir()) / f"escale-benchmarks-{os.getuid()}" / f"{name}-{version}.tar.gz"
    if not archive.exists():
        where = ["--dest", str(archive.parent), "--no-deps", "--no-binary", ":all:"]
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", *where, f"{name}=={version}"], check=True)
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")


def edit(folder: Path, share: float = 0.01) -> int:
    """Change so many of the files, at least one: a line inserted in the middle.  Returns how many."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and IGNORED not in path.parts)
    chosen = random.Random(SEED).sample(paths, max(1, int(len(paths) * share)))
    for number, path in enumerate(chosen):
        old = path.read_bytes()
        middle = len(old) // 2
        _write(path, old[:middle] + b"\nedited %d\n" % number + old[middle:], EDIT_TIME + number)
    return len(chosen)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path in the folder: what has to be equal at both ends."""
    result = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if relative.parts[0] != IGNORED and path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                result[str(relative)] = hashlib.file_digest(file, "sha256").hexdigest()
    return result


def _write(path: Path, content: bytes, time: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time, time))
