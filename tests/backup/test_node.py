"""Nodes: what restic writes about a file is what we read, and what we write is what it writes."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.node import Node, NodeType, type_of

BYTES = st.binary(max_size=20).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
IDS = st.binary(min_size=32, max_size=32).map(bytes.hex)
U64 = st.integers(0, 2**64 - 1)
TIMES = st.integers(-62_167_219_200 * 10**9, 253_402_300_800 * 10**9 - 1)


def nodes(names: st.SearchStrategy[str]) -> st.SearchStrategy[Node]:
    """Of any type, with everything that its type has."""
    shared = {
        "name": names,
        "mode": st.integers(0, 0o7777),
        "mtime_ns": TIMES,
        "atime_ns": TIMES,
        "ctime_ns": TIMES,
        "uid": st.integers(0, 2**32 - 1),
        "gid": st.integers(0, 2**32 - 1),
        "user": TEXT,
        "group": TEXT,
        "inode": U64,
        "device_id": U64,
        "links": U64,
        "xattrs": st.lists(st.tuples(TEXT, st.binary(max_size=9)), max_size=3).map(tuple),
    }
    files = st.builds(
        Node, type=st.just(NodeType.FILE), size=U64, content=st.lists(IDS, max_size=3).map(tuple), **shared
    )
    directories = st.builds(Node, type=st.just(NodeType.DIRECTORY), subtree=IDS, **shared)
    links = st.builds(Node, type=st.just(NodeType.LINK), target=BYTES, **shared)
    others = (NodeType.BLOCK_DEVICE, NodeType.CHARACTER_DEVICE, NodeType.FIFO, NodeType.SOCKET)
    return files | directories | links | st.builds(Node, type=st.sampled_from(others), device=U64, **shared)


@given(nodes(BYTES))
def test_what_is_written_can_be_read(node):
    assert Node.from_json(json.loads(json.dumps(node.as_json()))) == node


@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        (stat.S_IFREG, 0),
        (stat.S_IFDIR, 0x80000000),
        (stat.S_IFLNK, 0x08000000),
        (stat.S_IFBLK, 0x04000000),
        (stat.S_IFCHR, 0x04200000),
        (stat.S_IFIFO, 0x02000000),
        (stat.S_IFSOCK, 0x01000000),
    ],
)
def test_modes_are_those_of_go(kind, bits):
    found = type_of(kind | 0o644)
    assert found is not None
    assert Node("x", found, mode=0o640).as_json()["mode"] == bits | 0o640
    special = {0o4000: 1 << 23, 0o2000: 1 << 22, 0o1000: 1 << 20}
    for ours, theirs in special.items():
        written = Node("x", found, mode=ours | 0o7).as_json()
        assert written["mode"] == bits | theirs | 0o7
        assert Node.from_json(written).mode == ours | 0o7


def test_of_other_types_nothing_is_held():
    assert type_of(0) is None


@pytest.mark.parametrize("target", [b"\xff", b"a\xc3", b"\xed\xa0\x80", "\ufffd".encode() + b"\xff"])
def test_a_target_of_any_bytes_stands_there_twice(target):
    node = Node("l", NodeType.LINK, target=os.fsdecode(target))
    assert node.as_json()["linktarget_raw"]
    assert os.fsencode(Node.from_json(node.as_json()).target) == target
    assert "linktarget_raw" not in Node("l", NodeType.LINK, target="\ufffd").as_json()


def test_what_restic_leaves_out_is_nothing():
    found = Node.from_json({"name": "x", "type": "file", "content": None, "extended_attributes": None, "subtree": None})
    assert found == Node("x", NodeType.FILE)
    assert Node("x", NodeType.FILE).as_json()["content"] == []
    assert Node("x", NodeType.FIFO).as_json()["content"] is None


GOOD = Node("x", NodeType.LINK, target="y", xattrs=(("user.a", b"b"),)).as_json()


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5},
        {"name": None},
        {"name": r"\q"},
        {"name": "\ud800"},
        {"type": "door"},
        {"type": None},
        {"type": []},
        {"mode": -1},
        {"mode": "rwx"},
        {"mode": 1.5},
        {"mode": True},
        {"mode": 1 << 64},
        {"mtime": 0},
        {"mtime": "yesterday"},
        {"uid": 1 << 32},
        {"gid": -1},
        {"size": 1 << 64},
        {"size": 1e999},
        {"links": []},
        {"linktarget": "\ud800"},
        {"linktarget": "a\0b"},
        {"linktarget": None},
        {"linktarget_raw": "!"},
        {"linktarget_raw": "YQBi"},
        {"extended_attributes": [{"name": "user.\ud800"}]},
        {"extended_attributes": [{"name": "user.a\0b"}]},
        {"extended_attributes": [{"value": "AA=="}]},
        {"extended_attributes": [{"name": "a", "value": "x"}]},
        {"extended_attributes": {"a": 1}},
        {"content": ["x", 5]},
        {"content": 5},
        {"subtree": 5},
        {"user": 5},
    ],
    ids=str,
)
def test_what_is_no_node(change):
    Node.from_json(GOOD)
    with pytest.raises((ValueError, KeyError, TypeError)):
        Node.from_json(GOOD | change)
