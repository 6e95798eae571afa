"""A trial tells what the version would be that is saved right after it, and changes nothing."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from escale.backup.save import NothingToSave
from escale.backup.trial import ReadingStore, Tried, nothing_yet, try_saving
from escale.errors import Refused
from escale.store.memory import MemoryStore

from .places import Place

DATA = random.Random(7).randbytes(300_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "big").write_bytes(DATA)
    (made / "again").write_bytes(DATA)
    (made / "sub/text").write_bytes(b"words " * 1000)
    (made / "sub/empty").write_bytes(b"")
    (made / "link").symlink_to("big")
    for path in made.rglob("*"):
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    return made


def tried(place: Place, folder: Path, **more: object) -> Tried:
    """By somebody whose store refuses every change."""
    repository = place.repository()
    repository.objects.store = ReadingStore(repository.objects.store)
    return try_saving(repository, [str(folder)], 0.0, **more)  # type: ignore[arg-type]


def test_nothing_is_changed_and_the_numbers_are_those_of_the_version(folder: Path) -> None:
    place = Place()
    first = place.save(folder)
    (folder / "new").write_bytes(b"new" * 5000)
    (folder / "big").write_bytes(b"x" + DATA)
    (folder / "sub/empty").unlink()
    before = dict(place.blobs)
    ahead = tried(place, folder, parent=first.snapshot)
    assert place.blobs == before
    after = place.save(folder, parent=first.snapshot)
    assert (ahead.counts.files_new, ahead.counts.files_changed) == (1, 1)
    assert (ahead.counts.files, ahead.counts.bytes) == (after.counts.files, after.counts.bytes)
    summary = dict(after.snapshot.rest)["summary"]
    assert ahead.counts.files_unmodified == summary["files_unmodified"]
    # The chunker of a place without parameters differs from the one of these tests, so pieces of contents do, too.
    assert 15_000 < ahead.bytes_new < 400_000 and 0 < ahead.bytes_stored < ahead.bytes_new + 10_000


def test_an_unchanged_folder_would_add_no_content(folder: Path) -> None:
    place = Place()
    saved = place.save(folder)
    ahead = tried(place, folder, parent=saved.snapshot)
    assert ahead.counts.files_unmodified == ahead.counts.files == 4
    # In the directories above others may be at work.
    assert ahead.bytes_new < 5000


def test_before_the_first_version_everything_is_new_and_the_same_content_counts_once(folder: Path) -> None:
    ahead = try_saving(nothing_yet(), [str(folder)], 0.0)
    assert (ahead.counts.files_new, ahead.counts.bytes) == (4, 2 * len(DATA) + 6000)
    assert len(DATA) + 6000 < ahead.bytes_new < len(DATA) + 20_000
    assert len(DATA) < ahead.bytes_stored < len(DATA) + 6000


def test_what_is_left_out_does_not_count(folder: Path) -> None:
    ahead = try_saving(nothing_yet(), [str(folder)], 0.0, lambda path, is_directory: path.endswith("/sub"))
    assert ahead.counts.files == 2


def test_what_the_store_has_lost_would_be_stored_again(folder: Path) -> None:
    place = Place()
    saved = place.save(folder)
    for name in place.names("data"):
        place.damage(name, "gone")
    ahead = tried(place, folder, parent=saved.snapshot)
    assert ahead.damaged and ahead.bytes_new > len(DATA)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NothingToSave):
        try_saving(nothing_yet(), [str(tmp_path / "nowhere")], 0.0)


def test_who_looks_changes_nothing() -> None:
    inner = MemoryStore()
    inner.write_bytes("a", b"1")
    store = ReadingStore(inner).within("sub")
    for act in (
        lambda: store.write_bytes("b", b"2"),
        lambda: store.create("b", b"2"),
        lambda: ReadingStore(inner).delete("a"),
    ):
        with pytest.raises(Refused):
            act()
    assert set(inner.blobs) == {"a"} and ReadingStore(inner).read_bytes("a") == b"1"
