"""Whatever is wrong: one sentence, the documented exit code, no traceback, and nothing lost.

This half is about configurations, secrets and relays; `test_bad_weather` is about what goes wrong on the way.
"""

from __future__ import annotations

import os
import re
import zlib

import pytest

from .folders import contents, write
from .places import directory_place, place
from .program import WITHOUT_PRIVILEGES
from .sentences import complaints, expect_sentence
from .test_main_job import on


def test_a_configuration_that_cannot_be_read(tmp_path, group):
    alice = group(directory_place(tmp_path / "relay")).client("alice")
    for path in (tmp_path / "nowhere.conf", tmp_path):
        refused = alice.run("-c", path, "--once")
        expect_sentence(refused, 78, "nothing was started")
        assert f"error C002: cannot read {path}: " in refused.stderr
    alice.configuration.write_bytes(b"[work]\nlocal path = caf\xe9\n")
    refused = alice.pass_().expect(78)
    assert "work.conf:2" in refused.stderr and "not UTF-8 (byte 0xE9" in refused.stderr
    assert len(complaints(refused)) == 1


def test_an_unknown_key_is_named_with_its_place_and_a_suggestion(tmp_path, group):
    alice = group(directory_place(tmp_path / "relay")).client("alice", refesh="10 s")
    write(alice.folder, "kept", b"kept")
    refused = alice.pass_()
    line = alice.configuration.read_text().splitlines().index("refesh = 10 s") + 1
    assert f"work.conf:{line}:1: error C101: unknown setting 'refesh'" in refused.stderr
    assert "did you mean 'refresh'?" in refused.stderr
    expect_sentence(refused, 78, "nothing was started")
    assert not os.listdir(tmp_path / "relay")


WRONG = {"apache": {"password": "wrong"}, "wsgidav": {"password": "wrong"}, "pyftpd": {"password": "wrong"}}
WRONG |= {"pyftpd_tls": {"password": "wrong"}, "rclone_s3": {"password": "wrong"}, "sshd": {"keyfile": "other"}}


@pytest.mark.parametrize("backend", on(*WRONG))
def test_a_refused_password_or_key(backend, server, place_at, group):
    keys = dict(WRONG[backend])
    if backend == "sshd":
        keys["keyfile"] = server("sshd").other_key_file
    clients = group(place_at(backend))
    alice = clients.client("alice", **keys)
    write(alice.folder, "kept", b"kept")
    sentence = expect_sentence(alice.pass_(), 12)
    assert "wrong" not in sentence, "a password in the output"
    assert clients.place.names() == []
    assert contents(alice.folder) == {b"kept": b"kept"}


@pytest.mark.parametrize("backend", on("sshd"))
def test_an_unknown_host_key_is_shown_and_refused(backend, server, place_at, group):
    running = server("sshd")
    alice = group(place_at(backend)).client("alice", host_key=None)
    expect_sentence(alice.pass_(), 12, "host key", running.fingerprint, "host key = accept-new")
    alice.write(host_key="accept-new")
    alice.once()


@pytest.mark.real("sshd")
@pytest.mark.xdist_group("sshd")
def test_a_changed_host_key_is_refused(own_server, group):
    running = own_server("sshd")
    first = running.fingerprint
    clients = group(place(running.relay()), host_key="accept-new")
    alice = clients.client("alice")
    alice.once()
    write(alice.folder, "secret", b"not for an impostor")
    running.change_host_key()
    sentence = expect_sentence(alice.pass_(), 12, running.fingerprint, first)
    assert "accept-new" not in sentence
    assert not clients.place.has("index")
    alice.write(host_key=running.fingerprint)
    alice.once()
    assert clients.place.has("index")


@pytest.mark.parametrize("backend", on("moto_locked", "rclone_s3"))
def test_a_missing_bucket(backend, server, group):
    alice = group(place(server(backend).relay_at("no-such-bucket/relay"))).client("alice")
    expect_sentence(alice.pass_(), 10, "no-such-bucket")


@pytest.mark.parametrize("backend", on("sshd", "apache", "wsgidav", "vsftpd", "pyftpd"))
def test_a_missing_directory(backend, server, group):
    alice = group(place(server(backend).relay_at("nowhere/at/all"))).client("alice")
    write(alice.folder, "kept", b"kept")
    expect_sentence(alice.pass_(), 10, "nowhere/at/all")
    assert contents(alice.folder) == {b"kept": b"kept"}


