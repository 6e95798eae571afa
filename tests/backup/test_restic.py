"""restic and escale in one repository: what either writes the other checks, reads, restores and goes on with."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from escale.backup.fetch import Fetch
from escale.backup.keys import WrongPassword
from escale.backup.locks import RepositoryLocked, locked
from escale.backup.machine import Machine
from escale.backup.node import NodeType
from escale.backup.pack import BlobKind
from escale.backup.repository import Repository
from escale.backup.restore import Restore
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.tree import decode_tree
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.store.directory import DirectoryStore

from . import golden
from .conftest import PASSWORD, Restic
from .places import MACHINE
from .test_restore import folder_with_everything
from .versions_made import described, encode_tree, names

IS_ROOT = os.geteuid() == 0


def save(place: Path, folder: Path) -> Snapshot:
    """One version by us, as a new process would."""
    repository = golden.opened(place)
    with locked(repository, Machine.this(), SystemClock(), exclusive=False), Writer(repository, 2, 2) as writer:
        saved = Save(repository, writer, SystemClock()).run([str(folder)])
    assert not saved.damaged and not saved.unreadable
    repository.close()
    return saved.snapshot


def restore(place: Path, snapshot_id: str, folder: Path, target: Path) -> None:
    """What a version holds of a folder, by us; restic's versions need not be of absolute paths."""
    repository = golden.opened(place)
    versions = Versions(repository)
    (snapshot,) = (one for one in versions.all() if one.id == snapshot_id)
    top = versions.at(snapshot, str(folder).lstrip("/")) or versions.at(snapshot, folder.name)
    assert top is not None
    target.mkdir()
    with Fetch(repository, 2) as fetch:
        done = Restore(repository, target, fetch).run(versions.walk(top.node.subtree))
    assert (done.missing, done.kept, done.imperfect, versions.damaged) == ([], [], [], [])


