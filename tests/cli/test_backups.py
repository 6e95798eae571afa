"""Backup sections as a user has them: `escale`, `escalectl backup` and `escale-restore`, as processes."""

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backup.conftest import PASSWORD, Restic

from .commands import TIMEOUT_S, User

CONF = """
log file = none
[home]
role       = backup
path       = {place}/home
store      = {store}
passphrase = file: {place}/key
schedule   = {schedule}
keep       = 2 last
prune      = no
exclude    = *.tmp
"""


class Saver(User):
    """Somebody with a folder of some files, a store beside it, and a password."""

    def __init__(self, place: Path, store: str = "", schedule: str = "daily 03:00", more: str = "") -> None:
        super().__init__(place)
        self.environ["TZ"] = "UTC"
        self.store = place / "store"
        self.home = place / "home"
        self.key = place / "key"
        self.key.write_text(f"{PASSWORD}\n")
        self.key.chmod(0o600)
        self.conf.write_text(CONF.format(place=place, store=store or self.store, schedule=schedule) + more)
        self.conf.chmod(0o600)
        for path, content in {"a/notes.txt": b"first", "a/b/x.tmp": b"-", "big": os.urandom(1 << 20)}.items():
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_bytes(content)
        (self.home / "a/caf\u00e9").symlink_to("b")

    def once(self):
        return self.run("-c", str(self.conf), "--once", module="escale.cli.escale")

    def backup(self, *words: str):
        return self.escalectl("backup", *words)

    def restore(self, *words: str):
        return self.run("-c", str(self.conf), *words, module="escale.cli.restore")

    def rescue(self, *words: str):
        """On a machine without any configuration."""
        self.environ["HOME"] = str(self.place / "elsewhere")
        (self.place / "elsewhere").mkdir(exist_ok=True)
        return self.run("--from", str(self.store), "--key", str(self.key), *words, module="escale.cli.restore")

    def versions(self) -> list[str]:
        """Their short ids, the oldest first."""
        rows = self.backup("list").stdout_text.splitlines()[1:]
        return [row.split()[0] for row in rows]

    def second(self) -> None:
        """A second version, in which something is different."""
        assert self.backup("create").returncode == 0
        (self.home / "a/notes.txt").write_bytes(b"second!")
        (self.home / "a/new").write_bytes(b"n")
        (self.home / "a/caf\u00e9").unlink()
        assert self.backup("create").returncode == 0


def tree(root: Path) -> dict[str, str]:
    """What is below a directory: digests of files, texts of links."""
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def saver(tmp_path):
    return Saver(tmp_path)


# -- saving


def test_once_saves_whatever_the_schedule_says(saver):
    """GIVEN a backup section WHEN `escale --once` runs THEN a version is saved each time."""
    first, second = saver.once(), saver.once()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr_text
    assert "2 files" in first.stderr_text and "home: saved as version" in first.stderr_text
    assert "0 new, 0 changed" in second.stderr_text or "changed" in second.stderr_text
    assert len(saver.versions()) == 2


def test_the_service_saves_what_is_due_and_tells_how_it_is(saver):
    """GIVEN a running escale with a backup section that was never saved THEN it saves at once, and the status says when
    the next run is; asked for it by name it saves again."""
    with saver.service(module="escale.cli.escale") as service:
        saved = service.next("version")
        service.next("pass", state="end")
        assert saved["files"] == 2 and saved["files_new"] == 2
        status = saver.escalectl("status")
        assert re.search(r"home +in step +1 +\S+ s old +\d{4}-\d\d-\d\d 03:00 +never", status.stdout_text), (
            status.stdout_text
        )
        assert saver.escalectl("status", "--short").stdout_text == "ok\n"
        assert saver.escalectl("sync").returncode == 0
        assert saver.escalectl("wait", "--timeout", "20").returncode == 0
        assert len(saver.versions()) == 1
        assert saver.escalectl("sync", "home").returncode == 0
        service.next("version")
        assert saver.escalectl("stop").returncode == 0
        assert service.end() == 0
    assert len(saver.versions()) == 2


def test_what_is_not_due_is_not_saved(saver):
    assert saver.once().returncode == 0
    with saver.service(module="escale.cli.escale") as service:
        service.next("start")
        assert saver.escalectl("wait", "--timeout", "20").returncode == 0
        assert saver.escalectl("stop").returncode == 0
        assert service.end() == 0
    assert len(saver.versions()) == 1


