"""`escalectl conflicts`, as a process, without a service."""

import json
import os

import pytest

from escale.app.build import ledger_path
from escale.conf.load import load
from escale.files.ledger import Ledger

from .commands import User

LAPTOP = "notes.conflict-laptop-20261121-120000.txt"
OTHER = "photo.conflict-laptop-20261121-110000.png"


@pytest.fixture
def user(tmp_path):
    made = User(tmp_path, "work")
    config = load(made.conf, made.environ).require()
    path = ledger_path(config.state_dir, config.sections[0])
    path.parent.mkdir(parents=True)
    Ledger(path).close()
    write(made, "notes.txt", b"one\ntwo\n")
    write(made, LAPTOP, b"one\n\x1b[31mthree\n")
    write(made, "photo.png", b"\0\1")
    write(made, OTHER, b"\0\1\2")
    return made


def write(user, name, content):
    path = user.place / "work" / name
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))


def names(user):
    return sorted(path.name for path in (user.place / "work").iterdir() if path.name != ".escale")


def test_the_list_names_path_and_both_versions(user):
    done = user.escalectl("conflicts", TZ="UTC")
    assert done.returncode == 5
    assert done.stdout_text.splitlines() == [
        " 1  photo.png  plain  2020-09-13 12:26  2 B  laptop  2020-09-13 12:26  3 B",
        " 2  notes.txt  plain  2020-09-13 12:26  8 B  laptop  2020-09-13 12:26  15 B",
        "escalectl conflicts work diff 1 | keep 1 plain | keep 1 laptop | keep 1 both",
    ]


def test_the_list_as_json(user):
    done = user.escalectl("conflicts", "work", "--json", TZ="UTC")
    values = [json.loads(line) for line in done.stdout_text.splitlines()]
    assert done.returncode == 5
    assert values[1] == {
        "type": "conflict",
        "section": "work",
        "number": 2,
        "path": "notes.txt",
        "copy": LAPTOP,
        "client": "laptop",
        "when": "2026-11-21T12:00:00+00:00",
        "plain_version": {"kind": "file", "size": 8, "mtime": "2020-09-13T12:26:40+00:00"},
        "copy_version": {"kind": "file", "size": 15, "mtime": "2020-09-13T12:26:40+00:00"},
    }


def test_a_folder_without_conflicts_is_0(tmp_path):
    done = User(tmp_path, "work", "home").escalectl("conflicts")
    assert (done.returncode, done.stdout_text, done.stderr_text) == (0, "", "no conflicts\n")


def test_a_diff_cannot_steer_the_terminal(user):
    done = user.escalectl("conflicts", "work", "diff", "2", TZ="UTC")
    assert done.returncode == 0
    assert done.stdout_text.splitlines()[3:6] == [" one", "-two", "+\\x1b[31mthree"]


def test_a_diff_of_what_is_no_text(user):
    assert user.escalectl("conflicts", "diff", "1").stdout_text == "photo.png: binary or large, 2 and 3 bytes\n"


def test_show_has_both_names(user):
    done = user.escalectl("conflicts", "show", "notes.txt", TZ="UTC")
    assert "notes.txt, in conflict since 2026-11-21 12:00" in done.stdout_text and LAPTOP in done.stdout_text


def test_conflicts_are_settled_one_by_one_under_the_same_numbers(user):
    user.escalectl("conflicts")
    done = user.escalectl("conflicts", "work", "keep", "1", "plain")
    assert done.returncode == 0
    assert done.stderr_text.splitlines()[0] == "photo.png: the plain version kept; laptop's is in the trash"
    done = user.escalectl("conflicts", "keep", "2", "laptop")
    assert done.returncode == 0
    assert done.stderr_text.splitlines()[0] == "notes.txt: laptop's version kept; the other one is in the trash"
    assert names(user) == ["notes.txt", "photo.png"]
    assert (user.place / "work/notes.txt").read_bytes() == b"one\n\x1b[31mthree\n"
    assert user.escalectl("conflicts").returncode == 0


def test_several_are_settled_the_same_way(user):
    done = user.escalectl("conflicts", "keep", "1", "2", "both")
    assert done.returncode == 0
    assert names(user) == ["notes-laptop.txt", "notes.txt", "photo-laptop.png", "photo.png"]


def test_what_changed_since_the_list_is_left_alone(user):
    user.escalectl("conflicts")
    write(user, "notes.txt", b"saved again")
    done = user.escalectl("conflicts", "keep", "2", "laptop")
    assert (done.returncode, "has changed since you looked" in done.stderr_text) == (1, True)
    assert (user.place / "work/notes.txt").read_bytes() == b"saved again" and LAPTOP in names(user)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show", "7"], 1, "there is no conflict 7 in section work"),
        (["keep", "1", "left"], 2, "'left' does not say which version"),
        (["keep", "1"], 2, "keep N"),
        (["show"], 2, "show N"),
        (["work", "settle", "1"], 2, "keep N"),
        (["nowhere"], 2, "there is no section"),
    ],
)
def test_what_is_not_understood_changes_nothing(user, words, code, sentence):
    before = names(user)
    done = user.escalectl("conflicts", *words)
    assert done.returncode == code and sentence in done.stderr_text
    assert names(user) == before


def test_which_section(tmp_path):
    user = User(tmp_path, "work", "home")
    done = user.escalectl("conflicts", "diff", "1")
    assert done.returncode == 2 and "work, home" in done.stderr_text


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    user = User(tmp_path, "work")
    (tmp_path / "work").rmdir()
    done = user.escalectl("conflicts")
    assert done.returncode == 77 and done.stderr_text.startswith("escale: work: ")


def test_what_is_settled_on_one_machine_is_settled_on_all(tmp_path):
    """GIVEN two edits of one file, WHEN one client settles, THEN both folders hold that version alone."""
    user = User(tmp_path, "alice", "bob")

    def passes():
        for _ in range(3):
            done = user.run("-c", str(user.conf), "--once", "-q", module="escale.cli.escale")
            assert done.returncode in (0, 4, 5), done.stderr_text

    def contents():
        return [{p.name: p.read_text() for p in (tmp_path / name).glob("[!.]*")} for name in ("alice", "bob")]

    (tmp_path / "alice/n.txt").write_text("base")
    passes()
    (tmp_path / "alice/n.txt").write_text("of alice")
    (tmp_path / "bob/n.txt").write_text("of bob!")
    passes()
    (copy,) = tmp_path.glob("alice/n.conflict-*")
    client = copy.name.split("-")[1]
    chosen = copy.read_text()
    assert user.escalectl("conflicts", "bob", "keep", "1", client).returncode == 0
    passes()
    assert contents() == [{"n.txt": chosen}] * 2
    for name in ("alice", "bob"):
        assert user.escalectl("conflicts", name).returncode == 0
    (lost,) = {"of alice", "of bob!"} - {chosen}
    back = user.run(
        "-c", str(user.conf), "-s", "bob", "get", "n.txt", "--in-place", "--yes", module="escale.cli.restore"
    )
    assert back.returncode == 0
    passes()
    assert contents() == [{"n.txt": lost}] * 2
