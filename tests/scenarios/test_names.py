"""3.6: what file systems can hold: names, links, permissions, times, empty directories, many and deep ones.

Nodes that take two names for one, because they ignore case or composition, need such a file system, which no kernel
here offers; `tests/files` has their rules.  There is no mode that follows links (S87).
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from ..endtoend.folders import AWKWARD
from ..endtoend.trees import difference
from .trio import both_kept, conflict_copies, noise, same

COMPOSED = "Caf\u00e9.txt"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)

NAMES = {
    *AWKWARD,
    b"two  spaces",
    b" both ends ",
    b"trailing dot.",
    b"...",
    b"\x19",
    b"\x81\xfe",
    "👩\u200d👩\u200d👧\u200d👦".encode(),
    "\u202eright to left".encode(),
    b"CON",
    b"aux.txt",
    b"a:b",
    b"~$x",
    b"*",
    b"%s%n",
    b"e" * 255,
    "日".encode() * 85,
}
"""Names that some system or program does not like; all may stand in one directory."""


@pytest.mark.parametrize("contents", [("same", "same"), ("composed", "decomposed, longer")], ids=["same", "different"])
def test_s84_one_name_composed_here_and_decomposed_there(trio, contents):
    """GIVEN A has a name composed and B decomposed THEN both files are everywhere, under the names they were given."""
    t = trio()
    t.begin({"other": "other"})
    t.a.put(COMPOSED, contents[0])
    t.b.put(DECOMPOSED, contents[1])
    found = t.contents()
    assert found == {"other": b"other", COMPOSED: contents[0].encode(), DECOMPOSED: contents[1].encode()}


@pytest.mark.parametrize("order", ["abc", "cba"])
def test_s85_names_that_differ_only_in_case(trio, order):
    """GIVEN `Name` on A and `name` on B THEN both contents are everywhere, also on a node that is new."""
    t = trio()
    t.begin({"other": "other"})
    t.a.put("Name.txt", "on A")
    t.b.put("name.txt", "on B, longer")
    t.a.put("Dir/file", "on A")
    t.b.put("dir/file", "on B, longer")
    found = t.contents(*(getattr(t, name) for name in order))
    wanted = {"Name.txt": b"on A", "name.txt": b"on B, longer", "Dir/file": b"on A", "dir/file": b"on B, longer"}
    assert found == {"other": b"other", **wanted}
    t.join("fresh")
    assert t.contents() == found


def test_s86_names_of_all_kinds(trio):
    """GIVEN odd names WHEN files, directories and links of these names are made, edited, moved, deleted THEN so it is
    everywhere."""
    t = trio(max_delete="100%")
    for number, name in enumerate(sorted(NAMES)):
        path = b"d/" + name
        t.a.put(path, b"%d " % number + name)
        t.a.put(b"dirs/" + name + b"/below", name)
        os.makedirs(os.fsencode(t.a.folder) + b"/links", exist_ok=True)
        os.symlink(b"../d/" + name, os.fsencode(t.a.folder) + b"/links/" + name)
    wanted = t.begin_as_a()
    assert len(wanted) == 4 * len(NAMES) + 3
    for number, name in enumerate(sorted(NAMES)):
        path = os.fsencode(t.a.folder) + b"/d/" + name
        if number % 3 == 0:
            t.a.put(b"d/" + name, b"edited, " + name)
        elif number % 3 == 1:
            os.rename(path, os.fsencode(t.a.folder) + b"/" + name)
        else:
            os.unlink(path)
    os.rename(t.a.folder / "dirs", t.a.folder / "moved dirs")
    wanted = t.a.tree()
    assert t.settle() == wanted


def longest(folder: Path) -> str:
    """The longest path below the folder that a program can open by its full name."""
    room = os.pathconf(folder, "PC_PATH_MAX") - 1 - len(str(folder)) - 1
    directory = "/".join(["x" * 200] * ((room - 100) // 201))
    return f"{directory}/{'y' * (room - len(directory) - 1)}"


@pytest.mark.parametrize("fate", ["edited", "deleted", "moved"])
def test_s86_very_long_paths(trio, fate):
    """GIVEN a path as long as the system allows WHEN it is edited, moved, deleted THEN so it is everywhere."""
    t = trio()
    long = longest(t.a.folder)
    t.begin({long: "at the end of a long path", "other": "other"})
    if fate == "edited":
        t.a.put(long, "edited there")
    elif fate == "deleted":
        t.a.delete(long)
    else:
        t.a.move(long, "short")
    wanted = t.a.tree()
    assert t.settle() == wanted
    if fate != "edited":
        t.b.restore("get", long, "--in-place", "--yes").expect(0)
        assert t.b.read(long) == b"at the end of a long path"


def test_s86_a_path_that_is_too_long_there(trio, tmp_path):
    """GIVEN a path that fits into the folder of A, but not into B's, which lies deeper THEN B tells it, all else
    arrives and travels, A keeps its file and does not send it again and again."""
    t = trio()
    t.leave(t.c)
    deep = t.b.folder = tmp_path / ("deeper" * 30)
    deep.mkdir()
    t.b.write(local_path=deep)
    long = longest(t.a.folder)
    t.a.put(long, "too long for B")
    t.a.put("other", "other")
    t.a.once()
    assert "too long" in t.b.pass_().expect(3).stderr
    assert t.b.read("other") == b"other"
    t.b.put("by b", "travels")
    for _ in range(3):
        t.b.pass_().expect(3)
        t.a.once()
        assert not t.place.has("data"), "it is sent again, though B cannot store it"
    assert t.a.read("by b") == b"travels"
    assert t.a.read(long) == b"too long for B"


LINKS = {
    "relative": "other",
    "into a directory": "d/file",
    "out and back": "../a/other",
    "absolute": "/etc/hostname",
    "outside": "../../elsewhere",
    "dangling": "nothing there",
    "itself": "itself",
    "ping": "pong",
    "pong": "ping",
    "to a directory": "d",
    "to its parent": ".",
    "up": "d/../d/../..",
    "odd": "line\nfeed and \udcff",
    "long": "z" * 4095,
    "slash": "d/",
}


def test_s87_links_of_all_kinds(trio, tmp_path):
    """GIVEN links of all kinds THEN they arrive as links, with the text they hold, and nothing is followed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("not ours")
    t = trio()
    t.a.put("other", "other")
    t.a.put("d/file", "in d")
    for name, target in LINKS.items():
        os.symlink(os.fsencode(target), os.fsencode(t.a.folder / name))
    wanted = t.a.tree()
    assert t.settle() == wanted
    for name, target in LINKS.items():
        assert same(t.c.tree()[name], "link", os.fsencode(target)), name
    t.a.delete("outside", "to a directory", "absolute", "ping")
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted
    assert (tmp_path / "elsewhere" / "secret").read_text() == "not ours"
    assert t.b.trash() == ["absolute", "outside", "ping", "to a directory"]


