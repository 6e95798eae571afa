"""Many pullers: by name, by number or by roster; late, away for long, gone for good.  Nobody misses anything."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from escale.app.connection import Parts
from escale.app.standing import forget, standings
from escale.testing.faults import HookedStore
from tests.world import Machine, World

DAY_S = 86400.0


@dataclass
class Awaiting(Machine):
    """A machine with its own idea of whom updates wait for."""

    pullers: frozenset[str] | None = None
    releases_stale: bool = False


class AwaitingWorld(World):
    machine_class = Awaiting

    def parts(self, machine: Machine) -> Parts:
        assert isinstance(machine, Awaiting)
        return replace(super().parts(machine), pullers=machine.pullers, releases_stale=machine.releases_stale)

    def join(self, name: str, *pullers: str, releases_stale: bool = False, count: int | None = None) -> Awaiting:
        """A new machine; without `pullers` it waits for the roster."""
        made = self.machine(name, deletes=True, count=count)
        assert isinstance(made, Awaiting)
        made.pullers = frozenset(pullers) or None
        made.releases_stale = releases_stale
        return made

    def rounds(self, *machines: Machine, count: int = 4) -> None:
        """So many passes of each in turn."""
        for _ in range(count):
            for machine in machines:
                assert not machine.sync().problems
            self.clock.sleep(1)

    def rng(self) -> random.Random:
        """For a process that is no loop."""
        self.starts += 1
        return random.Random(self.starts)

    def pass_time(self, days: float, *machines: Machine) -> None:
        """Days in which only these give signs of life."""
        for _ in range(int(days * 2)):
            self.clock.sleep(DAY_S / 2)
            for machine in machines:
                machine.sync()


@pytest.fixture
def world(tmp_path):
    made = AwaitingWorld(tmp_path)
    yield made
    made.close()


def why(machine: Machine, path: str) -> str:
    """What `escalectl pending` says of a file."""
    assert machine.loop is not None
    return " ".join(one.message for one in machine.loop.pending() if one.path == path)


def waits_for(world: World, machine: Machine) -> dict[str, int]:
    """How many files wait for each client, as `escalectl peers` shows."""
    connection = machine.connect(world.rng())
    try:
        client = connection.look_only(lambda event: None)
        named = sorted(machine.pullers or ())
        found = standings(client, connection.listing(), named, 7 * DAY_S, lambda event: None)
        return {one.name: one.files for one in found}
    finally:
        connection.close()


def test_an_update_waits_for_all_who_are_named_and_for_nobody_else(world):
    names = ("alice", "bob", "carol")
    alice, bob = (world.join(name, *names) for name in names[:2])
    dave = world.join("dave", *names)
    world.rounds(alice, bob, dave, count=2)
    alice.write("f", "for all who are named")
    world.rounds(alice, bob, dave)
    assert bob.read("f") == dave.read("f") == b"for all who are named"
    assert not world.holds_only_indices()
    assert "carol" in why(alice, "f") and "bob" not in why(alice, "f")
    assert waits_for(world, alice) == {"alice": 0, "bob": 0, "carol": 1, "dave": 0}
    carol = world.join("carol", *names)
    world.rounds(carol, alice)
    assert carol.read("f") == b"for all who are named"
    assert world.holds_only_indices() and not why(alice, "f")


def test_who_is_not_named_holds_up_nobody_and_gets_all(world):
    alice, bob = world.join("alice", "alice", "bob"), world.join("bob", "alice", "bob")
    dave = world.join("dave", "alice", "bob")
    world.rounds(dave, alice, bob, count=1)
    alice.write("f", "for bob")
    world.rounds(alice, bob, count=2)
    assert world.holds_only_indices()
    # An answer, too, leaves as soon as those have it who are named: dave has to be quick.
    world.rounds(dave, alice, dave, bob)
    assert dave.tree() == alice.tree() and dave.read("f") == b"for bob"
    assert world.holds_only_indices()


def test_a_number_counts_whoever_comes(world):
    alice, bob, carol, dave = (world.join(name, count=2) for name in ("alice", "bob", "carol", "dave"))
    world.rounds(alice, bob, carol, dave, count=1)
    alice.write("f", "for two")
    world.rounds(alice, bob, count=2)
    assert not world.holds_only_indices()
    world.rounds(carol, count=1)
    assert world.holds_only_indices()
    # An answer, too, leaves as soon as two have it: dave has to be among them.
    world.rounds(dave, alice, dave, bob, carol)
    assert dave.read("f") == b"for two" and world.holds_only_indices()


def three(world: AwaitingWorld, *named: str, releases_stale: bool = False) -> list[Awaiting]:
    """Three in step over one file."""
    made = [world.join(name, *named, releases_stale=releases_stale) for name in ("alice", "bob", "carol")]
    made[0].write("first", "one")
    world.settle()
    return made


def change_all(alice: Machine) -> None:
    """An edit, a deletion, a new file."""
    alice.write("first", "two")
    alice.write("second", "new")
    alice.write("third", "to be deleted")


@pytest.mark.parametrize("named", [(), ("alice", "bob", "carol")])
def test_who_is_away_for_too_long_is_released_and_misses_nothing(world, named):
    alice, bob, carol = three(world, *named, releases_stale=True)
    change_all(alice)
    world.rounds(alice, bob, count=3)
    assert not world.holds_only_indices() and "carol" in why(alice, "second")
    world.pass_time(8, alice, bob)
    assert world.holds_only_indices() and not why(alice, "second")
    (alice.folder / "third").unlink()
    alice.write("fourth", "made while carol was away")
    world.rounds(alice, bob)
    assert world.holds_only_indices() and bob.tree() == alice.tree()
    world.rounds(carol, alice, bob)
    assert carol.tree() == bob.tree() == alice.tree()
    assert set(carol.files()) == {"first", "second", "fourth"} and carol.read("first") == b"two"
    assert world.holds_only_indices()


def test_who_is_away_is_waited_for_as_long_as_nothing_else_was_said(world):
    alice, bob, carol = three(world)
    change_all(alice)
    world.pass_time(30, alice, bob)
    assert not world.holds_only_indices()
    alice.sync()
    assert alice.loop is not None
    assert any("carol has not answered for 30 days" in need for need in map(str, alice.loop.status().needs))
    world.rounds(carol, alice, bob)
    assert carol.tree() == alice.tree() and world.holds_only_indices()


def test_who_was_named_and_never_came_is_released_too(world):
    named = ("alice", "bob", "nobody")
    alice, bob = (world.join(name, *named, releases_stale=True) for name in named[:2])
    alice.write("f", "content")
    world.rounds(alice, bob)
    assert not world.holds_only_indices() and "nobody" in why(alice, "f")
    world.pass_time(8, alice, bob)
    assert world.holds_only_indices() and bob.read("f") == b"content"
    late = world.join("nobody", *named)
    world.rounds(late, alice, bob)
    assert late.tree() == alice.tree()


def test_an_update_that_nobody_has_is_kept_however_long_all_others_are_away(world):
    alice, bob, carol = three(world, releases_stale=True)
    alice.write("second", "the only copy on its way")
    world.pass_time(30, alice)
    assert not world.holds_only_indices()
    world.rounds(bob, carol, alice)
    assert bob.tree() == carol.tree() == alice.tree() and world.holds_only_indices()


def test_who_left_for_good_is_forgotten_and_may_come_back(world):
    alice, bob, carol = three(world)
    change_all(alice)
    world.rounds(alice, bob, count=3)
    assert not world.holds_only_indices()
    connection = bob.connect(world.rng())
    forget(connection.look_only(lambda event: None), "carol")
    connection.close()
    world.rounds(alice, bob, count=2)
    assert world.holds_only_indices()
    assert sorted(waits_for(world, alice)) == ["alice", "bob"]
    world.rounds(carol, alice, bob)
    assert carol.tree() == alice.tree() == bob.tree()
    assert sorted(waits_for(world, alice)) == ["alice", "bob", "carol"]
    alice.write("fifth", "waits for carol again")
    world.rounds(alice, bob, count=2)
    assert "carol" in why(alice, "fifth")


def test_an_update_that_leaves_while_a_newcomer_fetches_it_is_asked_for(world):
    alice, bob = world.join("alice", "alice", "bob"), world.join("bob", "alice", "bob")
    world.rounds(alice, bob, count=1)
    alice.write("f", "fetched too late")
    alice.sync()
    carol = world.join("carol")
    met = []

    def overtake(verb: str, name: str) -> None:
        if verb == "get" and ".data." in name and not met:
            met.append(name)
            bob.sync()

    carol.wrap = lambda store: HookedStore(store, before=overtake)
    result = carol.sync()
    assert met and not result.problems and result.waiting
    world.rounds(carol, alice, carol, bob)
    assert carol.tree() == alice.tree() and world.holds_only_indices()
