"""Kill a client before its first, second, third ... change to the relay; after a restart everything must be in step.

The client is the production code over a store that dies (escale.testing.faults.Fuse).  What the death leaves on the
relay and in the folder is exactly what a power cut would leave.
"""

from __future__ import annotations

import itertools

import pytest

from escale.testing.faults import Crash, Fuse, HookedStore
from tests.world import Machine, World

from .canonical import CANONICAL, Death, Sweep
from .machines import memory_directory

CHANGES = {"put", "create", "delete"}


@pytest.mark.parametrize("exclusive", [True, False], ids=["create", "listing"])
@pytest.mark.parametrize("how", Death, ids=lambda how: how.value)
@pytest.mark.parametrize("history", CANONICAL, ids=lambda history: history.name)
def test_a_death_at_any_change_of_relay_folder_and_ledger_breaks_no_promise(history, how, exclusive):
    with memory_directory() as directory:
        sweep = Sweep(directory / "world", history, exclusive=exclusive)
        made: list[str] = []
        for made in sweep.run(how):
            print(*made, sep="\n")
        sweep.close()
    verbs = {change.split()[0] for change in made}
    assert "transaction" in verbs
    assert "push" not in history.name or verbs & CHANGES
    assert "pull" not in history.name or verbs & {"exchange", "link", "rename", "unlink"}


def _sync_dying(machine: Machine, fuse: Fuse, after: bool) -> bool:
    """One pass of a fresh process that dies when the fuse blows; whether it survived."""
    machine.stop()
    hooks = {"after": fuse} if after else {"before": fuse}
    machine.wrap = lambda store: HookedStore(store, **hooks)
    try:
        machine.sync()
    except Crash:
        return False
    finally:
        machine.stop()
        machine.wrap = lambda store: store
    return True


def _history(world: World) -> tuple[Machine, Machine]:
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("kept.txt", "there from the start")
    world.settle()
    alice.write("new/file.txt", "pushed in the dying pass")
    alice.write("kept.txt", "edited")
    return alice, bob


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("exclusive", [True, False], ids=["create", "listing"])
@pytest.mark.parametrize("victim", ["pusher", "puller", "first"])
def test_a_crash_at_every_change_of_the_relay_is_repaired_by_the_restart(tmp_path, victim, exclusive, after):
    for fuse_length in itertools.count():
        directory = tmp_path / str(fuse_length)
        world = World(directory, exclusive=exclusive, seed=fuse_length)
        if victim == "first":
            alice, bob = world.machine("alice"), world.machine("bob")
            alice.write("kept.txt", "edited")
            alice.write("new/file.txt", "pushed in the dying pass")
        else:
            alice, bob = _history(world)
        dying = alice
        if victim == "puller":
            alice.sync()
            dying = bob
        survived = _sync_dying(dying, Fuse(fuse_length), after)
        world.settle(12)
        expected = {"kept.txt": b"edited", "new/file.txt": b"pushed in the dying pass"}
        assert alice.files() == bob.files() == expected, f"fuse {fuse_length}"
        assert world.holds_only_indices(), f"fuse {fuse_length}: {world.relay_names()}"
        world.close()
        if survived:
            break
    assert fuse_length >= 3, "the sweep must have met several changes"


@pytest.mark.parametrize("victim", ["pusher", "puller"])
def test_a_client_that_never_comes_back_blocks_nobody_for_ever(tmp_path, victim):
    """The dead client's lock and half-sent data are removed by another client after the lock timeout."""
    for fuse_length in itertools.count():
        world = World(tmp_path / str(fuse_length), seed=fuse_length)
        alice, bob = _history(world)
        dying, living = (alice, bob) if victim == "pusher" else (bob, alice)
        if victim == "puller":
            alice.sync()
        survived = _sync_dying(dying, Fuse(fuse_length), after=False)
        living.write("later.txt", "life goes on")
        living.sync()
        world.clock.advance(2000)
        for _ in range(4):
            living.sync()
        locks = [name for name in world.relay_names() if ".lock" in name]
        assert not locks, f"fuse {fuse_length}"
        world.settle(12)
        assert alice.files() == bob.files(), f"fuse {fuse_length}"
        assert alice.files()["later.txt"] == b"life goes on"
        world.close()
        if survived:
            break


def test_two_pushers_whose_lock_was_granted_to_both_lose_nothing(tmp_path):
    """The lock is politeness: both edits of one version survive although both pushes were acknowledged."""
    world = World(tmp_path)
    alice, bob, carol = (world.machine(name) for name in ("alice", "bob", "carol"))
    alice.write("f.txt", "first")
    world.settle()
    alice.write("f.txt", "edit of alice")
    bob.write("f.txt", "edit of bob, longer")
    before = dict(world.blobs)
    alice.sync()
    of_alice = dict(world.blobs)
    world.blobs.clear()
    world.blobs.update(before)
    bob.sync()
    world.blobs.update({name: blob for name, blob in of_alice.items() if name not in before})
    world.settle(16)
    assert alice.files() == bob.files() == carol.files()
    assert sorted(alice.files().values()) == [b"edit of alice", b"edit of bob, longer"]
    world.close()
