"""Mass deletions are held until the user has decided, once; a decision is about what was shown, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from escale.app.connection import Parts, TrashLimit
from escale.app.guard import APPROVE, REFUSE, DeletionLimit, Guard, HeldDeletion
from escale.events import Problem
from escale.files.ledger import Ledger
from escale.testing.ledger import MemoryLedger
from tests.world import Machine, World

FIVE = DeletionLimit(count=5, percent=None)


class GuardedWorld(World):
    """A world in which at most five files may be deleted between two passes."""

    limit = FIVE
    trash = TrashLimit()

    def parts(self, machine: Machine) -> Parts:
        return replace(super().parts(machine), max_delete=self.limit, trash=self.trash)


@pytest.fixture
def world(tmp_path):
    made = GuardedWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(world):
    """Two in step over twenty files in two directories."""
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    for number in range(20):
        alice.write(f"d{number % 2}/{number:02d}", f"content {number}")
    world.settle()
    return alice, bob


def delete(machine: Machine, *numbers: int) -> None:
    for number in numbers:
        (machine.folder / f"d{number % 2}/{number:02d}").unlink()


def decide(world: World, machine: Machine, decision: str) -> None:
    """What `escalectl approve` does."""
    ledger = Ledger(world.directory / f"{machine.name}.ledger")
    held = HeldDeletion.load(ledger)
    assert held is not None
    held.decide(ledger, decision)
    ledger.close()


def held(machine: Machine) -> list[str]:
    """Paths whose deletion waits, as of the last pass."""
    assert machine.loop is not None
    return sorted(one.path for one in machine.loop.pending() if one.reason == "held")


@pytest.mark.parametrize(
    ("limit", "missing", "agreed", "allowed"),
    [
        (DeletionLimit(50, 25.0), 50, 100, True),
        (DeletionLimit(50, 25.0), 51, 100, False),
        (DeletionLimit(50, 25.0), 250, 1000, True),
        (DeletionLimit(50, 25.0), 251, 1000, False),
        (DeletionLimit(None, 25.0), 26, 100, False),
        (DeletionLimit(5, None), 6, 1000, False),
        (DeletionLimit(0, None), 1, 1000, False),
        (DeletionLimit(None, None), 1000, 1000, True),
        (DeletionLimit(50, 25.0), 8, 8, False),
        (DeletionLimit(50, 25.0), 1, 1, True),
        (DeletionLimit(50, 25.0), 0, 0, True),
    ],
)
def test_how_many_may_be_deleted(limit, missing, agreed, allowed):
    assert limit.allows(missing, agreed) is allowed


def test_a_mass_deletion_is_held_until_it_is_approved_once(world, pair):
    alice, bob = pair
    gone = [f"d{number % 2}/{number:02d}" for number in range(6)]
    delete(alice, *range(6))
    alice.write("new", "what else is done goes on")
    for _ in range(3):
        assert alice.sync().exit_code == 5
        bob.sync()
    assert held(alice) == sorted(gone)
    assert len(bob.files()) == 21
    decide(world, alice, APPROVE)
    world.settle()
    assert alice.tree() == bob.tree() and len(bob.files()) == 15
    assert sorted(item.path for item in bob.trash()) == sorted(gone)


def test_an_approval_is_for_what_was_shown_and_for_nothing_else(world, pair):
    alice, bob = pair
    delete(alice, *range(6))
    alice.sync()
    delete(alice, *range(6, 12))
    decide(world, alice, APPROVE)
    assert alice.sync().exit_code == 5
    for machine in (bob, alice):
        machine.sync()
    assert len(bob.files()) == 14 and len(held(alice)) == 6


def test_refused_files_come_back(world, pair):
    alice, bob = pair
    before = bob.tree()
    delete(alice, *range(6))
    alice.sync()
    decide(world, alice, REFUSE)
    world.settle()
    assert alice.tree() == bob.tree() == before and not bob.trash()


@pytest.mark.parametrize("decision", [APPROVE, REFUSE])
def test_a_file_in_the_place_of_a_directory_waits_for_the_decision_about_what_was_in_that(world, pair, decision):
    alice, bob = pair
    before = bob.tree()
    shutil.rmtree(alice.folder / "d0")
    alice.write("d0", "in its place")
    for _ in range(3):
        assert alice.sync().exit_code == 5
        bob.sync()
    assert bob.tree() == before
    decide(world, alice, decision)
    world.settle(12)
    assert alice.tree() == bob.tree()
    if decision == APPROVE:
        assert bob.read("d0") == b"in its place" and len(bob.files()) == 11
    else:
        assert bob.files().items() >= {path: node[1] for path, node in before.items() if node[0] == "file"}.items()
        assert b"in its place" in bob.files().values() and len(bob.files()) == 21


def test_what_is_held_survives_a_restart_and_is_forgotten_when_the_files_are_back(world, pair):
    alice, bob = pair
    saved = {number: alice.read(f"d{number % 2}/{number:02d}") for number in range(6)}
    delete(alice, *range(6))
    alice.sync()
    alice.stop()
    assert alice.sync().exit_code == 5 and len(held(alice)) == 6
    for number, content in saved.items():
        alice.write(f"d{number % 2}/{number:02d}", content)
    assert alice.sync().exit_code == 0
    world.settle()
    assert len(bob.files()) == 20


def test_renames_are_no_deletions(world, pair):
    alice, bob = pair
    (alice.folder / "d0").rename(alice.folder / "e0")
    world.settle()
    assert alice.tree() == bob.tree() and "e0/00" in bob.tree()


def test_few_deletions_pass_and_are_counted_from_pass_to_pass(world, pair):
    alice, bob = pair
    delete(alice, *range(5))
    world.settle()
    delete(alice, *range(5, 10))
    world.settle()
    assert len(bob.files()) == 10


def test_a_folder_that_was_emptied_is_held_whatever_the_limit(world, pair):
    alice, bob = pair
    world.limit = DeletionLimit(1000, 100.0)
    alice.stop()
    delete(alice, *range(20))
    assert alice.sync().exit_code == 5
    bob.sync()
    assert len(bob.files()) == 20


def test_an_edit_of_what_is_held_arrives_and_holds_up_nobody(world, pair):
    alice, bob = pair
    delete(alice, *range(8))
    alice.sync()
    bob.write("d0/00", "edited by bob")
    for _ in range(3):
        bob.sync()
        alice.sync()
    assert alice.read("d0/00") == b"edited by bob"
    assert len(held(alice)) == 7 and len(bob.files()) == 20
    assert world.holds_only_indices()
    decide(world, alice, APPROVE)
    world.settle()
    assert alice.tree() == bob.tree() and len(bob.files()) == 13


def test_what_a_sync_replaces_or_deletes_lies_in_the_trash_for_its_time(world, pair):
    alice, bob = pair
    world.trash = TrashLimit(keep_s=86400.0, size_max=None)
    bob.stop()
    delete(alice, 0)
    alice.write("d1/01", "edited")
    world.settle()
    assert sorted(item.path for item in bob.trash()) == ["d0/00", "d1/01"]
    (kept,) = (bob.folder / ".escale/trash").glob("*/d1/01")
    assert kept.read_text() == "content 1"
    world.clock.sleep(86400 * 2)
    bob.sync()
    assert not bob.trash()


def test_the_trash_keeps_the_newest_that_fit(world, pair):
    alice, bob = pair
    world.trash = TrashLimit(keep_s=None, size_max=2_000)
    bob.stop()
    for number in range(4):
        alice.write("d1/01", f"{number}" * 900)
        world.settle()
        world.clock.sleep(2 * 86400)
    assert len(bob.trash()) == 2
    assert {path.read_text()[:1] for path in (bob.folder / ".escale/trash").glob("*/d1/01")} == {"1", "2"}


def test_the_problem_names_the_command(world, pair):
    alice, _ = pair
    delete(alice, *range(6))
    alice.sync()
    (problem,) = (event for event in alice.events if isinstance(event, Problem))
    assert (problem.code, problem.advice) == ("L120", "Look and decide: escalectl approve alice")
    assert "6 of 20 files" in problem.message


def test_a_decision_about_something_else_is_none():
    ledger = MemoryLedger()
    guard = Guard(ledger, FIVE)
    first = guard.hold(frozenset("abcdef"), 20, 1.0)
    assert first is not None
    second = guard.hold(frozenset("abcdefg"), 20, 2.0)
    assert second is not None and second.id != first.id
    first.decide(ledger, REFUSE)
    assert guard.refused() == frozenset()
    first.decide(ledger, APPROVE)
    assert guard.hold(frozenset("abcdefg"), 20, 3.0) == second
    second.decide(ledger, REFUSE)
    assert guard.refused() == frozenset("abcdefg")
    assert HeldDeletion.load(ledger) is None
