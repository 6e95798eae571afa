"""Settling a conflict: what was chosen has the plain name, what was not lies in the trash, nothing is lost."""

import os
from pathlib import Path

import pytest

from escale.app.conflicts import Conflict, conflicts_in
from escale.app.settlement import NotSettled, Settlement, Side, UnknownSide, side_of
from escale.files.rules import Rules
from escale.testing.disk import DiskHook
from escale.testing.faults import Crash
from tests.app.test_conflicts import named
from tests.files.conftest import Home
from tests.files.conftest import home as home  # The fixture.

COPY = "n.conflict-laptop-20261121-120000.txt"


def prepared(home: Home) -> tuple[Conflict, Settlement]:
    home.write("n.txt", b"plain")
    home.write(COPY, b"from the laptop")
    return looked(home)


def looked(home: Home) -> tuple[Conflict, Settlement]:
    entries = home.folder.scan().entries
    return conflicts_in(entries)[0], Settlement(home.folder, entries, "nas")


def trashed(home: Home) -> dict[str, bytes]:
    found = {}
    for item in home.folder.trash.items():
        with home.folder.trash.open(item) as source:
            found[item.path] = source.read()
    return found


def test_keep_the_plain_version(home: Home):
    conflict, settlement = prepared(home)
    assert settlement.keep(conflict, Side.PLAIN) == "n.txt"
    assert home.names() == {"n.txt"} and home.read("n.txt") == b"plain"
    assert trashed(home) == {COPY: b"from the laptop"}
    (item,) = home.folder.trash.items()
    assert (item.cause, item.client) == ("settled", "nas")


def test_keep_the_copy(home: Home):
    conflict, settlement = prepared(home)
    assert settlement.keep(conflict, Side.COPY) == "n.txt"
    assert home.names() == {"n.txt"} and home.read("n.txt") == b"from the laptop"
    assert trashed(home) == {"n.txt": b"plain"}
    assert conflicts_in(home.folder.scan().entries) == []


def test_keep_both(home: Home):
    home.write("n-laptop.txt", b"was there")
    conflict, settlement = prepared(home)
    assert settlement.keep(conflict, Side.BOTH) == "n-laptop-2.txt"
    assert home.names() == {"n.txt", "n-laptop.txt", "n-laptop-2.txt"} and trashed(home) == {}
    assert home.read("n-laptop-2.txt") == b"from the laptop" and home.read("n.txt") == b"plain"


def test_an_excluded_file_keeps_its_name(tmp_path: Path):
    home = Home(tmp_path, Rules(exclude=("n-laptop.txt",)), 0.0)
    home.write("n-laptop.txt", b"excluded")
    conflict, settlement = prepared(home)
    assert settlement.keep(conflict, Side.BOTH) == "n-laptop-2.txt"
    assert home.read("n-laptop.txt") == b"excluded"
    home.ledger.close()


def test_the_plain_version_is_gone(home: Home):
    home.write(COPY, b"from the laptop")
    conflict, settlement = looked(home)
    assert conflict.plain is None
    settlement.keep(conflict, Side.COPY)
    assert home.names() == {"n.txt"} and home.read("n.txt") == b"from the laptop"


@pytest.mark.parametrize("side", list(Side))
def test_a_copy_that_is_edited_meanwhile_stays(home: Home, side: Side):
    conflict, settlement = prepared(home)
    home.write(COPY, b"still being written")
    with pytest.raises(NotSettled):
        settlement.keep(conflict, side)
    assert home.read(COPY) == b"still being written" and home.read("n.txt") == b"plain" and trashed(home) == {}


def test_a_plain_version_that_is_edited_meanwhile_stays(home: Home):
    conflict, settlement = prepared(home)
    home.write("n.txt", b"still being written")
    with pytest.raises(NotSettled):
        settlement.keep(conflict, Side.COPY)
    assert home.read("n.txt") == b"still being written" and home.read(COPY) == b"from the laptop"


def test_a_directory_that_was_put_aside(home: Home):
    home.write("d", b"a file came")
    home.write("d.conflict-laptop-20261121-120000/sub/mine.txt", b"mine")
    conflict, settlement = looked(home)
    settlement.keep(conflict, Side.COPY)
    assert home.names() == {"d/sub/mine.txt"} and trashed(home) == {"d": b"a file came"}


def test_a_directory_that_was_put_aside_is_let_go(home: Home):
    home.write("d", b"a file came")
    home.write("d.conflict-laptop-20261121-120000/sub/mine.txt", b"mine")
    conflict, settlement = looked(home)
    settlement.keep(conflict, Side.PLAIN)
    assert home.names() == {"d"}
    assert trashed(home) == {"d.conflict-laptop-20261121-120000/sub/mine.txt": b"mine"}


def test_the_file_that_was_put_aside_for_a_directory(home: Home):
    home.write("d/new.txt", b"new")
    home.write("d.conflict-laptop-20261121-120000", b"mine")
    conflict, settlement = looked(home)
    settlement.keep(conflict, Side.COPY)
    assert home.read("d") == b"mine" and trashed(home) == {"d/new.txt": b"new"}


def test_links_are_settled_and_not_followed(home: Home, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"not ours")
    home.root.joinpath("n.txt").symlink_to(outside)
    home.root.joinpath(COPY).symlink_to("elsewhere")
    conflict, settlement = looked(home)
    settlement.keep(conflict, Side.COPY)
    assert os.readlink(home.full("n.txt")) == b"elsewhere"
    assert outside.read_bytes() == b"not ours"
    assert [item.kind.value for item in home.folder.trash.items()] == ["link"]


@pytest.mark.parametrize("name", ["n" * 250 + ".txt", "é" * 127, "n." + "x" * 253])
def test_a_name_that_has_no_room(home: Home, name: str):
    home.write(name, b"plain")
    home.write(named(name), b"from the laptop")
    conflict, settlement = looked(home)
    assert conflict.path == name
    path = settlement.keep(conflict, Side.BOTH)
    assert "-laptop" in path and home.read(path) == b"from the laptop" and home.read(name) == b"plain"


class CrashAt:
    """Dies ahead of the n-th change of the disk."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, verb: str, path: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


@pytest.mark.parametrize("side", list(Side))
def test_a_death_at_every_step_loses_nothing(tmp_path: Path, side: Side):
    """GIVEN a settlement that dies ahead of any of its steps, THEN both versions are in the folder or in the trash."""
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        home = Home(tmp_path / str(number), Rules(), 0.0, Path(":memory:"))
        conflict, settlement = prepared(home)
        try:
            with DiskHook(CrashAt(number)):
                settlement.keep(conflict, side)
            break
        except Crash:
            kept = {home.read(name) for name in home.names()} | set(trashed(home).values())
            assert kept == {b"plain", b"from the laptop"}, number
            assert "n.txt" in home.names(), number
    else:
        raise AssertionError("it never comes to its end")
    assert number >= 1


@pytest.mark.parametrize(
    ("word", "here", "side"),
    [
        ("plain", "laptop", Side.PLAIN),
        ("laptop", "laptop", Side.COPY),
        ("laptop", "nas", Side.COPY),
        ("both", "nas", Side.BOTH),
        ("here", "nas", Side.PLAIN),
        ("here", "laptop", None),
        ("nas", "nas", None),
        ("left", "nas", None),
        ("copy", "nas", None),
    ],
)
def test_sides_have_names_that_cannot_be_mistaken(home: Home, word, here, side):
    conflict, _ = prepared(home)
    if side is not None:
        assert side_of(word, conflict, here) is side
        return
    with pytest.raises(UnknownSide):
        side_of(word, conflict, here)
