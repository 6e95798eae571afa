"""Installing what arrived: never over a newer edit, never outside the folder, durable when it says so."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from escale.digest import digest_of
from escale.errors import NoLocalSpace
from escale.files import durable, swap
from escale.files import exchange as exchanging
from escale.files.exchange import Spot, exchange
from escale.files.folder import Folder, Outcome
from escale.files.rules import Rules
from escale.files.tree import Entry

from .conftest import OLD_NS, Home, arriving, run_unprivileged


def test_a_new_file_arrives_with_time_mode_and_known_digest(home: Home) -> None:
    results = home.receive({"a/b/c": b"new"}, {})
    assert results["a/b/c"].outcome is Outcome.INSTALLED
    assert home.read("a/b/c") == b"new"
    expected = Entry("a/b/c", 3, OLD_NS + 5, 0o640, digest_of([b"new"]))
    assert home.files() == {"a/b/c": expected}
    assert os.stat(home.full("a/b/c")).st_nlink == 1


def test_a_file_that_is_as_the_plan_expects_is_replaced(home: Home) -> None:
    home.write("a", b"old")
    assert home.receive({"a": b"new"}, dict(home.hashed()))["a"].outcome is Outcome.INSTALLED
    assert home.read("a") == b"new"
    assert home.folder.scan().entries["a"].digest == digest_of([b"new"])


def test_names_of_all_kinds_arrive(home: Home) -> None:
    names = [" ", "new\nline", "\udcff\udcfe", "d" * 255 + "/" + "é" * 127, "/".join(["d"] * 300)]
    results = home.receive(dict.fromkeys(names, b"x"), {})
    assert {result.outcome for result in results.values()} == {Outcome.INSTALLED}
    assert set(home.files()) == set(names)


def test_a_file_made_between_plan_and_install_is_kept(home: Home) -> None:
    planned = dict(home.hashed())
    home.write("a", b"mine")
    assert home.receive({"a": b"theirs"}, planned)["a"].outcome is Outcome.CHANGED
    assert home.read("a") == b"mine"


@pytest.mark.parametrize("mine", [b"longer than before", b"new"])
def test_a_file_edited_between_plan_and_install_is_kept(home: Home, mine: bytes) -> None:
    home.write("a", b"old")
    planned = dict(home.hashed())
    home.write("a", mine, OLD_NS + 1)
    assert home.receive({"a": b"theirs"}, planned)["a"].outcome is Outcome.CHANGED
    assert home.read("a") == mine


def test_an_edit_that_shows_in_neither_size_nor_mtime_is_kept(home: Home) -> None:
    """The ctime makes the stat cache doubt, so the content is read again before the file is replaced."""
    home.write("a", b"old")
    planned = dict(home.hashed())
    home.write("a", b"two", OLD_NS)
    assert home.receive({"a": b"theirs"}, planned)["a"].outcome is Outcome.CHANGED
    assert home.read("a") == b"two"


def test_a_touched_inode_with_the_same_content_is_still_the_expected_file(home: Home) -> None:
    home.write("a", b"old")
    planned = dict(home.hashed())
    os.chmod(home.full("a"), 0o600)
    assert home.receive({"a": b"theirs"}, planned)["a"].outcome is Outcome.INSTALLED


def test_a_file_deleted_between_plan_and_install_stays_deleted(home: Home) -> None:
    home.write("a", b"old")
    planned = dict(home.hashed())
    os.unlink(home.full("a"))
    assert home.receive({"a": b"theirs"}, planned)["a"].outcome is Outcome.CHANGED
    assert home.names() == set()


def test_of_two_versions_both_stay(home: Home) -> None:
    home.write("d/a.txt", b"mine")
    result = home.receive({"d/a.txt": b"theirs"}, dict(home.hashed()), {"d/a.txt": "d/a.conflict.txt"})["d/a.txt"]
    assert (result.outcome, result.kept_as) == (Outcome.INSTALLED, "d/a.conflict.txt")
    assert (home.read("d/a.txt"), home.read("d/a.conflict.txt")) == (b"theirs", b"mine")
    assert home.hashed()["d/a.conflict.txt"].mtime_ns == OLD_NS


def test_a_conflict_name_that_is_taken_gets_a_number(home: Home) -> None:
    for path in ("a.txt", "a.conflict.txt", "a.conflict 2.txt"):
        home.write(path, path.encode())
    result = home.receive({"a.txt": b"theirs"}, dict(home.hashed()), {"a.txt": "a.conflict.txt"})["a.txt"]
    assert result.kept_as == "a.conflict 3.txt"
    assert home.read("a.conflict.txt") == b"a.conflict.txt"
    assert home.read("a.conflict 3.txt") == b"a.txt"


def test_a_conflict_whose_file_was_edited_again_leaves_no_copy(home: Home) -> None:
    home.write("a", b"mine")
    planned = dict(home.hashed())
    home.write("a", b"mine again", OLD_NS + 1)
    result = home.receive({"a": b"theirs"}, planned, {"a": "a.conflict"})["a"]
    assert (result.outcome, result.kept_as) == (Outcome.CHANGED, None)
    assert home.names() == {"a"}


class _Meddler:
    """Takes the place of `exchange` to edit a file at the last moment before it."""

    def __init__(self, home: Home, mine: bytes | None) -> None:
        self.home = home
        self.mine = mine

    def __call__(self, one: Spot, other: Spot) -> bool:
        if self.mine is not None:
            os.unlink(self.home.full("a"))
            self.home.write("a", self.mine, OLD_NS + 7)
            self.mine = None
        return exchange(one, other)


@pytest.mark.parametrize("aside", [None, {"a": "a.conflict"}])
def test_a_save_at_the_very_last_moment_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch, aside: dict[str, str] | None
) -> None:
    home.write("a", b"old")
    monkeypatch.setattr(swap, "exchange", _Meddler(home, b"saved now"))
    result = home.receive({"a": b"theirs"}, dict(home.hashed()), aside)["a"]
    assert (result.outcome, result.kept_as) == (Outcome.CHANGED, None)
    assert home.read("a") == b"saved now"
    assert home.names() == {"a"}


@pytest.fixture
def poor_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with neither hard links nor exchange, as FAT."""

    def no_link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(exchanging, "renameat2", lambda: None)


