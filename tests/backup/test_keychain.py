"""The keychain: a new key is proven before it counts, the last that opens stays, and damage keeps nobody out."""

from __future__ import annotations

import pytest

from escale.backup import keys
from escale.backup.keychain import Keychain, KeyInUse, NoSuchKey
from escale.backup.keys import WrongPassword, lock_away
from escale.backup.objects import Kind
from escale.backup.repository import Repository
from escale.errors import Corrupt, Missing

from .places import MACHINE, Place

NOW = 4_000_000_000.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each try is for those who guess."""
    monkeypatch.setattr(keys, "SCRYPT_N", 2)


@pytest.fixture
def place() -> Place:
    """With a repository that "door" opens."""
    made = Place()
    Repository.init(made.store, "door", None, MACHINE, NOW)
    return made


def opened(place: Place, passphrase: str = "door") -> Repository:
    return Repository.open(place.store, passphrase, None)


def test_what_is_added_opens_and_is_listed(place: Place) -> None:
    keychain = Keychain(opened(place))
    (first,) = keychain.opened_by("door")
    added = keychain.add("window", MACHINE, NOW)
    assert keychain.opened_by("window") == {added}
    assert keychain.opened_by("door") == {first}
    assert [one.name for one in keychain.all()] == sorted([first, added])
    assert opened(place, "window").config == opened(place).config


def test_what_opens_already_is_not_added_twice(place: Place) -> None:
    keychain = Keychain(opened(place))
    assert keychain.add("window", MACHINE, NOW) == keychain.add("window", MACHINE, NOW)
    assert len(place.names("keys")) == 2


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_the_store_does_not_keep_does_not_count(place: Place, how: str) -> None:
    """GIVEN a store that damages what it gets WHEN a key is added THEN that is told, and nothing of it stays."""
    before = place.names("keys")
    place.after = lambda verb, name: place.damage(name, how) if verb == "put" else None
    with pytest.raises((Corrupt, Missing)):
        Keychain(opened(place)).add("window", MACHINE, NOW)
    assert place.names("keys") == before


def test_the_last_key_of_a_passphrase_stays(place: Place) -> None:
    keychain = Keychain(opened(place))
    (first,) = keychain.opened_by("door")
    added = keychain.add("window", MACHINE, NOW)
    for names in ([first], [first, added]):
        with pytest.raises(KeyInUse):
            keychain.remove(names, "door")
    assert len(place.names("keys")) == 2
    keychain.remove([first], "window")
    with pytest.raises(WrongPassword):
        opened(place)
    assert opened(place, "window")


def test_a_key_of_another_repository_opens_nothing_here(place: Place) -> None:
    """It stays when the right ones go, and the right ones stay when only it would be left."""
    foreign = lock_away(Place().master, "door", MACHINE, NOW)
    repository = opened(place)
    repository.objects.write(Kind.KEY, foreign.encode())
    keychain = Keychain(repository)
    (ours,) = keychain.opened_by("door")
    with pytest.raises(KeyInUse):
        keychain.remove([ours], "door")


def test_a_damaged_key_file_is_named_and_can_be_removed(place: Place) -> None:
    keychain = Keychain(opened(place))
    added = keychain.add("window", MACHINE, NOW)
    place.damage(f"keys/{added}", "cut")
    (damaged,) = [one for one in keychain.all() if one.file is None]
    assert damaged.name == added and added[:12] in str(damaged.error)
    keychain.remove([keychain.meant(added[:6])], "door")
    assert len(place.names("keys")) == 1


def test_only_what_is_clear_is_meant(place: Place) -> None:
    keychain = Keychain(opened(place))
    (first,) = keychain.opened_by("door")
    assert keychain.meant(first[:8]) == first
    for prefix in ("", "zz"):
        with pytest.raises(NoSuchKey, match="no key files"):
            keychain.meant(prefix)
