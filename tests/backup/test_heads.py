"""Heads: what was signed cannot be taken away, put back or made up without being told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from escale.backup.check import Check, Checked
from escale.backup.forget import forget, plan_forget
from escale.backup.heads import Heads, Memory, memory_path
from escale.backup.machine import Machine
from escale.backup.objects import Kind
from escale.backup.proof import Proof
from escale.backup.retention import Keep
from escale.backup.save import Save, Saved
from escale.backup.writer import Writer
from escale.errors import LocalError
from escale.testing.faults import Crash

from .places import MACHINE, Place, dies_at
from .test_check import made
from .test_prune import CHUNKER, fill

OTHER = Machine("forge", "bob", 1000, 1000, 4242)


def heads_of(place: Place, state: Path, machine: Machine = MACHINE) -> Heads:
    return Heads(place.repository(), machine, place.clock, state)


def save(place: Place, folder: Path, state: Path, machine: Machine = MACHINE) -> Saved:
    place.clock.advance(3600)
    repository = place.repository()
    with Writer(repository, 1, 1) as writer:
        heads = Heads(repository, machine, place.clock, state)
        return Save(repository, writer, place.clock, machine, CHUNKER, Proof(repository, place.clock.now()), heads).run(
            [str(folder)]
        )


def check(place: Place, state: Path) -> Checked:
    return Check(place.repository(), connections=1).run(0.0, heads_of(place, state))


def codes(checked: Checked) -> list[str]:
    return [damage.error.code for damage in checked.damage] + [notice.code for notice in checked.notices]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "folder", 1)
    return tmp_path / "folder"


def test_saving_and_forgetting_leave_nothing_to_say(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    saved = [save(place, folder, state).snapshot for _ in range(3)]
    assert codes(check(place, state)) == []
    forget(place.repository(), plan_forget(saved, Keep(last=1)), heads_of(place, state))
    assert len(place.names("snapshots")) == 1
    assert codes(check(place, state)) == []
    assert len(place.names("x-escale/heads")) == 4


def test_nothing_of_a_head_can_be_read_without_the_key(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    snapshot = save(place, folder, state).snapshot
    (name,) = place.names("x-escale/heads")
    assert snapshot.id.encode() not in place.blobs[name][0] and b"anvil" not in place.blobs[name][0]


def test_a_version_that_somebody_deleted_is_missed(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    snapshot = save(place, folder, state).snapshot
    save(place, folder, state)
    place.repository().objects.delete(Kind.SNAPSHOT, snapshot.id)
    (damage,) = check(place, state).damage
    assert damage.error.code == "B450"
    assert snapshot.id[:8] in str(damage.error)


def test_a_version_that_nobody_signed_is_told(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    signed = save(place, folder, state).snapshot
    forged = place.repository().write_snapshot(replace(signed, time_ns=signed.time_ns + 10**9))
    checked = check(place, state)
    assert codes(checked) == ["B453"]
    assert forged.id[:8] in str(checked.notices[0])


def test_a_version_that_restic_gave_a_tag_is_the_same(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    signed = save(place, folder, state).snapshot
    tagged = replace(signed, tags=("holiday",), rest=(*signed.rest, ("original", signed.id)))
    place.repository().write_snapshot(tagged)
    place.repository().objects.delete(Kind.SNAPSHOT, signed.id)
    assert codes(check(place, state)) == []


def test_a_forged_version_that_names_a_signed_one_is_not_signed(folder, tmp_path):
    """Nor does it stand for the one that was deleted."""
    place, state = made(), tmp_path / "state"
    signed = save(place, folder, state).snapshot
    fill(folder, 2)
    other = save(place, folder, state).snapshot
    place.repository().write_snapshot(replace(signed, tree=other.tree, rest=(("original", signed.id),)))
    place.repository().objects.delete(Kind.SNAPSHOT, signed.id)
    assert codes(check(place, state)) == ["B450", "B453"]


def test_a_version_that_was_forgotten_and_comes_back_is_told(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    saved = [save(place, folder, state).snapshot for _ in range(2)]
    before = dict(place.blobs)
    forget(place.repository(), plan_forget(saved, Keep(last=1)), heads_of(place, state))
    name = f"snapshots/{saved[0].id}"
    place.blobs[name] = before[name]
    assert codes(check(place, state)) == ["B454"]


@pytest.mark.parametrize("nth", range(3))
def test_a_record_that_is_left_out_is_missed(folder, tmp_path, nth):
    place, state = made(), tmp_path / "state"
    for _ in range(3):
        save(place, folder, state)
    check(place, state)
    place.damage(place.names("x-escale/heads")[nth], "gone")
    found = codes(check(place, state))
    assert found == [["B452", "B453"], ["B452", "B453"], ["B451", "B453"]][nth]


def test_a_store_that_was_put_back_is_noticed_by_who_was_there_and_who_looked(folder, tmp_path):
    place, state, other = made(), tmp_path / "state", tmp_path / "other"
    save(place, folder, state)
    before = dict(place.blobs)
    save(place, folder, state)
    assert codes(check(place, other)) == ["B455"]
    assert codes(check(place, other)) == []
    place.blobs = before
    assert codes(check(place, state)) == ["B451"]
    assert codes(check(place, other)) == ["B451"]
    # Whoever never looked cannot know.
    assert codes(check(place, tmp_path / "third")) == ["B455"]


def test_what_goes_on_after_a_store_was_put_back_is_no_excuse(folder, tmp_path):
    """The client that was there goes on with the next number, so the hole stays."""
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    before = dict(place.blobs)
    save(place, folder, state)
    place.blobs = before
    save(place, folder, state)
    assert codes(check(place, state)) == ["B452"]


def test_a_client_whose_state_was_put_back_goes_on(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    path = memory_path(state, place.config)
    old = path.read_bytes()
    save(place, folder, state)
    path.write_bytes(old)
    save(place, folder, state)
    assert codes(check(place, state)) == []


def test_a_record_of_another_key_is_not_taken(folder, tmp_path):
    """Whoever has the key of the repository, but not that of the client."""
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    ours = heads_of(place, state)
    (name,) = place.names("x-escale/heads")
    clear = place.master.open(place.blobs[name][0], name)
    envelope = json.loads(clear)
    envelope["head"] = envelope["head"].replace('"number":1', '"number":2')
    forged = place.master.seal(json.dumps(envelope).encode())
    place.blobs[f"x-escale/heads/{ours.client}-0000000002"] = (forged, place.clock.now())
    (damage,) = check(place, state).damage
    assert "not signed by the client" in str(damage.error)


def test_a_record_at_another_place_is_not_taken(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    (name,) = place.names("x-escale/heads")
    place.blobs[name.replace("0001", "0002")] = place.blobs[name]
    (damage,) = check(place, state).damage
    assert "of another place" in str(damage.error)


@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_record_is_named(folder, tmp_path, how):
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    save(place, folder, state)
    name = place.names("x-escale/heads")[0]
    place.damage(name, how)
    checked = check(place, state)
    assert name.rpartition("/")[2] in str(checked.damage[0].error)


def test_two_clients_sign_for_themselves(folder, tmp_path):
    place, ann, bob = made(), tmp_path / "ann", tmp_path / "bob"
    save(place, folder, ann)
    save(place, folder, bob, OTHER)
    save(place, folder, ann)
    assert codes(check(place, ann)) == ["B455"]
    assert codes(check(place, bob)) == ["B455"]
    assert codes(check(place, ann)) == codes(check(place, bob)) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_change_ends_in_a_signed_version_or_none(folder, tmp_path, when):
    deaths = 0
    for nth in range(30):
        place, state = made(), tmp_path / f"state {nth}"
        save(place, folder, state)
        setattr(place, when, dies_at(nth))
        try:
            save(place, folder, state)
            has_died = False
        except Crash:
            has_died = True
            deaths += 1
        setattr(place, when, lambda verb, name: None)
        save(place, folder, state)
        # Packs of the run that died may lie there unlisted.
        assert {*codes(check(place, state))} <= {"B446"}, nth
        if not has_died:
            break
    assert deaths == nth >= 2


def test_the_private_key_is_for_nobody_else(folder, tmp_path):
    place, state = made(), tmp_path / "state"
    save(place, folder, state)
    assert memory_path(state, place.config).stat().st_mode & 0o777 == 0o600
    assert Memory.load(memory_path(state, place.config)).seed == heads_of(place, state).memory.seed


def test_a_damaged_memory_is_told_and_not_replaced(tmp_path):
    place = made()
    path = memory_path(tmp_path, place.config)
    path.write_text("{")
    with pytest.raises(LocalError):
        heads_of(place, tmp_path)
    assert path.read_text() == "{"