def test_what_cannot_be_read_is_named_and_the_rest_is_saved(saver):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (saver.home / "secret").write_bytes(b"")
    (saver.home / "secret").chmod(0)
    done = saver.backup("create")
    assert done.returncode == 3 and "secret" in done.stderr_text


def test_a_store_that_was_there_is_not_begun_anew(saver):
    """GIVEN a store on a disk that is not mounted WHEN a backup runs THEN nothing is made in its place."""
    assert saver.backup("create").returncode == 0
    saver.store.rename(saver.place / "unplugged")
    done = saver.backup("create")
    assert (done.returncode, saver.store.exists()) == (1, False)
    assert "there is no repository" in done.stderr_text and "it had 1 versions" in done.stderr_text
    assert saver.backup("init").returncode == 0
    assert saver.backup("create").returncode == 0


def test_a_folder_that_is_gone_is_no_empty_version(saver):
    assert saver.backup("create").returncode == 0
    shutil.rmtree(saver.home)
    done = saver.backup("create")
    assert done.returncode == 1 and "nothing was saved" in done.stderr_text
    assert len(saver.versions()) == 1


def test_a_link_that_is_named_is_followed(saver):
    """GIVEN path = a link to a folder WHEN it is saved THEN the folder is, and not the link alone."""
    saver.home.rename(saver.place / "real")
    saver.home.symlink_to("real")
    done = saver.backup("create")
    assert done.returncode == 0 and "2 files" in done.stderr_text
    assert saver.restore("get", "a/notes.txt", "--to", "x").returncode == 0
    assert (saver.place / "x/a/notes.txt").read_bytes() == b"first"


def test_a_wrong_password_is_12(saver):
    assert saver.backup("create").returncode == 0
    saver.key.write_text("wrong\n")
    for done in (saver.backup("create"), saver.backup("list"), saver.restore("get", ".")):
        assert done.returncode == 12 and "opens with this password" in done.stderr_text


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "what is to be done"),
        (("forget",), 2, "what is to be done"),
        (("create", "nowhere"), 2, "there is no section"),
        (("list",), 10, "there is no repository"),
        (("check", "--read-data", "x"), 2, "is no share"),
    ],
)
def test_what_is_wrong_is_one_sentence(saver, words, code, sentence):
    saver.store.mkdir()
    done = saver.backup(*words)
    assert (done.returncode, sentence in done.stderr_text) == (code, True), done.stderr_text


def test_check_looks_at_every_layer(saver):
    def check(*words):
        return saver.run("check", "-c", str(saver.conf), *words, module="escale.cli.escale")

    first = check()
    assert first.returncode == 0 and "will be made at the first run" in first.stdout_text
    assert saver.backup("create").returncode == 0
    assert "1 versions" in check().stdout_text and "store" not in check("--offline").stdout_text.split("conf")[-1]
    saver.key.write_text("wrong\n")
    assert check().returncode == 12
    shutil.rmtree(saver.home)
    assert "is not there" in check("--offline").stdout_text


def test_a_dry_run_tells_what_would_be_saved_and_changes_nothing(saver, restic: Restic):
    """GIVEN a section with and without versions WHEN -n is given THEN what a version would be is told, the store stays
    as it is, and what is saved next has just these numbers."""

    def dry(*words):
        return saver.run("-c", str(saver.conf), "-n", *words, module="escale.cli.escale")

    first = dry("--exit-code")
    assert first.returncode == 4 and not saver.store.exists()
    assert "2 new, 0 changed, 0 unchanged" in first.stdout_text and "Nothing was changed." in first.stdout_text
    assert saver.backup("create", "-n").stdout_text.splitlines()[0] in first.stdout_text
    assert not saver.store.exists()
    assert saver.backup("create").returncode == 0
    (saver.home / "a/notes.txt").write_bytes(b"second!")
    (saver.home / "a/more").write_bytes(os.urandom(100_000))
    before = tree(saver.store)
    told = objects(saver.backup("create", "-n", "--json").stdout_text)
    (ahead,) = (one for one in told if one["type"] == "trial")
    assert tree(saver.store) == before and len(saver.versions()) == 1
    said = json.loads(
        restic.run(saver.store, "backup", str(saver.home), "--exclude", "*.tmp", "-n", "--json").splitlines()[-1]
    )
    assert (said["files_new"], said["files_changed"]) == (1, 1) and ahead["bytes"] == said["total_bytes_processed"]
    (saved,) = (one for one in objects(saver.backup("create", "--json").stdout_text) if one["type"] == "version")
    # What was written in the seconds before the first version counts as changed with us.
    same = ("files", "files_new", "files_changed", "bytes")
    assert [saved[name] for name in same] == [ahead[name] for name in same] and saved["files_new"] == 1
    assert abs(saved["bytes_stored"] - ahead["bytes_stored"]) < 2000
    (again,) = objects(dry("--json", "--exit-code").stdout_text)[:-1]
    # In the directories above others are at work.
    assert again["files"] == 3 and again["bytes_new"] < 5000


