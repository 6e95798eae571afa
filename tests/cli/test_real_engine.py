"""The commands with the real engine: the demo, the example configuration, and a day with two clients."""

import json
import os
import shutil
import signal

import pytest

from .commands import ROOT, User

ESCALE = "escale.cli.escale"

NO_NETWORK = """
import socket
real = socket.socket.connect
def refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"the network was used: {address}")
    return real(self, address)
socket.socket.connect = refuse
real_bind = socket.socket.bind
def no_port(self, address):
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"a port was opened: {address}")
    return real_bind(self, address)
socket.socket.bind = no_port
"""


@pytest.fixture
def user(tmp_path):
    user = User(tmp_path)
    user.environ["PYTHONPATH"] = f"{tmp_path}/site:{ROOT}"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    (tmp_path / "work").mkdir()
    return user


@pytest.mark.parametrize("options", [(), ("--clients", "3", "--encrypt", "--files", "40")])
def test_the_demo_plays_its_scenes_without_a_network_and_leaves_nothing(user, options):
    """GIVEN a fresh machine WHEN somebody types `escale demo` THEN all scenes go as expected, offline."""
    done = user.run("demo", "--dir", str(user.place / "work"), *options, module=ESCALE)
    assert done.returncode == 0, done.stderr_text + done.stdout_text
    scenes = 6 if "--encrypt" in options else 5
    assert f"All {scenes} scenes as expected" in done.stdout_text
    assert "notes.conflict-" in done.stdout_text
    assert list((user.place / "work").iterdir()) == []


def test_the_demo_keeps_its_folder_when_asked(user):
    done = user.run("demo", "--dir", str(user.place / "work"), "--keep", "--files", "5", module=ESCALE)
    assert done.returncode == 0, done.stderr_text
    (kept,) = (user.place / "work").iterdir()
    assert sorted(path.name for path in (kept / "alice").iterdir() if path.name != ".escale") == sorted(
        path.name for path in (kept / "bob").iterdir() if path.name != ".escale"
    )
    check = user.run("check", "-c", str(kept / "demo.conf"), "--no-write", module=ESCALE)
    assert check.returncode == 0, check.stdout_text


@pytest.mark.parametrize("options", [("--clients", "1"), ("--clients", "99"), ("--files", "0")])
def test_the_demo_has_limits(user, options):
    assert user.run("demo", *options, module=ESCALE).returncode == 2


def test_the_example_runs_as_it_stands(user):
    """GIVEN conf.example WHEN escale runs with it THEN a file put into one folder arrives in the other."""
    shutil.copy(ROOT / "conf.example", user.conf)
    process = user.start("-c", str(user.conf), "--json", module=ESCALE)
    try:
        folder = user.place / "demo-alice"
        while True:
            event = json.loads(process.stdout.readline())
            if (event.get("section"), event["type"], event.get("state")) == ("alice", "pass", "end"):
                break
        (folder / "caf\u00e9.txt").write_text("hello")
        for line in process.stdout:
            event = json.loads(line)
            if (event["type"], event.get("direction"), event.get("state")) == ("page", "down", "end"):
                break
        assert (user.place / "demo-bob" / "caf\u00e9.txt").read_text() == "hello"
        assert user.escalectl("wait", "--timeout", "30").returncode == 0
        status = user.escalectl("status")
        assert "in step" in status.stdout_text
        assert user.escalectl("pending").stdout_text == ""
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()


def test_two_clients_one_pass_at_a_time(user):
    """GIVEN two machines WHEN each does `escale --once` in turn THEN the file is there and the relay is empty."""
    user.write_conf("alice", "bob", head="log file = none\nsettle = 0\n")
    (user.place / "alice" / "plan.odt").write_bytes(os.urandom(5000))
    first = [user.run("-c", str(user.conf), "--once", name, module=ESCALE) for name in ("bob", "alice")]
    assert [done.returncode for done in first] == [0, 0]
    assert "alice: sent 1 file, 5 KB in" in first[1].stderr_text
    preview = user.run("-c", str(user.conf), "-n", "bob", module=ESCALE)
    assert preview.stdout_text.splitlines()[0].split() == ["receive", "new", "plan.odt", "5", "KB"]
    assert not (user.place / "bob" / "plan.odt").exists()
    done = user.run("-c", str(user.conf), "--once", "bob", module=ESCALE)
    assert done.returncode == 0
    assert done.stderr_text.splitlines()[-1].endswith("received 1 file, 5 KB; in step")
    assert (user.place / "bob" / "plan.odt").read_bytes() == (user.place / "alice" / "plan.odt").read_bytes()
