"""`escale-restore`, as a process, without a relay and without a service."""

import json
import os
import pty
import subprocess
import sys

import pytest

from escale.app.build import ledger_path, open_folder
from escale.app.choice import LATEST, Moment
from escale.cli.moment import NoMoment, day_text, moment, moment_or_none, paths_meant
from escale.conf.load import load
from escale.files.ledger import Ledger
from escale.files.tree import Entry
from escale.testing.clock import SimClock

from .commands import TIMEOUT_S, User

THEN = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""


class Owner(User):
    """Somebody whose service has run, and who lost some files."""

    def __init__(self, place, *sections):
        super().__init__(place, *sections)
        self.environ["TZ"] = "UTC"
        self.config = load(self.conf, self.environ).require()
        for section in self.config.sections:
            path = ledger_path(self.config.state_dir, section)
            path.parent.mkdir(parents=True, exist_ok=True)
            Ledger(path).close()

    def restore(self, *arguments):
        return self.run("-c", str(self.conf), *arguments, module="escale.cli.restore")

    def write(self, section, path, content):
        full = self.place / section / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)
        os.utime(full, (1_600_000_000, 1_600_000_000))

    def lose(self, section, path, content, when=THEN):
        """A file of this content is deleted by another client at that time."""
        self.write(section, path, content)
        (found,) = (one for one in self.config.sections if one.name == section)
        folder, ledger = open_folder(self.config, found, SimClock(when))
        (done,) = folder.remove([Entry(path, len(content), 1_600_000_000 * 10**9)], by={path: "nas"})
        ledger.close()
        assert done.reason == ""


@pytest.fixture
def owner(tmp_path):
    made = Owner(tmp_path, "work")
    made.lose("work", "a/notes.txt", b"first")
    made.lose("work", "a/notes.txt", b"second!", THEN + 3600)
    made.lose("work", "a/b/\x1b[31mred", b"x", THEN + 86400)
    made.write("work", "a/notes.conflict-laptop-20261119-090000.txt", b"laptop's")
    return made


def lines(text):
    return [line.split() for line in text.splitlines()]


def test_list_counts_days_and_batches(owner):
    done = owner.restore("list")
    assert done.returncode == 0
    assert lines(done.stdout_text) == [
        ["when", "section", "from", "batches", "files", "size"],
        ["2026-11-19", "work", "conflict", "-", "1", "8", "B"],
        ["2026-11-21", "work", "trash", "2", "2", "12", "B"],
        ["2026-11-22", "work", "trash", "1", "1", "1", "B"],
    ]
    batches = lines(owner.restore("list", "2026-11-21").stdout_text)[1:]
    assert [batch[0] for batch in batches] == ["20261121-120000-000000", "20261121-130000-000000"]


def test_ls_shows_what_was_there(owner):
    latest = owner.restore("ls").stdout_text
    assert "7 B   a/notes.txt      deleted by nas" in latest and "a/b/\\x1b[31mred" in latest
    assert "laptop" not in latest
    then = lines(owner.restore("ls", "2026-11-21 11:00", "a/notes.txt").stdout_text)
    assert [line[:4] for line in then[1:]] == [["2026-11-21", "12:00", "work", "trash"]]
    later = owner.restore("ls", "2026-11-23")
    assert (later.returncode, later.stdout_text, later.stderr_text) == (0, "", "nothing was put away since then\n")


def test_find_and_history_show_every_version(owner):
    found = owner.restore("find", "NOTES*")
    assert found.returncode == 1 and "NOTES* is neither in the trash" in found.stderr_text
    found = owner.restore("find", "not*")
    assert [line[3:6] for line in lines(found.stdout_text)[1:]] == [
        ["trash", "7", "B"],
        ["trash", "5", "B"],
        ["conflict", "8", "B"],
    ]
    path = str(owner.place / "work/a/notes.txt")
    assert owner.restore("history", path).stdout_text == owner.restore("history", "a/notes.txt").stdout_text
    assert len(lines(owner.restore("history", path).stdout_text)) == 4


def test_get_brings_back_beside_the_folder_and_replaces_nothing(owner):
    done = owner.restore("get", "a")
    assert done.returncode == 0
    assert done.stderr_text == "2 of 2 files, 8 B restored to restored-work-20261122-1200\n"
    to = owner.place / "restored-work-20261122-1200"
    assert (to / "a/notes.txt").read_bytes() == b"second!" and (to / "a/b/\x1b[31mred").read_bytes() == b"x"
    again = owner.restore("get", "a")
    assert again.returncode == 3
    assert "a/notes.txt: something is there already" in again.stderr_text
    always = owner.restore(
        "get", "a/notes.txt", "--at", "20261121-120000-000000", "--to", str(to), "--overwrite=always"
    )
    assert always.returncode == 0 and (to / "a/notes.txt").read_bytes() == b"first"


