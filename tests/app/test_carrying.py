"""Relays as a whole with production clients around them: deaths at every step, and what clients make of the result."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from dataclasses import replace

import pytest

from escale.app.carrying import (
    Depot,
    FileExists,
    LooksLikeABomb,
    NothingThere,
    WentOn,
    archive_relay,
    empty_relay,
    look_into,
    migrate_relay,
    restore_relay,
    take_memory_along,
)
from escale.app.connection import MarkerLost, OtherFormat
from escale.errors import LocalError, NoLocalSpace, RelayInUse
from escale.relay.carry import FORMATS, Occupied
from escale.relay.format1 import MARKER
from escale.relay.marker import RelayMoved, WrongKey
from escale.seal import Key, StreamSeal
from escale.store.memory import MemoryStore
from escale.testing.faults import Crash, Fuse, HookedStore
from tests.world import World

KEY = Key(bytes(range(32)))


class Stage:
    """Alice and bob have a file; another lies on the relay, which bob has yet to fetch.  The relay can move."""

    def __init__(self, directory, **kinds):
        self.directory = directory
        self.blobs: dict = {}
        self.world = World(directory / "w", lambda: MemoryStore(self.world.clock.now, self.blobs), **kinds)
        self.alice, self.bob = self.world.machine("alice"), self.world.machine("bob")
        self.alice.write("old.txt", "both have it " * 40)
        self.world.settle()
        self.alice.write("new.txt", "it lies on the relay " * 40)
        self.alice.sync()
        self.stop()

    def stop(self):
        for machine in self.world.machines:
            machine.stop()

    def depot(self, blobs, before=None, after=None, name="here"):
        store = MemoryStore(self.world.clock.now, blobs)
        hooks = {key: hook for key, hook in (("before", before), ("after", after)) if hook}
        form, fingerprint = FORMATS[self.world.form], self.world.fingerprint
        ledger = self.directory / f"{name}.ledger"
        return Depot("work", f"memory://{name}", HookedStore(store, **hooks), form, fingerprint, ledger, 1)

    def archive(self):
        path = self.directory / "r.tar.bz2"
        archive_relay(self.depot(self.blobs), path, self.world.clock, lambda event: None)
        return path

    def goes_on(self, blobs):
        """Both machines with this relay, until nothing moves: they agree, and nothing is lost."""
        self.blobs = blobs
        self.world.settle()
        expected = {"old.txt": b"both have it " * 40, "new.txt": b"it lies on the relay " * 40}
        assert self.alice.files() == self.bob.files() == expected
        self.stop()


KINDS = {"clear": {}, "sealed": {"seal": StreamSeal(KEY), "fingerprint": KEY.fingerprint}, "0.7": {"form": "0.7"}}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def stage(request, tmp_path):
    return Stage(tmp_path, **request.param)


@pytest.fixture
def clear(tmp_path):
    return Stage(tmp_path)


def quiet(event):
    """Told of progress."""


def told(machine):
    return [event.code for event in machine.events if event.type == "problem"]


def test_a_relay_out_of_an_archive_is_the_relay(stage):
    """GIVEN a relay that burns WHEN its archive is restored THEN the clients go on as if nothing had happened."""
    before = {name: data for name, (data, _) in stage.blobs.items()}
    path = stage.archive()
    blobs = {}
    depot = stage.depot(blobs)
    restore_relay(look_into(path, depot, quiet), depot, False, quiet)
    assert {name: data for name, (data, _) in blobs.items()} == before
    stage.goes_on(blobs)
    assert not told(stage.alice) and not told(stage.bob)


def count_mutations(act):
    seen = []
    act(lambda verb, name: seen.append(verb) if verb in ("put", "create", "delete") else None)
    return len(seen)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_restore_that_dies_anywhere_is_finished_by_the_next(stage, side):
    """GIVEN a death at each step WHEN it is restored again THEN all is there; and nobody is refused for the rest."""
    path = stage.archive()
    crate = look_into(path, stage.depot({}), quiet)
    steps = count_mutations(lambda hook: restore_relay(crate, stage.depot({}, before=hook), False, quiet))
    assert steps == len(crate.parcels) + bool(crate.marker)
    for number in range(steps):
        blobs = {}
        with suppress(Crash):
            restore_relay(crate, stage.depot(blobs, **{side: Fuse(number)}), False, quiet)
        assert (MARKER in blobs) is (bool(crate.marker) and side == "after" and number == steps - 1)
        if MARKER not in blobs:
            restore_relay(crate, stage.depot(blobs), False, quiet)
        assert {name: data for name, (data, _) in blobs.items()} == {
            name: data for name, (data, _) in stage.blobs.items()
        }


@pytest.mark.parametrize("number", range(6))
def test_clients_live_with_half_a_restore(tmp_path, number):
    """GIVEN a restore that died and is never finished WHEN the clients come back THEN they agree, nothing is lost."""
    stage = Stage(tmp_path)
    crate = look_into(stage.archive(), stage.depot({}), quiet)
    blobs = {}
    with pytest.raises(Crash):
        restore_relay(crate, stage.depot(blobs, before=Fuse(number)), False, quiet)
    assert MARKER not in blobs
    stage.goes_on(blobs)


def test_a_newcomer_waits_for_the_marker(clear):
    crate = look_into(clear.archive(), clear.depot({}), quiet)
    blobs = {}
    with pytest.raises(Crash):
        restore_relay(crate, clear.depot(blobs, before=Fuse(len(crate.parcels))), False, quiet)
    clear.blobs = blobs
    carol = clear.world.machine("carol")
    with pytest.raises(MarkerLost):
        carol.sync()
    restore_relay(crate, clear.depot(blobs), False, quiet)
    clear.world.settle()
    assert carol.files() == clear.alice.files()


def test_an_update_is_not_taken_away_by_the_first_who_comes(clear):
    """GIVEN bob awaits an update WHEN carol, who is on no roster yet, meets each step of a restore THEN bob gets it
    from the relay, though alice, who sent it, never comes back."""
    path = clear.archive()
    crate = look_into(path, clear.depot({}), quiet)
    for number in range(1, len(crate.parcels) + 1):
        blobs = {}
        with pytest.raises(Crash):
            restore_relay(crate, clear.depot(blobs, before=Fuse(number)), False, quiet)
        roster = [name for name in blobs if name.startswith("client.")]
        assert len(roster) == 2 or not [name for name in blobs if ".update." in name]


def test_a_restore_needs_an_empty_relay_of_its_kind(stage, tmp_path):
    path = stage.archive()
    for name in ("precious.txt", "0.lock", ".0.index", MARKER):
        blobs = {name: (b"x", 0.0)}
        depot = stage.depot(blobs)
        with pytest.raises(Occupied, match="not empty"):
            restore_relay(look_into(path, depot, quiet), depot, False, quiet)
        assert blobs == {name: (b"x", 0.0)}


def test_an_archive_of_the_other_format_or_key_is_refused(tmp_path):
    old, new = Stage(tmp_path / "old", form="0.7"), Stage(tmp_path / "new")
    with pytest.raises(OtherFormat):
        look_into(old.archive(), new.depot({}), quiet)
    with pytest.raises(OtherFormat):
        look_into(new.archive(), old.depot({}), quiet)
    with pytest.raises(RelayInUse, match="is not encrypted"):
        look_into(tmp_path / "new/r.tar.bz2", replace(new.depot({}), fingerprint=KEY.fingerprint), quiet)
    sealed = Stage(tmp_path / "sealed", **KINDS["sealed"])
    with pytest.raises(WrongKey):
        look_into(sealed.archive(), replace(sealed.depot({}), fingerprint="other"), quiet)


def test_somebody_who_begins_to_use_the_relay_meanwhile_wins(clear):
    """GIVEN an empty relay WHEN a client makes it its own during a restore THEN it says so and marks nothing."""
    crate = look_into(clear.archive(), clear.depot({}), quiet)
    blobs = {}

    def intrude(verb, name):
        if verb == "put" and MARKER not in blobs:
            blobs[MARKER] = (b"another's", 0.0)

    with pytest.raises(Occupied):
        restore_relay(crate, clear.depot(blobs, after=intrude), False, quiet)
    assert blobs[MARKER] == (b"another's", 0.0)


# -- the archive as a file


def test_an_archive_never_takes_the_place_of_another_file(clear):
    path = clear.directory / "r.tar.bz2"
    path.write_text("precious")
    with pytest.raises(FileExists):
        clear.archive()
    path.unlink()

    def intrude(verb, name):
        path.write_text("saved meanwhile")

    with pytest.raises(FileExists):
        archive_relay(clear.depot(clear.blobs, after=intrude), path, clear.world.clock, quiet)
    assert path.read_text() == "saved meanwhile"
    assert sorted(one.name for one in clear.directory.iterdir()) == ["r.tar.bz2", "w"]


def test_an_archive_that_fails_leaves_nothing(clear):
    def fail(verb, name):
        if verb == "get" and ".update." in name:
            raise LocalError(path="x", reason="y")

    with pytest.raises(LocalError):
        archive_relay(clear.depot(clear.blobs, before=fail), clear.directory / "r", clear.world.clock, quiet)
    with pytest.raises(LocalError, match="no such file"):
        archive_relay(clear.depot(clear.blobs), clear.directory / "none" / "r", clear.world.clock, quiet)
    assert [one.name for one in clear.directory.iterdir()] == ["w"]


def test_a_full_disk_is_told_and_leaves_nothing(clear, small_disk):
    blobs = dict(clear.blobs)
    blobs["0.data." + "1" * 20 + "-" + "a" * 16] = (random.Random(1).randbytes(4 << 20), 0.0)
    with pytest.raises(NoLocalSpace):
        archive_relay(clear.depot(blobs), small_disk / "r.tar", clear.world.clock, quiet)
    assert not list(small_disk.iterdir())


def test_an_archive_can_be_read_by_its_owner_only(clear):
    before = os.umask(0)
    try:
        assert clear.archive().stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_what_a_restore_would_take_for_a_bomb_is_not_written(clear, monkeypatch):
    monkeypatch.setattr("escale.relay.crate.FREE_BYTES", 1 << 20)
    blobs = dict(clear.blobs)
    blobs["0.data." + "1" * 20 + "-" + "a" * 16] = (bytes(30 << 20), 0.0)
    with pytest.raises(LooksLikeABomb):
        archive_relay(clear.depot(blobs), clear.directory / "r.tar.bz2", clear.world.clock, quiet)
    path = clear.directory / "r.tar"
    archive_relay(clear.depot(blobs), path, clear.world.clock, quiet)
    assert len(look_into(path, clear.depot({}), quiet).parcels) == len(blobs) - 1


@pytest.mark.parametrize(
    ("blobs", "error"), [({}, NothingThere), ({"0.index.0000000001-" + "0" * 16: (b"", 0.0)}, MarkerLost)]
)
def test_what_is_no_relay_is_not_archived(clear, blobs, error):
    with pytest.raises(error):
        archive_relay(clear.depot(blobs), clear.directory / "r", clear.world.clock, quiet)


# -- another place


def test_clients_go_on_at_the_new_place(stage):
    """GIVEN a relay that was carried WHEN all machines take their memory along THEN nothing is told or sent again."""
    there = {}
    done = migrate_relay(stage.depot(stage.blobs), stage.depot(there), False, quiet)
    assert len(done.parcels) == len([name for name in stage.blobs if name != MARKER])
    stage.goes_on(there)
    assert not told(stage.alice) and not told(stage.bob)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_move_that_dies_anywhere_is_finished_by_the_next(stage, side):
    """GIVEN a death at each step of copying and emptying, on either relay, WHEN it is done again THEN the new place is
    whole, the old one empty; at no time is a blob on neither."""
    whole = {name: data for name, (data, _) in stage.blobs.items() if name != MARKER}

    def move(old, new, fuse):
        hooks = {side: fuse}
        source, target = stage.depot(old, **hooks), stage.depot(new, **hooks, name="there")
        migrate_relay(source, target, False, quiet)
        return empty_relay(source, target)

    seen = []
    move(dict(stage.blobs), {}, lambda verb, name: seen.append(verb) if verb in ("put", "create", "delete") else None)
    for number in range(len(seen)):
        old, new = dict(stage.blobs), {}
        with suppress(Crash):
            move(old, new, Fuse(number))
        both = {name: data for name, (data, _) in {**old, **new}.items() if name != MARKER}
        assert both == whole
        if old:
            assert move(old, new, lambda verb, name: None) == []
        assert {name: data for name, (data, _) in new.items() if name != MARKER} == whole
        assert set(old) <= {MARKER}
        if stage.world.form == "1":
            assert new[MARKER][0] == stage.blobs[MARKER][0]


def test_a_straggler_stops_at_the_old_place(clear):
    there = {}
    source, target = clear.depot(clear.blobs), clear.depot(there, name="there")
    migrate_relay(source, target, False, quiet)
    assert empty_relay(source, target) == []
    with pytest.raises(RelayMoved, match="has moved to memory://there"):
        clear.bob.sync()
    assert list(clear.blobs) == [MARKER]
    clear.stop()
    assert migrate_relay(source, target, False, quiet).was_there
    clear.goes_on(there)


def test_an_old_place_that_went_on_is_not_emptied(stage):
    """GIVEN a copy of yesterday WHEN clients have gone on since THEN --move removes nothing."""
    there = {}
    source, target = stage.depot(stage.blobs), stage.depot(there, name="there")
    migrate_relay(source, target, False, quiet)
    stage.bob.sync()
    stage.stop()
    stage.alice.write("newer.txt", "written since " * 50)
    stage.alice.sync()
    before = dict(stage.blobs)
    with pytest.raises(WentOn):
        empty_relay(source, target)
    assert stage.blobs == before


def test_locks_and_strangers_do_not_travel_and_stay(clear):
    clear.blobs |= {"0.lock": (b"somebody", 0.0), "readme.txt": (b"", 0.0)}
    there = {}
    source, target = clear.depot(clear.blobs), clear.depot(there)
    done = migrate_relay(source, target, False, quiet)
    assert (done.locked, done.foreign) == (["0"], 1)
    assert "0.lock" not in there and "readme.txt" not in there
    assert empty_relay(source, target) == ["0.lock", "readme.txt"]
    assert sorted(clear.blobs) == ["0.lock", MARKER, "readme.txt"]


def test_what_is_elsewhere_is_not_mixed(clear, tmp_path):
    other = Stage(tmp_path / "other", seed=2)
    with pytest.raises(Occupied):
        migrate_relay(clear.depot(clear.blobs), clear.depot(other.blobs), False, quiet)
    with pytest.raises(WrongKey):
        sealed = Stage(tmp_path / "sealed", **KINDS["sealed"])
        migrate_relay(sealed.depot(sealed.blobs), replace(sealed.depot({}), fingerprint=""), False, quiet)


def test_memory_is_taken_along_once(clear):
    source = replace(clear.depot({}), ledger=clear.directory / "w" / "alice.ledger")
    target = clear.depot({}, name="there")
    assert take_memory_along(source, target)
    assert target.ledger.read_bytes() == source.ledger.read_bytes()
    target.ledger.write_bytes(b"its own by now")
    assert not take_memory_along(source, target)
    assert target.ledger.read_bytes() == b"its own by now"
    assert not take_memory_along(clear.depot({}, name="nowhere"), clear.depot({}, name="x"))


def test_an_old_archive_turns_nothing_back(clear):
    """GIVEN an archive of before an edit and a deletion WHEN it is restored over a relay that burned THEN those who
    were there keep both, write them again, and tell that the relay went back."""
    for machine in clear.world.machines:
        machine.settings = replace(machine.settings, deletes=True)
    clear.alice.write("gone.txt", "soon")
    clear.world.settle()
    clear.stop()
    path = clear.archive()
    (clear.alice.folder / "gone.txt").unlink()
    clear.alice.write("old.txt", "edited since the archive was made")
    clear.world.settle()
    clear.stop()
    clear.blobs = {}
    depot = clear.depot(clear.blobs)
    restore_relay(look_into(path, depot, quiet), depot, False, quiet)
    clear.world.settle()
    for machine in clear.world.machines:
        assert machine.files()["old.txt"] == b"edited since the archive was made"
        assert "gone.txt" not in machine.files()
        assert "P431" in told(machine)
