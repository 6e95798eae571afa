"""3.3: what looks like a deletion and is none, and deletions so many that somebody has to say yes."""

from __future__ import annotations

import os
import shutil

import pytest

from ..endtoend.sentences import expect_sentence

NINE = {f"f{number}": f"{number}" * (number + 1) for number in range(9)}
NINE_BYTES = {path: content.encode() for path, content in NINE.items()}


def _unmount(member):
    """The disk is away: an empty directory is left."""
    away = member.folder.with_name(f"{member.name}-disk")
    member.folder.rename(away)
    member.folder.mkdir()
    return away


def _mount(member, away):
    """The disk is back; what was put into the empty place meanwhile is in the way."""
    member.folder.rmdir()
    away.rename(member.folder)


def test_s44_a_disk_that_is_not_mounted(trio):
    """GIVEN three in step WHEN A's folder is an empty mount point THEN A stops with one sentence, nothing is written
    there, nobody deletes anything; and when the disk is back all is as before, and A takes up what it missed."""
    t = trio()
    before = t.begin(NINE)
    away = _unmount(t.a)
    for _ in range(2):
        expect_sentence(t.a.pass_(), 5, "L110", "marker", "mount it", "--adopt")
    assert list(t.a.folder.iterdir()) == []
    t.b.put("new", "made meanwhile")
    assert t.contents(t.b, t.c, at_rest=False) == {path: node.content for path, node in before.items()} | {
        "new": b"made meanwhile"
    }
    _mount(t.a, away)
    assert t.contents()["new"] == b"made meanwhile"
    assert t.a.trash() == t.b.trash() == t.c.trash() == []


def test_s44_a_folder_that_is_not_there(trio):
    """GIVEN a folder whose very directory is gone THEN the same, and it is not made again."""
    t = trio()
    before = t.begin(NINE)
    away = t.a.folder.rename(t.a.folder.with_name("away"))
    expect_sentence(t.a.pass_(), 5, "L110", "is gone")
    assert not t.a.folder.exists()
    away.rename(t.a.folder)
    assert t.settle() == before


def test_s44_another_disk_in_its_place(trio):
    """GIVEN A's folder WHEN a disk with other files is mounted there THEN A stops, and sends and deletes nothing."""
    t = trio()
    before = t.begin(NINE)
    away = _unmount(t.a)
    t.a.put("holidays/beach.jpg", "not meant for anybody here")
    expect_sentence(t.a.pass_(), 5, "L110", "marker")
    t.b.once()
    assert t.b.contents() == NINE_BYTES
    shutil.rmtree(t.a.folder)
    away.rename(t.a.folder)
    assert t.settle() == before


def test_s44_a_disk_inside_the_folder_that_is_not_mounted(trio):
    """GIVEN a folder most of whose files are on a second disk WHEN that is away THEN its files are held, the rest goes
    on; mounted again, nothing has happened."""
    t = trio()
    before = t.begin({f"disk/{number}": f"{number}" * (number + 1) for number in range(60)} | {"here": "here"})
    away = (t.a.folder / "disk").rename(t.a.folder.with_name("second-disk"))
    (t.a.folder / "disk").mkdir()
    t.a.put("here", "edited on A")
    expect_sentence(t.a.pass_(), 5, "L120", "60 of 61")
    t.b.once()
    assert (t.b.read("here"), len(t.b.contents())) == (b"edited on A", 61)
    (t.a.folder / "disk").rmdir()
    away.rename(t.a.folder / "disk")
    assert t.settle().keys() == before.keys()
    assert t.b.trash() == ["here"]


def test_s44_an_empty_disk_is_filled_when_the_user_says_so(trio):
    """GIVEN a new and empty disk WHEN the user adopts the relay THEN all is fetched and nothing deleted."""
    t = trio()
    before = t.begin(NINE)
    _unmount(t.a)
    t.a.pass_().expect(5)
    t.a.control("sync", "--adopt", "relay").expect(0)
    assert t.settle() == before


def test_s44_an_emptied_folder_counts_when_the_user_says_so(trio):
    """GIVEN a folder without anything WHEN the user adopts it THEN what is missing was deleted, everywhere."""
    t = trio()
    t.begin(NINE)
    _unmount(t.a)
    t.a.pass_().expect(5)
    t.a.control("sync", "--adopt", "local").expect(0)
    held = t.a.pass_()
    if held.code == 5:
        assert "L120" in held.stderr
        t.a.control("approve", "--yes").expect(0)
    assert t.settle() == {}
    assert t.b.trash() == t.c.trash() == sorted(NINE)


