"""`escalectl backup SECTION ARCHIVE`, `restore`, `migrate` and `fix`, as a user types them, with the real engine."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from escale.cli.escalectl import main
from escale.seal import Key
from tests.endtoend.places import place_on, s3_client

from .commands import User
from .test_decisions import ESCALE, Terminal

HEAD = "log file = none\nsettle = 0\nrefresh = 1 s\n"


@pytest.fixture
def user(tmp_path):
    """Alice and bob have a file; another of alice's lies on the relay and waits for bob."""
    user = User(tmp_path)
    user.write_conf("alice", "bob", head=HEAD)
    begin(user)
    return user


def begin(user):
    (user.place / "alice" / "old.txt").write_text("both have it " * 40)
    assert [once(user, name) for name in ("bob", "alice", "bob", "alice")] == [0, 0, 0, 0]
    (user.place / "alice" / "new.txt").write_text("it lies on the relay " * 40)
    assert once(user, "alice") in (0, 4)


def once(user, *names):
    return passed(user, *names).returncode


def passed(user, *names):
    return user.run("-c", str(user.conf), "--once", *names, module=ESCALE)


def blobs(directory):
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def folder(user, name):
    return {path.name: path.read_text() for path in (user.place / name).iterdir() if path.is_file()}


def move_conf(user, *old, new):
    """What the command says is to be changed."""
    lines = user.conf.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(old)]
    text = "".join(kept).replace("client name", f"{new}\nclient name")
    user.conf.write_text(text)


# -- archives


@pytest.mark.parametrize("ending", ["tar.bz2", "tar.zst", "tar"])
def test_a_relay_goes_into_an_archive_and_comes_back(user, ending):
    """GIVEN a relay that burns WHEN its archive is restored THEN bob still gets the file that lay there for him."""
    before = blobs(user.place / "relay")
    done = user.escalectl("backup", "alice", f"r.{ending}")
    assert done.returncode == 0, done.stderr_text
    assert done.stderr_text.startswith(f"alice: {len(before)} blobs, ")
    shutil.rmtree(user.place / "relay")
    (user.place / "alice" / "new.txt").unlink()  # Nobody has it now but the archive.
    done = user.escalectl("restore", "alice", f"r.{ending}")
    assert done.returncode == 0, done.stderr_text
    assert blobs(user.place / "relay") == before
    assert once(user, "bob") == 0
    assert folder(user, "bob")["new.txt"] == "it lies on the relay " * 40


def test_backup_does_not_disturb_a_running_service(user):
    with user.service(module=ESCALE) as service:
        service.next("pass", state="end", section="alice")
        assert user.escalectl("backup", "alice", "r.tar.bz2").returncode == 0
        service.process.terminate()
        assert service.end() == 0


def test_the_old_spellings(user):
    assert user.escalectl("backup", "-f", "alice", "a.tar.bz2").returncode == 0
    assert user.escalectl("backup", "-r", "alice", "b.tar.bz2").returncode == 0
    shutil.rmtree(user.place / "relay")
    assert user.escalectl("restore", "--fast", "-r", "alice", "b.tar.bz2").returncode == 0


def test_an_archive_of_the_old_format(tmp_path):
    user = User(tmp_path)
    user.write_conf("alice", "bob", head=f"{HEAD}relay format = 0.7\nindex = topdir\npullers = 1\n")
    begin(user)
    before = blobs(user.place / "relay")
    assert user.escalectl("backup", "alice", "r.tar.bz2").returncode == 0
    with tarfile.open(tmp_path / "r.tar.bz2") as archive:
        assert sorted(archive.getnames()) == sorted([*before, "escale-archive.json"])
    shutil.rmtree(user.place / "relay")
    assert user.escalectl("restore", "alice", "r.tar.bz2").returncode == 0
    assert blobs(user.place / "relay") == before
    assert once(user, "bob") == 0
    assert folder(user, "bob") == folder(user, "alice")
    (user.place / "relay" / ".0.lock").write_text("lock%1.0\nowner: other\nmode: w\n")
    locked = user.escalectl("backup", "alice", "l.tar.bz2")
    assert (locked.returncode, "somebody was at work on page 0" in locked.stderr_text) == (3, True)


