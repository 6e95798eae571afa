"""Another passphrase for a repository: whatever dies or fails on the way, what the section has opens it."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from escale.app.passphrase import Changed, SamePassphrase, add_passphrase, change_passphrase, remove_keys
from escale.app.vault import MayNotDelete, Vault
from escale.backup import keys
from escale.backup.keychain import Keychain, KeyInUse
from escale.backup.keys import WrongPassword
from escale.backup.locks import RepositoryLocked, locked
from escale.backup.repository import Repository
from escale.backup.retention import Keep
from escale.conf.secrets import Origin, Secret
from escale.errors import Corrupt, StoreError
from escale.testing.clock import SimClock
from escale.testing.disk import DiskHook, Hook
from escale.testing.faults import Crash
from escale.testing.power import VolatileDisk
from tests.backup.places import MACHINE, Place, dies_at

THEN = 4_000_000_000.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each try is for those who guess."""
    monkeypatch.setattr(keys, "SCRYPT_N", 2)


class Owner:
    """A repository in memory that "door" opens, which is in the first line of a file."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.file = directory / "key"
        self.file.write_text("door\nfor the cellar\n")
        self.file.chmod(0o600)
        self.source = Secret(Origin.FILE, str(self.file))
        self.place = Place()
        self.clock = SimClock(THEN)
        Repository.init(self.place.store, "door", None, MACHINE, THEN)

    def vault(self, adds: bool = False) -> Vault:
        """Of a new process, which reads the file again."""
        return Vault(
            section="home",
            url="memory:",
            paths=(),
            keep=Keep(last=2),
            prunes=False,
            open_store=self.place.store,
            make_place=lambda: None,
            password=lambda: self.source.reveal({}, None),
            cache=None,
            connections=1,
            adds=adds,
        )

    def change(self, shared_with: str = "") -> Changed:
        return change_passphrase(self.vault(), self.source, shared_with, "window", self.clock)

    def opens(self, passphrase: str) -> bool:
        try:
            Repository.open(self.place.store, passphrase, None).close()
        except WrongPassword:
            return False
        return True

    def meet(self, hook: Hook) -> None:
        """Before and after each change of the store."""
        self.place.before = self.place.after = hook


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "home")


def test_only_the_new_one_opens_and_it_is_where_the_old_one_was(owner: Owner) -> None:
    changed = owner.change()
    assert owner.file.read_text() == "window\nfor the cellar\n"
    assert changed.place == owner.file and changed.before is not None
    assert changed.before.read_text() == "door\nfor the cellar\n"
    assert {owner.file.stat().st_mode & 0o777, changed.before.stat().st_mode & 0o777} == {0o600}
    assert owner.opens("window") and not owner.opens("door")
    assert owner.vault().open().config == Repository.open(owner.place.store, "window", None).config
    assert not owner.place.names("locks")


def test_a_link_to_the_file_stays_one(owner: Owner) -> None:
    real = owner.file.rename(owner.file.with_name("real"))
    owner.file.symlink_to("real")
    assert owner.change().place == real
    assert owner.file.is_symlink() and real.read_text() == "window\nfor the cellar\n"


@pytest.mark.parametrize("is_power_cut", [False, True])
def test_a_death_at_every_change_leaves_what_the_section_has(tmp_path: Path, is_power_cut: bool) -> None:
    """GIVEN a change of the passphrase WHEN the process dies, or the power is cut, before or after any change of the
    store or of the disk THEN what the file says opens the repository, and the change can be made again."""
    for nth in itertools.count():
        owner = Owner(tmp_path / str(nth))
        hook = dies_at(nth)
        owner.meet(hook)
        is_done = False
        try:
            with VolatileDisk(hook, tmp_path / f"limbo{nth}") if is_power_cut else DiskHook(hook):
                owner.change()
                is_done = True
        except Crash:
            pass
        owner.meet(lambda verb, name: None)
        assert owner.opens(owner.source.reveal({}, None)), f"died at change {nth}"
        assert owner.opens("door") or owner.file.read_text().startswith("window\n")
        if is_done:
            break
        owner.clock.advance(3600.0)
        if owner.file.read_text().startswith("door\n"):
            assert not owner.change().kept and not owner.opens("door")
        assert owner.opens("window") and owner.file.read_text() == "window\nfor the cellar\n"
    assert nth > 12


def test_a_store_that_fails_leaves_what_the_section_has(tmp_path: Path) -> None:
    for nth in range(12):
        owner = Owner(tmp_path / str(nth))
        owner.meet(dies_at(nth, StoreError(where="memory:", reason="gone")))
        with suppress(StoreError):
            owner.change()
        owner.meet(lambda verb, name: None)
        assert owner.opens(owner.source.reveal({}, None)), f"failed at {nth}"


@pytest.mark.parametrize("why", ["elsewhere", "shared", "unwritable"])
def test_where_the_file_is_left_alone_both_open_until_the_user_says(owner: Owner, why: str) -> None:
    if why == "elsewhere":
        owner.source = Secret(Origin.LITERAL, "door")
    if why == "unwritable":
        changed = _change_without_links(owner)
    else:
        changed = owner.change("another" if why == "shared" else "")
    assert changed.kept and changed.place is None
    assert owner.opens("door") and owner.opens("window")
    assert owner.file.read_text() == "door\nfor the cellar\n" and len(list(owner.file.parent.iterdir())) == 1
    (former,) = changed.former
    with pytest.raises(KeyInUse):
        remove_keys(owner.vault(), [former[:8]], owner.clock)
    owner.source = Secret(Origin.LITERAL, "window")
    assert remove_keys(owner.vault(), [former[:8]], owner.clock) == [former]
    assert owner.opens("window") and not owner.opens("door")


def test_who_types_it_has_nothing_to_put_in_its_place(owner: Owner) -> None:
    owner.source = Secret(Origin.ASK, "passphrase")
    vault = replace(owner.vault(), password=lambda: "door")
    changed = change_passphrase(vault, owner.source, "", "window", owner.clock)
    assert not changed.kept and changed.place is None
    assert owner.opens("window") and not owner.opens("door")


def _change_without_links(owner: Owner) -> Changed:
    def hook(verb: str, path: str) -> None:
        if verb == "link":
            raise PermissionError(1, "Operation not permitted")

    with VolatileDisk(hook, owner.file.parent.with_name("limbo")):
        return owner.change()


def test_one_more_passphrase_leaves_the_first(owner: Owner) -> None:
    name = add_passphrase(owner.vault(), "window", owner.clock)
    assert owner.opens("door") and owner.opens("window")
    assert remove_keys(owner.vault(), [name], owner.clock) == [name]
    assert owner.opens("door") and not owner.opens("window")


def test_the_same_one_is_no_new_one(owner: Owner) -> None:
    with pytest.raises(SamePassphrase):
        change_passphrase(owner.vault(), owner.source, "", "door", owner.clock)
    with pytest.raises(SamePassphrase):
        add_passphrase(owner.vault(), "door", owner.clock)
    assert len(owner.place.names("keys")) == 1


def test_nothing_changes_while_somebody_is_at_work(owner: Owner) -> None:
    repository = owner.vault().open()
    with locked(repository, MACHINE, owner.clock, exclusive=False):
        with pytest.raises(RepositoryLocked):
            owner.change()
        with pytest.raises(RepositoryLocked):
            remove_keys(owner.vault(), ["0"], owner.clock)
    assert owner.opens("door") and not owner.opens("window")
    assert owner.file.read_text() == "door\nfor the cellar\n"


def test_a_machine_that_only_adds_may_add(owner: Owner) -> None:
    vault = owner.vault(adds=True)
    add_passphrase(vault, "window", owner.clock)
    with pytest.raises(MayNotDelete):
        change_passphrase(vault, owner.source, "", "loft", owner.clock)
    with pytest.raises(MayNotDelete):
        remove_keys(vault, ["0"], owner.clock)
    assert owner.opens("door") and owner.opens("window") and not owner.opens("loft")


def test_a_key_that_the_store_did_not_keep_ends_it_before_anything_is_changed(owner: Owner) -> None:
    def damage(verb: str, name: str) -> None:
        if verb == "put" and name.startswith("keys/"):
            owner.place.damage(name, "flipped")

    owner.place.after = damage
    with pytest.raises(Corrupt, match="keys/"):
        owner.change()
    owner.place.after = lambda verb, name: None
    assert owner.opens("door") and owner.file.read_text() == "door\nfor the cellar\n"
    assert len(list(Keychain(owner.vault().open()).all())) == 1
