"""Whole passes of several clients around one relay, production code over a store in memory."""

from __future__ import annotations

import pytest

from escale.relay.plan import Mode
from tests.world import World


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_a_file_reaches_the_other_side_and_leaves_the_relay(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("notes.txt", "hello")
    alice.write("deep/er/b.bin", bytes(range(256)) * 40)
    world.settle()
    assert bob.files() == alice.files() == {"notes.txt": b"hello", "deep/er/b.bin": bytes(range(256)) * 40}
    assert world.holds_only_indices()


def test_edits_travel_in_both_directions(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("a.txt", "one")
    world.settle()
    bob.write("a.txt", "two, longer")
    bob.write("b.txt", "from bob")
    world.settle()
    assert alice.files() == bob.files() == {"a.txt": b"two, longer", "b.txt": b"from bob"}


def test_two_different_edits_both_survive_under_the_same_names(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("a.txt", "base")
    world.settle()
    alice.write("a.txt", "edit of alice")
    bob.write("a.txt", "edit of bob!!")
    world.settle()
    assert alice.files() == bob.files()
    assert sorted(alice.files().values()) == [b"edit of alice", b"edit of bob!!"]
    assert any(".conflict-bob-" in name for name in alice.files())


def test_the_same_edit_on_both_sides_is_no_conflict(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("a.txt", "same")
    bob.write("a.txt", "same")
    world.settle()
    assert alice.files() == bob.files() == {"a.txt": b"same"}


def test_three_pullers_and_one_that_comes_later(world):
    alice = world.machine("alice", count=3)
    others = [world.machine(name, count=3) for name in ("bob", "carol")]
    alice.write("a.txt", "for three")
    for _ in range(3):
        for machine in world.machines:
            machine.sync()
    assert not world.holds_only_indices(), "two of three have it"
    late = world.machine("dave", count=3)
    world.settle()
    assert all(machine.files() == {"a.txt": b"for three"} for machine in (*others, late))
    assert world.holds_only_indices()


def test_a_newcomer_gets_what_was_delivered_long_ago(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("a.txt", "old")
    world.settle()
    carol = world.machine("carol")
    world.settle()
    assert carol.files() == bob.files() == {"a.txt": b"old"}
    assert world.holds_only_indices()


def test_an_idle_pass_is_one_listing(world, tmp_path):
    from escale.testing.faults import HookedStore

    world.levels = 1
    alice, bob = world.machine("alice"), world.machine("bob")
    for number in range(20):
        alice.write(f"dir{number}/file", str(number))
    world.settle(40)
    requests: list[tuple[str, str]] = []
    bob.stop()
    bob.wrap = lambda store: HookedStore(store, lambda verb, name: requests.append((verb, name)))
    bob.sync()
    requests.clear()
    bob.sync()
    assert requests == [("list", "")]


def test_upload_and_download_modes(world):
    alice = world.machine("alice", mode=Mode.UPLOAD)
    bob = world.machine("bob", mode=Mode.DOWNLOAD)
    alice.write("a.txt", "down")
    bob.write("b.txt", "stays")
    world.settle()
    assert alice.files() == {"a.txt": b"down"}
    assert bob.files() == {"a.txt": b"down", "b.txt": b"stays"}


def test_what_is_pending_is_sent_in_updates_of_limited_size(world):
    alice, bob = world.machine("alice", size_max=100_000), world.machine("bob")
    for number in range(10):
        alice.write(f"{number}.bin", bytes([number]) * 30_000)
    alice.sync()
    assert len([name for name in world.relay_names() if ".data." in name]) == 1
    world.settle(20)
    assert bob.files() == alice.files()


def test_the_quota_of_the_relay_is_respected(world):
    alice = world.machine("alice", quota=150_000, size_max=1 << 20, compression="none")
    bob = world.machine("bob", quota=150_000)
    for number in range(10):
        alice.write(f"{number}.bin", bytes([number]) * 40_000)
    for _ in range(12):
        for machine in world.machines:
            machine.sync()
            assert sum(len(data) for data, _ in world.blobs.values()) <= 150_000
    assert bob.files() == alice.files()