def test_without_a_backup_section_that_is_said(tmp_path):
    user = User(tmp_path)
    user.write_conf("alice")
    for words in (("create",), ("passphrase", "alice"), ("key", "list")):
        done = user.escalectl("backup", *words)
        assert done.returncode == 2 and "no section of" in done.stderr_text, done.stderr_text


@pytest.mark.parametrize("act", ["init", "list", "check", "passphrase", "key"])
def test_what_has_no_dry_run_says_so(saver, act):
    done = saver.backup(act, "-n")
    assert done.returncode == 2 and f"not {act}" in done.stderr_text and not saver.store.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give them to links and pipes")
def test_extended_attributes_of_links_and_pipes_travel_both_ways(saver, restic: Restic):
    """GIVEN a link and a pipe with extended attributes WHEN we save them and restic does THEN each brings back what
    the other has saved, attributes included."""
    (saver.home / "link").symlink_to("big")
    os.mkfifo(saver.home / "pipe")
    for name in ("link", "pipe"):
        os.setxattr(saver.home / name, "trusted.escale", b"\0of its own", follow_symlinks=False)
    assert saver.backup("create").returncode == 0
    theirs = saver.place / "theirs"
    restic.run(saver.store, "backup", str(saver.home))
    restic.run(saver.store, "restore", saver.versions()[0], "--target", str(theirs))
    restored = {"theirs of ours": theirs / str(saver.home)[1:]}
    for number, version in enumerate(saver.versions()):
        assert saver.restore("get", ".", "--at", version, "--to", str(number)).returncode == 0
        restored[f"ours of version {number}"] = saver.place / str(number)
    assert len(restored) == 3
    for whose, place in restored.items():
        # What restic took up later than 0.14: those of links.
        for name in ("pipe",) if restic.is_old else ("link", "pipe"):
            value = os.getxattr(place / name, "trusted.escale", follow_symlinks=False)
            assert value == b"\0of its own", (whose, name)


# -- keeping


def test_prune_keeps_what_the_rules_want(saver):
    for _ in range(4):
        assert saver.backup("create").returncode == 0
    plan = saver.backup("prune", "-n")
    assert len(re.findall("goes", plan.stdout_text)) == 2 and len(saver.versions()) == 4
    before = saver.versions()
    done = saver.backup("prune")
    assert done.returncode == 0, done.stderr_text
    assert saver.versions() == before[2:]
    assert saver.backup("check", "--read-data").returncode == 0


def test_old_versions_go_by_themselves(saver):
    """GIVEN prune = yes WHEN versions are saved THEN those that no rule keeps go, once a day."""
    for _ in range(3):
        assert saver.backup("create").returncode == 0
    saver.conf.write_text(saver.conf.read_text().replace("prune      = no", "prune = yes"))
    assert saver.backup("create").returncode == 0
    assert len(saver.versions()) == 2
    assert saver.backup("create").returncode == 0
    assert len(saver.versions()) == 3


def test_check_names_what_damage_touches(saver):
    assert saver.backup("create").returncode == 0
    # The pieces of the large file are in all packs; the middle of the largest one is the middle of such a piece.
    pack = max(
        (path for path in (saver.store / "data").rglob("*") if path.is_file()), key=lambda one: one.stat().st_size
    )
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    assert saver.backup("check").returncode == 0
    done = saver.backup("check", "--read-data")
    assert done.returncode == 3 and "/home/big" in done.stdout_text
    damage, *_ = objects(saver.backup("check", "--read-data", "--json").stdout_text)[-2:]
    assert damage["type"] == "damage" and damage["touched"][0]["path"].endswith("/home/big")
    assert saver.restore("verify", "--read-data").returncode == 3
    restored = saver.restore("get", ".", "--to", "there")
    assert restored.returncode == 3 and "big: " in restored.stderr_text
    assert (saver.place / "there/a/notes.txt").read_bytes() == b"first"
    assert not (saver.place / "there/big").exists()


