"""The file that tells a folder from the place where it should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from escale.errors import LocalError
from escale.files.tree import PRIVATE
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash

from .conftest import Home


def test_a_folder_is_marked_once_and_for_all(home: Home) -> None:
    assert not home.folder.is_marked()
    assert home.folder.identity() is None
    home.folder.mark("é \udcff")
    assert home.folder.is_marked()
    assert home.folder.identity() == "é \udcff"
    home.folder.mark("another")
    assert home.folder.identity() == "another"
    assert os.listdir(home.root / PRIVATE) == ["folder"]
    assert home.folder.scan().entries == {}


def test_an_empty_place_is_not_the_folder(home: Home) -> None:
    home.folder.mark("one")
    os.rename(home.root, str(home.root) + " unmounted")
    assert not home.folder.is_marked()
    os.mkdir(home.root)
    assert not home.folder.is_marked()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"identity": 1}', b"{}", b'"x"', b"[" * 65536, b'{"identity": "one"}' * 9999],
)
def test_a_damaged_marker_is_none(home: Home, content: bytes) -> None:
    home.write(f"{PRIVATE}/folder", content)
    assert not home.folder.is_marked()
    home.folder.mark("one")
    assert home.folder.identity() == "one"


@pytest.mark.parametrize("in_the_way", [PRIVATE, f"{PRIVATE}/folder", f"{PRIVATE}/folder.new"])
def test_a_marker_is_neither_read_nor_written_through_a_link(home: Home, tmp_path: Path, in_the_way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "folder").write_text('{"identity": "theirs"}')
    if in_the_way != PRIVATE:
        os.mkdir(home.full(PRIVATE))
    os.symlink(outside if in_the_way == PRIVATE else outside / "folder", home.full(in_the_way))
    if in_the_way.endswith("new"):
        with pytest.raises(LocalError):
            home.folder.mark("ours")
    else:
        with pytest.raises(LocalError):
            home.folder.identity()
    assert (outside / "folder").read_text() == '{"identity": "theirs"}'


def test_a_crash_leaves_the_old_marker_or_the_new_one(home: Home) -> None:
    home.folder.mark("old")
    number = 0
    while True:
        try:
            with DiskHook(CrashAt(number)):
                home.folder.mark("new")
            break
        except Crash:
            assert home.folder.identity() == "old"
            number += 1
    assert number >= 3
    assert home.folder.identity() == "new"