def test_s45_more_than_max_delete(trio):
    """GIVEN nine files WHEN A deletes five, more than half THEN held: nothing changes anywhere until it is approved,
    what else A does goes on; and then exactly these go, into the trash."""
    t = trio(max_delete="50%")
    t.begin(NINE)
    gone = [f"f{number}" for number in range(5)]
    t.a.delete(*gone)
    t.a.put("new", "made on A")
    for _ in range(2):
        expect_sentence(t.a.pass_(), 5, "L120", "5 of 9", "escalectl approve")
        t.b.once()
        t.c.once()
    assert t.b.contents() == t.c.contents() == NINE_BYTES | {"new": b"made on A"}
    assert set(t.a.contents()) == {*NINE, "new"} - set(gone)
    t.a.control("approve", "--yes").expect(0)
    assert set(t.contents()) == {*NINE, "new"} - set(gone)
    assert t.b.trash() == t.c.trash() == gone


def test_s45_a_higher_limit_lets_them_pass(trio):
    """GIVEN held deletions WHEN the limit is raised to what they need THEN they travel."""
    t = trio(max_delete="50%")
    t.begin(NINE)
    t.a.delete(*(f"f{number}" for number in range(5)))
    t.a.pass_().expect(5)
    t.a.write(max_delete="60%")
    assert set(t.contents()) == {f"f{number}" for number in range(5, 9)}


def test_s45_refused(trio):
    """GIVEN held deletions WHEN they are refused THEN the files come back, without a trace on the others."""
    t = trio(max_delete="50%")
    before = t.begin(NINE)
    t.a.delete(*(f"f{number}" for number in range(6)))
    t.a.pass_().expect(5)
    t.a.control("approve", "--refuse").expect(0)
    assert t.settle() == before
    assert t.b.trash() == t.c.trash() == []


def test_s45_what_is_held_and_comes_back_by_itself(trio):
    """GIVEN held deletions WHEN the user puts the files back THEN nothing is held any more, nothing has happened."""
    t = trio(max_delete="50%")
    before = t.begin(NINE)
    away = t.a.folder.with_name("attic")
    away.mkdir()
    for number in range(6):
        shutil.move(t.a.folder / f"f{number}", away)
    t.a.pass_().expect(5)
    for path in away.iterdir():
        shutil.move(path, t.a.folder)
    assert t.settle(without_data=True) == before
    assert "nothing is held" in t.a.control("approve").expect(0).stderr


def test_s45_what_is_held_may_be_edited_by_others(trio):
    """GIVEN held deletions WHEN B edits one of the files and they are approved THEN the edit survives."""
    t = trio(max_delete="50%")
    t.begin(NINE)
    t.a.delete(*(f"f{number}" for number in range(5)))
    t.a.pass_().expect(5)
    t.b.put("f0", "edited on B while the deletion was held")
    t.b.once()
    t.a.control("approve", "--yes").expect(0)
    found = t.contents()
    assert found["f0"] == b"edited on B while the deletion was held"
    assert set(found) == {"f0", *(f"f{number}" for number in range(5, 9))}


@pytest.mark.parametrize(
    ("limit", "count", "passes"),
    [
        ("50%", 4, True),
        ("50%", 5, False),
        ("5", 5, True),
        ("5", 6, False),
        ("20% or 3", 3, True),
        ("20% or 3", 4, False),
        ("no", 8, True),
        ("no", 9, True),
        ("100%", 8, True),
        ("100%", 9, False),
    ],
)
def test_s46_exactly_at_the_threshold(trio, limit, count, passes):
    """GIVEN nine files WHEN as many as the limit allows are deleted THEN they go; one more, or all, and they wait."""
    t = trio(max_delete=limit)
    t.leave(t.c)
    t.begin(NINE)
    t.a.delete(*(f"f{number}" for number in range(count)))
    assert t.a.pass_().code == (0 if passes else 5)
    t.b.once()
    assert len(t.b.contents()) == (9 - count if passes else 9)


