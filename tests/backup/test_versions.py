"""Versions: walking, finding, choosing and comparing, in trees as no folder would give them, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from escale.backup.node import Node, NodeType
from escale.backup.snapshot import Snapshot
from escale.backup.tree import EMPTY_TREE
from escale.backup.versions import DEPTH_MAX, NoVersion, Versions, choose

from .places import Place
from .versions_made import Maker, node, opened


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def maker(place) -> Maker:
    return Maker(place)


def snapshot(tree: str, time_ns: int, snapshot_id: str) -> Snapshot:
    return Snapshot(tree, time_ns, ("/home",), "anvil", id=snapshot_id)


def walked(place: Place, tree: str) -> list[str]:
    versions = Versions(opened(place))
    found = [one.path for one in versions.walk(tree)]
    assert versions.damaged == []
    return found


def test_each_directory_comes_before_what_is_in_it(maker, place):
    deep = maker.directory("b", maker.directory("c", maker.file("d", b"1")), maker.file("a", b"2"))
    tree = maker.tree([maker.file("z"), deep, maker.file("a")])
    maker.close()
    assert walked(place, tree) == ["a", "b", "b/a", "b/c", "b/c/d", "z"]


def test_one_path(maker, place):
    tree = maker.tree([maker.directory("b", maker.file("c", b"1")), maker.file("a", b"2")])
    maker.close()
    versions = Versions(opened(place))
    version = snapshot(tree, 5, "ab" * 32)
    assert versions.at(version, "").node.subtree == tree
    assert versions.at(version, "/b//c").path == "b/c"
    for path in ("b/d", "a/c", "..", ".", "b/..", "b/../a"):
        assert versions.at(version, path) is None


def test_names_and_paths_that_fit(maker, place):
    inner = maker.directory("In [x]", maker.file("one.TXT"), maker.file("two.txt"))
    tree = maker.tree([inner, maker.file("three.txt"), maker.file("\udcff.txt")])
    maker.close()
    versions = Versions(opened(place))

    def found(pattern: str) -> list[str]:
        return [one.path for one in versions.find(snapshot(tree, 5, "ab" * 32), pattern)]

    assert found("*.txt") == ["In [x]/two.txt", "three.txt", "\udcff.txt"]
    assert found("/In*/t*") == ["In [x]/two.txt"]
    assert found("?.txt") == ["\udcff.txt"]
    assert found("In [[]x]") == ["In [x]"]
    assert found("nothing") == []


def deep_tree(maker: Maker, levels: int) -> str:
    tree = maker.raw_tree(EMPTY_TREE)
    for _ in range(levels):
        tree = maker.tree([node("d", NodeType.DIRECTORY, subtree=tree)])
    return tree


def test_directories_within_each_other_have_an_end(maker, place):
    tree = deep_tree(maker, DEPTH_MAX + 50)
    maker.close()
    versions = Versions(opened(place))
    assert sum(1 for _ in versions.walk(tree)) == DEPTH_MAX
    (told,) = versions.damaged
    assert "too many directories" in str(told)


def test_a_tree_that_contains_itself_has_an_end(maker, place):
    """Nobody can make one as long as SHA-256 holds: here its name is believed."""
    tree = maker.tree([maker.file("a", b"1"), node("again", NodeType.DIRECTORY, subtree="ab" * 32)])
    maker.close()

    class Believing(Versions):
        def nodes(self, wanted: str) -> list[Node]:
            return super().nodes(tree if wanted == "ab" * 32 else wanted)

    versions = Believing(opened(place))
    assert sum(1 for _ in versions.walk(tree)) == 2 * DEPTH_MAX
    assert len(versions.damaged) == 1


@pytest.mark.parametrize(
    "text", [b"{}", b'{"nodes":[{"name":"..","type":"fifo"}]}', b'{"nodes":[{"name":"a/b","type":"fifo"}]}', b"\xff"]
)
def test_a_directory_that_is_none_is_told_and_the_rest_is_there(maker, place, text):
    bad = node("bad", NodeType.DIRECTORY, subtree=maker.raw_tree(text))
    lost = node("lost", NodeType.DIRECTORY, subtree="cd" * 32)
    tree = maker.tree([bad, lost, maker.directory("good", maker.file("x", b"1"))])
    maker.close()
    versions = Versions(opened(place))
    assert [one.path for one in versions.walk(tree)] == ["bad", "good", "good/x", "lost"]
    assert len(versions.damaged) == 2


def test_what_differs_between_two_trees(maker, place):
    same = maker.directory("same", maker.file("x", b"x"))
    before = maker.tree(
        [
            same,
            maker.file("gone", b"1"),
            maker.file("edited", b"2"),
            maker.file("touched", b"3"),
            maker.file("turned", b"4"),
            maker.directory("was", maker.file("in", b"5")),
        ]
    )
    after = maker.tree(
        [
            same,
            maker.file("new", b"1"),
            maker.file("edited", b"22"),
            maker.file("touched", b"3", mode=0o600),
            node("turned", NodeType.LINK, target="x"),
            replace(maker.directory("is", maker.file("in", b"5")), mtime_ns=9),
        ]
    )
    maker.close()
    versions = Versions(opened(place))
    signs = {change.path: change.sign for change in versions.diff(before, after)}
    assert signs == {
        "gone": "-",
        "new": "+",
        "edited": "M",
        "touched": "U",
        "turned": "T",
        "was": "-",
        "was/in": "-",
        "is": "+",
        "is/in": "+",
    }
    assert [*versions.diff(after, after)] == []


def test_the_history_of_a_path(maker, place):
    trees = [
        maker.tree([]),
        maker.tree([maker.file("a", b"1")]),
        maker.tree([maker.file("a", b"1"), maker.file("b", b"1")]),
        maker.tree([maker.file("a", b"2")]),
        maker.tree([]),
    ]
    maker.close()
    versions = Versions(opened(place))
    snapshots = [snapshot(tree, number, f"{number:064x}") for number, tree in enumerate(trees)]
    found = [(one.time_ns, found is not None) for one, found in versions.history(snapshots, "a")]
    assert found == [(1, True), (3, True), (4, False)]


SNAPSHOTS = [snapshot("ab" * 32, 10 * number, f"{number}a" * 32) for number in range(1, 4)]


@pytest.mark.parametrize(
    ("wanted", "at_ns", "time_ns"),
    [("latest", None, 30), ("2a2a", None, 20), ("1a" * 32, None, 10), ("latest", 20, 20), ("latest", 29, 20)],
)
def test_choosing_one(wanted, at_ns, time_ns):
    assert choose(reversed(SNAPSHOTS), wanted, at_ns, "here").time_ns == time_ns


@pytest.mark.parametrize(("wanted", "at_ns"), [("latest", 9), ("ff", None), ("*", None), ("", None), ("2A2A", None)])
def test_there_is_no_such_version(wanted, at_ns):
    with pytest.raises(NoVersion):
        choose(SNAPSHOTS, wanted, at_ns, "here")


def test_a_beginning_that_is_not_enough_names_those_it_may_be():
    several = [snapshot("ab" * 32, 5, "aa" + "0" * 62), snapshot("ab" * 32, 6, "ab" + "0" * 62)]
    with pytest.raises(NoVersion, match="aa000000, ab000000"):
        choose(several, "a", None, "here")
