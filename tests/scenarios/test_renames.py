"""3.2: what only moved arrives by its new name, and its content does not travel."""

from __future__ import annotations

import itertools
import os

import pytest

from ..endtoend.trees import EXCHANGE, move
from .trio import both_kept, conflict_copies, noise, same

LARGE = noise("large", 200_000)

SCENE = {
    "file.bin": LARGE,
    "d/one.txt": "one, in d",
    "d/two.txt": "two, which is in d",
    "d/below/three.txt": "three, further down, in d/below",
    "e/four.txt": "four, all by itself in directory e",
}


def _moves(t, *moves):
    for source, target in moves:
        t.a.move(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param("file.bin", "renamed.bin", id="s25-file"),
        pytest.param("d", "renamed", id="s26-directory"),
        pytest.param("file.bin", "e/file.bin", id="s27-file-into-directory"),
        pytest.param("d", "e/d", id="s28-directory-into-directory"),
        pytest.param("e/four.txt", "four.txt", id="s27-out-of-a-directory-that-stays-empty"),
        pytest.param("d/below", "below", id="s28-out-of-a-directory"),
    ],
)
def test_s25_to_s28_one_rename_costs_no_data(trio, source, target):
    """GIVEN three in step WHEN A renames THEN all end like A, nothing is left of the old name, no archive is sent."""
    t = trio()
    t.begin(SCENE)
    _moves(t, (source, target))
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted


@pytest.mark.parametrize("index", ["topdir", "topdir:2"])
def test_s28_moves_between_pages_cost_no_data(trio, index):
    """GIVEN a relay with pages WHEN files and directories move from one page to another THEN as without pages."""
    t = trio(index=index)
    t.begin(SCENE)
    _moves(t, ("d", "e/d"), ("file.bin", "f/file.bin"))
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted


def test_s29_four_moves_and_an_edit_at_once(trio):
    """GIVEN three in step WHEN A moves four things and edits a fifth THEN only the edit travels as content."""
    t = trio(compression="none")
    t.begin({**SCENE, "g": "to be edited"})
    _moves(t, ("file.bin", "e/large.bin"), ("d/one.txt", "one.txt"), ("d/below", "e/below"), ("d", "dd"))
    t.a.put("g", "edited, by A")
    wanted = t.a.tree()
    t.a.once()
    sent = sum(size for name, size in t.place.blobs().items() if ".data" in name)
    assert 0 < sent < 20_000, "the edit, and no more"
    assert t.settle() == wanted


def test_s30_deletion_and_creation_is_no_move(trio):
    """GIVEN y with "bar" WHEN it is deleted and x with "bah" is created THEN exactly that."""
    t = trio()
    t.begin({"y": "bar", "stays": "stays"})
    t.a.delete("y")
    t.a.put("x", "bah")
    assert t.contents() == {"x": b"bah", "stays": b"stays"}


def test_s31_rename_over_a_file(trio):
    """GIVEN two files WHEN one is renamed over the other THEN one is left, and what was overwritten is in the trash."""
    t = trio()
    t.begin({"source": "source", "target": "overwritten", "stays": "stays"})
    _moves(t, ("source", "target"))
    assert t.contents(without_data=True) == {"target": b"source", "stays": b"stays"}
    assert "target" in t.b.trash()
    assert "target" in t.c.trash()


def test_s31_a_file_takes_the_place_of_a_directory(trio):
    """GIVEN a directory and a file WHEN the directory goes and the file takes its name THEN so it is everywhere."""
    t = trio()
    t.begin(SCENE)
    t.a.move("e/four.txt", "waiting")
    (t.a.folder / "e").rmdir()
    t.a.move("waiting", "e")
    assert same(t.settle(without_data=True)["e"], "file", SCENE["e/four.txt"])


def test_s31_a_directory_takes_the_place_of_a_file(trio):
    """GIVEN a file and a directory WHEN the file goes and the directory takes its name THEN so it is everywhere."""
    t = trio()
    t.begin(SCENE)
    t.a.delete("file.bin")
    t.a.move("d", "file.bin")
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted
    assert t.b.read("file.bin/one.txt") == b"one, in d"


@pytest.mark.parametrize("names", [("p", "q"), ("p", "q", "r")], ids=["swap", "rotate"])
def test_s38_names_go_round(trio, names):
    """GIVEN files WHEN they exchange their names THEN so do those of the others, and nothing is lost on the way."""
    t = trio()
    t.begin({name: f"content of {name}" * (number + 1) for number, name in enumerate(names)} | {"stays": "stays"})
    for one, other in itertools.pairwise(names):
        move(t.a.folder / one, t.a.folder / other, EXCHANGE)
    wanted = t.a.tree()
    assert wanted != t.b.tree()
    assert t.settle(without_data=True) == wanted


