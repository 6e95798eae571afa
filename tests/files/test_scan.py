"""What a scan sees, what it trusts, and what it leaves out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from escale.digest import digest_of
from escale.errors import LocalError
from escale.files.folder import Folder
from escale.files.rules import Rules
from escale.files.tree import Entry, path_bytes

from .conftest import OLD_NS, Home, run_unprivileged


def test_a_scan_gives_size_time_mode_and_no_digest_yet(home: Home) -> None:
    home.write("a/b.txt", b"four", OLD_NS)
    os.chmod(home.full("a/b.txt"), 0o4750)
    os.chmod(home.full("a"), 0o755)
    scan = home.folder.scan()
    assert scan.entries == {"a": Entry.directory("a", 0o755), "a/b.txt": Entry("a/b.txt", 4, OLD_NS, 0o750)}
    assert scan.complete
    assert not scan.problems


def test_a_scan_opens_no_user_file(home: Home) -> None:
    """A file's access time would tell; it is set to long ago, so that any reading changes it."""
    home.write("a")
    os.utime(home.full("a"), ns=(1, OLD_NS))
    home.folder.scan()
    assert os.stat(home.full("a")).st_atime_ns == 1


def test_once_hashed_a_file_is_not_read_again(home: Home) -> None:
    home.write("a", b"one")
    home.hashed()
    assert home.folder.scan().entries["a"].digest == digest_of([b"one"])


def test_the_digests_survive_a_restart(home: Home) -> None:
    home.write("a", b"one")
    home.hashed()
    again = Folder(home.root, Rules(), home.ledger, home.clock)
    assert again.scan().entries["a"].digest == digest_of([b"one"])
    other = Folder(home.root, Rules(), home.ledger, home.clock, "sha256")
    assert other.scan().entries["a"].digest is None


def test_a_file_changed_when_it_was_hashed_is_hashed_once_more(home: Home) -> None:
    """GIVEN a file hashed right after an edit
    WHEN it is edited again with the same size and, as on coarse file systems, the same time stamps
    THEN the scan does not trust the digest."""
    home.clock.ahead_s = 0
    home.write("a", b"one", None)
    home.hashed()
    known = home.ledger.known_of("a")
    assert known is not None
    home.write("a", b"two", None)
    status = os.stat(home.full("a"))
    same_marks = replace(known, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
    home.ledger.remember({"a": same_marks})
    assert home.hashed()["a"].digest == digest_of([b"two"])
    # Hashed again when the edit is long ago it is trusted.
    home.clock.ahead_s = 60
    home.hashed()
    assert home.folder.scan().entries["a"].digest == digest_of([b"two"])


def test_an_edit_that_restores_size_and_mtime_is_seen(home: Home) -> None:
    home.write("a", b"one", OLD_NS)
    home.hashed()
    before = os.stat(home.full("a")).st_ctime_ns
    while os.stat(home.full("a")).st_ctime_ns == before:  # one tick of the kernel's clock at most
        home.write("a", b"two", OLD_NS)
    assert home.folder.scan().entries["a"].digest is None
    assert home.hashed()["a"].digest == digest_of([b"two"])


def test_a_replacement_with_the_same_marks_is_seen_by_its_inode(home: Home) -> None:
    home.write("a", b"one")
    home.write("b", b"two")
    home.hashed()
    os.replace(home.full("b"), home.full("a"))
    assert home.folder.scan().entries["a"].digest is None


def test_a_touch_changes_the_time_and_not_the_digest(home: Home) -> None:
    home.write("a", b"one", OLD_NS)
    first = home.hashed()["a"]
    os.utime(home.full("a"), ns=(OLD_NS + 1, OLD_NS + 1))
    second = home.hashed()["a"]
    assert second.mtime_ns == OLD_NS + 1
    assert second.same_content(first)


@pytest.mark.parametrize(
    "path",
    [
        "with space ",
        " ",
        "new\nline",
        "tab\tbed",
        "\udcff\udcfe",
        "é",
        "e\u0301",
        "a" * 255,
        "d" * 255 + "/" + "é" * 127,
    ],
)
def test_any_name_of_a_file_system_works(home: Home, path: str) -> None:
    home.write(path, b"x")
    assert home.hashed()[path].digest == digest_of([b"x"])
    assert home.folder.scan().entries[path].digest == digest_of([b"x"])
    with home.folder.open(path) as source:
        assert source.read() == b"x"


def test_names_do_not_depend_on_the_locale(home: Home) -> None:
    home.write("caf\u00e9/\udcff", b"x")
    script = (
        "import sys\n"
        "from escale.files.scan import scan\n"
        "from escale.files.rules import Rules\n"
        "found = scan(sys.argv[1].encode(), Rules(), {}, 0, 0)\n"
        "print(ascii(list(found.entries)))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", script, str(home.root)]
    top = Path(__file__).parents[2]
    result = subprocess.run(command, env=environment, cwd=top, capture_output=True, text=True, check=True)
    assert result.stdout == "['caf\\xe9', 'caf\\xe9/\\udcff']\n"


def test_three_hundred_levels_are_no_problem(home: Home) -> None:
    path = "/".join(["d"] * 300 + ["leaf"])
    home.write(path)
    assert path in home.hashed()
    assert set(home.files()) == {path}


def test_a_path_that_is_too_long_is_reported_and_the_scan_is_not_complete(home: Home) -> None:
    home.write("other")
    descriptor = os.open(home.root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=descriptor)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    scan = home.folder.scan()
    assert [trouble.reason for trouble in scan.problems] == ["name"]
    assert not scan.complete
    assert scan.problems[0].path not in scan.entries
    assert set(home.files()) == {"other"}


def test_links_are_entries_of_their_own_and_never_followed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    home.write("file")
    targets = {
        "to_file": "file", "to_directory": "../outside", "absolute": str(tmp_path / "outside"), "loop": ".",
        "itself": "itself", "dangling": "nowhere", "odd": "\udcff\n", "\udcff": "x" * 4095,
    }  # fmt: skip
    for name, target in targets.items():
        os.symlink(path_bytes(target), home.full(name))
        os.utime(home.full(name), ns=(1, OLD_NS), follow_symlinks=False)
    scan = home.folder.scan()
    links = {path: entry for path, entry in scan.entries.items() if path != "file"}
    assert links == {name: Entry.link(name, target, OLD_NS) for name, target in targets.items()}
    assert scan.complete
    assert not scan.problems


def test_special_files_are_reported(home: Home) -> None:
    os.mkfifo(home.full("pipe"))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fsdecode(home.full("socket")))
    assert home.reasons() == {"pipe": "special", "socket": "special"}
    assert home.folder.scan().entries == {}


