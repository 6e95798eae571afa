"""`escalectl approve` and `escalectl sync --adopt`, with the real engine, with a service and without one."""

import io
import json
import shutil
import sys

import pytest

from escale.cli.escalectl import main

from .commands import User

ESCALE = "escale.cli.escale"
NAMES = [f"runs/{year}/{number}.csv" for year in (2024, 2025) for number in range(4)]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self):
        return True


@pytest.fixture
def user(tmp_path):
    """Two machines, alice and bob, that have the same eight files."""
    user = User(tmp_path)
    user.write_conf("alice", "bob", head="log file = none\nsettle = 0\nrefresh = 1 s\n")
    for name in NAMES:
        (tmp_path / "alice" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "alice" / name).write_text(name)
    assert [once(user, name) for name in ("bob", "alice", "bob", "alice")] == [0, 0, 0, 0]
    assert files(user, "bob") == NAMES
    return user


def once(user, name):
    return user.run("-c", str(user.conf), "--once", name, module=ESCALE).returncode


def files(user, name):
    folder = user.place / name
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != ".escale")


def held(user):
    """Alice loses all her files, and a pass notices."""
    shutil.rmtree(user.place / "alice" / "runs")
    assert once(user, "alice") == 5


def test_what_is_held_is_shown_and_waits(user):
    """GIVEN a folder that was emptied WHEN approve cannot ask THEN it shows what is held and decides nothing."""
    held(user)
    done = user.escalectl("approve", "alice")
    assert done.returncode == 5
    lines = done.stdout_text.splitlines()
    assert lines[0].startswith("alice: 8 of 8 files, 120 B, were deleted here; held since ")
    assert [line.split() for line in lines[1:3]] == [
        ["runs/2024/", "4", "files", "60", "B"],
        ["runs/2025/", "4", "files", "60", "B"],
    ]
    assert "write --yes or --refuse" in done.stderr_text
    listed = user.escalectl("approve", "alice", "--show")
    assert (listed.returncode, [line.split()[0] for line in listed.stdout_text.splitlines()[1:]]) == (5, NAMES)
    assert (once(user, "alice"), once(user, "bob")) == (5, 0)
    assert files(user, "bob") == NAMES


def test_what_was_approved_is_deleted_on_the_others_once(user):
    held(user)
    done = user.escalectl("approve", "alice", "--yes")
    assert done.returncode == 0
    assert "takes effect at the next pass" in done.stderr_text
    again = user.escalectl("approve", "alice")
    assert (again.returncode, "approved" in again.stderr_text) == (0, True)
    assert (once(user, "alice"), once(user, "bob")) == (0, 0)
    assert files(user, "bob") == []
    assert user.escalectl("approve", "alice").returncode == 0
    trash = [path for path in (user.place / "bob" / ".escale" / "trash").rglob("*.csv") if path.is_file()]
    assert len(trash) == 8


def test_what_was_refused_comes_back(user):
    held(user)
    assert user.escalectl("approve", "alice", "--refuse").returncode == 0
    for name in ("alice", "bob", "alice"):
        once(user, name)
    assert files(user, "alice") == files(user, "bob") == NAMES


@pytest.mark.parametrize(("answer", "code", "known"), [("y", 0, "approve"), ("r", 0, "refuse"), ("", 5, None)])
def test_it_asks_at_a_terminal(user, monkeypatch, capsys, answer, code, known):
    held(user)
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    assert main(["approve", "alice", "-c", str(user.conf)], user.environ) == code
    assert "Really delete them on the others, too?" in capsys.readouterr().err
    assert once(user, "alice") == (5 if known is None else 0)


@pytest.mark.parametrize(
    ("line", "left", "in_trash"),
    [
        ("max delete = off", [], 8),
        ("max delete = off\ndeletions = propagate", [], 0),
        ("deletions = keep", NAMES, 0),
    ],
)
def test_settings_decide_what_becomes_of_deletions(user, line, left, in_trash):
    """GIVEN settings for deletions WHEN all files of one machine go THEN the other does what they say."""
    user.conf.write_text(f"{line}\n{user.conf.read_text()}")
    shutil.rmtree(user.place / "alice" / "runs")
    assert [once(user, name) for name in ("alice", "bob", "bob", "alice")] == [0, 0, 0, 0]
    assert files(user, "bob") == left
    trash = [path for path in (user.place / "bob" / ".escale" / "trash").rglob("*.csv") if path.is_file()]
    assert len(trash) == in_trash