@pytest.mark.usefixtures("poor_file_system")
def test_a_file_system_without_links_and_exchange_will_do(home: Home) -> None:
    home.write("replaced", b"old")
    home.write("conflict", b"mine")
    home.write("conflict.copy", b"taken")
    planned = dict(home.hashed())
    home.write("appeared", b"mine")
    content = dict.fromkeys(("new", "replaced", "conflict", "appeared"), b"theirs")
    results = home.receive(content, planned, {"conflict": "conflict.copy"})
    assert {path for path, result in results.items() if result.outcome is not Outcome.INSTALLED} == {"appeared"}
    assert results["conflict"].kept_as == "conflict 2.copy"
    assert home.read("conflict 2.copy") == b"mine"
    assert home.read("appeared") == b"mine"
    assert {home.read(path) for path in ("new", "replaced", "conflict")} == {b"theirs"}


def test_what_is_in_the_way_blocks_one_file_and_not_the_others(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", home.full("out"))
    os.makedirs(home.full("inside"))
    os.symlink("inside", home.full("link"))
    home.write("file")
    os.makedirs(home.full("directory/x"))
    os.mkfifo(home.full("pipe"))
    reasons = {
        "out/x": "out is a symbolic link",
        "out/deep/x": "out is a symbolic link",
        "link/x": "link is a symbolic link",
        "file/x": "file is not a directory",
        "directory": "a directory is in the way",
        "pipe": "a device, a pipe or a socket is in the way",
    }
    results = home.receive(dict.fromkeys((*reasons, "good"), b"x"), {})
    assert results.pop("good").outcome is Outcome.INSTALLED
    assert {path: result.reason for path, result in results.items()} == reasons
    assert {result.outcome for result in results.values()} == {Outcome.BLOCKED}
    assert os.listdir(tmp_path / "outside") == []


def test_a_directory_that_may_not_be_written_blocks_its_files_only(public_directory: Path) -> None:
    script = """
home = Home(Path(sys.argv[1]), Rules(), 0)
os.mkdir(home.full("closed"), 0o500)
results = home.receive({"closed/a": b"x", "good": b"x"}, {})
print({path: (result.outcome.value, result.reason) for path, result in results.items()})
"""
    printed = run_unprivileged(script, str(public_directory))
    assert printed == "{'closed/a': ('blocked', 'permission denied'), 'good': ('installed', '')}"


def test_more_files_than_are_synchronised_one_by_one(home: Home) -> None:
    content = {f"d{number}/f": b"%d" % number for number in range(2 * durable.FEW)}
    results = home.receive(content, {})
    assert {result.outcome for result in results.values()} == {Outcome.INSTALLED}
    assert {path: home.read(path) for path in content} == content


def test_content_is_durable_before_its_name_and_names_before_the_return(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the calls is recorded, with the number of files in place at the time."""
    calls: list[tuple[str, int]] = []
    real = os.fsync

    def recording(descriptor: int) -> None:
        what = os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(home.root))
        calls.append(("staged" if "staging" in what else what or "/", len(home.names())))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    home.receive({"a/x": b"1", "a/y": b"2", "z": b"3"}, {})
    assert calls == [("staged", 0)] * 3 + [("/", 3), ("/a", 3)]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(small)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"DISK FULL IS NOT TESTED: cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        home = Home(tmp_path, Rules(), 0)
        home.root = small / "folder"
        home.root.mkdir()
        home.folder = Folder(home.root, Rules(), home.ledger, home.clock)
        home.write("a", b"old")
        planned = dict(home.hashed())
        with home.folder.staging() as staging:
            staged = staging.add(arriving("a", b"new"), io.BytesIO(b"new"))
            with pytest.raises(NoLocalSpace, match="folder is full: no space left"):
                staging.add(arriving("big", b"x" * 500_000), io.BytesIO(b"x" * 500_000))
            assert home.folder.install([staged], planned)[0].outcome is Outcome.INSTALLED
        assert home.names() == {"a"}
    finally:
        subprocess.run(["umount", str(small)], check=True)
