"""`escale check`, with the real engine and a directory as the relay."""

import json

import pytest

from .commands import User

ESCALE = "escale.cli.escale"


@pytest.fixture
def user(tmp_path):
    user = User(tmp_path, "quiet")
    (tmp_path / "quiet" / "a.txt").write_text("hello")
    return user


def check(user, *arguments):
    return user.run("check", "-c", str(user.conf), *arguments, module=ESCALE)


def test_every_layer_has_a_line_and_the_relay_is_certified(user):
    done = check(user, "--json")
    assert done.returncode == 0, done.stdout_text
    lines = [json.loads(line) for line in done.stdout_text.splitlines()]
    assert lines[-1] == {"type": "exit", "code": 0}
    facts = {line["layer"].strip(): line["fact"] for line in lines[:-1]}
    assert facts["conf"] == str(user.conf)
    assert facts["folder"] == f"{user.place}/quiet  1 file, 5 B"
    assert facts["secrets"] == "none needed"
    assert "exactly one wins" in facts["exclusive creation"]
    assert "old content" in facts["broken uploads"]
    assert facts["verdict"] == "a relay; pages are locked by exclusive creation"
    assert list((user.place / "relay").iterdir()) == [], "the probe cleans up"


def test_people_read_a_table_and_a_conclusion(user):
    done = check(user, "quiet", "--no-write")
    lines = done.stdout_text.splitlines()
    assert done.returncode == 0
    assert "[quiet]" in lines
    assert lines[-1] == "1 note, nothing wrong."
    assert any(line.split() == ["list", "ok", "0", "objects,", "0", "B", "(0.0", "s)"] for line in lines)


def test_offline_does_not_look_at_the_relay(user):
    (user.place / "relay").rmdir()
    done = check(user, "--offline")
    assert done.returncode == 0
    assert "relay" not in done.stdout_text.replace(str(user.place), "")


def test_a_relay_that_is_not_there_is_10_and_the_other_sections_go_on(user):
    user.write_conf("quiet", "moves")
    user.conf.write_text(user.conf.read_text().replace("/relay", "/no/relay", 1))
    done = check(user, "--no-write")
    assert done.returncode == 10
    assert "there is no relay at" in done.stdout_text
    assert done.stdout_text.splitlines()[-1] == "1 note, 1 thing wrong."
    assert "escale check --create" in done.stdout_text


def test_the_place_of_a_relay_is_made_when_the_user_asks_for_it(user):
    user.conf.write_text(user.conf.read_text().replace("/relay", "/no/relay", 1))
    done = check(user, "--create", "--no-write")
    assert done.returncode == 0, done.stdout_text
    assert (user.place / "no" / "relay").is_dir()


def test_a_key_of_another_sort_is_12(user):
    (user.place / "bad.key").write_text("not a key\n")
    (user.place / "bad.key").chmod(0o600)
    user.conf.write_text(user.conf.read_text() + "encryption = on\npassphrase = file: bad.key\n")
    done = check(user, "--offline")
    assert done.returncode == 12
    assert "is not an escale key" in done.stdout_text


def test_a_broken_file_is_78_and_an_unknown_section_2(user):
    assert check(user, "nowhere").returncode == 2
    user.conf.write_text("refesh = 3\n" + user.conf.read_text())
    done = check(user)
    assert (done.returncode, "C101" in done.stderr_text) == (78, True)
