"""What is saved: copies of what machines hold, or many small files; and how it changes before the second version."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .data import MEBIBYTE

PAGES_PER_MIB = 1.5
"""Pages of the database that are written to: in a mebibyte.  With many times as many every chunk is a new one."""

PAGE = 4096


def make_mixed(folder: Path, sources: Sequence[str], database_mib: int) -> None:
    """Copies of these directories, and a file that is like a database."""
    for number, source in enumerate(sources):
        subprocess.run(["cp", "-a", source, str(folder / str(number))], check=False, stderr=subprocess.DEVNULL)
    rng = random.Random(3)
    with open(folder / "database", "wb") as file:
        for _ in range(database_mib * 4):
            file.write(rng.randbytes(MEBIBYTE // 11).hex().encode().ljust(MEBIBYTE // 4, b"."))


def edit(folder: Path) -> None:
    """One file of a hundred gets another line in its middle; pages of the database another content."""
    rng = random.Random(4)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in rng.sample(files, len(files) // 100):
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + b"one line more\n" + content[middle:])
    database = folder / "database"
    if database.exists():
        with open(database, "r+b") as file:
            for _ in range(round(database.stat().st_size / MEBIBYTE * PAGES_PER_MIB)):
                file.seek(rng.randrange(database.stat().st_size // PAGE) * PAGE)
                file.write(rng.randbytes(PAGE // 2).hex().encode())
