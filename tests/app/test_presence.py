"""A folder that is not there, or not itself, is never taken for one in which everything was deleted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from escale.app.presence import ADOPT_LOCAL, ADOPT_RELAY, AwayTooLong, FolderGone, MarkerChanged, MarkerGone
from escale.files.ledger import Ledger
from tests.world import Machine, World

DAY_S = 86400.0


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(world):
    """Two in step over nine files; deletions are remembered for thirty days."""
    memory = 30 * DAY_S
    alice = world.machine("alice", deletes=True, deletion_memory_s=memory)
    bob = world.machine("bob", deletes=True, deletion_memory_s=memory)
    for number in range(9):
        alice.write(f"d/{number}", f"content {number}")
    world.settle()
    return alice, bob


def adopt(world: World, machine: Machine, word: str) -> None:
    """What `escalectl sync --adopt` does."""
    ledger = Ledger(world.directory / f"{machine.name}.ledger")
    ledger.set_meta("adopt", word)
    ledger.close()


def unmounted(machine: Machine) -> Path:
    """The disk is away, its mount point empty."""
    away = machine.folder.with_name("disk")
    machine.folder.rename(away)
    machine.folder.mkdir()
    return away


@pytest.mark.parametrize("restarts", [False, True])
def test_an_empty_mount_point_stops_the_section_until_the_disk_is_back(world, pair, restarts):
    alice, bob = pair
    before = bob.tree()
    away = unmounted(alice)
    if restarts:
        alice.stop()
    for _ in range(2):
        with pytest.raises(MarkerGone) as error:
            alice.sync()
        assert "--adopt" in error.value.next_step and error.value.exit_code == 5
        bob.sync()
    assert not list(alice.folder.iterdir()) and bob.tree() == before
    bob.write("new", "made meanwhile")
    bob.sync()
    alice.folder.rmdir()
    away.rename(alice.folder)
    world.settle()
    assert alice.tree() == bob.tree() and alice.read("new") == b"made meanwhile"
    assert not bob.trash()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_folder_that_is_gone_is_not_made_again(world, pair, restarts):
    alice, bob = pair
    alice.folder.rename(alice.folder.with_name("elsewhere"))
    if restarts:
        alice.stop()
    with pytest.raises(FolderGone):
        alice.sync()
    assert not alice.folder.exists()
    bob.sync()
    assert len(bob.files()) == 9


@pytest.mark.parametrize("restarts", [False, True])
def test_the_folder_of_another_section_in_its_place_stops_the_section(world, pair, restarts):
    alice, bob = pair
    before = bob.tree()
    away = unmounted(alice)
    alice.write(".escale/folder", '{"identity": "of another section"}')
    alice.write("holidays", "not meant for anybody here")
    if restarts:
        alice.stop()
    with pytest.raises(MarkerChanged) as error:
        alice.sync()
    assert (error.value.code, error.value.exit_code) == ("L110", 5) and "--adopt" in error.value.next_step
    bob.sync()
    assert bob.tree() == before
    shutil.rmtree(alice.folder)
    away.rename(alice.folder)
    world.settle()
    assert alice.tree() == bob.tree() == before


def test_who_died_at_the_start_and_marks_an_empty_place_takes_nothing_in_it_for_deleted(world, pair):
    carol = world.machine("carol", deletes=True)
    carol.write(".escale/folder", '{"identity": "written by who died before the ledger knew it"}')
    away = unmounted(carol)
    world.settle()
    assert carol.files() == pair[0].files()
    shutil.rmtree(carol.folder)
    away.rename(carol.folder)
    carol.write("mine", "made before it all")
    carol.write("d/0", "so was this, and it is nobody's successor")
    with pytest.raises(MarkerChanged):
        carol.sync()
    adopt(world, carol, ADOPT_RELAY)
    world.settle()
    assert carol.tree() == pair[0].tree() == pair[1].tree()
    contents = set(carol.files().values())
    assert contents == {f"content {number}".encode() for number in range(9)} | {
        b"made before it all",
        b"so was this, and it is nobody's successor",
    }


def test_two_sections_share_a_folder_and_its_marker(world, pair):
    alice, _ = pair
    other = World(world.directory)
    also = other.machine("alice", deletes=True)
    try:
        other_parts = other.parts
        other.parts = lambda machine: replace(other_parts(machine), ledger=world.directory / "also.ledger")
        for _ in range(2):
            also.sync()
            alice.sync()
    finally:
        other.close()
    assert len(alice.files()) == 9


def test_the_relay_is_adopted_once(world, pair):
    alice, bob = pair
    before = bob.tree()
    unmounted(alice)
    adopt(world, alice, ADOPT_RELAY)
    world.settle()
    assert alice.tree() == bob.tree() == before
    (alice.folder / "d/0").unlink()
    world.settle()
    assert "d/0" not in bob.tree()


def test_the_folder_is_adopted_with_what_is_missing(world, pair):
    alice, bob = pair
    away = unmounted(alice)
    (alice.folder / "d").mkdir()
    for number in range(8):
        (away / f"d/{number}").rename(alice.folder / f"d/{number}")
    adopt(world, alice, ADOPT_LOCAL)
    world.settle()
    assert alice.tree() == bob.tree() and "d/8" not in bob.tree()
    assert [item.path for item in bob.trash()] == ["d/8"]


def test_who_was_away_for_longer_than_deletions_are_remembered_is_asked(world, pair):
    alice, bob = pair
    bob.stop()
    (alice.folder / "d/0").unlink()
    alice.sync()
    for _ in range(4):
        world.clock.sleep(10 * DAY_S)
        alice.sync()
        alice.write("d/1", f"edited at {world.clock.now()}")
    alice.sync()
    with pytest.raises(AwayTooLong) as error:
        bob.sync()
    assert "40 days" in str(error.value)
    assert len(bob.files()) == 9
    bob.write("d/2", "edited while away")
    adopt(world, bob, ADOPT_RELAY)
    world.settle(12)
    assert alice.tree() == bob.tree() and "d/0" not in alice.tree()
    assert alice.read("d/2") == b"edited while away"


def test_who_was_away_shortly_is_not_asked(world, pair):
    alice, bob = pair
    bob.stop()
    (alice.folder / "d/0").unlink()
    for _ in range(2):
        world.clock.sleep(10 * DAY_S)
        alice.sync()
    world.settle()
    assert "d/0" not in bob.tree()


def test_a_new_folder_is_made_and_marked(world):
    carol = world.machine("carol", deletes=True)
    carol.folder.rmdir()
    carol.sync()
    assert (carol.folder / ".escale/folder").exists()
