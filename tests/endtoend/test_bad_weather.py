"""What goes wrong on the way: full disks, lost servers, cut lines, changing files, wrong clocks.

One sentence and the documented exit code while it lasts; when it is over everything arrives, and nothing is left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .folders import contents, files, fill, write
from .places import directory_place, place_on
from .program import WITHOUT_PRIVILEGES
from .sentences import expect_sentence
from .test_main_job import on

ROUNDS_MAX = 8

PASSES_MAX = 20
"""Of a client that waits until files have held still for two seconds."""

LIBFAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 2 MB; `resize` makes it larger."""
    if os.getuid() != 0:
        pytest.skip("NOT TESTED: only root can mount the small file system that this test fills")
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "escale-test", str(mount)], capture_output=True)
    if made.returncode:
        pytest.skip(f"NOT TESTED: no small file system can be mounted here: {made.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


def resize(mount: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(mount)], check=True)


def test_a_full_relay(small_disk, group):
    clients = group(directory_place(small_disk / "relay"), compression="none")
    alice, bob = clients.client("alice"), clients.client("bob")
    alice.once()
    bob.once()
    fill(alice.folder, "too much", 20, 300_000)
    expect_sentence(alice.pass_(), 14, "full")
    bob.once()
    assert bob.files() == {}, "half a push is no push"
    assert not clients.place.unrest(), "what did not fit was left there"
    resize(small_disk, "50m")
    clients.settle()
    assert len(bob.files()) == 20


def test_a_full_local_disk(small_disk, tmp_path, group):
    clients = group(directory_place(tmp_path / "relay"))
    alice, bob = clients.client("alice"), clients.client("bob", local_path=small_disk / "bob")
    shutil.rmtree(bob.folder)
    bob.folder = small_disk / "bob"
    bob.once()
    fill(alice.folder, "too much", 20, 300_000)
    alice.once()
    expect_sentence(bob.pass_(), 14, "full", str(bob.folder))
    assert clients.place.has("data"), "marked as received without being there"
    resize(small_disk, "50m")
    clients.settle(bob, alice)
    assert len(bob.files()) == 20


def test_the_quota_of_the_relay_is_kept(tmp_path, group):
    """GIVEN `disk quota`, THEN the relay never holds more, and everything arrives in turn."""
    quota = 1 << 20
    sizes = {"disk_quota": "1 MB", "maxpagesize": "512 KB"}
    clients = group(directory_place(tmp_path / "relay"), index="topdir", compression="none", **sizes)
    alice, bob = clients.client("alice"), clients.client("bob")
    clients.settle()
    fill(alice.folder, "much", 20, 100_000)
    reasons = set()
    for _ in range(ROUNDS_MAX):
        reasons |= {event["reason"] for event in alice.once("--json").events() if event["type"] == "waiting"}
        assert sum(clients.place.blobs().values()) <= quota
        bob.once()
        if not clients.unsettled():
            break
    assert not clients.unsettled()
    assert "quota" in reasons


@pytest.mark.parametrize("backend", on("sshd", "moto_locked", "apache", "pyftpd"))
def test_a_relay_that_cannot_be_reached_for_a_while(backend, server, proxy, group):
    running = server(backend)
    way = proxy(running.port)
    clients = group(place_on(running).through(way), max_retries=1)
    alice = clients.client("alice")
    alice.once()
    write(alice.folder, "kept", b"kept")
    way.refuse()
    expect_sentence(alice.pass_(), 13, "cannot reach", "kept and sent later")
    way.refuse(False)
    alice.once()
    assert clients.place.has("index")


@pytest.mark.parametrize("backend", on("sshd", "moto_locked", "apache", "pyftpd"))
def test_nobody_listens_at_the_port(backend, server, group):
    from ..servers.base import free_port

    alice = group(place_on(server(backend)).at_port(free_port()), max_retries=0).client("alice")
    write(alice.folder, "kept", b"kept")
    expect_sentence(alice.pass_(), 13, "cannot reach")
    assert contents(alice.folder) == {b"kept": b"kept"}


@pytest.mark.parametrize("backend", on("sshd", "moto_locked", "rclone_s3", "apache", "wsgidav"))
def test_a_line_that_is_cut_in_the_middle_of_an_upload_and_of_a_download(backend, server, proxy, group):
    running = server(backend)
    way = proxy(running.port)
    clients = group(place_on(running).through(way), compression="none", max_retries=0)
    alice, bob = clients.client("alice"), clients.client("bob")
    clients.round()
    fill(alice.folder, "cut", 30, 200_000)
    for program in (alice, bob):
        way.cut_after(2_000_000)
        expect_sentence(program.pass_(), 13, "cannot reach")
        program.once()
    clients.settle()
    assert files(bob.folder) == files(alice.folder)


@pytest.mark.parametrize("backend", [pytest.param(name, marks=pytest.mark.real(name)) for name in ("sshd", "apache")])
def test_a_server_that_restarts_while_both_are_running(backend, own_server, proxy, group):
    running = own_server(backend)
    way = proxy(running.port)
    clients = group(place_on(running).through(way), max_retries=1)
    alice, bob = clients.client("alice"), clients.client("bob")
    for program in (alice, bob):
        program.start()
    write(alice.folder, "before", b"before")
    clients.until(lambda: (bob.folder / "before").exists())
    # Servers that serve each connection in a process of its own leave those running; the way is closed as well.
    running.halt()
    way.refuse()
    write(alice.folder, "meanwhile", b"meanwhile")
    clients.until(lambda: "cannot reach" in alice.said())
    running.start()
    way.refuse(False)
    clients.until(lambda: (bob.folder / "meanwhile").exists())
    write(bob.folder, "after", b"after")
    clients.until(lambda: (alice.folder / "after").exists())
    for program in (alice, bob):
        program.stop().expect(0)
    clients.settle()


