"""A power cut takes what was not synchronised, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from escale.files import durable
from escale.files.exchange import Spot, exchange, move
from escale.testing.disk import CrashAt
from escale.testing.faults import Crash
from escale.testing.power import VolatileDisk
from tests.testing.test_disk import change_all


def never(verb: str, path: str) -> None:
    """No death."""


def cut(place: Path, act) -> dict[str, str]:
    """What is left of a directory when the power goes after an act; links by what they lead to."""
    try:
        with VolatileDisk(never, place.parent / "limbo"):
            act()
            raise Crash
    except Crash:
        pass
    assert not (place.parent / "limbo").exists()
    return {
        str(path.relative_to(place)): f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()
        for path in sorted(place.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def write(path: Path, text: str, *, synchronised: bool) -> None:
    """A new file, as programs make it that care."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, text.encode())
    if synchronised:
        os.fsync(descriptor)
    os.close(descriptor)


def room(tmp_path: Path) -> Path:
    place = tmp_path / "room"
    place.mkdir()
    (place / "old").write_text("old")
    return place


def test_content_that_was_not_synchronised_is_gone_although_its_name_was(tmp_path):
    place = room(tmp_path)

    def act() -> None:
        write(place / "new", "new", synchronised=False)
        durable.sync([os.fsencode(place)])

    assert cut(place, act) == {"new": "", "old": "old"}


def test_what_was_synchronised_is_there(tmp_path):
    place = room(tmp_path)
    assert cut(place, lambda: write(place / "new", "new", synchronised=True)) == {"new": "new", "old": "old"}


def test_one_call_synchronises_all(tmp_path):
    place = room(tmp_path)

    def act() -> None:
        write(place / "one", "1", synchronised=False)
        os.rename(place / "one", place / "two")
        durable.sync_file_system(os.fsencode(place))

    assert cut(place, act) == {"old": "old", "two": "1"}


def test_names_that_were_not_synchronised_are_as_before(tmp_path):
    place = room(tmp_path)
    (place / "d").mkdir()
    (place / "d" / "inside").write_text("inside")

    def act() -> None:
        write(place / "new", "new", synchronised=True)
        directory = os.open(place, os.O_RDONLY)
        assert exchange(Spot(directory, b"new"), Spot(directory, b"old"))
        move(Spot(directory, b"new"), Spot(directory, b"aside"))
        os.close(directory)
        os.replace(place / "old", place / "aside")
        os.symlink("aside", place / "link")
        os.link(place / "aside", place / "other")
        os.unlink(place / "d" / "inside")
        os.rmdir(place / "d")
        os.mkdir(place / "e")
        os.unlink(place / "link")

    assert cut(place, act) == {"d/inside": "inside", "new": "new", "old": "old"}
    assert not (place / "e").exists()


def test_a_renaming_that_was_refused_is_not_taken_back(tmp_path):
    place = room(tmp_path)
    (place / "other").write_text("other")

    def act() -> None:
        directory = os.open(place, os.O_RDONLY)
        try:
            move(Spot(directory, b"old"), Spot(directory, b"other"))
        except FileExistsError:
            pass
        finally:
            os.close(directory)

    assert cut(place, act) == {"old": "old", "other": "other"}


def test_who_lives_loses_nothing(tmp_path):
    place = room(tmp_path)
    with VolatileDisk(never, tmp_path / "limbo"):
        write(place / "new", "new", synchronised=False)
    assert (place / "new").read_text() == "new"


def test_a_power_cut_at_any_change_leaves_an_empty_room_empty(tmp_path):
    """Nothing of this is ever synchronised."""
    number, survived = 0, False
    while not survived:
        place = tmp_path / f"room {number}"
        place.mkdir()
        try:
            with VolatileDisk(CrashAt(number), tmp_path / "limbo"):
                change_all(place)
            survived = True
        except Crash:
            assert os.listdir(place) == []
        number += 1
    assert number > 15
