"""Requests: how often a store is waited for.  Over a long line that is what a command takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from escale.backup.doomed import Doomed
from escale.backup.forget import trusted
from escale.backup.heads import Heads
from escale.backup.locks import locked, others_since
from escale.backup.objects import Kind
from escale.backup.repository import Repository
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.errors import Corrupt, Missing
from escale.store.blob import BLOB_BYTES_MAX, READ_TOGETHER
from escale.store.memory import MemoryStore

from .places import MACHINE, PAUSE_S, Place

VERSIONS = 20
TURNS = -(-VERSIONS // READ_TOGETHER)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """With as many versions, index files and heads as a machine saves in three weeks."""
    place = Place()
    for number in range(VERSIONS):
        (tmp_path / "file").write_text(str(number))
        place.save(tmp_path / "file")
        Heads(place.repository(), MACHINE, place.clock, tmp_path / "state").forgot([])
    return place


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each request for several blobs, how many; of each for one, 1."""
    made: list[int] = []
    one, some = MemoryStore.get, MemoryStore.read_some

    def noted_one(self: MemoryStore, name: str) -> object:
        made.append(1)
        return one(self, name)

    def noted_some(self: MemoryStore, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> object:
        before = len(made)
        found = some(self, names, size_max)
        made[before:] = [len(names)]
        return found

    monkeypatch.setattr(MemoryStore, "get", noted_one)
    monkeypatch.setattr(MemoryStore, "read_some", noted_some)
    return made


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was listed, or asked for by name."""
    made: list[str] = []
    for verb in ("list", "info"):
        original = getattr(MemoryStore, verb)

        def noted(
            self: MemoryStore, name: str = "", verb: str = verb, original: Callable[..., Any] = original
        ) -> object:
            made.append(f"{verb} {self._directory}")
            return original(self, name)

        monkeypatch.setattr(MemoryStore, verb, noted)
    return made


def test_a_new_machine_reads_several_index_files_at_a_time(place, turns):
    assert place.repository().refresh() == []
    assert (len(turns), sum(turns)) == (TURNS, VERSIONS)


def test_versions_are_read_several_at_a_time(place, turns):
    found = [*place.repository().snapshots()]
    assert all(isinstance(one, Snapshot) for one in found)
    assert (len(turns), sum(turns), len(found)) == (TURNS, VERSIONS, VERSIONS)


def test_heads_are_read_several_at_a_time(place, turns, tmp_path):
    heads, damaged = Heads(place.repository(), MACHINE, place.clock, tmp_path / "other").read()
    assert (len(turns), sum(turns), len(heads), damaged) == (TURNS, VERSIONS, VERSIONS, [])


def test_marks_are_read_several_at_a_time(place, turns):
    marks = Doomed(place.repository(), place.clock)
    for pack in place.names("data"):
        marks.mark(pack.rpartition("/")[2])
    count = len(place.names("data"))
    assert len(marks.ages(place.clock.now())) == count > READ_TOGETHER
    assert (len(turns), sum(turns)) == (-(-count // READ_TOGETHER), count)


def test_a_version_that_was_saved_here_last_is_not_read_again(tmp_path, turns):
    place = Place()
    (tmp_path / "file").write_text("words")
    saved = [place.save(tmp_path / "file", cache=tmp_path).snapshot for _ in range(2)]
    repository = place.repository(tmp_path)
    turns.clear()
    assert repository.snapshot(saved[1].id) == saved[1]
    assert turns == []
    assert repository.snapshot(saved[0].id) == place.repository().snapshot(saved[0].id) == saved[0]
    assert turns == [1, 1]


def test_a_key_that_is_remembered_is_not_looked_for(questions):
    place = Place()
    key = Repository.init(place.store, "door", None, MACHINE, place.clock.now()).key
    questions.clear()
    assert Repository.open(place.store, "door", None, key).key == key
    assert questions == []


def test_where_nothing_has_changed_nobody_asks_how_to_cut(tmp_path):
    place = Place()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("words")

    def save(parent: Snapshot | None) -> Snapshot:
        place.clock.advance(PAUSE_S)
        repository = place.repository(tmp_path)
        with Writer(repository, 1, 1) as writer:
            made = Save(repository, writer, place.clock, MACHINE).run([str(tmp_path / "folder")], parent=parent)
        return made.snapshot

    first = save(None)
    assert "x-escale/config" in place.blobs
    del place.blobs["x-escale/config"]
    second = save(first)
    assert "x-escale/config" not in place.blobs
    (tmp_path / "folder/file").write_text("other words")
    save(second)
    assert "x-escale/config" in place.blobs


def test_versions_are_listed_once_to_choose_those_that_go(place, questions):
    repository = place.repository()
    versions = Versions(repository).all()
    assert len(trusted(repository, versions, None)) == VERSIONS
    assert questions == ["list snapshots/"]


def test_since_when_others_are_at_work_is_one_question(place, questions):
    with locked(place.repository(), MACHINE, place.clock, exclusive=False) as lock:
        questions.clear()
        assert others_since(place.repository(), MACHINE, place.clock, lock) == place.blobs[f"locks/{lock.name}"][1]
    assert questions == ["list locks/"]


@pytest.mark.parametrize("kind", [Kind.INDEX, Kind.SNAPSHOT])
def test_what_is_damaged_or_gone_takes_none_of_its_neighbours_along(place, kind):
    names = [full.rpartition("/")[2] for full in place.names(kind.value)]
    place.damage(f"{kind.value}/{names[3]}", "flipped")
    place.damage(f"{kind.value}/{names[5]}", "gone")
    found = dict(place.repository().objects.read_many(kind, names))
    assert [*found] == names
    assert isinstance(found.pop(names[3]), Corrupt)
    assert isinstance(found.pop(names[5]), Missing)
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in found.items())


def test_damage_is_told_by_name_and_the_rest_is_there(place):
    names = {kind: place.names(kind.value) for kind in (Kind.INDEX, Kind.SNAPSHOT)}
    for each in names.values():
        place.damage(each[3], "flipped")
    repository = place.repository()
    found = [*repository.snapshots()]
    (snapshot_error,) = (one for one in found if not isinstance(one, Snapshot))
    (index_error,) = repository.refresh()
    assert len(found) == VERSIONS
    assert len(repository.catalog.index_names()) == VERSIONS - 1
    for kind, error in ((Kind.INDEX, index_error), (Kind.SNAPSHOT, snapshot_error)):
        assert names[kind][3].rpartition("/")[2][:12] in str(error)
