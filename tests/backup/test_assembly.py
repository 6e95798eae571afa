"""Assembly: a file has its name when it is whole, whatever the order of its pieces; nothing is taken from others."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from escale.backup.assembly import SMALL_BYTES, Assembly, place, place_link, place_special
from escale.backup.node import NodeType
from escale.files import exchange
from escale.files.directories import Directories

from .versions_made import TIME_NS, names, node

SIZES = [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 1_000_000]


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Directories]:
    (tmp_path / "sub").mkdir()
    with Directories(tmp_path) as found:
        yield found


def assembly(size: int, name: bytes = b"file") -> Assembly:
    path = f"sub/{os.fsdecode(name)}"
    return Assembly(path, "sub", name, node("file", NodeType.FILE, mode=0o640, size=size), b".part-1")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sync", [False, True])
def test_pieces_of_any_order_make_a_file(directories, tmp_path, size, sync):
    content = random.Random(size).randbytes(size)
    file = assembly(size)
    file.begin(directories)
    starts = [*range(0, size, 99_999)]
    random.Random(1).shuffle(starts)
    for start in starts:
        file.write(directories, start, content[start : start + 99_999], sync=sync)
    file.finish(directories, sync=sync)
    assert (file.failures, file.is_durable) == ([], sync)
    assert not (tmp_path / "sub/file").exists()
    assert file.place(directories.open("sub"), replace=False)
    file.give_up(directories)
    assert names(tmp_path) == ["sub", "sub/file"]
    status = (tmp_path / "sub/file").stat()
    assert (tmp_path / "sub/file").read_bytes() == content
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, TIME_NS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_finished", [False, True])
def test_what_is_given_up_leaves_nothing(directories, tmp_path, size, is_finished):
    file = assembly(size)
    file.begin(directories)
    file.write(directories, 0, b"x" * min(size, 10), sync=False)
    if is_finished:
        file.finish(directories, sync=False)
    for _ in range(2):
        file.give_up(directories)
        assert names(tmp_path) == ["sub"]


def test_giving_up_where_the_directory_went_away(directories, tmp_path):
    file = assembly(1_000_000)
    file.begin(directories)
    directories.open("")
    os.rename(tmp_path / "sub", tmp_path / "elsewhere")
    file.give_up(directories)
    assert names(tmp_path)[0] == "elsewhere" and not (tmp_path / "sub").exists(), "nothing is made anew to remove it"


def test_zeros_take_no_room_in_a_large_file(directories, tmp_path):
    file = assembly(64 << 20)
    file.begin(directories)
    for start in range(0, 64 << 20, 8 << 20):
        file.write(directories, start, bytes(8 << 20), sync=False)
    file.write(directories, 5 << 20, b"an island", sync=False)
    file.finish(directories, sync=True)
    file.place(directories.open("sub"), replace=False)
    status = (tmp_path / "sub/file").stat()
    assert status.st_size == 64 << 20 and status.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("size", [5, 1_000_000])
def test_a_name_that_is_taken(directories, tmp_path, size):
    (tmp_path / "sub/file").write_bytes(b"mine")
    for replace, expected in ((False, b"mine"), (True, b"x" * size)):
        file = assembly(size)
        file.begin(directories)
        file.write(directories, 0, b"x" * size, sync=False)
        file.finish(directories, sync=False)
        assert file.place(directories.open("sub"), replace=replace) is replace
        file.give_up(directories)
        assert (tmp_path / "sub/file").read_bytes() == expected
        assert names(tmp_path) == ["sub", "sub/file"]


@pytest.mark.parametrize("is_taken", [False, True])
def test_where_there_are_no_hard_links(directories, tmp_path, monkeypatch, is_taken):
    def refuse(*names: object, **more: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(exchange, "renameat2", lambda: None)
    (tmp_path / "sub/temporary").write_bytes(b"new")
    if is_taken:
        (tmp_path / "sub/file").write_bytes(b"mine")
    assert place(directories.open("sub"), b"temporary", b"file", replace=False) is not is_taken
    assert (tmp_path / "sub/file").read_bytes() == (b"mine" if is_taken else b"new")


def test_one_more_name(directories, tmp_path):
    (tmp_path / "first").write_bytes(b"first")
    (tmp_path / "sub/taken").write_bytes(b"mine")
    source, parent = directories.open(""), os.open(tmp_path / "sub", os.O_RDONLY)
    assert place_link(source, b"first", parent, b"second", replace=False)
    assert not place_link(source, b"first", parent, b"taken", replace=False)
    assert (tmp_path / "sub/taken").read_bytes() == b"mine"
    for _ in range(2):
        assert place_link(source, b"first", parent, b"taken", replace=True)
    os.close(parent)
    assert (tmp_path / "first").stat().st_nlink == 3
    assert names(tmp_path) == ["first", "sub", "sub/second", "sub/taken"]


def test_a_link_in_a_place_that_is_taken(directories, tmp_path):
    (tmp_path / "sub/link").write_bytes(b"mine")
    link = node("link", NodeType.LINK, target="\udcff/x")
    parent = directories.open("sub")
    assert place_special(parent, b"link", link, replace=False) is None
    assert (tmp_path / "sub/link").read_bytes() == b"mine"
    assert place_special(parent, b"link", link, replace=True) == []
    assert os.readlink(tmp_path / "sub/link") == "\udcff/x"
    assert names(tmp_path) == ["sub", "sub/link"]


def test_a_link_that_cannot_be_made_leaves_what_is_there(directories, tmp_path):
    (tmp_path / "sub/link").write_bytes(b"mine")
    with pytest.raises(OSError, match="too long"):
        place_special(directories.open("sub"), b"link", node("l", NodeType.LINK, target="x" * 5000), replace=True)
    assert (tmp_path / "sub/link").read_bytes() == b"mine"
    assert names(tmp_path) == ["sub", "sub/link"]
