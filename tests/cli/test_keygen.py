"""`escale keygen`: one key file, for its owner only, never overwritten."""

import pytest

from escale.seal import Key

from .commands import User

ESCALE = "escale.cli.escale"


@pytest.fixture
def user(tmp_path):
    user = User(tmp_path, "quiet")
    user.conf.write_text(user.conf.read_text() + f"encryption = on\npassphrase = file: {tmp_path}/keys/quiet.key\n")
    return user


def test_a_key_is_made_where_the_section_says(user):
    path = user.place / "keys" / "quiet.key"
    path.parent.mkdir()
    done = user.run("keygen", "quiet", "-c", str(user.conf), module=ESCALE)
    assert done.returncode == 0, done.stderr_text
    assert path.stat().st_mode & 0o777 == 0o600
    key = Key.load(path)
    assert f"key written to {path}    fingerprint  {key.fingerprint}" in done.stdout_text
    assert key.text() not in done.stdout_text
    assert user.run("keygen", "quiet", "--fingerprint", "-c", str(user.conf), module=ESCALE).stdout_text == (
        f"{key.fingerprint}\n"
    )
    assert user.run("keygen", "quiet", "--show", "-c", str(user.conf), module=ESCALE).stdout_text == f"{key.text()}\n"


def test_a_key_is_never_overwritten(user):
    first = user.run("keygen", "--output", "my.key", module=ESCALE)
    assert first.returncode == 0
    before = (user.place / "my.key").read_bytes()
    second = user.run("keygen", "--output", "my.key", module=ESCALE)
    assert second.returncode == 12
    assert "exists already" in second.stderr_text
    assert (user.place / "my.key").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "which key?"),
        (["quiet", "--output", "x"], 2, "which key?"),
        (["--output", "none.key", "--show"], 12, "cannot read the key file"),
        (["--output", "/proc/none/x.key"], 77, "/proc/none"),
    ],
)
def test_what_cannot_be_done_is_said(user, arguments, code, words):
    done = user.run("keygen", *arguments, "-c", str(user.conf), module=ESCALE)
    assert done.returncode == code
    assert words in done.stderr_text


def test_a_section_without_a_key_file_is_told_so(tmp_path):
    done = User(tmp_path, "quiet").run("keygen", "quiet", "-c", str(tmp_path / "x.conf"), module=ESCALE)
    assert done.returncode == 12
    assert "[quiet] does not say 'passphrase = file: PATH'" in done.stderr_text


def test_a_key_that_others_can_read_is_not_used(user):
    user.run("keygen", "--output", "my.key", module=ESCALE)
    (user.place / "my.key").chmod(0o644)
    done = user.run("keygen", "--output", "my.key", "--show", module=ESCALE)
    assert done.returncode == 77
    assert "escale-key" not in done.stdout_text
