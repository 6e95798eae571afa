"""The main job: folders become equal through a relay, on every kind of storage, and the relay is empty afterwards."""

from __future__ import annotations

import base64
import json

import pytest

from .folders import AWKWARD, contents, files, fill, fill_awkward, write

BACKENDS = [
    "directory",
    "sshd",
    "moto_locked",
    "rclone_s3",
    "apache",
    "wsgidav",
    "vsftpd",
    "pyftpd",
    "pyftpd_tls",
]


def on(*names: str) -> list[object]:
    """A parameter for each backend, marked with the server it needs; the tests of one server share a process."""

    def marks(name: str) -> list[pytest.MarkDecorator]:
        return [pytest.mark.xdist_group(name), *([pytest.mark.real(name)] if name != "directory" else [])]

    return [pytest.param(name, marks=marks(name), id=name) for name in names]


@pytest.mark.parametrize("backend", on(*BACKENDS))
def test_folders_become_equal_and_the_relay_is_freed(backend, place_at, group):
    """GIVEN a folder with awkward names, WHEN it travels and is edited on both sides, THEN nothing is lost or left."""
    clients = group(place_at(backend))
    alice, bob = clients.client("alice"), clients.client("bob")
    fill(alice.folder, "first", 250, 3000)
    fill_awkward(alice.folder)
    alice.once()
    bob.once()
    assert files(bob.folder) == files(alice.folder)
    clients.settle()

    fill(alice.folder, "edit of alice", 20, 5000)
    write(bob.folder, "d6/edit of bob", b"from bob")
    write(bob.folder, AWKWARD[3], b"edited by bob")
    clients.settle()
    assert (alice.folder / "d6/edit of bob").read_bytes() == b"from bob"
    assert contents(alice.folder)[AWKWARD[3]] == b"edited by bob"
    assert len(files(alice.folder)) > 300


@pytest.mark.parametrize("backend", on("moto_locked", "apache", "wsgidav", "sshd"))
def test_an_encrypted_relay_tells_nothing(backend, place_at, group, tmp_path):
    """GIVEN `encryption = on`, THEN no blob ever holds a name or a content, and a key file has mode 0600."""
    clients = group(place_at(backend), encryption="on", passphrase=f"file: {tmp_path / 'key'}", index="topdir")
    alice = clients.client("alice")
    made = alice.run("keygen", "--output", tmp_path / "key").expect(0)
    assert "fingerprint" in made.stdout
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    bob = clients.client("bob")
    fill(alice.folder, "sealed", 60, 3000)
    secrets = (b"plain-content-0123456789", b"name-of-a-file", b"name-of-a-directory")
    for number in range(20):
        write(alice.folder, secrets[2] + b"/" + secrets[1] + b"%d" % number, secrets[0] * 50)

    alice.once()
    _assert_secret(clients.place, secrets)
    assert clients.place.has("data")
    bob.once()
    _assert_secret(clients.place, secrets)
    clients.settle()
    _assert_secret(clients.place, secrets)


def _assert_secret(place, secrets):
    for name, data in place.contents().items():
        for secret in secrets:
            assert secret not in name.encode() and secret not in data, name
            assert base64.b64encode(secret)[:-4] not in data, name


@pytest.mark.parametrize("backend", on("sshd", "moto_locked"))
def test_three_pullers_and_one_of_them_starts_later(backend, place_at, group):
    """GIVEN `puller count = 3`, THEN an update stays until the third has it, whenever that one begins."""
    clients = group(place_at(backend), puller_count=3)
    alice = clients.client("alice", mode="upload")
    bob, carol = clients.client("bob", mode="download"), clients.client("carol", mode="download")
    fill(alice.folder, "three", 40, 2000)
    for _ in range(2):
        clients.round()
    assert files(bob.folder) == files(carol.folder) == files(alice.folder)
    assert clients.place.has("data"), "two of three have it"
    clients.client("dave", mode="download")
    clients.settle()


@pytest.mark.parametrize("backend", on("directory"))
def test_upload_never_receives_and_download_never_sends(backend, place_at, group):
    clients = group(place_at(backend))
    alice, bob = clients.client("alice", mode="upload"), clients.client("bob", mode="download")
    write(alice.folder, "down", b"goes down")
    write(bob.folder, "stays", b"stays here")
    for _ in range(3):
        clients.round()
    assert contents(alice.folder) == {b"down": b"goes down"}
    assert contents(bob.folder) == {b"down": b"goes down", b"stays": b"stays here"}
    assert not clients.place.unrest()


@pytest.mark.parametrize("backend", on("sshd"))
def test_toml_and_ini_clients_share_a_paged_relay(backend, place_at, group):
    """GIVEN `index = topdir`, THEN each directory at the top is a page of its own."""
    clients = group(place_at(backend), index="topdir")
    alice, bob = clients.client("alice", options={"is_toml": True}), clients.client("bob")
    fill(alice.folder, "pages", 50, 2000)
    write(alice.folder, "at the top", b"page 0")
    alice.once()
    assert len({name.split(".")[0] for name in clients.place.names() if ".data." in name}) == 8
    bob.once()
    clients.settle()
    write(bob.folder, "d3/new", b"one page only")
    bob.once()
    assert len([name for name in clients.place.names() if ".data." in name]) == 1
    clients.settle()


@pytest.mark.parametrize("backend", on("directory"))
def test_plain_lines_go_to_standard_error_and_objects_to_standard_output(backend, place_at, group):
    clients = group(place_at(backend))
    alice, bob = clients.client("alice"), clients.client("bob")
    write(alice.folder, b"plain", b"1234")
    write(alice.folder, b"latin1-\xe9", b"not UTF-8")

    plain = alice.once()
    assert plain.stdout == ""
    assert "work: sending 2 files, 13 B\n" in plain.stderr
    assert all(line.startswith("work: ") for line in plain.stderr.splitlines())

    told = bob.once("--json")
    assert told.stderr == ""
    events = told.events()
    assert events[0]["type"] == "start" and events[0]["schema"] == 1 and events[0]["sections"] == ["work"]
    assert events[-1] == {"type": "exit", "code": 0}
    items = {event["path"]: event for event in events if event["type"] == "item"}
    assert items["plain"]["action"] == "new" and items["plain"]["bytes"] == 4
    assert base64.b64decode(items["latin1-\ufffd"]["path_b64"]) == b"latin1-\xe9"
    (last,) = [event for event in events if event["type"] == "pass" and event["state"] == "end"]
    assert last["down_files"] == 2
    assert json.dumps(events)


@pytest.mark.parametrize("backend", on("directory"))
def test_a_dry_run_names_the_files_and_changes_nothing(backend, place_at, group):
    clients = group(place_at(backend))
    alice = clients.client("alice")
    write(alice.folder, "plan.odt", b"x" * 100)
    shown = alice.run("-c", alice.configuration, "--dry-run").expect(0)
    assert "plan.odt" in shown.stdout and "Nothing was changed" in shown.stdout
    assert clients.place.names() == []
    assert alice.run("-c", alice.configuration, "--dry-run", "--exit-code").code == 4
