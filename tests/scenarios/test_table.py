"""3.1: one path, two sides: new, changed, deleted, on one or on both."""

from __future__ import annotations

import os

import pytest

from .trio import both_kept, conflict_copies


def test_s1_to_s7_one_change_of_each_kind_in_one_pass(trio):
    """GIVEN eight files everybody has WHEN each meets another fate THEN exactly that, and the next pass is idle."""
    t = trio()
    t.leave(t.c)
    t.begin({f"f{number}": f"{number}" * (10 + number) for number in range(1, 9)})
    t.b.put("f10", "new on B")
    t.a.put("f11", "new there, on A")
    t.b.put("f1", "changed on B only")
    t.a.put("f2", "changed on A, and only there")
    t.b.delete("f3", "f8")
    t.a.delete("f4", "f8")
    found = t.contents()
    assert found == {
        "f1": b"changed on B only",
        "f2": b"changed on A, and only there",
        **{f"f{number}": f"{number}".encode() * (10 + number) for number in (5, 6, 7)},
        "f10": b"new on B",
        "f11": b"new there, on A",
    }
    assert (t.a.trash(), t.b.trash()) == (["f1", "f3"], ["f2", "f4"])
    for member in (t.a, t.b):
        assert _items(member) == []


def test_s7_deleted_on_all_sides(trio):
    """GIVEN a file WHEN all delete it THEN no error, and a file of that name made later is just a new one."""
    t = trio()
    t.begin({"f8": "everybody's", "stays": "stays"})
    for member in t.members:
        member.delete("f8")
    assert t.contents() == {"stays": b"stays"}
    t.b.put("f8", "made again")
    assert t.contents() == {"stays": b"stays", "f8": b"made again"}


@pytest.mark.parametrize("order", ["abc", "bca", "cab"])
def test_s8_changed_on_two_sides(trio, order):
    """GIVEN one file WHEN two change it THEN both versions everywhere, one conflict copy, the same name for all."""
    t = trio()
    t.begin({"f5.txt": "before", "other": "other"})
    t.a.put("f5.txt", "by A")
    t.b.put("f5.txt", "by B, longer")
    found = t.contents(*(getattr(t, name) for name in order))
    both_kept({path: found[path] for path in found if path != "other"}, "f5.txt", b"by A", b"by B, longer")
    assert found["other"] == b"other"


def test_s8_changed_on_three_sides(trio):
    """GIVEN one file WHEN three change it THEN three contents everywhere."""
    t = trio()
    t.begin({"f5": "before"})
    for number, member in enumerate(t.members):
        member.put("f5", f"by {member.name}" * (number + 1))
    found = t.contents()
    assert sorted(found.values()) == sorted([b"by a", b"by bby b", b"by cby cby c"])
    assert len(conflict_copies(found)) == 2


def test_s9_the_same_change_on_two_sides(trio):
    """GIVEN one file WHEN two make the same edit at other times THEN no conflict, and one time for all."""
    t = trio()
    t.begin({"f": "before"})
    t.a.put("f", "after, the same", 1_700_000_000)
    t.b.put("f", "after, the same", 1_700_000_500)
    assert t.contents() == {"f": b"after, the same"}
    assert all(conflict_copies(member.tree()) == [] for member in t.members)


def test_s9_only_one_of_two_same_edits_is_sent(trio):
    """GIVEN the same edit on A and B WHEN A has sent it THEN B sends nothing."""
    t = trio()
    t.begin({"f": "before"})
    for member in (t.a, t.b):
        member.put("f", "after, the same")
    t.a.once()
    assert _items(t.b) == []


@pytest.mark.parametrize("same", [True, False])
def test_s10_s11_created_on_two_sides(trio, same):
    """GIVEN nothing WHEN two create one path THEN equal contents are one file, different ones two; others untouched."""
    t = trio()
    t.begin({"other": "other"})
    t.a.put("d/new.txt", "one")
    t.b.put("d/new.txt", "one" if same else "another")
    found = t.contents()
    if same:
        assert found == {"other": b"other", "d/new.txt": b"one"}
    else:
        assert found.pop("other") == b"other"
        both_kept(found, "d/new.txt", b"one", b"another")