# -- restoring


def test_get_brings_everything_back(saver):
    assert saver.backup("create").returncode == 0
    wanted = tree(saver.home)
    del wanted["a/b/x.tmp"]
    done = saver.restore("get", ".", "--to", "there")
    assert done.returncode == 0 and "all checksums right" in done.stderr_text
    assert tree(saver.place / "there") == wanted
    again = saver.restore("get", ".", "--to", "there")
    assert again.returncode == 3 and "left as they are" in again.stderr_text
    (saver.place / "there/big").write_bytes(b"other")
    assert saver.restore("get", ".", "--to", "there", "--overwrite=always").returncode == 0
    assert tree(saver.place / "there") == wanted


def test_without_any_configuration(saver):
    """GIVEN a new machine, the address of a store and the password WHEN escale-restore runs THEN all is back."""
    assert saver.backup("create").returncode == 0
    wanted = tree(saver.home)
    del wanted["a/b/x.tmp"]
    saver.conf.unlink()
    shutil.rmtree(saver.home)
    assert len(saver.rescue("list").stdout_text.splitlines()) == 2
    done = saver.rescue("get", ".", "--to", "there")
    assert done.returncode == 0, done.stderr_text
    assert tree(saver.place / "there") == wanted
    assert saver.rescue("rehearse").returncode == 0
    saver.key.write_text("wrong\n")
    assert saver.rescue("list").returncode == 12


def test_versions_are_chosen_by_id_and_time(saver):
    saver.second()
    first, second = saver.versions()
    assert saver.restore("get", "a/notes.txt", "--at", first, "--to", "x").returncode == 0
    assert (saver.place / "x/a/notes.txt").read_bytes() == b"first"
    assert saver.restore("get", "a/notes.txt", "--to", "y").returncode == 0
    assert (saver.place / "y/a/notes.txt").read_bytes() == b"second!"
    none = saver.restore("get", "a/notes.txt", "--at", "2d", "--to", "z")
    assert none.returncode == 1 and "nor in a backup" in none.stderr_text
    assert saver.restore("get", "a/new", "--at", first).returncode == 1
    assert saver.restore("ls", second, "a").stdout_text.count("\n") == 3


def test_in_place_puts_aside_what_is_there(saver):
    saver.second()
    first, _ = saver.versions()
    refused = saver.restore("get", "a", "--at", first, "--in-place")
    assert refused.returncode == 2 and "--yes" in refused.stderr_text
    preview = saver.restore("get", "a", "--at", first, "--in-place", "-n")
    assert preview.stdout_text.split() == ["a/caf\u00e9", "a/notes.txt"]
    assert (saver.home / "a/notes.txt").read_bytes() == b"second!"
    assert saver.restore("get", "a", "--at", first, "--in-place", "--yes").returncode == 0
    assert (saver.home / "a/notes.txt").read_bytes() == b"first" and (saver.home / "a/caf\u00e9").is_symlink()
    (aside,) = (saver.home / ".escale/trash").glob("*/a/notes.txt")
    assert aside.read_bytes() == b"second!"
    assert (saver.home / "a/new").exists()


def test_find_history_and_diff(saver):
    saver.second()
    first, second = saver.versions()
    rows = saver.restore("find", "*.txt").stdout_text.splitlines()[1:]
    assert [row.split()[-1] for row in rows] == [second, first]
    gone = saver.restore("history", "a/caf\u00e9").stdout_text.splitlines()[1:]
    assert "gone" in gone[0] and "link" in gone[1]
    changes = [line.split() for line in saver.restore("diff", first).stdout_text.splitlines()]
    assert ["-", "a/caf\u00e9"] in changes and ["M", "a/notes.txt"] in changes and ["+", "a/new"] in changes
    assert saver.restore("diff", first, second, "a/new").stdout_text.split() == ["+", "a/new"]
    assert saver.restore("diff", "2d").returncode == 1
    nodes = objects(saver.restore("history", "a/notes.txt", "--json").stdout_text)
    assert [node["size"] for node in nodes[:-1]] == [7, 5] and nodes[-1] == {"type": "exit", "code": 0}
    offer = saver.restore("notes.txt")
    assert offer.returncode == 5 and len(offer.stdout_text.splitlines()) == 3