def test_a_file_that_must_not_be_read_does_not_stop_the_others(tmp_path, group):
    clients = group(directory_place(tmp_path / "relay"))
    alice, bob = clients.client("alice", options={"wrapper": WITHOUT_PRIVILEGES}), clients.client("bob")
    fill(alice.folder, "readable", 10, 1000)
    closed = write(alice.folder, "closed", b"not for this user")
    closed.chmod(0)
    ended = alice.pass_().expect(3)
    assert "closed: " in ended.stderr and "permission denied" in ended.stderr
    bob.once()
    assert len(files(bob.folder)) == 10
    closed.chmod(0o644)
    clients.settle()
    assert (bob.folder / "closed").read_bytes() == b"not for this user"


def test_a_directory_that_must_not_be_entered_is_not_taken_for_empty(tmp_path, group):
    clients = group(directory_place(tmp_path / "relay"))
    alice, bob = clients.client("alice", options={"wrapper": WITHOUT_PRIVILEGES}), clients.client("bob")
    fill(alice.folder, "entered", 20, 1000)
    clients.settle()
    before = files(bob.folder)
    (alice.folder / "d1").chmod(0)
    alice.pass_().expect(3)
    bob.once()
    assert files(bob.folder) == before
    (alice.folder / "d1").chmod(0o755)
    clients.settle()
    assert files(alice.folder) == before


@contextmanager
def somebody_writes(path: Path) -> Iterator[None]:
    """A writer that never stops to append, until the end of the context."""
    enough = threading.Event()

    def write_on() -> None:
        with open(path, "ab", buffering=0) as target:
            while not enough.is_set():
                target.write(b"0123456789" * 1000)
                enough.wait(0.001)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()


@pytest.mark.parametrize("settle", ["0 s", "2 s"])
def test_a_file_that_changes_while_it_is_read_waits_for_its_turn(settle, tmp_path, group):
    clients = group(directory_place(tmp_path / "relay"))
    alice, bob = clients.client("alice", settle=settle), clients.client("bob")
    fill(alice.folder, "calm", 10, 1000)
    growing = write(alice.folder, "growing", b"x" * 20_000_000)
    with somebody_writes(growing):
        for _ in range(PASSES_MAX):
            ended = alice.pass_().expect(3)
            assert "growing: " in ended.stderr
            bob.once()
            if len(files(bob.folder)) == 10:
                break
        assert sorted(files(bob.folder)) == sorted({*files(alice.folder)} - {b"growing"})
    alice.write(settle="0 s")
    clients.settle()
    assert (bob.folder / "growing").read_bytes() == growing.read_bytes()


def test_a_symbolic_link_in_the_way_is_not_followed(tmp_path, group):
    clients = group(directory_place(tmp_path / "relay"))
    alice, bob = clients.client("alice"), clients.client("bob")
    outside = tmp_path / "outside"
    outside.mkdir()
    (bob.folder / "link").symlink_to(outside)
    write(alice.folder, "link/file", b"must stay inside")
    write(alice.folder, "other", b"arrives")
    alice.once()
    bob.once()
    assert list(outside.iterdir()) == []
    assert (bob.folder / "other").read_bytes() == b"arrives"
    assert (bob.folder / "link" / "file").read_bytes() == b"must stay inside"
    (copy,) = bob.folder.glob("link.conflict-*")
    assert copy.readlink() == outside


def by_the_clock(offset: str) -> dict[str, dict[str, str]]:
    """Options of a client whose clock is wrong; file times are told as they are."""
    if not LIBFAKETIME.exists():
        pytest.skip("NOT TESTED: clocks that are wrong; apt-get install libfaketime")
    return {
        "environment": {
            "LD_PRELOAD": str(LIBFAKETIME),
            "FAKETIME": offset,
            "NO_FAKE_STAT": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    }


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
@pytest.mark.parametrize("backend", on("sshd", "moto_locked"))
def test_a_clock_that_is_an_hour_off(backend, offset, place_at, group):
    clients = group(place_at(backend))
    alice, bob = clients.client("alice"), clients.client("bob", options=by_the_clock(offset))
    write(alice.folder, "from alice", b"first")
    clients.settle()
    write(bob.folder, "from bob", b"second")
    write(bob.folder, "from alice", b"edited by bob")
    clients.settle()
    assert contents(alice.folder) == {b"from alice": b"edited by bob", b"from bob": b"second"}


@pytest.mark.parametrize("backend", on("directory"))
def test_a_lock_is_not_broken_by_a_clock_that_is_ahead(backend, place_at, group):
    """GIVEN a killed client's lock, WHEN another whose clock is an hour ahead comes, THEN it waits its time."""
    clients = group(place_at(backend), compression="none")
    alice, bob = clients.client("alice"), clients.client("bob", options=by_the_clock("+1h"))
    clients.settle()
    fill(alice.folder, "long", 100, 200_000)
    alice.start("--once")
    alice.until(lambda: clients.place.has("lock"))
    assert alice.kill().code < 0
    write(bob.folder, "waits", b"waits")
    ended = bob.run("-c", bob.configuration, "--once", "--json")
    assert ended.code in (0, 3, 11), str(ended)
    assert any(event["type"] == "waiting" and event["reason"] == "lock" for event in ended.events())
    assert clients.place.has("lock")
    clients.settle(alice, bob)
