"""Attributes: what a node records is given to a file, what cannot be given is told, and nobody gets more rights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from escale.backup.attributes import make_special, set_attributes, set_link_attributes
from escale.backup.node import Node, NodeType

from .versions_made import TIME_NS, node

IS_ROOT = os.geteuid() == 0


def given(path: Path, found: Node) -> list[str]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return set_attributes(descriptor, found)
    finally:
        os.close(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize("mode", [0, 0o400, 0o644, 0o7777, 0o4711])
@pytest.mark.parametrize("ns", [0, -1, TIME_NS, -(2**31) * 10**9, 2**63 - 1])
def test_permissions_and_times(file, mode, ns):
    assert given(file, node("x", NodeType.FILE, mode=mode, mtime_ns=ns, atime_ns=5)) == []
    status = file.stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns, status.st_atime_ns) == (mode, ns, 5)


def test_extended_attributes(file):
    xattrs = (("user.a", b""), ("user.b", b"\0\xff" * 50), ("user.\udcff", b"c"), ("user.é", b"d"))
    assert given(file, node("x", NodeType.FILE, xattrs=xattrs)) == []
    assert {name: os.getxattr(file, name) for name in os.listxattr(file)} == dict(xattrs)


def test_what_cannot_be_given_is_told_and_the_rest_is(file):
    xattrs = (("nonsense", b"x"), ("user.a", b"a"), ("user." + "x" * 300, b"x"))
    told = given(file, node("x", NodeType.FILE, mode=0o600, xattrs=xattrs))
    assert [words.partition(":")[0] for words in told] == ["attribute nonsense", f"attribute user.{'x' * 300}"]
    assert os.getxattr(file, "user.a") == b"a"
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o600, TIME_NS)


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
@pytest.mark.parametrize("mode", [0o6755, 0o4700, 0o755])
def test_an_owner_and_the_bits_that_changing_him_takes_away(file, mode):
    assert given(file, node("x", NodeType.FILE, mode=mode, uid=12345, gid=54321)) == []
    status = file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12345, 54321, mode)


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_set_id_bits_of_an_owner_that_cannot_be_given_are_not_given(file, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(os, "fchown", refuse)
    told = given(file, node("x", NodeType.FILE, mode=0o6755, uid=12345, gid=0))
    assert [words.partition(":")[0] for words in told] == ["owner", "permissions"]
    assert file.stat().st_mode & 0o7777 == 0o2755


def test_directories_keep_their_bits(tmp_path):
    (tmp_path / "d").mkdir()
    assert given(tmp_path / "d", node("d", NodeType.DIRECTORY, mode=0o3775, mtime_ns=7)) == []
    assert ((tmp_path / "d").stat().st_mode & 0o7777, (tmp_path / "d").stat().st_mtime_ns) == (0o3775, 7)


def test_a_link_gets_its_own_attributes_not_those_of_its_target(tmp_path, file):
    before = file.stat()
    parent = os.open(tmp_path, os.O_RDONLY)
    link = node("link", NodeType.LINK, mode=0o777, target="file", mtime_ns=3, atime_ns=4)
    make_special(parent, b"link", link)
    assert set_link_attributes(parent, b"link", link) == []
    os.close(parent)
    assert (tmp_path / "link").lstat().st_mtime_ns == 3
    assert (file.stat().st_mtime_ns, file.stat().st_mode) == (before.st_mtime_ns, before.st_mode)


@pytest.mark.parametrize("kind", [NodeType.LINK, NodeType.FIFO])
def test_extended_attributes_of_what_cannot_be_opened_are_given_or_told(tmp_path, file, kind):
    """Linux takes those of users for files and directories only, and others from root; what it leads to gets none."""
    parent = os.open(tmp_path, os.O_RDONLY)
    xattrs = (("trusted.a", b"\0\xff"), ("user.b", b"b"))
    made = node("made", kind, mode=0o777, target="file" if kind is NodeType.LINK else "", xattrs=xattrs, mtime_ns=3)
    make_special(parent, b"made", made)
    told = set_link_attributes(parent, b"made", made)
    os.close(parent)
    names = os.listxattr(tmp_path / "made", follow_symlinks=False)
    assert names == (["trusted.a"] if IS_ROOT else [])
    assert [words.partition(":")[0] for words in told] == [f"attribute {n}" for n, _ in xattrs if n not in names]
    assert not os.listxattr(file) and (tmp_path / "made").lstat().st_mtime_ns == 3
    if names:
        assert os.getxattr(tmp_path / "made", "trusted.a", follow_symlinks=False) == b"\0\xff"


@pytest.mark.parametrize("kind", [NodeType.FIFO, NodeType.SOCKET])
def test_what_anybody_may_make(tmp_path, kind):
    parent = os.open(tmp_path, os.O_RDONLY)
    special = node("special", kind, mode=0o604, mtime_ns=3)
    make_special(parent, b"special", special)
    assert set_link_attributes(parent, b"special", special) == []
    os.close(parent)
    status = (tmp_path / "special").lstat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o604, 3)