def test_get_back_into_the_folder_keeps_what_is_there(owner):
    owner.write("work", "a/notes.txt", b"present")
    refused = owner.restore("get", "a/notes.txt", "--in-place")
    assert refused.returncode == 2 and "--yes" in refused.stderr_text
    assert owner.restore("get", "a/notes.txt", "--in-place", "-n").stdout_text == "a/notes.txt\n"
    assert (owner.place / "work/a/notes.txt").read_bytes() == b"present"
    done = owner.restore("get", "a/notes.txt", "--in-place", "--yes")
    assert done.returncode == 0
    assert (owner.place / "work/a/notes.txt").read_bytes() == b"second!"
    latest = owner.restore("get", "a/notes.txt", "--to", "there")
    assert latest.returncode == 0 and (owner.place / "there/a/notes.txt").read_bytes() == b"present"


def test_json_has_objects_only_and_the_exit_at_the_end(owner):
    values = [json.loads(line) for line in owner.restore("get", "a", "--json", "--to", "x").stdout_text.splitlines()]
    assert [(one["type"], one.get("path"), one.get("fate")) for one in values] == [
        ("restored", "a/b/\x1b[31mred", "restored"),
        ("restored", "a/notes.txt", "restored"),
        ("exit", None, None),
    ]
    (first, *_) = [
        json.loads(line) for line in owner.restore("history", "a/notes.txt", "--json").stdout_text.splitlines()
    ]
    assert (first["from"], first["client"], first["size"], first["when"]) == (
        "trash",
        "nas",
        7,
        "2026-11-21T13:00:00+00:00",
    )


def test_a_name_alone_is_an_offer_where_nobody_can_be_asked(owner):
    done = owner.restore("notes.txt")
    assert done.returncode == 5 and len(lines(done.stdout_text)) == 4
    assert not list(owner.place.glob("restored*"))


def test_a_name_alone_asks_at_a_terminal(owner):
    terminal, theirs = pty.openpty()
    words = [sys.executable, "-m", "escale.cli.restore", "-c", str(owner.conf), "notes.txt"]
    with subprocess.Popen(
        words,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=owner.environ,
        cwd=owner.place,
    ) as process:
        os.close(theirs)
        os.write(terminal, b"7\n2\n")
        out, err = process.communicate(timeout=TIMEOUT_S)
    os.close(terminal)
    assert process.returncode == 0, err
    assert out.splitlines()[1].startswith("1  2026-11-21 13:00  work     trash     7 B")
    assert (owner.place / "restored-work-20261121-1200/a/notes.txt").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "what is to be restored?"),
        (["get"], 2, "get PATH ..."),
        (["get", "a", "--at", "soon"], 2, "'soon' is not a time"),
        (["history"], 2, "history PATH"),
        (["nothing.txt"], 1, "nothing.txt is neither in the trash"),
        (["a/b"], 2, "a/b was a directory"),
        (["-s", "nowhere", "list"], 2, "there is no section"),
        (["get", "a", "--to", "x", "--in-place"], 2, "not allowed with"),
        (["get", "a", "--overwrite", "some"], 2, "invalid choice"),
        (["get", "a", "--to", "x.conf/y"], 1, "a/notes.txt: not a directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(owner, words, code, sentence):
    done = owner.restore(*words)
    assert sentence in done.stderr_text
    assert done.returncode == code


def test_a_path_that_several_sections_have(tmp_path):
    owner = Owner(tmp_path, "work", "home")
    for section in ("work", "home"):
        owner.lose(section, "n.txt", section.encode())
    assert owner.restore("get", "n.txt").returncode == 2
    assert owner.restore("get", "n.txt", "-s", "home", "--to", "x").returncode == 0
    assert (tmp_path / "x/n.txt").read_bytes() == b"home"
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    done = owner.restore("list")
    assert done.returncode == 0 and "home: there is no folder" in done.stderr_text and "work" in done.stdout_text


def test_a_broken_configuration_is_78(tmp_path):
    owner = Owner(tmp_path, "work")
    owner.conf.write_text("[work]\nlocal pat = x\n")
    assert owner.restore("list").returncode == 78


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, LATEST),
        ("latest", LATEST),
        ("3d", Moment(time=THEN - 3 * 86400)),
        ("1.5 h", Moment(time=THEN - 5400)),
        ("20261121-120000-000000", Moment(batch="20261121-120000-000000")),
        ("20261121-120000-000000-2", Moment(batch="20261121-120000-000000-2")),
    ],
)
def test_moments(text, expected):
    assert moment(text, THEN) == expected


def test_a_day_begins_at_its_beginning():
    begin = moment("2026-11-19", THEN).time
    assert begin is not None and day_text(begin) == "2026-11-19" and day_text(begin - 1) == "2026-11-18"
    assert moment("2026-11-19 18:00", THEN).time == moment("2026-11-19T18:00:00", THEN).time == begin + 18 * 3600


@pytest.mark.parametrize("text", ["3", "yesterday", "2026-13-40", "", "99999999999999999999"])
def test_what_is_no_moment(text):
    assert moment_or_none(text, THEN) is None
    with pytest.raises(NoMoment):
        moment(text, THEN)


def test_paths_of_the_file_system_are_understood(tmp_path, monkeypatch):
    root = tmp_path / "work"
    root.mkdir()
    assert "a/b" in paths_meant(f"{root}/a/b/", root)
    assert paths_meant(str(root), root) == ("",)
    monkeypatch.chdir(root)
    assert paths_meant("./a", root) == ("a", "a")
    assert paths_meant("/etc/passwd", root) == ("/etc/passwd",)