def test_s87_a_link_becomes_a_file_a_directory_and_a_link_again(trio):
    """GIVEN a link WHEN it is replaced by a file, by a directory, by another link THEN so it is everywhere."""
    t = trio()
    path = t.a.folder / "changing"
    path.symlink_to("first")
    t.begin({"other": "other"})
    path.unlink()
    t.a.put("changing", "a file now")
    assert same(t.settle()["changing"], "file", "a file now")
    path.unlink()
    path.symlink_to("second")
    assert same(t.settle(without_data=True)["changing"], "link", "second")
    path.unlink()
    t.a.put("changing/below", "in a directory")
    assert same(t.settle()["changing/below"], "file", "in a directory")
    t.a.delete("changing/below")
    path.rmdir()
    path.symlink_to("third")
    assert same(t.settle(without_data=True)["changing"], "link", "third")


@pytest.mark.parametrize("other", ["link", "file", "deletion"])
def test_s87_a_link_changed_on_two_sides(trio, other):
    """GIVEN a link WHEN A gives it another target and B changes it, too THEN both are kept, or the edit outlives the
    deletion."""
    t = trio()
    (t.a.folder / "link").symlink_to("first")
    t.begin({"stays": "stays"})
    for member in (t.a, t.b):
        (member.folder / "link").unlink()
    (t.a.folder / "link").symlink_to("by a")
    if other == "link":
        (t.b.folder / "link").symlink_to("by b")
    elif other == "file":
        t.b.put("link", "by b, a file")
    found = t.settle()
    links = {node.content for path, node in found.items() if path.startswith("link")}
    assert links == {b"by a"} | {"link": {b"by b"}, "file": {b"by b, a file"}, "deletion": set()}[other]


def test_s88_permissions_travel_alone(trio):
    """GIVEN files and directories WHEN only their permissions change THEN those travel and no content does."""
    t = trio()
    t.begin({"f": "f", "g": "g", "d/h": "h", "e/i": "i"})
    for path, mode in (("f", 0o755), ("g", 0o400), ("d", 0o700), ("e", 0o777), ("e/i", 0o666)):
        (t.a.folder / path).chmod(mode)
    found = t.settle(without_data=True)
    modes = {path: oct(found[path].mode) for path in ("f", "g", "d", "e", "e/i")}
    assert modes == {"f": "0o755", "g": "0o400", "d": "0o700", "e": "0o777", "e/i": "0o666"}


