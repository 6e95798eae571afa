"""The hook ahead of every change of the file system."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from escale.clock import SystemClock
from escale.files.exchange import Spot, exchange
from escale.files.folder import Folder
from escale.files.ledger import Ledger
from escale.files.rules import Rules
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash


class Calls(list[tuple[str, str]]):
    """Remembers what it was asked, with the last part of the path."""

    def __call__(self, verb: str, path: str) -> None:
        self.append((verb, os.path.basename(path)))


def change_all(place: Path) -> None:
    """Each way to change something that the wrapper knows, by path, by descriptor and by directory."""
    directory = os.open(place, os.O_RDONLY)
    os.mkdir("d", dir_fd=directory)
    descriptor = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
    os.write(descriptor, b"content")
    os.ftruncate(descriptor, 3)
    os.fchmod(descriptor, 0o600)
    os.utime(descriptor, ns=(1, 1))
    os.close(descriptor)
    os.chmod(place / "f", 0o644)
    os.truncate(place / "f", 2)
    os.link("f", "g", src_dir_fd=directory, dst_dir_fd=directory)
    os.symlink("f", place / "s")
    assert exchange(Spot(directory, b"f"), Spot(directory, b"g"))
    os.rename("g", "h", src_dir_fd=directory, dst_dir_fd=directory)
    os.replace(place / "h", place / "i")
    os.unlink(place / "i")
    os.remove("s", dir_fd=directory)
    os.rmdir(place / "d")
    (place / "t").write_text("text")
    os.close(directory)


CHANGES = [
    ("mkdir", "d"), ("open", "f"), ("write", "f"), ("ftruncate", "f"), ("fchmod", "f"), ("utime", "f"), ("chmod", "f"),
    ("truncate", "f"), ("link", "g"), ("symlink", "s"), ("exchange", "g"), ("rename", "h"), ("replace", "i"),
    ("unlink", "i"), ("remove", "s"), ("rmdir", "d"), ("open", "t"),
]  # fmt: skip


def test_every_change_is_announced_before_it_is_made(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def hook(verb: str, path: str) -> None:
        assert path.startswith(str(tmp_path))
        is_made = verb in ("mkdir", "open", "link", "symlink", "rename", "replace") and os.path.lexists(path)
        assert not is_made, f"{verb} {path} was made already"
        seen.append((verb, os.path.basename(path)))

    with DiskHook(hook):
        change_all(tmp_path)
    assert seen == CHANGES
    assert sorted(os.listdir(tmp_path)) == ["f", "t"]


def test_reading_is_no_change_and_pipes_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    calls = Calls()
    reading, writing = os.pipe()
    with DiskHook(calls):
        (tmp_path / "f").read_text()
        os.listdir(tmp_path)
        os.stat(tmp_path / "f")
        os.close(os.open(tmp_path / "f", os.O_RDONLY))
        os.write(writing, b"x")
    os.close(reading)
    os.close(writing)
    assert calls == []


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_the_dead_change_nothing_whatever_they_still_try(tmp_path: Path, number: int) -> None:
    hook = CrashAt(number)
    with DiskHook(hook) as disk, pytest.raises(Crash):
        try:
            change_all(tmp_path)
        finally:
            before = sorted(os.listdir(tmp_path))
            for attempt in attempts(tmp_path):
                with pytest.raises(Crash):
                    attempt()
            shutil.rmtree(tmp_path, ignore_errors=True)
    assert disk.is_dead
    assert len(hook.changes) == number
    assert sorted(os.listdir(tmp_path)) == before


def attempts(place: Path) -> list[Callable[[], object]]:
    """What a `finally` of a dead process might do."""
    return [
        lambda: os.mkdir(place / "new"),
        lambda: (place / "new").write_text("x"),
        lambda: os.rename(place / "f", place / "new"),
    ]


def test_an_error_of_one_call_is_not_death(tmp_path: Path) -> None:
    def hook(verb: str, path: str) -> None:
        if path.endswith("full"):
            raise OSError(28, "No space left on device")

    with DiskHook(hook) as disk:
        with pytest.raises(OSError, match="No space"):
            os.mkdir(tmp_path / "full")
        os.mkdir(tmp_path / "other")
    assert not disk.is_dead


def test_each_thread_has_its_own_hook(tmp_path: Path) -> None:
    """GIVEN two machines in two threads, one of them dead
    WHEN both go on, and a third has no hook
    THEN only the dead one is stopped."""
    results: dict[str, str] = {}
    both_are_hooked = threading.Barrier(2)

    def machine(name: str, number: int) -> None:
        with DiskHook(CrashAt(number)):
            both_are_hooked.wait(10)
            try:
                os.mkdir(tmp_path / name)
                results[name] = "alive"
            except Crash:
                results[name] = "dead"

    threads = [threading.Thread(target=machine, args=item) for item in (("a", 0), ("b", 1))]
    with DiskHook(CrashAt(0)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {"a": "dead", "b": "alive"}
    assert os.listdir(tmp_path) == ["b"]


def test_only_what_lies_below_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    hook = CrashAt(0, tmp_path / "in")
    with DiskHook(hook):
        os.mkdir(tmp_path / "out")
        with pytest.raises(Crash):
            os.mkdir(tmp_path / "in" / "x")
        with pytest.raises(Crash):
            os.mkdir(tmp_path / "out" / "x")


def test_a_transaction_of_the_ledger_is_a_change(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    with DiskHook(CrashAt(0)), pytest.raises(Crash):
        ledger.set_meta("key", "value")
    assert ledger.meta("key") is None
    ledger.set_meta("key", "value")
    assert ledger.meta("key") == "value"


def test_everything_is_as_before_afterwards(tmp_path: Path) -> None:
    before = (os.open, os.rename, open, io.open, set(os.supports_dir_fd), set(os.supports_follow_symlinks))
    with DiskHook(Calls()), DiskHook(Calls()):
        assert os.open is not before[0]
        # The library asks whether a function can do this before it copies the times.
        (tmp_path / "a").write_text("x")
        os.utime(tmp_path / "a", ns=(1, 1))
        shutil.copy2(tmp_path / "a", tmp_path / "b")
        assert os.stat(tmp_path / "b").st_mtime_ns == 1
    assert before == (os.open, os.rename, open, io.open, set(os.supports_dir_fd), set(os.supports_follow_symlinks))


def test_an_install_can_be_followed(tmp_path: Path) -> None:
    from ..files.conftest import arriving

    folder = Folder(tmp_path, Rules(), Ledger(Path(":memory:")), SystemClock())
    calls = Calls()
    with DiskHook(calls), folder.staging() as staging:
        folder.install([staging.add(arriving("a", b"one"), io.BytesIO(b"one"))], {"a": None})
    verbs = [verb for verb, name in calls if name in ("1", "a")]
    assert verbs == ["open", "write", "utime", "fchmod", "rename"]
    assert ("transaction", ":memory:") in calls
