"""Keychain: the key files of a repository.  Each opens it with a passphrase of its own; there has to be one at least.

Adding comes first and is proven; removing needs somebody alone in the repository, for of two who each keep their own
key and remove the other's at the same time nobody would get in again.  The key behind all passphrases stays the same:
who has had it once does not need a key file any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..errors import Corrupt, EscaleError, Missing, PeerError, SecretError
from .keys import KeyFile
from .machine import Machine
from .objects import Kind
from .repository import Repository


class KeyInUse(SecretError):
    """the passphrase that is used here would not open the repository {where} any more"""

    code = "K230"
    advice = "Nothing was removed. Give the section the passphrase that stays, then remove the other one."


class NoSuchKey(SecretError):
    """the repository {where} has {count} key files whose id begins with {prefix}"""

    code = "K231"
    exit_code = 2
    advice = "Nothing was removed. Which there are:    escalectl backup key list"


@dataclass(frozen=True, slots=True)
class Listed:
    """A key file by its name, with what it says, or with why it cannot be read."""

    name: str
    file: KeyFile | None
    error: EscaleError | None = None


class Keychain:
    """Of a repository that is open."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def all(self) -> Iterator[Listed]:
        """In the order of their names."""
        objects = self._repository.objects
        for name in sorted(blob.name for blob in objects.list(Kind.KEY)):
            try:
                yield Listed(name, self._read(name))
            except Missing:
                continue
            except PeerError as error:
                yield Listed(name, None, error)

    def opened_by(self, passphrase: str) -> frozenset[str]:
        """The names of those that open this repository with it; takes half a second for each key file there is."""
        return frozenset(one.name for one in self.all() if one.file is not None and self._opens(one, passphrase))

    def add(self, passphrase: str, machine: Machine, now: float) -> str:
        """A key file for it, read back and opened; its name.  One that does so already is as good.

        Corrupt if the store gives back something else; then nothing is left of it, if it can be removed.
        """
        found = self.opened_by(passphrase)
        if found:
            return min(found)
        name = self._repository.add_key(passphrase, machine, now)
        try:
            if self._opens(Listed(name, self._read(name)), passphrase):
                return name
            raise Corrupt(where=self._where(name), reason="it does not open with the passphrase that it was made for")
        except EscaleError:
            with suppress(EscaleError):
                self._repository.objects.delete(Kind.KEY, name)
            raise

    def meant(self, prefix: str) -> str:
        """The only name that begins so, whatever the file holds; NoSuchKey."""
        names = [one.name for one in self.all() if prefix and one.name.startswith(prefix)]
        if len(names) != 1:
            raise NoSuchKey(where=self._repository.objects.url, count=len(names) or "no", prefix=prefix)
        return names[0]

    def remove(self, names: Collection[str], passphrase: str) -> None:
        """Take them away; KeyInUse if the passphrase would open nothing then.  The caller is alone there."""
        if not self.opened_by(passphrase).difference(names):
            raise KeyInUse(where=self._repository.objects.url)
        for name in sorted(names):
            self._repository.objects.delete(Kind.KEY, name)

    def _read(self, name: str) -> KeyFile:
        return KeyFile.decode(self._repository.objects.read(Kind.KEY, name), self._where(name))

    def _opens(self, one: Listed, passphrase: str) -> bool:
        try:
            return one.file is not None and one.file.open(passphrase, self._where(one.name)) == self._repository.master
        except PeerError:
            # What it sealed is no key: somebody's who has the passphrase, but not of this repository.
            return False

    def _where(self, name: str) -> str:
        return self._repository.objects.where(Kind.KEY, name)
