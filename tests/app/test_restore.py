"""Bringing back what lies on the shelves: what was there when, verified, and nothing replaced that nobody named."""

import os
from pathlib import Path

import pytest

from escale.app.choice import Moment, choose, summed
from escale.app.destination import DirectoryDestination, Fate, FolderDestination
from escale.app.shelf import ConflictShelf, Copy, TrashShelf, shelves
from escale.files.overwrite import Overwrite
from escale.files.rules import Rules
from escale.files.tree import Kind
from escale.testing.disk import DiskHook
from escale.testing.faults import Crash
from tests.app.test_conflicts import named
from tests.files.conftest import OLD_NS, Home
from tests.files.conftest import home as home  # The fixture.

from .test_settlement import CrashAt


def copy(path: str, when: float, place: str = "", **values) -> Copy:
    return Copy("trash", place or f"batch-{when}", path, when, Kind.FILE, 3, 5, **values)


def test_what_was_there_at_a_time_is_what_was_put_away_first_after_it():
    copies = [copy("a", 20), copy("a", 10), copy("b", 15), copy("a", 30)]

    def chosen(moment: Moment) -> list[tuple[str, float]]:
        return [(one.path, one.when) for one in choose(copies, moment)]

    assert chosen(Moment()) == [("a", 30), ("b", 15)]
    assert chosen(Moment(time=5)) == [("a", 10), ("b", 15)]
    assert chosen(Moment(time=10)) == [("a", 10), ("b", 15)]
    assert chosen(Moment(time=16)) == [("a", 20)]
    assert chosen(Moment(time=31)) == []
    assert chosen(Moment(batch="batch-15")) == [("b", 15)]


def test_what_only_another_client_had_was_not_there():
    other = copy("a", 20, was_here=False)
    assert choose([other, copy("a", 10)], Moment()) == [copy("a", 10)]
    assert choose([other], Moment()) == [other]
    assert choose([other], Moment(time=5)) == []


def test_copies_are_counted_by_name_and_shelf():
    found = summed([copy("a", 1), copy("b", 1), copy("a", 2)], ["day 1", "day 1", "day 1"])
    assert [(one.name, one.shelf, one.batches, one.files, one.bytes) for one in found] == [("day 1", "trash", 2, 3, 9)]


@pytest.mark.parametrize(
    ("name", "answer"),
    [("d/n.txt", True), ("n.txt", True), ("*.txt", True), ("d/*", True), ("n", False), ("d", False), ("N.TXT", False)],
)
def test_how_a_file_may_be_called(name, answer):
    assert copy("d/n.txt", 1).is_called(name) is answer


def trash(home: Home, *paths: str) -> list[Copy]:
    """Delete these files as a pass does."""
    entries = home.hashed()
    home.folder.remove([entries[path] for path in paths], by=dict.fromkeys(paths, "nas"))
    return sorted(TrashShelf(home.folder).copies(), key=lambda one: one.path)


def test_the_trash_tells_who_and_why(home: Home):
    home.write("d/n.txt", b"old")
    (found,) = trash(home, "d/n.txt")
    assert (found.path, found.note, found.client, found.size) == ("d/n.txt", "deleted by nas", "nas", 3)
    assert found.digest is not None


def test_a_conflict_copy_in_the_trash_is_found_by_the_plain_name(home: Home):
    home.write(named("n.txt"), b"mine")
    (found,) = trash(home, named("n.txt"))
    assert found.is_called("n.txt") and found.path == named("n.txt")


def test_conflict_copies_lie_on_a_shelf_under_the_plain_path(home: Home):
    home.write("n.txt", b"plain")
    home.write(named("n.txt"), b"mine")
    home.write(f"{named('d')}/x", b"inside")
    found = {one.path: one for one in ConflictShelf(home.folder, "laptop").copies()}
    assert found.keys() == {"n.txt", "d/x"}
    assert found["n.txt"].was_here and found["n.txt"].note == "version of laptop"
    assert not any(one.was_here for one in ConflictShelf(home.folder, "nas").copies())
    with ConflictShelf(home.folder, "nas").open(found["d/x"]) as source:
        assert source.read() == b"inside"


def test_brought_back_beside_the_folder(home: Home, tmp_path: Path):
    home.write("d/n.txt", b"old")
    os.chmod(home.full("d/n.txt"), 0o640)
    (found,) = trash(home, "d/n.txt")
    to = DirectoryDestination(tmp_path / "new" / "to", Overwrite.NEVER, "sha512")
    assert to.would(found).fate is Fate.RESTORED and not (tmp_path / "new").exists()
    assert to.take(TrashShelf(home.folder), found).fate is Fate.RESTORED
    made = tmp_path / "new/to/d/n.txt"
    assert made.read_bytes() == b"old"
    assert (made.stat().st_mtime_ns, made.stat().st_mode & 0o777) == (OLD_NS, 0o640)
    assert sorted(path.name for path in (tmp_path / "new/to").rglob("*")) == ["d", "n.txt"]
    assert [one.path for one in TrashShelf(home.folder).copies()] == ["d/n.txt"]


