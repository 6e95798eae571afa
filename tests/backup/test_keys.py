"""Key files: restic's open, ours open, wrong passwords do not, and a hostile one takes neither memory nor time."""

from __future__ import annotations

import json
import time

import pytest

from escale.backup.cipher import MasterKey
from escale.backup.keys import SCRYPT_MEMORY_MAX, KeyFile, WrongPassword, lock_away
from escale.backup.repository import Repository
from escale.errors import Corrupt
from escale.store.directory import DirectoryStore

from .conftest import PASSWORD
from .golden import NAMES, copied, one_of, opened
from .places import MACHINE

MASTER = MasterKey.of_bytes(bytes(range(64)))


@pytest.fixture(scope="module")
def key_file() -> KeyFile:
    return lock_away(MASTER, PASSWORD, MACHINE, 1_700_000_000.5)


@pytest.mark.parametrize("name", NAMES)
def test_golden_key_files(name):
    found = KeyFile.decode(one_of(name, "keys").read_bytes(), "here")
    assert (found.n, found.r, len(found.salt)) == (1 << 15, 8, 64)
    assert found.open(PASSWORD, "here") is not None
    assert found.open(PASSWORD + "r", "here") is None
    if name == "escale-1":
        assert (found.hostname, found.username, found.created) == ("anvil", "alice", "2026-11-01T12:34:56Z")


def test_the_password_opens(key_file):
    assert key_file.open(PASSWORD, "here") == MASTER
    assert key_file.open("", "here") is None
    assert (key_file.username, key_file.hostname) == (MACHINE.username, MACHINE.hostname)
    assert key_file.created == "2023-11-14T22:13:20.5Z"


def test_a_key_file_can_be_written_down(key_file):
    assert KeyFile.decode(key_file.encode(), "here") == key_file


def test_the_same_password_twice_makes_two_key_files(key_file):
    other = lock_away(MASTER, PASSWORD, MACHINE, 0.0)
    assert other.salt != key_file.salt and other.data != key_file.data


def test_a_password_of_any_characters():
    password = "pässwört \N{GRINNING FACE}\n\t' \" \udcff"
    assert lock_away(MASTER, password, MACHINE, 0.0).open(password, "here") == MASTER


@pytest.mark.parametrize(
    "change",
    [
        {"N": 1 << 30},
        {"N": 1 << 20, "r": 1 << 10},
        {"N": 10**400},
        {"N": 0},
        {"N": 1},
        {"N": -4},
        {"N": 3},
        {"N": 1e999},
        {"N": "many"},
        {"N": None},
        {"N": [2]},
        {"r": 0},
        {"r": -1},
        {"p": 0},
        {"p": 1 << 20},
        {"p": 65},
        {"kdf": "argon2"},
        {"kdf": None},
        {"salt": 5},
        {"salt": "äöü"},
        {"data": "====="},
        {"data": None},
    ],
    ids=str,
)
def test_what_is_no_key_file(key_file, change):
    text = json.dumps(json.loads(key_file.encode()) | change).encode()
    begun = time.process_time()
    with pytest.raises(Corrupt):
        KeyFile.decode(text, "here").open(PASSWORD, "here")
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize(
    ("n", "r", "is_sound"), [(1 << 15, 1, True), (1 << 16, 1, False), (1 << 20, 1, False), (2, 1 << 20, True)]
)
def test_numbers_that_scrypt_does_not_take(key_file, n, r, is_sound):
    text = json.dumps(json.loads(key_file.encode()) | {"N": n, "r": r, "p": 1}).encode()
    assert 128 * n * r <= SCRYPT_MEMORY_MAX
    if is_sound:
        assert KeyFile.decode(text, "here").open(PASSWORD, "here") is None
    else:
        with pytest.raises(Corrupt):
            KeyFile.decode(text, "here")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"5", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_json(text):
    with pytest.raises(Corrupt):
        KeyFile.decode(text, "here")


@pytest.mark.parametrize("name", NAMES)
def test_a_second_password_opens_as_well_as_the_first(tmp_path, name):
    place = copied(name, tmp_path / "place")
    first = opened(place)
    first.add_key("another", MACHINE, 0.0)
    assert opened(place, "another").master == first.master
    assert opened(place).master == first.master
    with pytest.raises(WrongPassword):
        opened(place, "wrong")


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied"])
def test_a_damaged_key_file_keeps_nobody_out_who_has_another(tmp_path, how):
    place = copied("restic-0.19.1", tmp_path / "place")
    repository = opened(place)
    (old,) = (place / "keys").iterdir()
    repository.add_key("another", MACHINE, 0.0)
    data = old.read_bytes()
    half = len(data) // 2
    flipped = data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :]
    old.write_bytes({"flipped": flipped, "cut": data[:-1], "emptied": b""}[how])
    assert opened(place, "another").master == repository.master
    with pytest.raises(Corrupt, match=old.name[:12]):
        Repository.open(lambda: DirectoryStore(place), PASSWORD, None)


def test_no_key_file_at_all(tmp_path):
    place = copied("escale-1", tmp_path / "place")
    one_of("escale-1", "keys")
    for key in (place / "keys").iterdir():
        key.unlink()
    with pytest.raises(WrongPassword):
        opened(place)