@pytest.mark.parametrize("edited", ["there", "on both"])
def test_s88_permissions_here_and_an_edit_there(trio, edited):
    """GIVEN a file WHEN A changes its permissions, and B its content or its permissions, too THEN no conflict."""
    t = trio()
    t.begin({"f": "f"})
    (t.a.folder / "f").chmod(0o755)
    if edited == "there":
        t.b.put("f", "edited on B")
    else:
        (t.b.folder / "f").chmod(0o700)
    found = t.settle()
    assert conflict_copies(found) == []
    assert found["f"].content == (b"edited on B" if edited == "there" else b"f")


def test_s88_permissions_that_nobody_else_is_given(trio):
    """GIVEN set-user-id, sticky bits, and permissions that shut out the owner himself THEN others get the nine bits,
    and can read what they hold; nobody goes on about it."""
    t = trio()
    for path, mode in (("setuid", 0o4755), ("setgid", 0o2755), ("shut", 0o000), ("write only", 0o222)):
        t.a.put(path, path).chmod(mode)
    (t.a.folder / "sticky").mkdir()
    (t.a.folder / "sticky").chmod(0o1777)
    (t.a.folder / "no entry").mkdir()
    (t.a.folder / "no entry").chmod(0o444)
    for _ in range(3):
        for member in t.members:
            member.once()
    for member in (t.b, t.c):
        modes = {path: oct(node.mode) for path, node in member.tree().items()}
        assert modes == {
            "setuid": "0o755",
            "setgid": "0o755",
            "shut": "0o400",
            "write only": "0o622",
            "sticky": "0o777",
            "no entry": "0o744",
        }
        assert member.read("shut") == b"shut"
    before = [member.tree() for member in t.members]
    names = t.place.names()
    for member in t.members:
        assert not [event for event in member.once("--json").events() if event["type"] == "item"]
    assert (before, names) == ([member.tree() for member in t.members], t.place.names())


TIMES_NS = {
    "now and some": 1_700_000_000_123_456_789,
    "a nanosecond": 1,
    "the epoch": 0,
    "before it": -1_000_000_007,
    "1931": -1_230_000_000_123_456_789,
    "after 2038": 2_200_000_000_000_000_001,
    "far future": 7_000_000_000_987_654_321,
}


def test_s88_times_of_all_kinds(trio):
    """GIVEN times before 1970, after 2038, in nanoseconds THEN all have the same; and an edit of each is seen."""
    t = trio()
    for path, time_ns in TIMES_NS.items():
        os.utime(t.a.put(path, path), ns=(time_ns, time_ns))
    t.settle()
    for member in (t.b, t.c):
        assert {path: (member.folder / path).stat().st_mtime_ns for path in TIMES_NS} == TIMES_NS
    for path, time_ns in TIMES_NS.items():
        os.utime(t.b.put(path, path.upper()), ns=(time_ns, time_ns))
    assert t.contents() == {path: path.upper().encode() for path in TIMES_NS}


@pytest.mark.parametrize("content", ["other siz", "shorter", "longer, much longer"], ids=["same", "less", "more"])
@pytest.mark.parametrize("way", ["in place", "replaced"])
def test_s88_an_edit_that_restores_the_time(trio, content, way):
    """GIVEN a file WHEN it is edited and given its old time again THEN the edit is seen, also one of the same size."""
    t = trio()
    t.begin({"f": "same size", "g": "same size"})
    time_ns = 1_600_000_000_000_000_000
    for member in t.members:
        os.utime(member.folder / "f", ns=(time_ns, time_ns))
        member.once()
    target = t.a.folder / ("f" if way == "in place" else "prepared")
    target.write_text(content)
    os.utime(target, ns=(time_ns, time_ns))
    if way == "replaced":
        t.a.move("prepared", "f")
    assert t.contents() == {"f": content.encode(), "g": b"same size"}


def test_s88_edits_within_one_second_on_two_sides(trio):
    """GIVEN two edits with one time and one size THEN both are kept."""
    t = trio()
    t.begin({"f.txt": "before"})
    t.a.put("f.txt", "by me", 1_700_000_000)
    t.b.put("f.txt", "by us", 1_700_000_000)
    both_kept(t.contents(), "f.txt", b"by me", b"by us")