def test_nothing_is_held(user):
    done = user.escalectl("approve", "alice")
    assert (done.returncode, done.stderr_text) == (0, "alice: nothing is held\n")
    user.write_conf("carla")
    assert user.escalectl("approve").returncode == 0


def test_a_service_says_what_is_held_and_acts_on_the_decision(user):
    """GIVEN a running service WHEN files disappear THEN status names the command, and approve takes effect at once."""
    with user.service(module=ESCALE) as service:
        service.next("pass", state="end", section="alice")
        shutil.rmtree(user.place / "alice" / "runs")
        assert service.next("problem", code="L120")["section"] == "alice"
        service.next("pass", state="end", section="alice")
        assert user.escalectl("status", "--short", "alice").stdout_text == "held\n"
        shown = user.escalectl("status", "--check", "alice")
        assert shown.returncode == 5
        need = "8 of 8 files were deleted here; their deletion is held  escalectl approve alice"
        assert shown.stdout_text.count("escalectl approve") == 1 and need in shown.stdout_text
        pending = [json.loads(line) for line in user.escalectl("pending", "--json", "alice").stdout_text.splitlines()]
        assert [(one["reason"], one["path"]) for one in pending] == [("held", name) for name in NAMES]
        done = user.escalectl("approve", "alice", "--yes")
        assert (done.returncode, "next pass" in done.stderr_text) == (0, False)
        assert user.escalectl("wait", "alice", "--timeout", "30").returncode == 0
        assert user.escalectl("wait", "bob", "--timeout", "30").returncode == 0
        assert files(user, "bob") == []
        service.process.terminate()
        assert service.end() == 0


def test_a_lost_marker_stops_the_section_until_a_side_is_adopted(user):
    """GIVEN a folder without its marker WHEN the relay is adopted THEN what is missing is fetched, nothing deleted."""
    shutil.rmtree(user.place / "alice")
    (user.place / "alice").mkdir()
    with user.service("alice", module=ESCALE) as service:
        assert service.next("problem", code="L110")
        shown = user.escalectl("status", "--check", "alice")
        assert shown.returncode == 5
        assert "(L110)  escalectl sync alice --adopt relay|local" in shown.stdout_text
        assert shown.stdout_text.count("has lost its marker") == 1
        assert user.escalectl("sync", "alice", "--adopt", "relay").returncode == 0
        service.next("pass", state="end", section="alice")
        service.process.terminate()
        assert service.end() == 0
    for name in ("bob", "alice"):
        once(user, name)
    assert files(user, "alice") == files(user, "bob") == NAMES


def test_adopting_the_folder_means_that_what_is_missing_was_deleted(user):
    shutil.rmtree(user.place / "alice")
    (user.place / "alice").mkdir()
    assert once(user, "alice") == 5
    done = user.escalectl("sync", "alice", "--adopt", "local")
    assert done.returncode == 0 and "takes effect at the next pass" in done.stderr_text
    assert once(user, "alice") == 5, "it is asked all the same whether so many files were meant"
    assert user.escalectl("approve", "alice", "--yes").returncode == 0
    assert (once(user, "alice"), once(user, "bob")) == (0, 0)
    assert files(user, "bob") == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("approve",), 2, "which section? one of: alice, bob (C108)"),
        (("approve", "nobody"), 2, "there is no section or command 'nobody'"),
        (("approve", "alice", "--yes", "--refuse"), 2, "not allowed with argument"),
        (("sync", "--adopt", "relay"), 2, "which section?"),
        (("sync", "alice", "--adopt", "both"), 2, "invalid choice: 'both'"),
        (("sync", "alice", "--adopt", "local"), 1, "alice has never run here"),
    ],
)
def test_what_cannot_be_decided_is_one_sentence(tmp_path, words, code, sentence):
    done = User(tmp_path, "alice", "bob").escalectl(*words)
    assert (done.returncode, sentence in done.stderr_text) == (code, True), done.stderr_text


def test_a_configuration_with_errors_is_explained(tmp_path):
    user = User(tmp_path, "alice")
    user.conf.write_text(user.conf.read_text() + "refesh = 1\n")
    done = user.escalectl("approve", "alice")
    assert done.returncode == 78
    assert "unknown setting 'refesh'" in done.stderr_text
