"""Conflicts are found by their names alone, whatever the names are."""

import os
import string
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.app.conflicts import Conflict, ConflictChanged, NoConflict, Numbering, conflicts_in, note_conflicts
from escale.files.ledger import Ledger
from escale.files.tree import Entry, path_problem
from escale.relay.client import Tally
from escale.relay.place import conflict_name
from escale.testing.clock import SimClock

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""


def entries(*paths: str, size: int = 3) -> dict[str, Entry]:
    return {path: Entry(path, size, 5) for path in paths}


def named(path: str, client: str = "laptop") -> str:
    return conflict_name(SimpleNamespace(name=client, clock=SimClock(NOON)), path)


def test_a_copy_tells_path_client_and_time():
    found = conflicts_in(entries("a/notes.txt", "a/notes.conflict-my-laptop-20261121-120000.txt", "a/other.txt"))
    assert [(one.path, one.client, one.when) for one in found] == [("a/notes.txt", "my-laptop", NOON)]
    assert found[0].plain == Entry("a/notes.txt", 3, 5)


@pytest.mark.parametrize(
    "path",
    [
        "notes.conflict-laptop-20261121.txt",
        "notes.conflict-20261121-120000.txt",
        "notes.conflict-laptop-20261399-120000.txt",
        "a.conflict-laptop-20261121-120000/inside.txt",
        "conflict-laptop-20261121-120000.txt",
        "a.conflict-lap top-20261121-120000.txt",
    ],
)
def test_what_merely_looks_like_one_is_none(path):
    assert conflicts_in(entries(path)) == []


components = st.text(
    st.one_of(st.sampled_from(string.ascii_letters + " .-\n2é\udcff"), st.characters(blacklist_characters="/\0")),
    min_size=1,
    max_size=260,
).map(lambda text: os.fsdecode(os.fsencode(text.encode("utf-8", "ignore").decode())[:255]))
clients = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=64)


@given(components, clients)
def test_every_name_that_is_given_is_understood(name, client):
    """GIVEN any path and any client, WHEN its conflict copy gets its name, THEN the path is found from the copy."""
    path = f"d/{name}"
    if path_problem(path):
        return
    copy = named(path, client)
    assert path_problem(copy) is None
    (found,) = (one for one in conflicts_in(entries(path, copy)) if one.copy.path == copy)
    assert found.path == path


def test_a_long_extension_leaves_room_for_the_client():
    copy = named("a." + "b" * 250, "c" * 64)
    assert len(copy) == 255 and ".conflict-" in copy


def test_copies_with_a_number_belong_to_the_same_path():
    found = conflicts_in(
        entries(
            *("n.txt", "n.conflict-x-20261121-120000.txt", "n.conflict-x-20261121-120000 2.txt"),
            *("README", "README 2.conflict-x-20261121-120000", "n 2.txt", "n 2.conflict-x-20261121-120000.txt"),
        )
    )
    assert sorted(one.path for one in found) == ["README", "n 2.txt", "n.txt", "n.txt"]


def test_a_copy_of_a_copy_belongs_to_that_copy():
    first = named("n.txt")
    second = named(first, "nas")
    found = conflicts_in(entries("n.txt", first, second))
    assert {one.copy.path: one.path for one in found} == {first: "n.txt", second: first}


def test_a_plain_version_that_is_gone():
    (found,) = conflicts_in(entries(named("n.txt")))
    assert (found.path, found.plain) == ("n.txt", None)


@pytest.fixture
def ledger(tmp_path: Path):
    made = Ledger(tmp_path / "x.ledger")
    yield made
    made.close()


def numbers(ledger: Ledger, found: list[Conflict]) -> dict[int, str]:
    numbering = Numbering(ledger, "work", found)
    numbering.shown()
    return {number: one.path for number, one in numbering}


def test_a_conflict_keeps_its_number_until_it_is_settled(ledger):
    every = [conflicts_in(entries(path, named(path)))[0] for path in ("a", "b", "c", "d\udcff")]
    assert numbers(ledger, every[1:]) == {1: "b", 2: "c", 3: "d\udcff"}
    assert numbers(ledger, [every[1], every[3]]) == {1: "b", 3: "d\udcff"}
    assert numbers(ledger, [every[0], every[3]]) == {3: "d\udcff", 4: "a"}
    assert numbers(ledger, []) == {} and ledger.meta("conflicts") is None
    assert numbers(ledger, every[:1]) == {1: "a"}


def test_conflicts_are_called_by_number_or_path(ledger):
    one, other = named("n.txt"), named("n.txt", "nas")
    numbering = Numbering(ledger, "work", conflicts_in(entries("n.txt", one, other, "m", named("m"))))
    assert numbering.find("1")[1].path == "m"
    assert numbering.find("m") == numbering.find("1")
    assert numbering.find(other)[1].client == "nas"
    for which in ("4", "n.txt", "nothing", "²"):
        with pytest.raises(NoConflict):
            numbering.find(which)


def test_what_changed_since_it_was_shown_is_not_settled(ledger):
    copy = named("n.txt")
    Numbering(ledger, "work", conflicts_in(entries("n.txt", copy))).shown()
    edited = entries("n.txt", copy) | entries("n.txt", size=4)
    numbering = Numbering(ledger, "work", conflicts_in(edited))
    with pytest.raises(ConflictChanged):
        numbering.must_be_as_shown(numbering.find("1")[1])
    numbering.shown()
    Numbering(ledger, "work", conflicts_in(edited)).must_be_as_shown(numbering.find("1")[1])


def test_a_pass_tells_each_copy_and_one_need():
    tally = Tally()
    note_conflicts(tally, "work", conflicts_in(entries("a", named("a"), "b", named("b"))))
    assert [(one.path, one.reason) for one in tally.waiting] == [(named("a"), "conflict"), (named("b"), "conflict")]
    assert tally.needs == [("2 conflicts", "escalectl conflicts work")]
    note_conflicts(nothing := Tally(), "work", [])
    assert not nothing.waiting and not nothing.needs