def test_s38_directories_swap_their_names(trio):
    """GIVEN two directories WHEN they exchange their names THEN so do those of the others."""
    t = trio()
    t.begin(SCENE)
    move(t.a.folder / "d", t.a.folder / "e", EXCHANGE)
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted


def test_s40_only_the_case_changes(trio):
    """GIVEN names of a file, a directory and a link WHEN only their case changes THEN so it is everywhere."""
    t = trio()
    (t.a.folder / "link").symlink_to("foo")
    t.begin({"foo": "content of foo", "dir/file": "in dir"})
    _moves(t, ("foo", "Foo"), ("dir", "Dir"), ("link", "Link"))
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted
    assert sorted(wanted) == ["Dir", "Dir/file", "Foo", "Link"]


def test_s41_renamed_and_touched(trio):
    """GIVEN a file WHEN it is renamed and touched THEN its content does not travel."""
    t = trio()
    t.begin(SCENE)
    _moves(t, ("file.bin", "other.bin"))
    os.utime(t.a.folder / "other.bin", (1_600_000_000, 1_600_000_000))
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted


def test_s41_renamed_and_edited(trio):
    """GIVEN a file WHEN it is renamed and edited before the next pass THEN the new one is there and the old is gone."""
    t = trio()
    t.begin(SCENE)
    _moves(t, ("d/one.txt", "d/uno.txt"))
    t.a.put("d/uno.txt", "one, edited, in d")
    found = t.contents()
    assert found["d/uno.txt"] == b"one, edited, in d"
    assert "d/one.txt" not in found


def test_renamed_here_and_edited_there(trio):
    """GIVEN a file WHEN A renames it and B edits it THEN the edit is not lost, and neither is the new name."""
    t = trio()
    t.begin(SCENE)
    _moves(t, ("d/one.txt", "d/uno.txt"))
    t.b.put("d/one.txt", "one, edited on B")
    found = t.contents()
    assert (found["d/uno.txt"], found["d/one.txt"]) == (b"one, in d", b"one, edited on B")


def test_renamed_here_and_deleted_there(trio):
    """GIVEN a file WHEN A renames it and B deletes it THEN A's new name stays."""
    t = trio()
    t.begin(SCENE)
    _moves(t, ("d/one.txt", "d/uno.txt"))
    t.b.delete("d/one.txt")
    found = t.contents()
    assert found["d/uno.txt"] == b"one, in d"
    assert "d/one.txt" not in found


def test_renamed_to_two_names(trio):
    """GIVEN a file WHEN A and B give it different names THEN both names are there, and no conflict."""
    t = trio()
    t.begin(SCENE)
    t.a.move("d/one.txt", "d/uno.txt")
    t.b.move("d/one.txt", "d/eins.txt")
    found = t.contents()
    assert (found["d/uno.txt"], found["d/eins.txt"]) == (b"one, in d", b"one, in d")
    assert "d/one.txt" not in found
    assert conflict_copies(found) == []


def test_two_files_renamed_to_one_name(trio):
    """GIVEN two files WHEN A gives one, and B the other, the same new name THEN both contents are there."""
    t = trio()
    t.begin({"p.txt": "content of p", "q.txt": "content of q, longer", "stays": "stays"})
    t.a.move("p.txt", "new.txt")
    t.b.move("q.txt", "new.txt")
    found = t.contents()
    assert found.pop("stays") == b"stays"
    both_kept(found, "new.txt", b"content of p", b"content of q, longer")


def test_a_directory_is_renamed_while_the_other_puts_a_file_into_it(trio):
    """GIVEN a directory WHEN A renames it and B puts a file into it THEN the file is there, and all else has moved."""
    t = trio()
    t.begin(SCENE)
    t.a.move("d", "dd")
    t.b.put("d/new.txt", "put there by B")
    found = t.contents()
    assert found["d/new.txt"] == b"put there by B"
    assert found["dd/one.txt"] == b"one, in d"
    assert "d/one.txt" not in found


def test_a_copy_made_before_the_move_does_not_travel(trio):
    """GIVEN a file WHEN it is moved to two names THEN no content travels."""
    t = trio()
    t.begin(SCENE)
    t.a.put("copy.bin", LARGE)
    _moves(t, ("file.bin", "moved.bin"))
    wanted = t.a.tree()
    assert t.settle(without_data=True).keys() == wanted.keys()
    assert t.c.read("copy.bin") == t.c.read("moved.bin") == LARGE
