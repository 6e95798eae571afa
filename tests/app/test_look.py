"""What is missing is told from what merely cannot be seen."""

from __future__ import annotations

import os

import pytest

from escale.files.rules import Rules
from tests.world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(world):
    """Two in step over eight files in two directories."""
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    for number in range(8):
        alice.write(f"d{number % 2}/{number}", f"content {number}")
    world.settle()
    return alice, bob


@pytest.mark.skipif(os.geteuid() == 0, reason="NOT TESTED: root reads everything")
def test_a_directory_that_cannot_be_read_is_not_an_empty_one(world, pair):
    alice, bob = pair
    (alice.folder / "d0").chmod(0)
    (alice.folder / "d1/1").unlink()
    for machine in (alice, bob, alice):
        machine.sync()
    (alice.folder / "d0").chmod(0o755)
    assert {path for path in bob.files() if path.startswith("d0")} == {"d0/0", "d0/2", "d0/4", "d0/6"}
    assert "d1/1" not in bob.files()


def test_what_a_new_rule_keeps_out_was_not_deleted(world, pair):
    alice, bob = pair
    alice.stop()
    alice.rules = Rules(hidden=True, exclude_directory=("d0",))
    (alice.folder / "d1/1").unlink()
    world.settle()
    assert "d0/0" in bob.files() and "d0/0" in alice.files()
    assert "d1/1" not in bob.files()


def test_a_file_that_left_its_place_is_moved_and_not_deleted(world, pair):
    alice, bob = pair
    (alice.folder / "d0/0").rename(alice.folder / "moved")
    (alice.folder / "d0/2").rename(alice.folder / "d1/1")
    alice.sync()
    assert not [name for name in world.relay_names() if ".data." in name]
    world.settle()
    assert bob.tree() == alice.tree()
    assert bob.read("moved") == b"content 0" and bob.read("d1/1") == b"content 2"


def test_a_copy_is_no_move(world, pair):
    alice, bob = pair
    alice.write("copy", alice.read("d0/0"))
    world.settle()
    assert bob.read("copy") == bob.read("d0/0") == b"content 0"
    (alice.folder / "d0/0").unlink()
    world.settle()
    assert bob.tree() == alice.tree() and "d0/0" not in bob.files()
