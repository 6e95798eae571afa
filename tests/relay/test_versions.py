"""Deletions, renames, directories, links and permissions travel; production code over real folders."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from escale.errors import NoRelaySpace
from escale.files.rules import Rules
from escale.relay.format1 import Format1
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash, HookedStore
from tests.world import Machine, World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(world) -> tuple[Machine, Machine]:
    """Two machines in step over eight files in two directories."""
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    for number in range(8):
        alice.write(f"dir{number % 2}/f{number}.txt", f"content {number} " * 40)
    world.settle()
    assert alice.tree() == bob.tree()
    return alice, bob


def settle_counting(world: World) -> int:
    """Settle, and count the bytes of all archives that were ever there."""
    sizes: dict[str, int] = {}
    for _ in range(10):
        moved = 0
        for machine in world.machines:
            result = machine.sync()
            moved += result.up_files + result.down_files + result.waiting
            sizes.update({name: len(data) for name, (data, _) in world.blobs.items() if ".data." in name})
            world.clock.sleep(1)
        if not moved:
            return sum(sizes.values())
    raise AssertionError("still moving")


def test_a_deletion_travels_and_what_was_deleted_lies_in_the_trash(world, pair):
    alice, bob = pair
    (alice.folder / "dir0/f0.txt").unlink()
    world.settle()
    assert "dir0/f0.txt" not in bob.tree()
    assert alice.tree() == bob.tree()
    assert [item.path for item in bob.trash()] == ["dir0/f0.txt"]
    assert world.holds_only_indices()


def test_deleted_on_both_is_no_error_and_forgotten(world, pair):
    alice, bob = pair
    for machine in pair:
        (machine.folder / "dir0/f0.txt").unlink()
    world.settle()
    assert alice.tree() == bob.tree() and "dir0/f0.txt" not in alice.tree()
    assert not bob.trash()


def test_an_edit_beats_a_deletion_whoever_comes_first(world, pair):
    alice, bob = pair
    for first, second, name in ((alice, bob, "dir0/f0.txt"), (bob, alice, "dir0/f2.txt")):
        (alice.folder / name).unlink()
        bob.write(name, "edited meanwhile")
        first.sync()
        second.sync()
        world.settle()
        assert alice.read(name) == bob.read(name) == b"edited meanwhile"


def test_what_was_deleted_can_be_made_again(world, pair):
    alice, bob = pair
    (alice.folder / "dir0/f0.txt").unlink()
    world.settle()
    bob.write("dir0/f0.txt", "made again")
    world.settle()
    assert alice.read("dir0/f0.txt") == b"made again"


@pytest.mark.parametrize("levels", [0, 1])
def test_renames_cost_no_file_data(tmp_path, levels):
    world = World(tmp_path, levels=levels)
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    for number in range(6):
        alice.write(f"photos/raw/{number}.raw", os.urandom(20_000))
    alice.write("other/x.bin", os.urandom(20_000))
    world.settle()
    (alice.folder / "photos/raw").rename(alice.folder / "photos/kept")
    (alice.folder / "other/x.bin").rename(alice.folder / "photos/y.bin")
    (alice.folder / "photos").rename(alice.folder / "pictures")
    assert settle_counting(world) == 0
    assert alice.tree() == bob.tree()
    assert "pictures/kept/3.raw" in bob.tree() and "photos" not in bob.tree()
    world.close()


def test_swapped_and_rotated_names(world, pair):
    alice, bob = pair
    folder = alice.folder
    (folder / "dir0/f0.txt").rename(folder / "t")
    (folder / "dir0/f2.txt").rename(folder / "dir0/f0.txt")
    (folder / "dir1/f1.txt").rename(folder / "dir0/f2.txt")
    (folder / "t").rename(folder / "dir1/f1.txt")
    world.settle()
    assert alice.tree() == bob.tree()


def test_directories_links_and_permissions(world, pair):
    alice, bob = pair
    (alice.folder / "empty/inside").mkdir(parents=True)
    (alice.folder / "dir0").chmod(0o750)
    (alice.folder / "dir0/f0.txt").chmod(0o700)
    (alice.folder / "link").symlink_to("dir0/f0.txt")
    (alice.folder / "dangling").symlink_to("/nowhere/at all")
    (alice.folder / "loop").symlink_to("loop")
    assert settle_counting(world) == 0
    assert alice.tree() == bob.tree()
    assert stat.S_IMODE((bob.folder / "dir0/f0.txt").stat().st_mode) == 0o700
    assert os.readlink(bob.folder / "dangling") == "/nowhere/at all"
    (bob.folder / "link").unlink()
    (bob.folder / "link").symlink_to("dir1/f1.txt")
    (bob.folder / "empty/inside").rmdir()
    world.settle()
    assert alice.tree() == bob.tree()
    assert os.readlink(alice.folder / "link") == "dir1/f1.txt"


KINDS = ("file", "directory", "link")


def make(path: Path, kind: str) -> None:
    """Something of this kind; a directory with a file in it."""
    if kind == "file":
        path.write_text("a file now")
    elif kind == "link":
        path.symlink_to("f1")
    else:
        path.mkdir()
        (path / "inside").write_text("in the directory")


def clear(path: Path) -> None:
    """Away with it."""
    if path.is_dir() and not path.is_symlink():
        for inside in path.iterdir():
            inside.unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("levels", [0, 1])
def test_a_path_becomes_something_else(tmp_path, before, after, levels):
    world = World(tmp_path, levels=levels)
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    alice.write("other", "so that the folder is never empty")
    make(alice.folder / "thing", before)
    world.settle()
    clear(alice.folder / "thing")
    make(alice.folder / "thing", after)
    if before == after == "file":
        (alice.folder / "thing").write_text("another file now")
    world.settle()
    assert alice.tree() == bob.tree()
    assert not [path for path in bob.tree() if "conflict" in path]
    world.close()


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_clashes_of_kinds_keep_both(world, one, other):
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    make(alice.folder / "thing", one)
    make(bob.folder / "thing", other)
    if one == other == "file":
        (bob.folder / "thing").write_text("another")
    if one == other == "link":
        (bob.folder / "thing").unlink()
        (bob.folder / "thing").symlink_to("elsewhere")
    before = {**alice.tree(), **{f"of bob {path}": node for path, node in bob.tree().items()}}
    world.settle(12)
    assert alice.tree() == bob.tree()
    contents = [node[:2] for node in alice.tree().values()]
    for node in before.values():
        assert node[0] == "directory" or node[:2] in contents


def test_a_file_that_is_edited_in_a_directory_that_is_deleted_survives(world, pair):
    alice, bob = pair
    for path in sorted((alice.folder / "dir0").iterdir()):
        path.unlink()
    (alice.folder / "dir0").rmdir()
    bob.write("dir0/f0.txt", "edited in the last moment")
    bob.write("dir0/new.txt", "made in the last moment")
    alice.sync()
    world.settle()
    assert alice.tree() == bob.tree()
    assert sorted(path for path in alice.tree() if path.startswith("dir0")) == ["dir0", "dir0/f0.txt", "dir0/new.txt"]


def test_a_directory_that_is_deleted_while_somebody_closes_it_and_puts_something_in_is_the_same_everywhere(world, pair):
    alice, bob = pair
    carol = world.machine("carol", deletes=True)
    alice.write("d/old", b"old")
    world.settle()
    shutil.rmtree(alice.folder / "d")
    (bob.folder / "d").chmod(0o700)
    (bob.folder / "d" / "link").symlink_to("nowhere")
    world.settle()
    for machine in (alice, bob, carol):
        assert (machine.folder / "d" / "link").is_symlink()
        assert not (machine.folder / "d" / "old").exists()
        assert (machine.folder / "d").stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_a_directory_waits_until_what_was_in_that_is_deleted_on_the_relay(tmp_path):
    world = World(tmp_path, levels=1)
    try:
        alice, bob = (world.machine(name, deletes=True) for name in ("alice", "bob"))
        alice.write("g/h", b"in the directory")
        world.settle()
        before = bob.tree()
        page = Format1(levels=1).page_of("g/h")

        def is_full(verb: str, name: str) -> None:
            if verb == "put" and name.startswith(f"{page}.index."):
                raise NoRelaySpace(where="the relay", reason="for this page")

        alice.wrap = lambda store: HookedStore(store, before=is_full)
        alice.stop()
        shutil.rmtree(alice.folder / "g")
        alice.write("g", b"in its place")
        for _ in range(3):
            assert alice.sync().exit_code == 14
            bob.sync()
            assert "g" in [one.path for one in alice.loop.pending()]
        assert bob.tree() == before
        alice.wrap = lambda store: store
        alice.stop()
        world.settle()
        assert alice.files() == bob.files() == {"g": b"in its place"}
    finally:
        world.close()


@pytest.mark.parametrize("rules", [Rules(), Rules(include=("*.txt",))])
def test_what_lies_in_the_place_of_a_file_waits_until_the_relay_knows_that_this_went(tmp_path, rules):
    """GIVEN a file and what takes its place on two pages WHEN that of the file cannot be written for some passes THEN
    the others keep the file, and nobody puts it beside the directory."""
    world = World(tmp_path, levels=1)
    try:
        alice, bob = (world.machine(name, deletes=True) for name in ("alice", "bob"))
        alice.rules = bob.rules = rules
        alice.write("g.txt", b"a file")
        world.settle()
        before, page = bob.tree(), Format1(levels=1).page_of("g.txt")

        def is_full(verb: str, name: str) -> None:
            if verb == "put" and name.startswith(f"{page}.index."):
                raise NoRelaySpace(where="the relay", reason="for this page")

        alice.wrap = lambda store: HookedStore(store, before=is_full)
        alice.stop()
        (alice.folder / "g.txt").unlink()
        alice.write("g.txt/h.txt", b"in its place")
        for _ in range(3):
            assert alice.sync().exit_code == 14
            bob.sync()
            assert "g.txt/h.txt" in [one.path for one in alice.loop.pending()]
        assert bob.tree() == before
        alice.wrap = lambda store: store
        alice.stop()
        assert alice.sync().exit_code == 0
        bob.sync()
        assert bob.files() == alice.files() == {"g.txt/h.txt": b"in its place"}, "in one pass"
    finally:
        world.close()


def test_of_two_permissions_under_one_version_one_is_everywhere_in_the_end(world, pair):
    """GIVEN a relay that lost its memory WHEN somebody who never met a file has written it down with his permissions,
    under the version that the others know THEN all have the same in the end."""
    alice, bob = pair
    carol = world.machine("carol", deletes=True)
    content = alice.read("dir0/f0.txt")
    world.blobs.clear()
    carol.write("dir0/f0.txt", content)
    (carol.folder / "dir0/f0.txt").chmod(0o600)
    (carol.folder / "dir0").chmod(0o711)
    carol.sync()
    world.settle(12)
    assert alice.tree() == bob.tree() == carol.tree()
    assert len(alice.files()) == 8


@pytest.mark.parametrize("in_its_place", [None, "a file"])
@pytest.mark.parametrize("has_seen_it", [False, True])
def test_a_directory_that_comes_back_for_a_file_has_the_permissions_that_it_had(world, in_its_place, has_seen_it):
    """GIVEN one machine that deletes a directory of its own permissions, and another that puts a file into it WHEN both
    have sent THEN the directory is made again as it was, also on machines that come later."""
    alice, bob, carol = (world.machine(name, deletes=True) for name in ("alice", "bob", "carol"))
    alice.write("d/e/f", "old")
    (alice.folder / "d/e").chmod(0o700)
    world.settle()
    alice.write("d/e/f", "a new one")
    alice.sync()
    if has_seen_it:
        carol.sync()
    shutil.rmtree(bob.folder / "d")
    if in_its_place:
        bob.write("d", in_its_place)
    world.settle(12)
    dave = world.machine("dave", deletes=True)
    world.settle(12)
    assert alice.read("d/e/f") == b"a new one"
    assert alice.tree() == bob.tree() == carol.tree() == dave.tree()
    assert (dave.folder / "d/e").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def implied(world) -> tuple[Machine, Machine]:
    """Bob has directories only because a file of Alice arrived in them: who chooses by names keeps his to himself."""
    alice, bob = world.machine("alice", deletes=True), world.machine("bob", deletes=True)
    alice.rules = Rules(include=("*.txt",))
    alice.write("d/e/only.txt", "only")
    world.settle()
    assert bob.read("d/e/only.txt") == b"only"
    return alice, bob


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_directory_that_is_there_for_a_file_goes_with_it_whoever_deletes_it(world, implied, who):
    (world.directory / who / "d/e/only.txt").unlink()
    world.settle()
    assert not (implied[1].folder / "d").exists()


def test_a_directory_that_is_there_for_a_file_stays_for_what_else_is_in_it(world, implied):
    bob = implied[1]
    bob.write("d/other", "other")
    (bob.folder / "d/e/only.txt").unlink()
    world.settle()
    assert sorted(bob.tree()) == ["d", "d/other"]
    (bob.folder / "d/other").unlink()
    world.settle()
    assert not bob.tree()


def test_a_directory_that_is_there_for_a_file_stays_when_it_was_made_somebodys_own(world, implied):
    bob = implied[1]
    (bob.folder / "d/e/only.txt").unlink()
    (bob.folder / "d/e").chmod(0o700)
    world.settle()
    assert sorted(bob.tree()) == ["d", "d/e"]
    shutil.rmtree(bob.folder / "d")
    world.settle()
    (bob.folder / "d").mkdir()
    world.settle()
    assert sorted(bob.tree()) == ["d"]


def dies(machine: Machine, number: int) -> bool:
    """A pass that dies ahead of the change of this number in its folder; whether there were so many."""
    result = None
    with suppress(Crash), DiskHook(CrashAt(number, machine.folder)):
        result = machine.sync()
    machine.stop()
    return result is None


@pytest.mark.parametrize("how", ["renames", "deletes"])
def test_who_dies_while_a_file_arrives_takes_its_directory_for_no_one_s_own(tmp_path, how):
    """GIVEN Bob, who dies ahead of any change of his disk while a file arrives, and with it the need for directories
    WHEN Alice renames or deletes the file before he comes again THEN they are nowhere."""
    for number in range(60):
        world = World(tmp_path / str(number))
        alice, bob, carol = (world.machine(name, deletes=True) for name in ("alice", "bob", "carol"))
        alice.rules = Rules(include=("*.txt",))
        alice.write("d/e/f.txt", "arrives")
        alice.sync()
        has_died = dies(bob, number)
        if how == "renames":
            (alice.folder / "d").rename(alice.folder / "other")
        else:
            shutil.rmtree(alice.folder / "d")
        alice.sync()
        world.settle(12)
        kept = ["other", "other/e", "other/e/f.txt"] if how == "renames" else []
        assert [sorted(one.tree()) for one in (alice, bob, carol)] == [kept] * 3, number
        world.close()
        if not has_died:
            break
    assert not has_died and number > 6, "it was tried at every change"


def test_who_dies_while_a_deletion_arrives_deletes_nothing_that_was_made_again(tmp_path):
    """GIVEN Bob, who dies ahead of any change of his disk while deletions arrive WHEN Alice makes the same again before
    he comes again THEN all have it."""
    for number in range(60):
        world = World(tmp_path / str(number))
        alice, bob = (world.machine(name, deletes=True) for name in ("alice", "bob"))
        kept = ["d", "d/e", "d/e/f.txt"]
        alice.write("d/e/f.txt", "comes, goes, and comes again")
        world.settle()
        shutil.rmtree(alice.folder / "d")
        alice.sync()
        has_died = dies(bob, number)
        alice.write("d/e/f.txt", "comes, goes, and comes again")
        alice.sync()
        world.settle(12)
        assert [sorted(one.tree()) for one in (alice, bob)] == [kept] * 2, number
        world.close()
        if not has_died:
            break
    assert not has_died and number > 6, "it was tried at every change"


@pytest.mark.parametrize("then", ["another", "nothing"])
def test_who_dies_while_a_version_arrives_has_no_conflict_with_the_next_one(tmp_path, then):
    """GIVEN Bob, who dies ahead of any change of his disk while a version arrives WHEN Alice edits or deletes that
    before he comes again THEN he has what she has, and no copy of it beside that."""
    for number in range(60):
        world = World(tmp_path / str(number))
        alice, bob = (world.machine(name, deletes=True) for name in ("alice", "bob"))
        alice.write("f", "the first")
        world.settle()
        alice.write("f", "the second one")
        alice.sync()
        has_died = dies(bob, number)
        if then == "another":
            alice.write("f", "and the third of them")
        else:
            (alice.folder / "f").unlink()
        alice.sync()
        world.settle(12)
        kept = {"f": b"and the third of them"} if then == "another" else {}
        assert alice.files() == bob.files() == kept, number
        world.close()
        if not has_died:
            break
    assert not has_died and number > 6, "it was tried at every change"


def test_deletions_stay_at_home_when_they_are_not_to_travel(tmp_path):
    world = World(tmp_path)
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("f", "kept by all")
    world.settle()
    (alice.folder / "f").unlink()
    world.settle()
    assert alice.read("f") == bob.read("f") == b"kept by all"
    world.close()


def test_one_machine_may_keep_what_the_others_delete(tmp_path):
    world = World(tmp_path)
    alice, bob = world.machine("alice", deletes=True), world.machine("bob")
    for name in "abc":
        alice.write(name, "everybody's")
    world.settle()
    (alice.folder / "a").unlink()
    (bob.folder / "b").unlink()
    world.settle()
    assert (sorted(alice.files()), sorted(bob.files())) == (["b", "c"], ["a", "b", "c"])
    bob.write("a", "edited where it was kept")
    world.settle()
    assert alice.read("a") == b"edited where it was kept"
    world.close()


def test_touching_a_file_is_no_change(world, pair):
    alice, bob = pair
    os.utime(alice.folder / "dir0/f0.txt", ns=(1, 10**18))
    before = bob.tree()
    assert settle_counting(world) == 0
    assert bob.tree() == before
    assert not [path for path in alice.tree() if "conflict" in path]
