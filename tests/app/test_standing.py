"""How the clients of a relay stand, by our own clock."""

import random

import pytest

from escale.app.standing import forget, standings
from tests.world import World

DAY_S = 86400.0


@pytest.fixture
def world(tmp_path):
    """Alice and bob; alice has sent a file that bob does not have."""
    world = World(tmp_path)
    alice, bob = world.machine("alice"), world.machine("bob")
    for machine in (bob, alice):
        machine.sync()
    alice.write("a.txt", "hello")
    alice.sync()
    return world


def standing(world, machine, named=()):
    connection = machine.connect(random.Random(1))
    try:
        client = connection.look_only(lambda event: None)
        found = standings(client, connection.listing(), named, 7 * DAY_S, lambda event: None)
        return {one.name: one for one in found}
    finally:
        connection.close()


def test_what_waits_for_whom(world):
    found = standing(world, world.machines[0])
    assert (found["bob"].files, found["alice"].files) == (1, 0)
    assert found["bob"].size > 0 and not found["bob"].is_here and found["alice"].is_here
    world.machines[1].sync()
    assert standing(world, world.machines[0])["bob"].files == 0


def test_a_client_is_stale_when_its_entry_has_not_changed_for_long(world):
    alice, bob = world.machines
    assert not standing(world, alice)["bob"].is_stale
    world.clock.sleep(8 * DAY_S)
    found = standing(world, alice)
    assert (found["bob"].is_stale, found["bob"].silent_s) == (True, pytest.approx(8 * DAY_S, rel=0.01))
    assert not found["alice"].is_stale
    bob.sync()
    assert not standing(world, alice)["bob"].is_stale


def test_who_is_named_counts_before_it_comes_and_others_do_not(world):
    found = standing(world, world.machines[0], ("carla",))
    assert (found["carla"].silent_s, found["carla"].is_named, found["carla"].files) == (None, True, 1)
    assert found["bob"].files == 0


def test_a_client_that_was_forgotten_enters_itself_again(world):
    alice, bob = world.machines
    connection = alice.connect(random.Random(1))
    forget(connection.look_only(lambda event: None), "bob")
    connection.close()
    assert list(standing(world, alice)) == ["alice"]
    alice.sync()
    bob.sync()
    assert list(standing(world, alice)) == ["alice", "bob"]
    assert bob.read("a.txt") == b"hello"