def assert_same(source: Path, copy: Path) -> None:
    assert names(copy) == names(source)
    assert [described(copy / name) for name in names(source)] == [described(source / name) for name in names(source)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    folder_with_everything(source)
    return source


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty repository of ours."""
    directory = tmp_path / "place"
    directory.mkdir()
    Repository.init(lambda: DirectoryStore(directory), PASSWORD, None, MACHINE, 1_700_000_000.0)
    return directory


@pytest.fixture
def place_of_restic(tmp_path: Path, restic: Restic) -> Path:
    """An empty one of restic's."""
    directory = tmp_path / "of restic"
    restic.run(directory, "init", "--repository-version", "2")
    return directory


def latest_of(restic: Restic, place: Path) -> str:
    """The full id of the last version, as restic tells it."""
    found = json.loads(restic.run(place, "snapshots", "--json", "--no-lock"))
    return str(max(found, key=lambda one: str(one["time"]))["id"])


def test_restic_restores_what_we_save(folder, place, tmp_path, restic):
    if restic.is_old:
        # It gives back no target of a link that is not UTF-8.
        (folder / "odd link").unlink()
    snapshot = save(place, folder)
    assert "no errors" in restic.run(place, "check", "--read-data")
    restic.run(place, "restore", snapshot.id, "--target", str(tmp_path / "out"))
    copy = Path(f"{tmp_path}/out{folder}")
    assert_same(folder, copy)


def test_we_restore_what_restic_saves(folder, place_of_restic, tmp_path, restic):
    restic.run(place_of_restic, "backup", str(folder))
    if restic.is_old:
        # It cannot keep the target of a link that is not UTF-8.
        (folder / "odd link").unlink()
        restic.run(place_of_restic, "backup", str(folder))
    restore(place_of_restic, latest_of(restic, place_of_restic), folder, tmp_path / "out")
    assert_same(folder, tmp_path / "out")


def test_names_and_attributes_are_the_same_to_both(folder, place, tmp_path, restic):
    """The nodes of one folder, as each of us saves them, but for the device, which only hard links need."""
    many_names(folder / "names")
    ours = save(place, folder)
    restic.run(place, "backup", str(folder))
    repository = golden.opened(place)
    versions = Versions(repository)
    theirs = next(one for one in versions.all() if one.id != ours.id)
    found = [
        {one.path: one.node.as_json() for one in versions.walk(snapshot.tree) if "/source/" in one.path}
        for snapshot in (ours, theirs)
    ]
    for nodes in found:
        for node in nodes.values():
            for key in ("device_id", "subtree"):
                node.pop(key, None)
            if "extended_attributes" in node:
                node["extended_attributes"].sort(key=lambda one: one["name"])
            if restic.is_old:
                node.pop("linktarget_raw", None)
                node["linktarget"] = os.fsencode(node.get("linktarget", "")).decode("utf-8", "replace")
    assert found[0] == found[1]
    assert len(found[0]) > 100 and versions.damaged == []


def test_trees_of_restic_are_written_again_byte_for_byte(folder, place_of_restic, restic):
    many_names(folder / "names")
    restic.run(place_of_restic, "backup", str(folder))
    repository = golden.opened(place_of_restic)
    versions = Versions(repository)
    (snapshot,) = versions.all()
    trees = {one.node.subtree for one in versions.walk(snapshot.tree) if one.node.type is NodeType.DIRECTORY}
    for tree in {snapshot.tree, *trees} - {""}:
        raw = repository.load_blob(BlobKind.TREE, bytes.fromhex(tree))
        if restic.is_old and b"odd link" in raw:
            continue
        assert encode_tree(decode_tree(raw, "here")) == raw
    assert len(trees) > 5


def many_names(directory: Path) -> None:
    """One of each kind of character, and of bytes that are none."""
    directory.mkdir()
    top = os.fsencode(directory) + b"/"
    points = [
        *range(1, 0x180),
        *range(0x2000, 0x2070),
        0x3000,
        0xD7FF,
        0xE000,
        0xFDD0,
        0xFEFF,
        0xFFFD,
        0x1F600,
        0x10FFFF,
    ]
    raw = [f"{chr(point)}{point:x}".encode() for point in points if chr(point) != "/"]
    raw += [b"\x80", b"\xff\xfe", b"a\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]
    for name in raw:
        os.close(os.open(top + name, os.O_CREAT | os.O_WRONLY, 0o644))


def test_names_of_any_bytes_reach_restic(tmp_path, place, restic):
    many_names(tmp_path / "names")
    save(place, tmp_path / "names")
    lines = [json.loads(line) for line in restic.run(place, "ls", "--json", "latest").split("\n") if line]
    told = {line["name"] for line in lines if line.get("type") == "file"}
    expected = {name.decode("utf-8", "replace") for name in os.listdir(os.fsencode(tmp_path / "names"))}
    # JSON has no bytes; restic gives a mark for each of them.
    valid = {name for name in expected if "\ufffd" not in name}
    assert valid <= told and len(valid) > 300
    restic.run(place, "restore", "latest", "--target", str(tmp_path / "out"))
    copy = f"{tmp_path}/out{tmp_path}/names"
    assert sorted(os.listdir(os.fsencode(copy))) == sorted(os.listdir(os.fsencode(tmp_path / "names")))


def test_times_that_no_clock_shows(place, tmp_path, restic, mount_small_disk):
    """On a disk that keeps any time: restic's text for it is ours."""
    source = tmp_path / "source"
    source.mkdir()
    mount_small_disk(source)
    seconds = [-1, 0, -(2**31), -5_364_662_400, 9_223_372_036, 253_402_300_799, 253_402_300_800, 316_676_563_200]
    seconds += [-62_135_596_800, -62_135_596_801, -62_167_219_200, -62_167_219_201, -74_789_222_400, 10**12]
    for number, second in enumerate(seconds):
        (source / f"{number}").write_bytes(b"")
        os.utime(source / f"{number}", ns=(second * 10**9, second * 10**9 + 120))
    ours = save(place, source)
    restic.run(place, "backup", str(source))
    versions = Versions(golden.opened(place))
    found = {
        snapshot.id == ours.id: {
            one.path: one.node.mtime_ns for one in versions.walk(snapshot.tree) if one.node.type is NodeType.FILE
        }
        for snapshot in versions.all()
    }
    assert versions.damaged == []
    assert found[True] == found[False] and len(found[True]) == len(seconds)


def test_two_passwords_and_a_changed_one(folder, place, tmp_path, restic):
    save(place, folder)
    (tmp_path / "new").write_text("a new password\n")
    restic.run(place, "key", "add", "--new-password-file", str(tmp_path / "new"))
    assert golden.opened(place).config == golden.opened(place, "a new password").config
    (tmp_path / "newer").write_text("a newer password\n")
    restic.run(place, "key", "passwd", "--new-password-file", str(tmp_path / "newer"))
    with pytest.raises(WrongPassword):
        golden.opened(place)
    assert Versions(golden.opened(place, "a newer password")).all()
    golden.opened(place, "a newer password").add_key(PASSWORD, MACHINE, 0.0)
    assert "no errors" in restic.run(place, "check")


def test_restic_forgets_and_prunes_what_we_saved(folder, place, tmp_path, restic):
    save(place, folder)
    (folder / "deep" / "er" / "large").write_bytes(random.Random(5).randbytes(700_000))
    (folder / "deep" / "small").unlink()
    second = save(place, folder)
    restic.run(place, "forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    assert "no errors" in restic.run(place, "check", "--read-data")
    restore(place, second.id, folder, tmp_path / "out")
    assert_same(folder, tmp_path / "out")


def test_restic_tells_what_changed_between_two_versions_of_ours(folder, place, restic):
    first = save(place, folder)
    (folder / "new one").write_bytes(b"new")
    (folder / "nothing").unlink()
    second = save(place, folder)
    told = restic.run(place, "diff", first.id, second.id)
    assert "new one" in told and "nothing" in told and "large" not in told


def test_restic_tags_a_version_of_ours_and_we_read_it(folder, place, restic):
    snapshot = save(place, folder)
    restic.run(place, "tag", "--add", "kept", snapshot.id)
    (found,) = Versions(golden.opened(place)).all()
    assert (found.tags, found.tree, dict(found.rest)["original"]) == (("kept",), snapshot.tree, snapshot.id)


def test_locks_are_respected_both_ways(folder, place, restic):
    repository = golden.opened(place)
    save(place, folder)
    this = Machine.this()
    with locked(repository, this, SystemClock(), exclusive=True):
        restic.run(place, "backup", str(folder), exit_code=1 if restic.is_old else 11)
    with locked(repository, this, SystemClock(), exclusive=False):
        restic.run(place, "backup", str(folder))
        restic.run(place, "prune", exit_code=1 if restic.is_old else 11)
    assert not [*(place / "locks").iterdir()]
    with restic.at_work(place):
        with pytest.raises(RepositoryLocked), locked(repository, this, SystemClock(), exclusive=True):
            pass
        with locked(repository, this, SystemClock(), exclusive=False):
            pass
    # It was killed, so its lock is one of the dead.
    with locked(repository, this, SystemClock(), exclusive=True):
        pass
    assert "no errors" in restic.run(place, "check", "--read-data")
