"""Versions as people ask for them: by paths as they are typed, by names, by time; and bringing them back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from escale.app.bringing import amount_of, bring, bring_in_place, relative, roots_of
from escale.app.rehearsal import NothingToRehearse, rehearse
from escale.app.vault import Vault
from escale.app.vision import Vision
from escale.backup.machine import Machine
from escale.backup.repository import Repository
from escale.backup.retention import Keep
from escale.backup.versions import NoVersion
from escale.errors import Corrupt
from escale.files.overwrite import Overwrite
from tests.backup.places import Place


def nobody(files: int, size: int) -> None:
    """Who does not care how far it is."""


class Library:
    """Two folders with two versions."""

    def __init__(self, place: Path) -> None:
        self.place = Place()
        self.one, self.two = place / "one", place / "two"
        for path, content in {"one/a/notes.txt": b"first", "one/b": b"b", "two/c": b"c"}.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        self.first = self.place.save(self.one, self.two).snapshot
        (self.one / "a/notes.txt").write_bytes(b"second!")
        (self.one / "b").unlink()
        self.second = self.place.save(self.one, self.two).snapshot
        self.single = self.place.save(self.one / "a/notes.txt").snapshot
        self.vault = Vault(
            "home", "memory:", (self.one, self.two), Keep(), False, self.place.store, lambda: None, lambda: "", None, 1
        )
        self.vision = Vision(self.vault, self.place.repository(), [str(place / "one/a")])

    def path(self, path: Path) -> str:
        return str(path).strip("/")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_versions_are_told_without_the_index_and_what_is_wrong_with_it_when_it_is_needed(library: Library) -> None:
    for name in library.place.names("index"):
        library.place.damage(name, "flipped")
    see = Vision(library.vault, library.place.repository())
    assert see.at(None, None).id == library.second.id and len(see.snapshots) == 3
    assert see.damaged == []
    with pytest.raises(Corrupt):
        see.meant(library.second, str(library.two))
    assert len(see.damaged) == len(library.place.names("index"))


def test_versions_by_name_and_time(library: Library) -> None:
    see, first = library.vision, library.first
    assert see.at(first.id[:8], None).id == first.id
    assert see.at(None, None).id == library.second.id, "the newest of these folders, although another one is newer"
    assert see.at(library.single.id[:8], None).id == library.single.id
    assert see.at(None, first.time_ns / 1e9 + 1).id == first.id
    assert see.before(library.second).id == first.id and see.before(see.at(first.id, None)) is None
    with pytest.raises(NoVersion):
        see.at(None, first.time_ns / 1e9 - 1)


@pytest.mark.parametrize("word", ["a/notes.txt", "./a/notes.txt", "notes.txt", "{one}/a/notes.txt"])
def test_paths_as_people_type_them(library: Library, word: str) -> None:
    (found,) = library.vision.meant(library.first, word.format(one=library.one))
    assert found.path == library.path(library.one / "a/notes.txt")


def test_a_path_is_meant_from_where_one_is(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library.one / "a")
    assert library.vision.meant(library.first, "../b")[0].path == library.path(library.one / "b")
    assert library.vision.meant(library.first, "two")[0].path == library.path(library.two)
    assert library.vision.meant(library.first, "nothing") == []
    assert len(library.vision.meant(library.first, ".")) == 2


def test_paths_are_told_from_what_was_saved(library: Library) -> None:
    assert library.vision.base(library.first) == library.path(library.one.parent)
    assert library.vision.base(library.single) == library.path(library.one / "a")


def test_every_content_is_found_once(library: Library) -> None:
    seen = list(library.vision.find("*.txt"))
    assert [(one.version.id, one.node.size) for one in seen[:2]] == [(library.first.id, 5), (library.second.id, 7)]
    assert len(list(library.vision.find("a/*.txt"))) == 3
    gone = library.vision.history("b")
    assert [one.node is None for one in gone] == [False, True]


def test_what_changed(library: Library) -> None:
    changes = {(sign, Path(path).name) for sign, path, _ in library.vision.changes(library.first, library.second, ".")}
    assert {("M", "notes.txt"), ("-", "b")} <= changes
    below = [path for _, path, _ in library.vision.changes(library.first, library.second, "a/notes.txt")]
    assert below == [library.path(library.one / "a/notes.txt")]


def test_what_is_asked_for_twice_comes_back_once(library: Library) -> None:
    see = library.vision
    words = ("a/notes.txt", "a", "b", "a", "b")
    found = [one for word in words for one in see.meant(library.first, word)]
    assert [Path(one.path).name for one in see.below(found)] == ["a", "notes.txt", "b"]


def test_bringing_back_beside_and_in_place(library: Library, tmp_path: Path) -> None:
    see = library.vision
    found = see.meant(library.first, ".")
    assert (amount_of(see.below(found)).files, amount_of(see.below(found)).bytes) == (3, 7)
    base = see.base(library.first)
    done = bring(see, see.below(found), base, tmp_path / "there" / "deep", Overwrite.NEVER, nobody)
    assert done.files == 3 and (tmp_path / "there/deep/one/a/notes.txt").read_bytes() == b"first"
    groups = roots_of(see, library.first.paths, found)
    assert set(groups) == {library.path(library.one), library.path(library.two)}
    for root, group in groups.items():
        bring_in_place(see, see.below(group), root, 1_795_262_400.0, nobody)
    assert (library.one / "a/notes.txt").read_bytes() == b"first" and (library.one / "b").read_bytes() == b"b"
    (aside,) = (library.one / ".escale/trash").glob("*/a/notes.txt")
    assert aside.read_bytes() == b"second!"
    assert not (library.two / ".escale").exists()


def test_one_file_that_was_saved_comes_back_to_its_directory(library: Library) -> None:
    found = library.vision.meant(library.single, ".")
    assert set(roots_of(library.vision, library.single.paths, found)) == {library.path(library.one / "a")}
    assert [one.path for one in relative(found, library.path(library.one / "a"))] == ["notes.txt"]


def test_damaged_directories_are_told(library: Library) -> None:
    for name in library.place.names("data"):
        library.place.damage(name, "flipped")
    assert list(library.vision.find("*")) == [] and library.vision.damaged


def test_there_must_be_something_to_rehearse(library: Library, tmp_path: Path) -> None:
    empty = Place()
    vault = Vault("x", "memory:", (), Keep(), False, empty.store, lambda: None, lambda: "door", None, 1)
    Repository.init(empty.store, "door", None, Machine.this(), 0.0)
    with pytest.raises(NothingToRehearse):
        rehearse(vault, tmp_path, 3, 1 << 20, empty.clock, random.Random(1), nobody)
