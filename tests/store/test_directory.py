"""DirectoryStore beyond the contract: what else lies in the directory, what the system refuses, what a crash leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from escale.errors import NoRelaySpace, NoSuchRelay, Refused
from escale.store.blob import TEMPORARY
from escale.store.directory import DirectoryStore

MIB = 1024 * 1024


def test_directories_and_links_are_no_blobs(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    store = DirectoryStore(tmp_path)
    assert [blob.name for blob in store.list()] == ["file"]
    assert store.info("directory") is None
    assert store.info("link") is None
    with pytest.raises(Refused, match="is a directory"):
        store.get("directory")


def test_relay_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = DirectoryStore(tmp_path / "file")
    for verb in (lambda: list(store.list()), lambda: store.get("x"), lambda: store.write_bytes("x", b"")):
        with pytest.raises(NoSuchRelay):
            verb()


def test_sweep_goes_by_the_time_of_the_file_system(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    old, new = tmp_path / f"{TEMPORARY}old", tmp_path / f"{TEMPORARY}new"
    old.touch()
    new.touch()
    os.utime(old, (0, new.stat().st_mtime - 7200))
    assert store.sweep(older_than_s=3600) == 1
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


def test_tag_changes_when_size_and_time_do_not(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.write_bytes("name", b"one")
    before = store.info("name")
    assert before is not None and before.mtime is not None
    store.write_bytes("name", b"two")
    os.utime(tmp_path / "name", (before.mtime, before.mtime))
    after = store.info("name")
    assert after is not None
    assert before.tag != after.tag


def test_full_disk(small_disk: Path) -> None:
    store = DirectoryStore(small_disk)
    store.write_bytes("name", b"old")
    with pytest.raises(NoRelaySpace):
        store.write_bytes("name", os.urandom(8 * MIB))
    assert store.read_bytes("name") == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["name"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may do everything")
def test_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"content")
    (tmp_path / "secret").chmod(0)
    store = DirectoryStore(tmp_path)
    with pytest.raises(Refused):
        store.get("secret")
    tmp_path.chmod(0o555)
    try:
        for verb in (lambda: store.write_bytes("new", b""), lambda: store.delete("secret")):
            with pytest.raises(Refused):
                verb()
    finally:
        tmp_path.chmod(0o755)