def test_a_new_link_need_not_settle(tmp_path: Path) -> None:
    """It is made whole or not at all."""
    home = Home(tmp_path, Rules(), settle_s=3)
    home.clock.ahead_s = 0
    os.symlink("x", home.full("link"))
    assert set(home.folder.scan().entries) == {"link"}


def test_directories_take_part_the_empty_ones_too(home: Home) -> None:
    os.makedirs(home.full("a/empty"))
    os.chmod(home.full("a/empty"), 0o2750)
    os.makedirs(home.full(".hidden/x"))
    os.symlink("a", home.full("link"))
    entries = home.folder.scan().entries
    assert set(entries) == {"a", "a/empty", "link"}
    assert entries["a/empty"] == Entry.directory("a/empty", 0o750)


@pytest.mark.parametrize("rules", [Rules(include=("*.txt",)), Rules(extensions=("txt",))])
def test_a_section_that_chooses_files_by_name_carries_no_directories(tmp_path: Path, rules: Rules) -> None:
    home = Home(tmp_path, rules, 0)
    home.write("a/b/c.txt")
    home.write("d/e.jpg")
    os.symlink("a", home.full("link"))
    os.symlink("a", home.full("link.txt"))
    assert set(home.folder.scan().entries) == {"a/b/c.txt", "link.txt"}


def test_names_that_others_cannot_tell_apart_are_reported_and_take_part(home: Home) -> None:
    names = ["Read", "read", "READ", "d/\u00c9", "d/e\u0301", "D/x", "readme", "\udcff", "\udcfe", "a", ".Read"]
    for name in names:
        home.write(name)
    scan = home.folder.scan()
    assert set(scan.clashes) == {("READ", "Read"), ("READ", "read"), ("D", "d"), ("d/e\u0301", "d/\u00c9")}
    assert set(home.files()) == set(names) - {".Read"}


def test_names_that_do_not_take_part_clash_with_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, Rules(exclude=("b",)), 0)
    for name in ("a/b", "a/B", "c/b", "C/B"):
        home.write(name)
    assert home.folder.scan().clashes == (("C", "c"),)


def test_our_own_directory_is_left_out_even_with_hidden_files(tmp_path: Path) -> None:
    home = Home(tmp_path, Rules(hidden=True), 0)
    home.write(".escale/staging-1/x")
    home.write("a/.escale/y")
    home.write(".hidden")
    assert set(home.files()) == {"a/.escale/y", ".hidden"}


