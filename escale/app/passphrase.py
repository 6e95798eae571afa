"""A new passphrase for the repository of a section: the new key first, then the file that has the passphrase, and only
then the old key away.  Whatever dies in between, the passphrase that the section has opens the repository."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..backup.keychain import Keychain
from ..backup.locks import locked
from ..backup.machine import Machine
from ..clock import Clock
from ..conf.secrets import Origin, Secret
from ..conf.settings import BackupSection, Config
from ..errors import SecretError
from ..files.durable import sync
from ..store.blob import temporary_name
from .vault import Vault


class SamePassphrase(SecretError):
    """{section} has that passphrase already"""

    code = "K232"
    exit_code = 2
    advice = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class Changed:
    """`key`: the new key file; `former`: those that the passphrase before opens.

    `place`: the file that has the new passphrase now, and `before` the one with its former content.  Or `kept`: why
    that was left to the user, and the former key files are there still.  Neither where the user is asked for it.
    """

    key: str
    former: tuple[str, ...]
    place: Path | None = None
    before: Path | None = None
    kept: str = ""


def add_passphrase(vault: Vault, passphrase: str, clock: Clock) -> str:
    """One more that opens the repository; the name of its key file.  SamePassphrase."""
    machine = Machine.this()
    _expect_new(vault, passphrase)
    repository = vault.open()
    try:
        with locked(repository, machine, clock, exclusive=False):
            return Keychain(repository).add(passphrase, machine, clock.now())
    finally:
        repository.close()


def remove_keys(vault: Vault, prefixes: Iterable[str], clock: Clock) -> list[str]:
    """Key files by the beginnings of their ids; their names.  KeyInUse, NoSuchKey, MayNotDelete, RepositoryLocked."""
    vault.must_delete()
    repository = vault.open()
    try:
        keychain = Keychain(repository)
        with locked(repository, Machine.this(), clock, exclusive=True):
            names = sorted({keychain.meant(prefix) for prefix in prefixes})
            keychain.remove(names, vault.password())
        return names
    finally:
        repository.close()


def change_passphrase(vault: Vault, source: Secret, shared_with: str, passphrase: str, clock: Clock) -> Changed:
    """Another passphrase in the place of the one of the section.  `source`: where the section has it from; what else
    takes it from the same file, if anything does, is `shared_with`.

    SamePassphrase, MayNotDelete; RepositoryLocked while anybody is at work there.
    """
    vault.must_delete()
    _expect_new(vault, passphrase)
    repository = vault.open()
    try:
        keychain, machine = Keychain(repository), Machine.this()
        with locked(repository, machine, clock, exclusive=True):
            former = keychain.opened_by(vault.password())
            key = keychain.add(passphrase, machine, clock.now())
            changed = _put_in_place(Changed(key, tuple(sorted(former))), source, shared_with, passphrase)
            if not changed.kept:
                keychain.remove(former, passphrase)
        return changed
    finally:
        repository.close()


def sharer(config: Config, section: BackupSection) -> str:
    """Another section that has a secret from the same file, but for another place than the store; "" if none."""
    secrets = [(one.name, one.password) for one in config.everything]
    secrets += [(one.name, one.passphrase) for one in config.sections]
    secrets += [(one.name, one.passphrase) for one in config.backups if one.address != section.address]
    place = _place(section.passphrase)
    return next((name for name, secret in secrets if place and secret and _place(secret) == place), "")


def _place(secret: Secret) -> str:
    """The file that it comes from, without links; "" if it comes from elsewhere."""
    return os.path.realpath(secret.path) if secret.path else ""


def _expect_new(vault: Vault, passphrase: str) -> None:
    if passphrase == vault.password():
        raise SamePassphrase(section=vault.section)


# -- the file that has it


def _put_in_place(changed: Changed, source: Secret, shared_with: str, passphrase: str) -> Changed:
    """Make it the first line of the file that the passphrase comes from, or say why not; who types it knows it."""
    if source.origin is Origin.ASK:
        return changed
    if source.path is None:
        return replace(changed, kept=f"the section has its passphrase from elsewhere: {source.source}")
    if shared_with:
        return replace(changed, kept=f"[{shared_with}] has a secret from the same file")
    place = Path(_place(source))
    # What else may take its passphrase from there, we do not know.
    before = place.with_name(f"{place.name}.before-{changed.key[:8]}")
    try:
        _replace_first_line(place, before, passphrase)
    except OSError as error:
        return replace(changed, kept=f"{place} cannot be replaced: {error.strerror or error}")
    return replace(changed, place=place, before=before)


def _replace_first_line(place: Path, before: Path, line: str) -> None:
    """Durable when this returns; readers see the old or the new file, and the old one stays as `before`."""
    temporary = place.with_name(temporary_name(""))
    try:
        _write_like(temporary, os.stat(place), line, place.read_bytes().partition(b"\n")[2])
        # It may be there since a run that ended between the two.
        if not (before.exists() and before.samefile(place)):
            os.link(place, before)
        os.replace(temporary, place)
        sync([os.fsencode(place.parent)])
    finally:
        temporary.unlink(missing_ok=True)


def _write_like(path: Path, status: os.stat_result, line: str, rest: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n" + rest)
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o700)
        file.flush()
        os.fsync(descriptor)