def test_a_name_alone_asks_at_a_terminal(saver):
    saver.second()
    terminal, theirs = pty.openpty()
    words = [sys.executable, "-m", "escale.cli.restore", "-c", str(saver.conf), "notes.txt"]
    pipes = {"stdin": theirs, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=saver.environ, cwd=saver.place, **pipes) as process:
        os.close(theirs)
        os.write(terminal, b"2\n")
        out, err = process.communicate(timeout=TIMEOUT_S)
    os.close(terminal)
    assert process.returncode == 0, err
    assert out.splitlines()[2].startswith("2  ") and "backup" in out
    (made,) = saver.place.glob("restored-home-*")
    assert (made / "a/notes.txt").read_bytes() == b"first"


def test_rehearse_restores_compares_and_is_remembered(saver):
    assert saver.backup("create").returncode == 0
    done = saver.restore("rehearse", "--files", "2")
    assert done.returncode == 0 and "2 compared" in done.stderr_text
    with saver.service(module="escale.cli.escale") as service:
        service.next("start")
        assert saver.escalectl("wait", "--timeout", "20").returncode == 0
        status = json.loads(saver.escalectl("status", "--json").stdout_text)
        assert status["sections"][0]["backup"]["rehearsed"] is not None
        saver.escalectl("stop")
        service.end()
    times = os.stat(saver.home / "big")
    (saver.home / "big").write_bytes(os.urandom(times.st_size))
    os.utime(saver.home / "big", ns=(times.st_atime_ns, times.st_mtime_ns))
    rotten = saver.restore("rehearse", "--files", "2")
    assert rotten.returncode == 3 and "big" in rotten.stderr_text


def test_the_trash_and_backups_stand_beside_each_other(tmp_path):
    more = f"[work]\npath = {tmp_path}/home\naddress = {tmp_path}/relay\nclient name = me\nsettle = 0\n"
    saver = Saver(tmp_path, more=more)
    assert saver.once().returncode == 0
    done = saver.restore("get", "a/notes.txt", "--to", "x")
    assert done.returncode == 0, done.stderr_text
    assert (tmp_path / "x/a/notes.txt").read_bytes() == b"first"
    assert saver.restore("-s", "work", "get", "a/notes.txt", "--to", "y").returncode == 0
    assert saver.restore("--source", "trash", "get", "a/notes.txt").returncode == 1


# -- restic, and a store over a network


def test_a_repository_that_restic_made(saver, restic: Restic):
    """GIVEN a repository that restic made WHEN escale restores, saves and prunes THEN restic agrees with all of it."""
    restic.run(saver.store, "init")
    restic.run(saver.store, "backup", str(saver.home))
    done = saver.rescue("get", ".", "--to", "there")
    assert done.returncode == 0, done.stderr_text
    assert tree(saver.place / "there") == tree(saver.home)
    saver.environ["HOME"] = str(saver.place)
    assert saver.backup("init").returncode == 0 and saver.backup("create").returncode == 0
    assert len(saver.versions()) == 2
    assert saver.backup("check", "--read-data").returncode == 0
    restic.run(saver.store, "check", "--read-data")
    restic.run(saver.store, "restore", "latest", "--target", str(saver.place / "by-restic"))
    wanted = tree(saver.home)
    del wanted["a/b/x.tmp"]
    assert tree(saver.place / f"by-restic{saver.home}") == wanted


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.real(one)) for one in ("moto", "sshd", "wsgidav")]
)
def test_a_store_over_a_network(tmp_path, server, name):
    """GIVEN a store on a server WHEN versions are saved there THEN they are listed, checked, and brought back with the
    configuration and without it."""
    relay = server(name).relay()
    settings = {f"option {option}": value for option, value in relay.options.items()}
    known = {"user": relay.user, "keyfile": relay.key_file, "host key": relay.host_key, "ca file": relay.ca_file}
    settings |= {setting: str(value) for setting, value in known.items() if value}
    if relay.password:
        settings["password"] = f"literal: {relay.password}"
    saver = Saver(tmp_path, store=relay.url, more="".join(f"{one} = {value}\n" for one, value in settings.items()))
    saver.second()
    assert saver.backup("check", "--read-data").returncode == 0
    wanted = tree(saver.home)
    del wanted["a/b/x.tmp"]
    assert saver.restore("get", ".", "--to", "there").returncode == 0
    assert tree(tmp_path / "there") == wanted
    saver.conf.unlink()
    words = [word for one, value in settings.items() for word in ("--set", f"{one}={value}")]
    words = ["--from", relay.url, "--key", str(saver.key), *words]
    done = saver.run(*words, "get", ".", "--to", "again", module="escale.cli.restore")
    assert done.returncode == 0, done.stderr_text
    assert tree(tmp_path / "again") == wanted


