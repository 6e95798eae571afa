"""Generations of a small folder, by us and by restic; `generations.py` does the same with a large one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from .conftest import Restic
from .generations import run
from .portraits import differences, portrait


def lay_out(source: Path, rng: random.Random, files: int = 200) -> None:
    """Small files, a large one, a sparse one, and one of each kind that is no file."""
    for number in range(files):
        path = source / f"directory {number % 20}" / f"{number % 3}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(20_000)))
    (source / "large").write_bytes(rng.randbytes(4 << 20))
    with open(source / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"an island")
        file.truncate(5 << 20)
    os.mkfifo(source / "pipe")
    os.symlink("nowhere", source / "link")
    if os.geteuid() == 0:
        os.mknod(source / "device", 0o60640, os.makedev(7, 300))
        os.lchown(source / "link", 12345, 54321)


@pytest.mark.parametrize("seed", [1])
def test_every_generation_comes_back_by_us_and_by_restic(tmp_path: Path, restic: Restic, seed: int) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "work").mkdir()
    lay_out(tmp_path / "source", random.Random(seed))
    said: list[str] = []
    course = run(tmp_path / "source", tmp_path / "work", 5, seed, [restic], said.append)
    kinds = [line.partition(" ")[0] for line in said]
    assert len(course.versions) == 5
    assert kinds.count("pruned") == 2 and kinds.count("generation") == 5 + 2 * 5 + 1 + 2 * 2 * 2 + 5


def test_a_portrait_shows_every_difference(tmp_path: Path) -> None:
    """Otherwise nothing that is compared by it would be proven."""
    top = tmp_path / "top"
    (top / "below").mkdir(parents=True)
    file, link = top / "below" / "file", top / "link"
    file.write_bytes(b"12")
    link.symlink_to("below")
    before = portrait(top)
    assert differences(before, portrait(top)) == [] and len(before) == 3
    time_ns = file.stat().st_mtime_ns

    def retold(name: str, *paths: str) -> None:
        nonlocal before
        now = portrait(top)
        assert {line.partition(":")[0] for line in differences(before, now) if f": {name} " in line} == {*paths}
        before = now

    file.write_bytes(b"21")
    os.utime(file, ns=(0, time_ns))
    retold("content", "below/file")
    os.utime(file, ns=(0, time_ns + 1))
    retold("mtime_ns", "below/file")
    file.chmod(0o604)
    retold("mode", "below/file")
    os.setxattr(file, "user.x", b"\0")
    retold("xattrs", "below/file")
    os.link(file, top / "below" / "other")
    retold("names", "below/file")
    link.unlink()
    link.symlink_to("elsewhere")
    retold("content", "link")
    os.utime(top / "below", ns=(0, 5))
    retold("mtime_ns", "below")
    (top / "below" / "other").unlink()
    assert "below/other is missing" in differences(before, portrait(top))