def test_s89_an_edit_in_the_tick_of_the_pass(trio):
    """GIVEN a pass that has just read a file WHEN it is edited at once, with its size and time THEN the next pass sees
    it; ten times of ten."""
    t = trio()
    t.leave(t.c)
    t.begin({"f": "number 0"})
    for number in range(1, 11):
        time_ns = (t.a.folder / "f").stat().st_mtime_ns
        t.a.once()
        with open(t.a.folder / "f", "r+b") as target:
            target.write(b"number %d" % (number % 10))
        os.utime(t.a.folder / "f", ns=(time_ns, time_ns))
        t.a.once()
        t.b.once()
        assert t.b.read("f") == b"number %d" % (number % 10), number


def test_s90_empty_directories(trio):
    """GIVEN empty directories, also in each other WHEN they are made, deleted, filled and emptied THEN so it is
    everywhere; their times are everybody's own."""
    t = trio()
    (t.a.folder / "empty").mkdir()
    (t.a.folder / "one/two/three").mkdir(parents=True)
    t.begin({"filled/file": "file"})
    assert (t.c.folder / "one/two/three").is_dir()
    (t.a.folder / "empty").rmdir()
    (t.a.folder / "one/two/three").rmdir()
    t.a.put("one/two/file", "not empty now")
    t.a.delete("filled/file")
    (t.b.folder / "new").mkdir()
    found = t.settle()
    assert sorted(found) == ["filled", "new", "one", "one/two", "one/two/file"]
    os.utime(t.a.folder / "new", (1_600_000_000, 1_600_000_000))
    before = (t.b.folder / "new").stat().st_mtime_ns
    t.settle(without_data=True)
    assert (t.b.folder / "new").stat().st_mtime_ns == before


def test_s90_a_directory_that_holds_only_what_is_excluded(trio):
    """GIVEN a directory with excluded files only THEN the directory travels and they do not; deleted elsewhere, it
    stays where it holds them."""
    t = trio(exclude="*.tmp")
    t.leave(t.c)
    t.begin({"other": "other"})
    t.a.put("d/own.tmp", "of A alone")
    for _ in range(2):
        t.a.once()
        t.b.once()
    assert (t.b.folder / "d").is_dir()
    assert t.b.contents() == {"other": b"other"}
    (t.b.folder / "d").rmdir()
    for _ in range(3):
        t.b.pass_().expect(0, 3)
        t.a.pass_().expect(0, 3)
    assert t.a.read("d/own.tmp") == b"of A alone"


def test_s90_a_directory_deleted_here_and_filled_there(trio):
    """GIVEN an empty directory WHEN A deletes it and B puts a file into it THEN the file, and its directory, stay."""
    t = trio()
    (t.a.folder / "d").mkdir()
    t.begin({"other": "other"})
    (t.a.folder / "d").rmdir()
    t.b.put("d/new", "new")
    assert t.contents() == {"other": b"other", "d/new": b"new"}


def test_s94_many_files_in_one_directory(trio):
    """GIVEN 5 000 files in one directory WHEN it is moved, and some are edited and deleted THEN so it is there; the
    move costs no data."""
    t = trio()
    t.leave(t.c)
    (t.a.folder / "many").mkdir()
    for number in range(5_000):
        (t.a.folder / "many" / f"file number {number}").write_bytes(b"%d\n" % number)
    t.a.once()
    t.b.once()
    assert difference(t.a.tree(), t.b.tree()) == []
    t.a.move("many", "moved")
    t.a.delete(*(f"moved/file number {number}" for number in range(100)))
    t.a.put("moved/file number 200", "edited")
    t.a.once()
    assert sum(size for name, size in t.place.blobs().items() if ".data" in name) < 20_000
    t.b.once()
    assert difference(t.a.tree(), t.b.tree()) == []
    assert len(t.b.trash()) >= 100


def test_s94_three_hundred_levels(trio):
    """GIVEN 300 directories in each other WHEN a file at the end is edited, the top moved, all deleted THEN so it is
    everywhere."""
    t = trio(max_delete="100%")
    deep = "/".join(["l"] * 300)
    t.begin({f"{deep}/file": noise("deep", 1000), "other": "other"})
    t.a.put(f"{deep}/file", "edited at the bottom")
    t.a.put(f"{deep}/more", "more")
    wanted = t.a.tree()
    assert t.settle() == wanted
    t.a.move("l", "top")
    wanted = t.a.tree()
    assert t.settle(without_data=True) == wanted
    remove_all(t.a.folder / "top")
    assert sorted(t.settle(without_data=True)) == ["other"]


def remove_all(directory: Path) -> None:
    """Without recursion, whatever the depth."""
    for place, _, leaves in os.walk(directory, topdown=False):
        for leaf in leaves:
            os.unlink(os.path.join(place, leaf))
        os.rmdir(place)