# -- another passphrase


def files_of(saver: Saver) -> list[str]:
    return sorted(path.name for path in saver.place.glob("key*"))


def test_another_passphrase_and_restic_opens_with_it_alone(saver, restic: Restic):
    """GIVEN a repository WHEN its passphrase is changed THEN restic and the section open it with the new one, the old
    one opens nothing, and the file of the section has the new one."""
    assert saver.backup("create").returncode == 0
    new = saver.place / "new"
    new.write_text("staple battery\n")
    new.chmod(0o600)
    done = saver.backup("passphrase", "home", "--new", str(new))
    assert done.returncode == 0 and "the new passphrase is in" in done.stderr_text, done.stderr_text
    assert saver.key.read_text() == "staple battery\n"
    (before,) = (saver.place / name for name in files_of(saver) if name != "key")
    assert before.read_text() == f"{PASSWORD}\n" and before.stat().st_mode & 0o777 == 0o600
    said = restic.run(saver.store, "cat", "config", exit_code=1 if restic.is_old else 12)
    assert not said
    assert len(restic.with_password("staple battery").run(saver.store, "list", "snapshots").split()) == 1
    restic.with_password("staple battery").run(saver.store, "check", "--read-data")
    assert saver.backup("create").returncode == 0
    assert len(saver.versions()) == 2
    assert saver.restore("get", "a/notes.txt", "--to", "x").returncode == 0
    assert saver.rescue("list").returncode == 0


def test_a_running_service_goes_on_with_the_new_passphrase(saver):
    """GIVEN a running service WHEN the passphrase is changed beside it THEN its next run saves."""
    (saver.place / "new").write_text("staple battery\n")
    (saver.place / "new").chmod(0o600)
    with saver.service(module="escale.cli.escale") as service:
        service.next("version")
        service.next("pass", state="end")
        assert saver.backup("passphrase", "home", "--new", str(saver.place / "new")).returncode == 0
        assert saver.escalectl("sync", "home").returncode == 0
        service.next("version")
        assert saver.escalectl("stop").returncode == 0
        assert service.end() == 0
    assert len(saver.versions()) == 2


def test_keys_are_added_listed_and_removed_as_restic_does(saver, restic: Restic):
    """GIVEN keys of ours and of restic's THEN both list all of them, and each removes the other's."""
    assert saver.backup("create").returncode == 0
    for name, text in {"new": "staple battery", "theirs": "horse"}.items():
        (saver.place / name).write_text(f"{text}\n")
        (saver.place / name).chmod(0o600)
    assert saver.backup("key", "add", "home", "--new", str(saver.place / "new")).returncode == 0
    restic.run(saver.store, "key", "add", "--new-password-file", str(saver.place / "theirs"))
    listed = objects(saver.backup("key", "list", "--json").stdout_text)[:-1]
    assert [one["ours"] for one in listed].count(True) == 1 and len(listed) == 3
    seen = json.loads(restic.run(saver.store, "key", "list", "--json"))
    assert {one["id"] for one in seen} <= {one["id"][:8] for one in listed} | {one["id"] for one in listed}
    assert "opens with the passphrase of the section" in saver.backup("key", "list", "home").stdout_text
    (ours,) = (one["id"] for one in listed if one["ours"])
    kept = saver.backup("key", "remove", "home", ours[:10])
    assert kept.returncode == 12 and "K230" in kept.stderr_text
    others = [one["id"] for one in listed if not one["ours"]]
    assert saver.backup("key", "remove", "home", *(one[:10] for one in others)).returncode == 0
    assert len(json.loads(restic.run(saver.store, "key", "list", "--json"))) == 1
    restic.run(saver.store, "check")


