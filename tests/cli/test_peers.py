"""`escalectl peers` with the real engine: who takes part, what waits for whom, and forgetting one."""

import json
import sys

import pytest

from escale.cli.escalectl import main

from .commands import User
from .test_decisions import ESCALE, Terminal, once


@pytest.fixture
def user(tmp_path):
    """Alice and bob have met; two files of alice wait for bob."""
    user = User(tmp_path)
    user.write_conf("alice", "bob", head="log file = none\nsettle = 0\nrefresh = 1 s\n")
    assert [once(user, name) for name in ("bob", "alice")] == [0, 0]
    for name in ("a.txt", "b.txt"):
        (tmp_path / "alice" / name).write_text("x" * 1000)
    once(user, "alice")
    return user


def peers(user, *words):
    done = user.escalectl("peers", "--json", *words)
    assert done.returncode == 0, done.stderr_text
    return {one["name"]: one for one in map(json.loads, done.stdout_text.splitlines())}


def test_it_says_who_takes_part_and_what_waits_for_whom(user):
    done = user.escalectl("peers", "alice")
    assert done.returncode == 0
    head, columns, alice, bob = done.stdout_text.splitlines()
    assert head == f"alice: file://{user.place}/relay"
    assert columns.split() == ["client", "last", "sign", "of", "life", "waits", "for", "it", "on", "pages"]
    assert alice.split() == ["alice", "-", "-", "-", "this", "machine"]
    assert bob.split()[0] == "bob" and " ago " in bob and "  2 files, " in bob
    found = peers(user, "alice")
    assert (found["bob"]["files"], found["bob"]["pulls"], found["bob"]["is_stale"]) == (2, True, False)
    assert found["bob"]["size"] > 0 and found["bob"]["silent_s"] >= 0
    assert (found["alice"]["is_here"], found["alice"]["files"]) == (True, 0)
    once(user, "bob")
    assert peers(user, "alice")["bob"]["files"] == 0


def test_clients_that_are_named_are_listed_before_they_come(user):
    user.conf.write_text(user.conf.read_text().replace("[bob]", "pullers = bob, carla\n[bob]"))
    found = peers(user, "alice")
    assert [(one["name"], one["silent_s"] is None, one["is_named"], one["files"]) for one in found.values()] == [
        ("alice", False, False, 0),
        ("bob", False, True, 2),
        ("carla", True, True, 2),
    ]
    assert "carla   never" in user.escalectl("peers", "alice").stdout_text


def test_a_client_that_is_forgotten_is_not_waited_for(user):
    """GIVEN files that wait for a client that is gone WHEN it is forgotten THEN its entry is gone; it may come back."""
    undecided = user.escalectl("peers", "alice", "forget", "bob")
    assert undecided.returncode == 5
    assert "nothing was changed (2 files wait for it): to forget it write --yes" in undecided.stderr_text
    assert "bob" in peers(user, "alice")
    done = user.escalectl("peers", "alice", "forget", "bob", "--yes")
    assert done.returncode == 0
    assert "bob is off the roster" in done.stderr_text and "takes effect at the next pass" in done.stderr_text
    assert list(peers(user, "alice")) == ["alice"]
    assert once(user, "bob") == 0
    assert (user.place / "bob" / "a.txt").exists()
    assert list(peers(user, "alice")) == ["alice", "bob"]


@pytest.mark.parametrize(("answer", "left"), [("yes", ["alice"]), ("", ["alice", "bob"])])
def test_it_asks_at_a_terminal(user, monkeypatch, capsys, answer, left):
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    assert main(["peers", "alice", "forget", "bob", "-c", str(user.conf)], user.environ) == (0 if answer else 5)
    assert "bob: 2 files wait for it." in capsys.readouterr().err
    assert list(peers(user, "alice")) == left


def test_forgetting_one_that_is_named_says_what_is_left_to_do(user):
    user.conf.write_text(user.conf.read_text().replace("[bob]", "pullers = bob\n[bob]"))
    done = user.escalectl("peers", "alice", "forget", "bob", "--yes")
    assert done.returncode == 0
    assert f"bob is off the roster, but still named in pullers ({user.conf}:" in done.stderr_text


def test_with_a_service_what_waited_is_freed(user):
    """GIVEN an update that one has and another awaits WHEN the other is forgotten THEN the running service frees it."""
    user.write_conf("alice", "bob", "carla", head="log file = none\nsettle = 0\nrefresh = 1 h\n")
    once(user, "carla")
    assert {name: one["files"] for name, one in peers(user, "alice").items()} == {"alice": 0, "bob": 2, "carla": 0}
    with user.service("alice", module=ESCALE) as service:
        service.next("pass", state="end", section="alice")
        assert user.escalectl("peers", "alice", "forget", "bob", "--yes").returncode == 0
        service.next("pass", state="end", section="alice")
        service.process.terminate()
        assert service.end() == 0
    assert not [path for path in (user.place / "relay").iterdir() if path.stat().st_size > 2000]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("nobody",), 2, "there is no section or command 'nobody'"),
        (("alice", "forget"), 2, "write: escalectl peers SECTION forget NAME"),
        (
            ("alice", "forget", "carla"),
            1,
            "there is no client carla on the relay of alice; there are: alice, bob (P402)",
        ),
        (("alice", "forget", "alice", "--yes"), 1, "alice is this machine"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(user, words, code, sentence):
    done = user.escalectl("peers", *words)
    assert (done.returncode, sentence in done.stderr_text) == (code, True), done.stderr_text


def test_a_relay_that_is_new_or_of_the_old_format(tmp_path):
    user = User(tmp_path, "alice")
    assert "nobody has come yet" in user.escalectl("peers").stdout_text
    user.conf.write_text(user.conf.read_text() + "relay format = 0.7\n")
    assert "relay format 0.7 keeps no roster" in user.escalectl("peers").stdout_text
