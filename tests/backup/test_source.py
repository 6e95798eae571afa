"""Source: nodes tell what stat tells; contents come whole, without reading holes."""

from __future__ import annotations

import io
import os
import socket
import stat

import pytest

from escale.backup.chunks import Chunker
from escale.backup.node import NodeType
from escale.backup.source import Look, SourceFile


def node_of(path, place=None):
    return Look().node(path.name, os.lstat(path), str(path) if place is None else place)


def test_a_node_tells_what_stat_tells(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.chmod(path, 0o4751)
    os.utime(path, ns=(5, 1_234_567_890_123_456_789))
    node, status = node_of(path), os.lstat(path)
    assert (node.type, node.mode, node.mtime_ns) == (NodeType.FILE, 0o4751, 1_234_567_890_123_456_789)
    assert (node.ctime_ns, node.inode, node.links) == (status.st_ctime_ns, status.st_ino, 1)
    assert (node.uid, node.gid) == (status.st_uid, status.st_gid)
    assert node.atime_ns == node.mtime_ns
    assert node.device_id == 0


def test_names_of_one_file_are_known_by_its_device(tmp_path):
    (tmp_path / "one").write_bytes(b"")
    os.link(tmp_path / "one", tmp_path / "other")
    nodes = [node_of(tmp_path / name) for name in ("one", "other")]
    assert len({(node.inode, node.device_id, node.links) for node in nodes}) == 1
    assert nodes[0].links == 2
    assert nodes[0].device_id


def test_special_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert node_of(tmp_path / "fifo").type is NodeType.FIFO
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "socket"))
    assert node_of(tmp_path / "socket").type is NodeType.SOCKET
    null = Look().node("null", os.lstat("/dev/null"), "/dev/null")
    assert (null.type, null.device) == (NodeType.CHARACTER_DEVICE, os.makedev(1, 3))


def test_extended_attributes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    try:
        os.setxattr(path, "user.b", b"\0\xff")
    except OSError:
        pytest.skip("NOT TESTED: no extended attributes on this file system")
    os.setxattr(path, "user.a", b"")
    assert node_of(path).xattrs == (("user.a", b""), ("user.b", b"\0\xff"))
    descriptor = os.open(path, os.O_RDONLY)
    assert node_of(path, descriptor).xattrs == node_of(path).xattrs
    os.close(descriptor)


def test_users_without_a_name():
    assert Look().user(4_000_000_123) == ""


def read(path):
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        with SourceFile(parent, path.name, os.stat(path)) as source:
            whole, content = source.whole(), bytearray()
            source.again()
            stream, buffer = source.content(), bytearray(1 << 20)
            while count := stream.readinto(memoryview(buffer)):
                content += buffer[:count]
            assert source.is_unchanged()
            assert whole == content
            return whole
    finally:
        os.close(parent)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_content(tmp_path, size):
    (tmp_path / "file").write_bytes(os.urandom(size))
    assert read(tmp_path / "file") == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("pieces", [[], [0], [5 << 20], [(9 << 20) - 3], [1 << 20, 3 << 20]])
def test_holes_are_zeros(tmp_path, pieces):
    path = tmp_path / "file"
    with open(path, "wb") as file:
        for place in pieces:
            file.seek(place)
            file.write(b"abc")
        file.truncate(9 << 20)
    assert os.stat(path).st_blocks * 512 < 9 << 20
    assert read(path) == path.read_bytes()


def test_an_edit_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    parent = os.open(tmp_path, os.O_RDONLY)
    with SourceFile(parent, "file", os.stat(path)) as source:
        assert source.is_unchanged()
        path.write_bytes(b"after that")
        assert not source.is_unchanged()
        source.again()
        assert source.is_unchanged()
        assert source.whole() == b"after that"
    os.close(parent)


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.symlink("/etc/passwd", tmp_path / "link")
    parent = os.open(tmp_path, os.O_RDONLY)
    for name in ("fifo", "link", "nothing"):
        with pytest.raises(OSError), SourceFile(parent, name, os.lstat(tmp_path)) as source:
            assert not source.is_unchanged()
            source.again()
    os.close(parent)
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


@pytest.mark.parametrize("pieces", [[], [0], [5 << 20], [(9 << 20) - 3], [1 << 20, 3 << 20, 8 << 20], [100, 7_777_777]])
def test_files_with_holes_are_cut_as_if_they_had_none(tmp_path, pieces):
    path = tmp_path / "file"
    with open(path, "wb") as file:
        for place in pieces:
            file.seek(place)
            file.write(os.urandom(100_000))
        file.truncate(max(9 << 20, file.tell()))
    chunker, status, parent = Chunker(4096, 3), os.stat(path), os.open(tmp_path, os.O_RDONLY)
    with SourceFile(parent, "file", status) as source:
        found = [*chunker.cut(source.content(), status.st_size)]
    os.close(parent)
    assert found == [*chunker.cut(io.BytesIO(path.read_bytes()), status.st_size)]


def test_a_hole_takes_no_time(tmp_path):
    """A terabyte, of which nothing is read or hashed."""
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.seek((1 << 40) - 5)
        file.write(b"data\n")
    chunker, status, parent = Chunker(1 << 20, 3), os.stat(path), os.open(tmp_path, os.O_RDONLY)
    sizes, objects = 0, set()
    with SourceFile(parent, "file", status) as source:
        for piece in chunker.cut(source.content(), status.st_size):
            sizes += len(piece)
            objects.add(id(piece))
    os.close(parent)
    assert sizes == 1 << 40
    assert len(objects) < 10
