"""Assemblies: many files at once, whole and durable before one of them has its name; what is held is bounded."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from escale.backup import assemblies
from escale.backup.assemblies import Assemblies
from escale.backup.assembly import SMALL_BYTES, Assembly
from escale.backup.fetch import Fetch
from escale.backup.node import Node
from escale.backup.pack import BlobKind
from escale.files.directories import Directories

from .places import Place
from .versions_made import Maker, names, opened


class Work:
    """Assemblies of the files that a maker has stored."""

    def __init__(self, target: Path, place: Place, fetch: Fetch, directories: Directories) -> None:
        self.catalog = opened(place).catalog
        self.fetch = fetch
        self.directories = directories
        self.files = Assemblies(target, fetch)

    def begin(self, node: Node, directory: str = "sub") -> Assembly:
        file = self.files.new(f"{directory}/{node.name}", directory, node.name.encode(), node)
        pieces, offset = [], 0
        for text in node.content:
            ((pack, place),) = self.catalog.find(BlobKind.DATA, bytes.fromhex(text))
            pieces.append((pack, place, offset))
            offset += place.clear_length
        self.files.begin(self.directories, file)
        self.files.ask(file, pieces)
        return file

    def finish(self) -> list[Assembly]:
        return self.files.finish(self.directories)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def maker(place) -> Maker:
    return Maker(place)


@pytest.fixture
def work(tmp_path, place, maker) -> Iterator:
    """Made when all is stored."""
    (tmp_path / "sub").mkdir()
    made: list[Work] = []

    def begin() -> Work:
        maker.close()
        made.append(Work(tmp_path, place, Fetch(opened(place), 2), Directories(tmp_path)))
        return made[0]

    yield begin
    for one in made:
        one.files.close(one.directories)
        one.directories.close()
        one.fetch.__exit__()
    assert [name for name in names(tmp_path) if ".part" in name] == []


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def place_all(work: Work) -> None:
    for file in work.finish():
        assert file.missing == ""
        assert file.place(work.directories.open(file.directory), replace=False)


@pytest.mark.parametrize("count", [1, assemblies.FEW, assemblies.FEW + 1])
def test_no_file_has_its_name_before_all_are_durable(tmp_path, maker, work, count):
    nodes = [maker.file(f"{number}", noise(100, number), noise(200, number)) for number in range(count)]
    here = work()
    for node in nodes:
        here.begin(node)
    files = here.finish()
    assert all(file.is_durable for file in files) is (count <= assemblies.FEW)
    assert len(names(tmp_path)) == 1 + count and all(".part-" in name for name in names(tmp_path)[1:])
    place_all(here)
    assert names(tmp_path)[1:] == sorted(f"sub/{number}" for number in range(count))
    for number in range(count):
        assert (tmp_path / f"sub/{number}").read_bytes() == noise(100, number) + noise(200, number)


@pytest.mark.parametrize("size", [1000, SMALL_BYTES])
def test_one_blob_in_many_places_is_read_once(tmp_path, maker, work, size):
    part = noise(size)
    nodes = [maker.file("once", part), maker.file("again", part), maker.file("thrice", part, part, b"x", part)]
    here = work()
    for node in nodes:
        here.begin(node)
    place_all(here)
    assert here.fetch.bytes_read < 2 * size
    assert (tmp_path / "sub/once").read_bytes() == (tmp_path / "sub/again").read_bytes() == part
    assert (tmp_path / "sub/thrice").read_bytes() == part + part + b"x" + part


@pytest.mark.parametrize("is_finished", [False, True])
def test_what_was_asked_for_is_written_while_more_is_looked_for(tmp_path, maker, work, monkeypatch, is_finished):
    monkeypatch.setattr(assemblies, "ASK_BYTES", 250)
    monkeypatch.setattr(assemblies, "AHEAD", 0)
    nodes = [maker.file(f"{number}", noise(100, number)) for number in range(5)]
    here = work()
    written = []
    for node in nodes:
        here.begin(node)
        written.append(len(names(tmp_path)) - 1)
    assert written == [0, 0, 3, 3, 3]
    if is_finished:
        place_all(here)
        assert all((tmp_path / f"sub/{number}").read_bytes() == noise(100, number) for number in range(5))


def test_content_that_is_partly_there(tmp_path, maker, work):
    node = maker.file("file", noise(100), noise(200, 2))
    here = work()
    file = here.files.new("sub/file", "sub", b"file", node)
    here.files.begin(here.directories, file)
    here.files.write(here.directories, file, 100, noise(200, 2))
    ((pack, blob),) = here.catalog.find(BlobKind.DATA, bytes.fromhex(node.content[0]))
    here.files.ask(file, [(pack, blob, 0)])
    place_all(here)
    assert (tmp_path / "sub/file").read_bytes() == noise(100) + noise(200, 2)


def test_a_file_without_content(tmp_path, maker, work):
    node = maker.file("empty")
    here = work()
    here.begin(node)
    place_all(here)
    assert (tmp_path / "sub/empty").read_bytes() == b""


@pytest.mark.parametrize("size", [1000, SMALL_BYTES + 1])
def test_what_goes_wrong_with_one_file_is_its_own_trouble(tmp_path, maker, work, size):
    nodes = [maker.file(f"{number}", noise(size, number)) for number in range(3)]
    here = work()
    (tmp_path / "gone").mkdir()
    files = [here.begin(nodes[0]), here.begin(nodes[1], "gone"), here.begin(nodes[2])]
    if size == 1000:
        (tmp_path / "gone").rmdir()
    else:
        files[1].missing = "given up"
    assert here.finish() == files
    assert [bool(file.missing) for file in files] == [False, True, False]


@pytest.mark.parametrize(
    ("limit", "value", "sizes", "count"),
    [
        ("FILES_MAX", 3, [10], 3),
        ("OPEN_MAX", 2, [SMALL_BYTES + 1], 2),
        ("BYTES_MAX", 1000, [400], 3),
        ("WAITING_BYTES_MAX", 1000, [300, 300], 2),
    ],
)
def test_what_waits_is_bounded(maker, work, monkeypatch, limit, value, sizes, count):
    monkeypatch.setattr(assemblies, limit, value)
    nodes = [maker.file(f"{number}", *(noise(size, 10 * number + size) for size in sizes)) for number in range(count)]
    here = work()
    for node in nodes:
        assert not here.files.is_full
        here.begin(node)
    assert here.files.is_full
    place_all(here)
    here.files.clear(here.directories)
    assert not here.files.is_full


def test_a_small_file_is_not_open_when_it_is_written(maker, work):
    nodes = [maker.file(f"{number}", noise(10, number)) for number in range(200)]
    here = work()
    for node in nodes:
        here.begin(node)
    before = len(os.listdir("/proc/self/fd"))
    here.finish()
    # The threads keep a directory each, and its root.
    assert len(os.listdir("/proc/self/fd")) <= before + 4