def test_s46_deletions_are_held_where_they_were_made_and_not_where_they_arrive(trio):
    """GIVEN a limit WHEN A's deletions arrive at B THEN they are A's, not B's: B does not hold them once more."""
    t = trio(max_delete="no")
    t.begin(NINE)
    t.b.write(max_delete="1")
    t.a.delete(*(f"f{number}" for number in range(6)))
    assert len(t.contents()) == 3


def test_s47_all_times_changed(trio):
    """GIVEN three in step WHEN every time on A moves by an hour THEN no content is sent, and there is no conflict."""
    t = trio()
    t.begin({f"d{number % 3}/{number}": f"{number}" * number for number in range(30)})
    before = t.a.contents()
    for path in before:
        status = (t.a.folder / path).stat()
        os.utime(t.a.folder / path, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))
    t.b.put("d0/0", "edited on B")
    t.b.once()
    assert t.contents() == before | {"d0/0": b"edited on B"}


def test_s47_only_the_edit_among_all_touched_is_sent(trio):
    """GIVEN times that all have changed WHEN one file has changed, too THEN one file is sent."""
    t = trio()
    t.begin({f"{number}": f"{number}" * number for number in range(30)})
    for path in t.a.contents():
        os.utime(t.a.folder / path, (1_600_000_000, 1_600_000_000))
    t.a.put("7", "edited", 1_600_000_000)
    items = [event for event in t.a.once("--json").events() if event["type"] == "item"]
    assert [(item["path"], item["direction"]) for item in items] == [("7", "up")]


def test_s48_a_missing_marker_stops_one_side(trio):
    """GIVEN three in step WHEN B's marker is gone THEN B refuses, the others go on; restored, it runs."""
    t = trio()
    t.begin(NINE)
    marker = t.b.folder / ".escale/folder"
    kept = marker.read_bytes()
    marker.unlink()
    t.a.put("f0", "edited on A")
    t.b.delete("f1")
    t.a.once()
    expect_sentence(t.b.pass_(), 5, "L110", "marker")
    t.c.once()
    assert (t.b.read("f0"), t.c.read("f0")) == (b"0", b"edited on A")
    assert "f1" in t.c.contents()
    marker.write_bytes(kept)
    found = t.contents()
    assert found["f0"] == b"edited on A"
    assert "f1" not in found


def test_s48_a_marker_elsewhere_does_not_count(trio):
    """GIVEN a marker in another directory, excluded or not WHEN B's own is gone THEN B refuses all the same."""
    t = trio(exclude_directory="hidden")
    t.begin({**NINE, "hidden/.escale/folder": "{}", "seen/.escale/folder": "{}"})
    (t.b.folder / ".escale/folder").unlink()
    expect_sentence(t.b.pass_(), 5, "L110", "marker")


def test_s48_adopt_makes_a_new_marker(trio):
    """GIVEN a marker that somebody deleted with the private directory WHEN the user adopts THEN all goes on."""
    t = trio()
    before = t.begin(NINE)
    shutil.rmtree(t.b.folder / ".escale")
    t.b.pass_().expect(5)
    t.b.control("sync", "--adopt", "relay").expect(0)
    assert t.settle(without_data=True) == before


@pytest.mark.parametrize("rule", ["exclude", "exclude_directory", "ignore file", "max_file_size"])
def test_s49_a_filter_is_added_and_removed(trio, rule):
    """GIVEN three in step WHEN a rule hides files on A THEN nothing is deleted anywhere; edits go past A; and when the
    rule is gone A takes them up, and nothing is there twice."""
    t = trio()
    t.begin({"d/one.tmp": "one, hidden in a moment" * 50, "d/two.tmp": "two, as well" * 90, "plain": "not hidden"})
    values = {"exclude": "*.tmp", "exclude_directory": "d", "max_file_size": "900 B"}
    if rule == "ignore file":
        t.a.put(".escaleignore", "*.tmp\n")
    else:
        t.a.write(**{rule: values[rule]})
    codes = (0, 3)
    assert len([path for path in t.contents(codes=codes) if path.startswith("d/")]) == 2
    t.b.put("d/one.tmp", "one, edited on B" * 60)
    t.b.put("plain", "edited on B, too")
    for _ in range(3):
        for member in t.members:
            member.pass_().expect(*codes)
    assert t.a.read("d/one.tmp").startswith(b"one, hidden")
    assert t.a.read("plain") == b"edited on B, too"
    assert t.c.contents()["d/two.tmp"].startswith(b"two")
    if rule == "ignore file":
        t.a.delete(".escaleignore")
    else:
        t.a.write(**{rule: None})
    assert t.contents(codes=codes) == {
        "d/one.tmp": b"one, edited on B" * 60,
        "d/two.tmp": b"two, as well" * 90,
        "plain": b"edited on B, too",
    }