def test_a_missing_local_relay(tmp_path, group):
    wanted = directory_place(tmp_path / "mounted" / "relay")
    (tmp_path / "mounted" / "relay").rmdir()
    (tmp_path / "mounted").rmdir()
    alice = group(wanted).client("alice")
    ended = alice.pass_()
    assert ended.code in (10, 78), str(ended)
    expect_sentence(ended, ended.code)
    assert str(tmp_path / "mounted") in ended.stderr


@pytest.mark.parametrize("backend", on("sshd"))
def test_a_key_that_does_not_open_the_relay(backend, place_at, group, tmp_path):
    clients = group(place_at(backend), encryption="on")
    alice = clients.client("alice", passphrase=f"file: {tmp_path / 'alice.key'}")
    alice.run("keygen", "--output", tmp_path / "alice.key").expect(0)
    alice.run("keygen", "--output", tmp_path / "bob.key").expect(0)
    bob = clients.client("bob", passphrase=f"file: {tmp_path / 'bob.key'}")
    write(alice.folder, "sealed", b"for alice")
    write(bob.folder, "unsent", b"of bob")
    alice.once()
    before = clients.place.contents()
    expect_sentence(bob.pass_(), 12, "key", "Nothing was sent")
    bob.write(encryption="off", passphrase=None)
    expect_sentence(bob.pass_(), 12, "key")
    assert clients.place.contents() == before
    assert contents(bob.folder) == {b"unsent": b"of bob"}


@pytest.mark.parametrize("backend", on("directory"))
def test_a_relay_of_the_other_format_is_left_alone(backend, place_at, group):
    clients = group(place_at(backend))
    old, new = clients.client("old", relay_format="0.7"), clients.client("new")
    write(old.folder, "old", b"in 0.7")
    write(new.folder, "new", b"in 1")
    old.once()
    before = clients.place.contents()
    assert before
    expect_sentence(new.pass_(), 1, "0.7", "Nothing was touched")
    assert clients.place.contents() == before


@pytest.mark.parametrize("backend", on("directory"))
def test_a_relay_of_format_1_is_left_alone_by_a_client_of_0_7(backend, place_at, group):
    clients = group(place_at(backend))
    new, old = clients.client("new"), clients.client("old", relay_format="0.7")
    write(old.folder, "old", b"in 0.7")
    write(new.folder, "new", b"in 1")
    new.once()
    before = clients.place.contents()
    expect_sentence(old.pass_(), 1, "format 1", "Nothing was touched")
    assert clients.place.contents() == before


@pytest.mark.parametrize("backend", on("directory"))
def test_a_state_directory_that_cannot_be_written(backend, place_at, group, tmp_path):
    alice = group(place_at(backend)).client("alice", options={"wrapper": WITHOUT_PRIVILEGES})
    write(alice.folder, "kept", b"kept")
    (tmp_path / "locked").mkdir(mode=0o555)
    alice.state = tmp_path / "locked" / "state"
    alice.write()
    expect_sentence(alice.pass_(), 77, str(alice.state), "Permission denied")


@pytest.mark.parametrize("backend", on("directory"))
def test_a_second_process_with_the_same_configuration(backend, place_at, group):
    clients = group(place_at(backend))
    alice = clients.client("alice")
    alice.start()
    alice.until(lambda: clients.place.names())
    second = clients.client("second")
    refused = second.run("-c", alice.configuration, "--once")
    expect_sentence(refused, 16, "already running", f"process {alice.pid}")
    write(alice.folder, "still works", b"yes")
    alice.until(lambda: clients.place.has("data") or clients.place.has("index"))
    alice.stop().expect(0)


def test_an_index_that_leads_out_of_the_folder(tmp_path, group):
    """GIVEN a relay in hostile hands, WHEN it says `../evil`, THEN nothing is written outside the folder."""
    clients = group(directory_place(tmp_path / "relay"), compression="none", puller_count=1)
    alice, bob = clients.client("alice", mode="upload"), clients.client("bob", mode="download")
    write(alice.folder, "harmless", b"0123456789")
    alice.once()
    changed = 0
    for path in (tmp_path / "relay").iterdir():
        if re.search(r"\.(index|update)\.", path.name):
            text = zlib.decompress(path.read_bytes())
            changed += text.count(b'"harmless"')
            path.write_bytes(zlib.compress(text.replace(b'"harmless"', b'"../evil!"')))
        elif ".data." in path.name:
            path.write_bytes(path.read_bytes().replace(b"harmless", b"../evil!"))
    assert changed
    before = sorted(tmp_path.iterdir())
    expect_sentence(bob.pass_(), 1, "damaged")
    assert contents(bob.folder) == {}
    assert sorted(tmp_path.iterdir()) == before