@pytest.mark.parametrize(
    ("overwrite", "age_s", "fate"),
    [
        (Overwrite.NEVER, 10, Fate.KEPT),
        (Overwrite.OLDER, 10, Fate.RESTORED),
        (Overwrite.OLDER, 0, Fate.KEPT),
        (Overwrite.ALWAYS, -10, Fate.RESTORED),
    ],
)
def test_what_is_there_is_replaced_only_if_that_was_said(home: Home, tmp_path: Path, overwrite, age_s, fate):
    home.write("n.txt", b"old")
    (found,) = trash(home, "n.txt")
    there = tmp_path / "n.txt"
    there.write_bytes(b"there")
    os.utime(there, ns=(OLD_NS - age_s * 10**9,) * 2)
    to = DirectoryDestination(tmp_path, overwrite, "sha512")
    assert to.would(found).fate is fate
    assert to.take(TrashShelf(home.folder), found).fate is fate
    assert there.read_bytes() == (b"old" if fate is Fate.RESTORED else b"there")


def test_links_are_brought_back_and_never_followed(home: Home, tmp_path: Path):
    home.root.joinpath("link").symlink_to("/somewhere\udcff")
    home.write("d/n.txt", b"old")
    found = trash(home, "link", "d/n.txt")
    outside = tmp_path / "outside"
    outside.mkdir()
    to = tmp_path / "to"
    to.mkdir()
    to.joinpath("d").symlink_to(outside)
    done = [DirectoryDestination(to, Overwrite.ALWAYS, "sha512").take(TrashShelf(home.folder), one) for one in found]
    assert [one.fate for one in done] == [Fate.FAILED, Fate.RESTORED]
    assert "symbolic link" in done[0].reason and not any(outside.iterdir())
    assert os.readlink(to / "link") == "/somewhere\udcff"


def test_what_is_damaged_in_the_trash_is_told_and_not_brought_back(home: Home, tmp_path: Path):
    home.write("n.txt", b"old")
    (found,) = trash(home, "n.txt")
    path = home.root / ".escale/trash" / found.place / "n.txt"
    path.write_bytes(b"odd")
    done = DirectoryDestination(tmp_path / "to", Overwrite.NEVER, "sha512").take(TrashShelf(home.folder), found)
    assert done.fate is Fate.FAILED and "digest" in done.reason
    assert not (tmp_path / "to/n.txt").exists()


def test_without_a_memory_the_trash_is_enough(home: Home, tmp_path: Path):
    home.write("n.txt", b"old")
    trash(home, "n.txt")
    home.ledger.forget_kept(home.ledger.kept())
    (found,) = TrashShelf(home.folder).copies()
    assert (found.note, found.digest) == ("", None)
    done = DirectoryDestination(tmp_path / "to", Overwrite.NEVER, "sha512").take(TrashShelf(home.folder), found)
    assert done.fate is Fate.RESTORED and (tmp_path / "to/n.txt").read_bytes() == b"old"


def test_back_into_the_folder(home: Home):
    home.write("d/n.txt", b"old")
    home.write("e.txt", b"gone")
    found = trash(home, "d/n.txt", "e.txt")
    home.write("d/n.txt", b"present")
    to = FolderDestination(home.folder, "laptop")
    assert [to.take(TrashShelf(home.folder), one).fate for one in found] == [Fate.RESTORED, Fate.RESTORED]
    assert home.read("d/n.txt") == b"old" and home.read("e.txt") == b"gone"
    kept = [one for one in TrashShelf(home.folder).copies() if one.note == "replaced by laptop"]
    assert [one.path for one in kept] == ["d/n.txt"]
    with TrashShelf(home.folder).open(kept[0]) as source:
        assert source.read() == b"present"


def test_what_is_like_that_already_is_left_alone(home: Home):
    home.write("n.txt", b"old")
    (found,) = trash(home, "n.txt")
    home.write("n.txt", b"old")
    to = FolderDestination(home.folder, "laptop")
    assert to.would(found).fate is Fate.SAME and to.take(TrashShelf(home.folder), found).fate is Fate.SAME


def test_a_directory_with_files_is_not_replaced(home: Home):
    home.write("n", b"old")
    (found,) = trash(home, "n")
    home.write("n/inside.txt", b"present")
    done = FolderDestination(home.folder, "laptop").take(TrashShelf(home.folder), found)
    assert done.fate is Fate.FAILED and home.read("n/inside.txt") == b"present"


def test_a_death_at_every_step_of_bringing_back_loses_nothing(tmp_path: Path):
    for number in range(60):
        (tmp_path / str(number)).mkdir()
        home = Home(tmp_path / str(number), Rules(), 0.0, Path(":memory:"))
        home.write("n.txt", b"old")
        (found,) = trash(home, "n.txt")
        home.write("n.txt", b"present")
        to = FolderDestination(home.folder, "laptop")
        try:
            with DiskHook(CrashAt(number)):
                to.take(TrashShelf(home.folder), found)
            break
        except Crash:
            contents = set()
            for shelf in shelves(home.folder, "laptop"):
                for one in shelf.copies():
                    with shelf.open(one) as source:
                        contents.add(source.read())
            assert contents | {home.read("n.txt")} == {b"old", b"present"}, number
    else:
        raise AssertionError("it never comes to its end")
    assert number > 3