def test_s49_a_preview_commits_no_filter(trio):
    """GIVEN a new filter WHEN the user only looks what it would do THEN nothing has happened, here and there."""
    t = trio()
    before = t.begin({"d/one.tmp": "one", "plain": "not hidden"})
    t.a.write(exclude="*.tmp")
    t.a.run("-c", t.a.configuration, "--dry-run").expect(0)
    t.a.write(exclude=None)
    assert t.settle(without_data=True) == before


def test_s49_deleted_while_hidden(trio):
    """GIVEN a hidden file WHEN its owner deletes it behind the rule THEN the others keep it, and it comes back."""
    t = trio()
    t.begin({"one.tmp": "one", "plain": "not hidden"})
    t.a.write(exclude="*.tmp")
    t.a.once()
    t.a.delete("one.tmp")
    for member in (*t.members, *t.members):
        member.once()
    assert "one.tmp" in t.b.contents()


def test_s49_a_filter_hides_what_was_deleted_elsewhere(trio):
    """GIVEN a file hidden on A WHEN B deletes it THEN A keeps it while it is hidden, and it does not rise again."""
    t = trio()
    t.begin({"one.tmp": "one", "plain": "not hidden"})
    t.a.write(exclude="*.tmp")
    t.a.once()
    t.b.delete("one.tmp")
    for member in (*t.members, *t.members):
        member.once()
    assert (t.a.read("one.tmp"), "one.tmp" in t.c.contents()) == (b"one", False)
    t.a.write(exclude=None)
    assert t.contents() == {"plain": b"not hidden"}
    assert "one.tmp" in t.a.trash()


def test_an_edit_beats_a_deletion_on_three_machines(trio):
    """GIVEN a file WHEN A deletes it and B edits it THEN the edit is everywhere, in whatever order they come."""
    t = trio()
    t.begin({"f": "before", "g": "before, too", "stays": "stays"})
    t.a.delete("f")
    t.b.put("f", "edited on B")
    t.b.delete("g")
    t.a.put("g", "edited on A")
    found = t.contents()
    assert (found["f"], found["g"]) == (b"edited on B", b"edited on A")


def test_deleted_and_made_again_between_two_passes(trio):
    """GIVEN a file WHEN it is deleted and made again with another content THEN that is an edit."""
    t = trio()
    t.begin({"f": "before", "stays": "stays"})
    t.a.delete("f")
    t.a.put("f", "made again")
    assert t.contents()["f"] == b"made again"


def test_what_a_deletion_took_can_be_brought_back(trio):
    """GIVEN a deletion that has reached B WHEN B restores the file in its place THEN it is everywhere again."""
    t = trio()
    before = t.begin(NINE)
    t.a.delete("f3")
    t.settle()
    t.b.restore("get", "f3", "--in-place", "--yes").expect(0)
    found = t.settle()
    assert found.keys() == before.keys()
    assert found["f3"].content == before["f3"].content


@pytest.mark.parametrize("is_first", ["a", "b"])
def test_a_directory_deleted_here_and_a_file_made_in_it_there(trio, is_first):
    """GIVEN a directory WHEN A deletes it with all that is in it and B puts a new file there THEN the new file has a
    directory to be in, everywhere, and the others of it are gone."""
    t = trio()
    t.begin({"d/one": "one", "d/below/two": "two, below", **NINE})
    shutil.rmtree(t.a.folder / "d")
    t.b.put("d/below/new", "made on B")
    order = t.members if is_first == "a" else t.members[::-1]
    assert t.contents(*order) == NINE_BYTES | {"d/below/new": b"made on B"}


def test_deletions_that_are_kept_to_oneself(trio):
    """GIVEN `deletions = keep` WHEN A deletes a file THEN no other does, and it comes back."""
    t = trio(deletions="keep")
    before = t.begin(NINE)
    t.a.delete(*NINE)
    assert t.settle() == before