@pytest.mark.parametrize(("ending", "is_deep"), [("bz2", False), ("bz2", True), ("gz", False)])
def test_an_archive_that_the_original_wrote_is_refused(tmp_path, ending, is_deep):
    """As `escale.manager.backup` of 0.7.11 makes it, of a relay without index: files, and beside each its placeholder;
    it refuses relays with index.  GIVEN such an archive WHEN it is restored THEN it is said, and nothing is written."""
    user = User(tmp_path)
    user.write_conf("alice", head=f"{HEAD}relay format = 0.7\nindex = topdir\n")
    lying = user.place / "lying" / ("sub" if is_deep else "")
    lying.mkdir(parents=True)
    (lying / "a.txt").write_text("hello\n")
    (lying / ".a.txt.placeholder").write_text("pusher: alice\n")
    with tarfile.open(user.place / f"old.tar.{ending}", f"w:{ending}") as archive:
        for member in sorted((user.place / "lying").iterdir()):
            archive.add(member, arcname=member.name)
    done = user.escalectl("restore", "alice", f"old.tar.{ending}")
    assert (done.returncode, "(P424)" in done.stderr_text) == (1, True), done.stderr_text
    assert "escale 0.7" in done.stderr_text, done.stderr_text
    assert not list((user.place / "relay").iterdir())


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("backup", "nobody", "x.tar"), 2, "there is no section or command 'nobody'"),
        (("backup", "alice", "there.tar"), 1, "there.tar exists already (L160)"),
        (("backup", "alice", "none/x.tar"), 77, "no such file or directory"),
        (("restore", "alice", "none.tar"), 77, "no such file or directory"),
        (("restore", "alice", "there.tar"), 1, "is not a whole archive of a relay"),
        (("restore", "alice", "alice"), 77, "is a directory"),
        (("restore", "alice", "good.tar"), 1, "is not empty: escale.relay (R351)"),
        (("restore", "alice"), 2, "write: escalectl restore SECTION ARCHIVE (C112)"),
        (("migrate", "alice"), 2, "write: escalectl migrate SECTION DESTINATION [--move] (C112)"),
        (("migrate", "alice", "relay"), 78, "address"),
        (("migrate", "alice", "bob"), 2, "it is at that place already"),
        (("migrate", "alice", "none.conf"), 78, "none.conf"),
        (("fix",), 2, "which section? one of: alice, bob"),
        (("fix", "alice", "-p", "7"), 2, "the relay has no page 7; it has: 0 (C113)"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(user, words, code, sentence):
    assert user.escalectl("backup", "alice", "good.tar").returncode == 0
    (user.place / "there.tar").write_text("precious")
    before = blobs(user.place / "relay")
    done = user.escalectl(*words)
    assert (done.returncode, sentence in done.stderr_text) == (code, True), done.stderr_text
    assert blobs(user.place / "relay") == before
    assert (user.place / "there.tar").read_text() == "precious"


def test_another_key_is_refused(user):
    """GIVEN an archive of a sealed relay WHEN a section with another key restores it THEN nothing is written."""
    for name in ("key", "other"):
        Key.generate().write(user.place / name)
    text = user.conf.read_text()
    shutil.rmtree(user.place / "relay")
    (user.place / "relay").mkdir()
    user.conf.write_text(f"encryption = on\npassphrase = file: {user.place}/key\n{text}")
    assert once(user, "alice") in (0, 3, 4)
    assert user.escalectl("backup", "alice", "r.tar").returncode == 0
    shutil.rmtree(user.place / "relay")
    user.conf.write_text(f"encryption = on\npassphrase = file: {user.place}/other\n{text}")
    done = user.escalectl("restore", "alice", "r.tar")
    assert (done.returncode, "(K210)" in done.stderr_text) == (12, True), done.stderr_text
    user.conf.write_text(text)
    done = user.escalectl("restore", "alice", "r.tar")
    assert (done.returncode, "(K210)" in done.stderr_text) == (12, True), done.stderr_text
    assert not list((user.place / "relay").iterdir())


def hostile(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:bz2") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_hostile_archives_write_nothing(user):
    """GIVEN archives that want to leave the relay WHEN they are restored THEN they are refused."""
    outside = user.place / "outside"
    link = tarfile.TarInfo("0.index.0000000001-" + "0" * 16)
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    corpus = {
        "path": hostile((tarfile.TarInfo("../outside"), b"x")),
        "absolute": hostile((tarfile.TarInfo(str(outside)), b"x")),
        "link": hostile((link, b"")),
        "link and through it": hostile((link, b""), (tarfile.TarInfo(link.name), b"x")),
        "foreign": hostile((tarfile.TarInfo(".bashrc"), b"x")),
        "manifest": hostile((tarfile.TarInfo("escale-archive.json"), b'{"escale archive": 1, "blobs": "x"}')),
    }
    shutil.rmtree(user.place / "relay")
    for name, data in corpus.items():
        (user.place / "evil.tar.bz2").write_bytes(data)
        done = user.escalectl("restore", "alice", "evil.tar.bz2")
        assert (done.returncode, "(P424)" in done.stderr_text) == (1, True), (name, done.stderr_text)
    assert not outside.exists()
    assert not list((user.place / "relay").iterdir())


# -- another place


def test_a_relay_moves_and_the_machines_follow(user):
    """GIVEN a group WHEN its relay moves, and each machine is told as the command says, THEN they go on where they
    were: nothing is sent again, nobody is a stranger, and who was not told stops."""
    new = user.place / "new"
    asked = user.escalectl("migrate", "alice", str(new), "--move")
    assert asked.returncode == 5
    assert "the old place was not emptied: for that write --yes" in asked.stderr_text
    done = user.escalectl("migrate", "alice", "--to", f"file://{new}", "--move", "--yes")
    assert done.returncode == 0, done.stderr_text
    assert f"address = file://{new}" in done.stdout_text
    assert "protocol" in done.stdout_text and "directory" in done.stdout_text
    assert list(blobs(user.place / "relay")) == ["escale.relay"]
    stopped = passed(user, "bob")
    assert (stopped.returncode, "(R353)" in stopped.stderr_text) == (1, True)
    follows = user.escalectl("migrate", "bob", f"file://{new}")
    assert follows.returncode == 0
    assert "it is at" in follows.stderr_text and "what this machine remembers" in follows.stderr_text
    move_conf(user, "protocol", "directory", new=f"address = file://{new}")
    first, second = passed(user, "bob"), passed(user, "alice")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "received 1 file" in first.stderr_text
    assert "sent 0 files; received 0 files; in step" in second.stderr_text
    for said in (first.stderr_text, second.stderr_text):
        assert "(P4" not in said
    assert folder(user, "bob") == folder(user, "alice")


def test_moving_asks_at_a_terminal(user, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    words = ["migrate", "alice", str(user.place / "new"), "-m", "-c", str(user.conf)]
    assert main(words, user.environ) == 0
    assert "Empty " in capsys.readouterr().err
    assert list(blobs(user.place / "relay")) == ["escale.relay"]


def test_a_copy_leaves_the_old_place_alone(user):
    before = blobs(user.place / "relay")
    assert user.escalectl("migrate", "alice", str(user.place / "new")).returncode == 0
    assert blobs(user.place / "relay") == blobs(user.place / "new") == before


def test_migrate_waits_until_the_service_has_ended(user):
    with user.service(module=ESCALE) as service:
        service.next("pass", state="end", section="alice")
        done = user.escalectl("migrate", "alice", str(user.place / "new"))
        assert (done.returncode, "(D601)" in done.stderr_text) == (16, True)
        service.process.terminate()
        service.end()
    assert not (user.place / "new").exists()


def test_a_destination_that_is_in_use_is_refused(user):
    (user.place / "new").mkdir()
    (user.place / "new" / "letter.txt").write_text("precious")
    done = user.escalectl("migrate", "alice", str(user.place / "new"), "--move", "--yes")
    assert (done.returncode, "is not empty: letter.txt (R351)" in done.stderr_text) == (1, True)
    assert list(blobs(user.place / "new")) == ["letter.txt"]
    assert len(blobs(user.place / "relay")) > 3


@pytest.mark.real("moto_locked")
def test_to_a_bucket_and_into_an_archive_and_back(user, server):
    """GIVEN a relay in a directory WHEN it moves into a bucket, is archived, lost and restored THEN it is whole."""
    place = place_on(server("moto_locked"))
    before = blobs(user.place / "relay")
    there = user.place / "there.conf"
    keys = "\n".join(f"{key} = {value}" for key, value in place.keys.items())
    text = user.conf.read_text()
    for line in (f"directory   = {user.place}/relay\n", "protocol    = file\n"):
        text = text.replace(line, "")
    there.write_text(text.replace("log file", f"{keys}\nlog file"))
    there.chmod(0o600)
    done = user.escalectl("migrate", "alice", str(there), "--move", "--yes")
    assert done.returncode == 0, done.stderr_text
    assert place.contents() == before
    assert user.escalectl("migrate", "bob", str(there)).returncode == 0
    user.conf = there
    assert user.escalectl("migrate", "bob", str(there)).returncode == 2
    assert user.escalectl("backup", "alice", "r.tar.zst").returncode == 0
    bucket, _, prefix = place.relay.directory.partition("/")
    for name in place.names():
        s3_client(place.relay).delete_object(Bucket=bucket, Key=f"{prefix}/{name}")
    assert place.names() == []
    done = user.escalectl("restore", "alice", "r.tar.zst")
    assert done.returncode == 0, done.stderr_text
    assert place.contents() == before
    for name in ("bob", "alice"):
        done = passed(user, name)
        assert (done.returncode, "(P4" in done.stderr_text) == (0, False), done.stderr_text
    assert folder(user, "bob") == folder(user, "alice")


# -- mending


def find(user, word):
    (found,) = [path for path in (user.place / "relay").iterdir() if word in path.name]
    return found


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


DAMAGED = {
    ".index.": ("the index of a page", flip),
    ".update.": ("the index of an update", flip),
    ".data.": ("the content of an update", flip),
    "client.": ("an entry of the roster", lambda path: path.write_bytes(b"{")),
}


@pytest.mark.parametrize("word", DAMAGED)
def test_what_is_damaged_is_shown_removed_and_written_again(user, word):
    """GIVEN a blob that was damaged WHEN fix is told to THEN it is replaced by what clients know, and all get all."""
    what, harm = DAMAGED[word]
    paths = [path for path in (user.place / "relay").iterdir() if word in path.name]
    harm(paths[0])
    before = blobs(user.place / "relay")
    shown = user.escalectl("fix", "alice", "--dry-run")
    assert shown.returncode == 5, shown.stderr_text
    assert what in shown.stdout_text and paths[0].name in shown.stdout_text
    undecided = user.escalectl("fix", "alice")
    assert (undecided.returncode, "nothing was removed: for that write --yes" in undecided.stderr_text) == (5, True)
    assert blobs(user.place / "relay") == before
    done = user.escalectl("fix", "alice", "--yes")
    assert done.returncode in (0, 3, 4), done.stderr_text
    clean = user.escalectl("fix", "alice", "--dry-run")
    assert (clean.returncode, "everything on the relay can be read" in clean.stderr_text) == (0, True)
    for name in ("bob", "alice", "bob", "alice", "bob"):
        passed(user, name)
    assert (
        folder(user, "bob")
        == folder(user, "alice")
        == {
            "old.txt": "both have it " * 40,
            "new.txt": "it lies on the relay " * 40,
        }
    )
    assert once(user, "alice", "bob") == 0


def test_what_is_damaged_on_a_sealed_relay(tmp_path):
    """GIVEN one bit flipped in a sealed index, and in sealed data, THEN fix finds both, and nothing that is sound."""
    user = User(tmp_path)
    Key.generate().write(tmp_path / "key")
    user.write_conf("alice", "bob", head=f"{HEAD}encryption = on\npassphrase = file: {tmp_path}/key\n")
    begin(user)
    assert user.escalectl("fix", "alice", "--dry-run").returncode == 0
    harmed = [find(user, ".index."), find(user, ".data.")]
    for path in harmed:
        flip(path)
    shown = user.escalectl("fix", "alice", "--dry-run")
    assert shown.returncode == 5
    assert sorted(line.split()[-1] for line in shown.stdout_text.splitlines()[1:]) == sorted(p.name for p in harmed)
    assert user.escalectl("fix", "alice", "--yes").returncode in (0, 3, 4)
    assert not any(path.exists() for path in harmed)
    for name in ("bob", "alice", "bob"):
        passed(user, name)
    assert folder(user, "bob") == folder(user, "alice")


def test_a_page_that_another_has_locked_is_left_alone(user):
    harmed = find(user, ".index.")
    flip(harmed)
    lock = {"owner": "carla", "mode": "w", "nonce": "c" * 32, "lease_s": 0.0}
    (user.place / "relay" / "0.lock").write_text(json.dumps(lock))
    done = user.escalectl("fix", "alice", "--yes")
    assert "others are at work on page 0 (carla)" in done.stderr_text
    assert done.returncode != 0
    assert harmed.exists()


def test_a_copy_that_was_left_behind_is_told(user):
    assert user.escalectl("migrate", "alice", str(user.place / "new")).returncode == 0
    (user.place / "alice" / "newer.txt").write_text("since the copy")
    once(user, "bob")
    once(user, "alice")
    done = user.escalectl("migrate", "alice", str(user.place / "new"), "--move", "--yes")
    assert "blobs of the old place are not there" in done.stderr_text
    assert (done.returncode, "has gone on since it was copied" in done.stderr_text) == (1, True)


def test_fast_does_not_look_into_updates(user):
    flip(find(user, ".data."))
    assert user.escalectl("fix", "alice", "--dry-run", "--fast").returncode == 0
    assert user.escalectl("fix", "alice", "--dry-run").returncode == 5


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_marker_comes_back(user, harm):
    marker = user.place / "relay" / "escale.relay"
    before = marker.read_bytes()
    marker.unlink() if harm == "lost" else marker.write_bytes(b"{")
    assert user.escalectl("fix", "alice", "--dry-run").returncode == 5
    assert blobs(user.place / "relay").get("escale.relay") != before
    assert user.escalectl("fix", "alice", "--yes").returncode in (0, 3, 4)
    assert marker.read_bytes() == before


def test_an_empty_relay_is_filled_again(user):
    for name in ("bob", "alice"):
        once(user, name)
    for path in (user.place / "relay").iterdir():
        path.unlink()
    done = user.escalectl("fix", "alice", "--yes")
    assert done.returncode in (0, 3), done.stderr_text
    assert [name for name in blobs(user.place / "relay") if ".index." in name]
    assert once(user, "bob") in (0, 3)
    assert folder(user, "bob") == folder(user, "alice")


def test_the_service_does_the_pass_if_one_runs(user):
    with user.service(module=ESCALE) as service:
        service.next("pass", state="end", section="alice")
        service.next("pass", state="end", section="bob")
        assert user.escalectl("fix", "alice", "--yes").returncode == 0
        service.process.terminate()
        assert service.end() == 0


@pytest.mark.parametrize("harm", ["damaged", "lost"])
def test_an_index_of_the_old_format_is_written_from_what_was_agreed_on(tmp_path, harm):
    """GIVEN an index of format 0.7 that cannot be read WHEN fix is told to THEN it is written again, and was never
    away; nothing is sent for it."""
    user = User(tmp_path)
    user.write_conf("alice", "bob", head=f"{HEAD}relay format = 0.7\nindex = topdir\npullers = 1\n")
    begin(user)
    for name in ("bob", "alice"):
        once(user, name)
    index = user.place / "relay" / ".0.index"
    names = sorted(blobs(user.place / "relay"))
    index.write_bytes(b"no index") if harm == "damaged" else index.unlink()
    shown = user.escalectl("fix", "alice", "--dry-run")
    assert shown.returncode == 5, shown.stderr_text
    done = user.escalectl("fix", "alice", "--yes")
    assert done.returncode in (0, 3), done.stderr_text
    assert sorted(blobs(user.place / "relay")) == names
    assert once(user, "bob", "alice") == 0
    assert folder(user, "bob") == folder(user, "alice")
    assert len(folder(user, "bob")) == 2


def test_only_some_pages_are_mended(tmp_path):
    """GIVEN two pages of format 0.7 whose indices are damaged WHEN fix is told one of them, as 0.7 wrote it THEN the
    other one stays as it is until it is meant."""
    user = User(tmp_path)
    user.write_conf("alice", "bob", head=f"{HEAD}relay format = 0.7\nindex = topdir\npullers = 1\n")
    for name in ("one", "two"):
        (user.place / "alice" / name).mkdir()
        (user.place / "alice" / name / "f").write_text(name)
    assert [once(user, name) for name in ("alice", "bob", "alice", "bob")][-1] == 0
    indices = [user.place / "relay" / f".{page}.index" for page in ("one", "two")]
    for index in indices:
        index.write_bytes(b"no index")
    shown = user.escalectl("fix", "-r", "alice", "-u", "-n", "-p", "one")
    assert shown.returncode == 5 and ".one.index" in shown.stdout_text and ".two.index" not in shown.stdout_text
    both = user.escalectl("fix", "alice", "-n", "-p", "one", "two")
    assert ".one.index" in both.stdout_text and ".two.index" in both.stdout_text
    assert user.escalectl("fix", "alice", "--yes", "-p", "one", "-p", "two").returncode in (0, 3)
    assert b"no index" not in [index.read_bytes() for index in indices]
    assert once(user, "bob", "alice") == 0


def test_help_says_which_backup_is_which(user):
    text = " ".join(user.escalectl("backup", "--help").stdout_text.split())
    assert "SECTION ARCHIVE" in text
    assert "escale-restore" in user.escalectl("restore", "--help").stdout_text