def test_rules_keep_files_out_silently_and_large_ones_are_told(tmp_path: Path) -> None:
    home = Home(tmp_path, Rules(exclude=("*.tmp",), exclude_directory=("build",), size_max=5), 0)
    for path in ("a", "a.tmp", "build/x", ".hidden", "large"):
        home.write(path, b"large!" if path == "large" else b"x")
    os.symlink("a", home.full("link.tmp"))
    assert set(home.folder.scan().entries) == {"a"}
    assert home.reasons() == {"large": "big"}


def test_ignore_files_are_read_in_every_directory_and_travel(home: Home) -> None:
    home.write(".escaleignore", b"*.o\nout/\n!\n")
    home.write("a/.escaleignore", b"!keep.o\n/x\n")
    for path in ("1.o", "a/1.o", "a/keep.o", "a/x", "a/b/x", "out/y"):
        home.write(path)
    scan = home.folder.scan()
    assert set(scan.entries) == {".escaleignore", "a", "a/.escaleignore", "a/keep.o", "a/b", "a/b/x"}
    assert [trouble.message for trouble in scan.problems] == ["line 3 is not a pattern: !"]
    assert home.folder.why_not("a/new.o", 1) == ".escaleignore, line 1: *.o"
    os.unlink(home.full(".escaleignore"))
    assert "1.o" in home.folder.scan().entries
    assert home.folder.why_not("a/new.o", 1) is None


def test_a_directory_whose_ignore_file_is_absurd_is_not_sent(home: Home) -> None:
    home.write("a/.escaleignore", b"#" * (2 << 20))
    home.write("a/private")
    scan = home.folder.scan()
    assert not scan.entries
    assert not scan.complete
    assert [trouble.path for trouble in scan.problems] == ["a"]


def test_files_that_are_being_written_are_neither_sent_nor_missing(tmp_path: Path) -> None:
    home = Home(tmp_path, Rules(), settle_s=3)
    home.clock.ahead_s = 0
    home.write("new", mtime_ns=None)
    home.write("copied_with_its_old_time")
    home.write("from_the_future", mtime_ns=time.time_ns() + 10**13)
    scan = home.folder.scan()
    assert scan.unsettled == {"new", "copied_with_its_old_time", "from_the_future"}
    assert not scan.entries
    assert set(home.reasons().values()) == {"changing"}
    home.clock.sleep(5)
    assert set(home.folder.scan().entries) == {"new", "copied_with_its_old_time", "from_the_future"}


def test_what_has_just_arrived_need_not_settle(tmp_path: Path) -> None:
    home = Home(tmp_path, Rules(), settle_s=3)
    home.clock.ahead_s = 0
    home.receive({"a": b"one"}, {})
    scan = home.folder.scan()
    assert scan.entries["a"].digest == digest_of([b"one"])
    assert not scan.unsettled


def test_a_missing_root_is_one_sentence(home: Home) -> None:
    assert home.folder.exists()
    os.rmdir(home.root)
    assert not home.folder.exists()
    with pytest.raises(LocalError, match="no such file"):
        home.folder.scan()
    home.folder.make_root()
    home.folder.make_root()
    assert home.folder.scan().entries == {}


def test_an_unreadable_directory_and_file_stop_nobody_else(public_directory: Path) -> None:
    home = Home(public_directory, Rules(), 0)
    home.write("open")
    home.write("closed_file")
    home.write("closed/inside")
    os.chmod(home.full("closed_file"), 0)
    os.chmod(home.full("closed"), 0)
    script = """
folder = Folder(Path(sys.argv[1]), Rules(), Ledger(Path(":memory:")), SetClock())
scan = folder.scan()
entries, troubles = folder.hash(scan.entries)
print(sorted(entries), {trouble.path: trouble.reason for trouble in (*scan.problems, *troubles)}, scan.complete)
"""
    printed = run_unprivileged(script, str(home.root))
    os.chmod(home.full("closed"), 0o700)
    assert printed == "['open'] {'closed': 'permission', 'closed_file': 'permission'} False"


def test_ten_thousand_files(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for directory in range(200):
        os.makedirs(home.full(f"d{directory % 10}/s{directory}"))
        for number in range(50):
            home.write(f"d{directory % 10}/s{directory}/f{number}", b"%d" % number)
    began = time.perf_counter()
    first = home.folder.scan()
    scanned = time.perf_counter()
    home.folder.hash(path for path, entry in first.entries.items() if entry.is_file)
    hashed = time.perf_counter()
    second = home.folder.scan()
    done = time.perf_counter()
    with capsys.disabled():
        times = f"scan {scanned - began:.2f} s, hash {hashed - scanned:.2f} s, idle scan {done - hashed:.2f} s"
        print(f"\n10 000 files: {times}")
    assert len(second.entries) == 10_210
    assert all(entry.digest for entry in second.entries.values() if entry.is_file)