def test_a_passphrase_from_elsewhere_is_left_to_the_user(saver):
    """GIVEN a section whose passphrase a program prints WHEN it is changed THEN both open, and what to do is said."""
    conf = saver.conf.read_text().replace(f"file: {saver.place}/key", f"command: cat {saver.place}/key")
    saver.conf.write_text(conf)
    assert saver.backup("create").returncode == 0
    (saver.place / "new").write_text("staple battery\n")
    (saver.place / "new").chmod(0o600)
    done = saver.backup("passphrase", "--new", str(saver.place / "new"))
    assert done.returncode == 5 and "from elsewhere" in done.stderr_text
    told = re.search(r"escalectl (backup key remove home [0-9a-f]{8})", done.stderr_text)
    assert told is not None, done.stderr_text
    early = saver.escalectl(*told[1].split())
    assert early.returncode == 12 and "Nothing was removed" in early.stderr_text
    saver.key.write_text("staple battery\n")
    assert saver.backup("create").returncode == 0
    assert saver.escalectl(*told[1].split()).returncode == 0
    saver.key.write_text(f"{PASSWORD}\n")
    assert saver.backup("list").returncode == 12


def test_a_file_that_serves_another_section_is_left_alone(saver):
    other = CONF.format(place=saver.place, store=saver.place / "store2", schedule="no").partition("[home]")[2]
    saver.conf.write_text(f"{saver.conf.read_text()}[other]{other}")
    assert saver.backup("create").returncode == 0
    (saver.place / "new").write_text("staple battery\n")
    (saver.place / "new").chmod(0o600)
    done = saver.backup("passphrase", "home", "--new", str(saver.place / "new"))
    assert done.returncode == 5 and "[other] has a secret from the same file" in done.stderr_text
    assert saver.key.read_text() == f"{PASSWORD}\n" and files_of(saver) == ["key"]
    assert saver.backup("list").returncode == 0


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        (("staple", "staple"), 0, "the new passphrase is in"),
        (("staple", "stable"), 2, "you typed two different ones"),
        ((" staple", " staple"), 2, "restic would leave out"),
        (("",), 12, "nothing was typed"),
    ],
)
def test_a_passphrase_is_typed_twice(saver, typed, code, sentence):
    assert saver.backup("create").returncode == 0
    words = [sys.executable, "-m", "escale.cli.escalectl", "backup", "passphrase", "home", "-c", str(saver.conf)]
    terminal, theirs = pty.openpty()
    pipes = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(words, env=saver.environ, cwd=saver.place, start_new_session=True, **pipes) as process:
        os.close(theirs)
        told = b""
        for line in typed:
            # What is typed before the question is thrown away.
            told = until(terminal, b": ")
            os.write(terminal, f"{line}\n".encode())
        told += until(terminal, None)
    os.close(terminal)
    assert process.returncode == code and sentence in told.decode().replace("\r\n", "\n"), told
    assert saver.key.read_text() == ("staple\n" if code == 0 else f"{PASSWORD}\n")


def until(terminal: int, ending: bytes | None) -> bytes:
    """What is shown until it ends so, or until nothing more can be."""
    shown = b""
    while ending is None or not shown.endswith(ending):
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    return shown


def test_what_is_wrong_with_a_passphrase_is_one_sentence(saver):
    assert saver.backup("create").returncode == 0
    (saver.place / "open").write_text("staple\n")
    (saver.place / "open").chmod(0o644)
    for words, code, sentence in (
        ("passphrase home", 12, "there is no terminal to ask at"),
        ("passphrase home --new open", 77, "can be read by other users"),
        ("passphrase home --new nowhere", 12, "No such file"),
        ("passphrase home --new key", 2, "has that passphrase already"),
        ("passphrase x --new key", 2, "there is no section"),
        ("key", 2, "what is to be done with the keys"),
        ("key passwd", 2, "list, add, remove"),
        ("key remove home", 2, "remove SECTION ID"),
        ("key remove home zz", 2, "no key files whose id begins with zz"),
    ):
        done = saver.backup(*words.split())
        assert (done.returncode, sentence in done.stderr_text) == (code, True), done.stderr_text
    assert saver.key.read_text() == f"{PASSWORD}\n"
    assert len(list((saver.store / "keys").iterdir())) == 1