def test_s11_folders_that_were_never_in_step_join(trio):
    """GIVEN A and B with a file that differs and one each WHEN they meet THEN four files on both."""
    t = trio()
    t.a.put("differs.txt", "by A")
    t.b.put("differs.txt", "by B, longer")
    t.a.put("only A", "A")
    t.b.put("only B", "B")
    found = t.contents()
    assert len(found) == 4
    assert (found.pop("only A"), found.pop("only B")) == (b"A", b"B")
    both_kept(found, "differs.txt", b"by A", b"by B, longer")


def test_s11_a_client_that_lost_its_state_makes_no_conflicts(trio):
    """GIVEN three in step WHEN B's state is lost THEN all is as it was."""
    t = trio()
    before = t.begin({f"d/{number}": f"{number}" * number for number in range(6)})
    for path in t.b.state.rglob("*"):
        if path.is_file():
            path.unlink()
    assert "P401" in t.b.pass_().expect(1).stderr, "two machines of one name would look the same"
    assert t.settle(without_data=True) == before


def test_s22_three_edits_that_end_where_they_began(trio):
    """GIVEN a file WHEN it is edited three times and is as before THEN nothing is sent."""
    t = trio()
    t.begin({"f": "before"})
    for content in ("one", "two", "before"):
        t.a.put("f", content)
    assert _items(t.a) == []
    assert t.contents(without_data=True) == {"f": b"before"}


def test_s23_touched_only(trio):
    """GIVEN a file WHEN only its time changes, here or on both sides THEN nothing is sent, and there is no conflict."""
    t = trio()
    t.begin({"f": "same", "g": "same too"})
    os.utime(t.a.folder / "f", (1_600_000_000, 1_600_000_000))
    os.utime(t.a.folder / "g", (1_600_000_000, 1_600_000_000))
    os.utime(t.b.folder / "g", (1_500_000_000, 1_500_000_000))
    assert t.contents(without_data=True) == {"f": b"same", "g": b"same too"}


def test_s23_touched_here_and_edited_there(trio):
    """GIVEN a file WHEN A touches it and B edits it THEN the edit, and no conflict."""
    t = trio()
    t.begin({"f": "same"})
    os.utime(t.a.folder / "f", (1_600_000_000, 1_600_000_000))
    t.a.once()
    t.b.put("f", "edited")
    assert t.contents() == {"f": b"edited"}


MODES = ("upload", "download")
FATES = ("new", "changed", "deleted", "touched")


@pytest.mark.parametrize("deletions", ["trash", "keep"])
@pytest.mark.parametrize("mode", MODES)
def test_s24_one_way_clients(trio, mode, deletions):
    """GIVEN a client that only sends, or only receives WHEN things change on either side THEN only one way, always."""
    t = trio(deletions=deletions)
    t.leave(t.c)
    t.begin({f"{side} {fate}": f"{side} {fate}" for side in ("here", "there") for fate in FATES[1:]})
    t.a.write(mode=mode)
    for member, side in ((t.a, "here"), (t.b, "there")):
        (member.folder / f"{side} new").write_text(f"{side} new")
        (member.folder / f"{side} changed").write_text(f"{side} changed, and longer")
        member.delete(f"{side} deleted")
        os.utime(member.folder / f"{side} touched", (1_600_000_000, 1_600_000_000))
    for _ in range(4):
        t.a.pass_().expect(0)
        t.b.pass_().expect(0)
    here, there = t.a.contents(), t.b.contents()
    sender, receiver = (here, there) if mode == "upload" else (there, here)
    out, back = ("here", "there") if mode == "upload" else ("there", "here")
    assert receiver[f"{out} new"] == f"{out} new".encode()
    assert receiver[f"{out} changed"] == f"{out} changed, and longer".encode()
    assert (f"{out} deleted" in receiver) is (deletions == "keep")
    assert sender[f"{back} changed"] == f"{back} changed".encode()
    assert f"{back} new" not in sender
    assert f"{back} deleted" in sender
    assert conflict_copies({**here, **there}) == []


def _items(member):
    """What a pass did to single files."""
    return [event for event in member.once("--json").events() if event["type"] == "item"]
