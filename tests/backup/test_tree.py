"""Trees: the bytes that restic writes, for equal directories; what could not be a directory is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.node import Node, NodeType
from escale.backup.pack import BlobKind
from escale.backup.tree import EMPTY_TREE, decode_needs, decode_tree
from escale.backup.versions import Versions
from escale.errors import Corrupt

from . import golden
from .test_node import nodes
from .versions_made import encode_tree

NAMES = st.binary(min_size=1, max_size=12).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"/", b"_").replace(b".", b"!"))
)


def trees_of(name: str) -> Iterator[bytes]:
    """All trees of a golden repository."""
    repository = golden.opened(golden.HERE / name)
    for snapshot in Versions(repository).all():
        ids = {snapshot.tree} | {found.node.subtree for found in Versions(repository).walk(snapshot.tree)} - {""}
        yield from (repository.load_blob(BlobKind.TREE, bytes.fromhex(tree)) for tree in sorted(ids))


@pytest.mark.parametrize("name", ["restic-0.19.1", "escale-1"])
def test_golden_trees_are_written_again_byte_for_byte(name):
    found = [*trees_of(name)]
    assert len(found) >= 3
    assert all(encode_tree(decode_tree(tree, "here")) == tree for tree in found)


@given(st.lists(nodes(NAMES), max_size=5, unique_by=lambda node: node.name))
def test_what_is_written_can_be_read(found):
    written = encode_tree(found)
    assert decode_tree(written, "here") == sorted(found, key=lambda node: os.fsencode(node.name))
    assert encode_tree(reversed(found)) == written
    json.loads(written)


def test_names_are_sorted_by_their_bytes():
    names = ["b", "a", "\udcff", "\U00010000", "\uffee", "a.b", "a b"]
    text = encode_tree(Node(name, NodeType.FIFO) for name in names)
    assert [node.name for node in decode_tree(text, "here")] == [
        "a",
        "a b",
        "a.b",
        "b",
        "\uffee",
        "\U00010000",
        "\udcff",
    ]


def test_the_escapes_of_go():
    target = '<>&\u2028\u2029\x7f\x01\b\f"\\\ufffdé'
    text = encode_tree([Node("x", NodeType.LINK, target=target)])
    escaped = r'"linktarget":"\u003c\u003e\u0026\u2028\u2029' + "\x7f" + r"\u0001\b\f\"\\" + '\ufffdé"'
    assert escaped.encode() in text
    assert decode_tree(text, "here")[0].target == target


def test_bytes_that_are_not_utf_8_make_no_tree_that_is_no_json():
    """The names of extended attributes are the only place where they would be lost, with restic, too."""
    attribute = os.fsdecode(b"user.\xff\xc3")
    node = Node("\udcff", NodeType.LINK, target="\udcff", user="\udcff", xattrs=((attribute, b"value"),))
    text = encode_tree([node])
    assert rb'"name":"user.\ufffd\ufffd"' in text and rb'"linktarget":"\ufffd"' in text
    (found,) = decode_tree(text, "here")
    assert (found.name, found.target, found.user) == ("\udcff", "\udcff", "\ufffd")
    assert found.xattrs == (("user.\ufffd\ufffd", b"value"),)


def test_the_empty_tree():
    assert encode_tree([]) == EMPTY_TREE
    assert decode_tree(EMPTY_TREE, "here") == decode_tree(b'{"nodes":null}', "here") == []


FIFO = '{"name":"%s","type":"fifo"}'


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "../../etc/passwd", r"a\\x2fb", r"\\x2e\\x2e", r"a\\x00b"])
def test_a_name_that_is_a_path(name):
    with pytest.raises(Corrupt):
        decode_tree(f'{{"nodes":[{FIFO % name}]}}'.encode(), "here")


@pytest.mark.parametrize("names", [("a", "a"), ("a", r"\\x61"), ("é", r"\\xc3\\xa9")])
def test_the_same_name_twice(names):
    with pytest.raises(Corrupt):
        decode_tree(f'{{"nodes":[{",".join(FIFO % name for name in names)}]}}'.encode(), "here")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"nodes":5}',
        b'{"nodes":[5]}',
        b'{"nodes":[null]}',
        b'{"nodes":{"a":1}}',
        b'{"nodes":[{}]}',
        b"\xff\xfe",
        b'{"nodes":' + b"[" * 100_000,
        b'{"nodes":[{"name":"a","type":"file","content":["ab"]}]}',
        b'{"nodes":[{"name":"a","type":"dir","subtree":"../../../../etc"}]}',
        b'{"nodes":[{"name":"a","type":"dir","subtree":"%s"}]}' % (b"A" * 64),
        b'{"nodes":[{"name":"a","type":"file","size":%s}]}' % (b"9" * 5000),
        b'{"nodes":[{"name":"\\ud800","type":"fifo"}]}',
    ],
    ids=lambda text: text[:40].decode("ascii", "replace"),
)
def test_what_is_no_tree(text):
    with pytest.raises(Corrupt):
        decode_tree(text, "here")


def needs(found: list[Node]) -> tuple[set[bytes], set[bytes]]:
    data = {bytes.fromhex(text) for node in found for text in node.content}
    return data, {bytes.fromhex(node.subtree) for node in found if node.subtree}


@given(st.lists(nodes(NAMES), max_size=5, unique_by=lambda node: node.name))
def test_what_a_directory_needs(found):
    assert decode_needs(encode_tree(found), "here") == needs(found)


@pytest.mark.parametrize("name", ["restic-0.19.1", "escale-1"])
def test_what_golden_directories_need(name):
    found = [*trees_of(name)]
    assert [decode_needs(tree, "here") for tree in found] == [needs(decode_tree(tree, "here")) for tree in found]
    assert any(decode_needs(tree, "here")[0] for tree in found)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"nodes":5}',
        b'{"nodes":[5]}',
        b'{"nodes":' + b"[" * 100_000,
        b'{"nodes":[{"content":["ab"]}]}',
        b'{"nodes":[{"content":["%s","%s"]}]}' % (b"a" * 63, b"a" * 65),
        b'{"nodes":[{"content":["%s"]}]}' % (b"a " * 32),
        b'{"nodes":[{"content":[5]}]}',
        b'{"nodes":[{"content":5}]}',
        b'{"nodes":[{"subtree":"../../../../etc"}]}',
        b'{"nodes":[{"subtree":["%s"]}]}' % (b"a" * 64),
    ],
    ids=lambda text: text[:40].decode("ascii", "replace"),
)
def test_what_does_not_tell_what_it_needs(text):
    with pytest.raises(Corrupt):
        decode_needs(text, "here")
