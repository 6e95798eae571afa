"""Vault: where the versions of a backup section are, with what opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..backup.heads import Heads
from ..backup.keys import WrongPassword
from ..backup.machine import Machine
from ..backup.repository import NoRepository, Repository
from ..backup.retention import Keep
from ..backup.snapshot import Snapshot
from ..clock import Clock
from ..errors import NoSuchRelay, UserError
from ..store.blob import BlobStore
from .record import Record


class RepositoryGone(UserError):
    """there is no repository at {where} any more; it had {versions} versions"""

    code = "B405"
    advice = "Is the disk mounted, is it the right place? To begin anew there:    escalectl backup init {section}"


class OtherRepository(UserError):
    """the repository at {where} is another one than the one that was there before"""

    code = "B406"
    advice = "Is it the right disk, the right place? To go on with this one:    escalectl backup init {section}"


class MayNotDelete(UserError):
    """{section} may not delete: this machine only adds to {url}"""

    code = "B444"
    advice = "Do it on a machine that has the credentials to delete there, and `may delete = yes` in its section."


@dataclass(frozen=True, slots=True)
class Vault:
    """One section's, or that of a repository that belongs to no section; then `paths` mean nothing.

    `prunes`: old versions are let go when a new one was saved.  `open_store` makes a connection of its own each time,
    `make_place` what can be made of the place where the store goes; `password` fetches the secret once, and once more
    after `forget_password`; `cache` is the directory of catalogs, None to keep nothing; `connections`: how many are
    worth it; `record_path` and `state`: where this machine remembers when it saved, and what it signed; None to
    remember nothing.  `adds`: it only adds there.
    """

    section: str
    url: str
    paths: tuple[Path, ...]
    keep: Keep
    prunes: bool
    open_store: Callable[[], BlobStore]
    make_place: Callable[[], None]
    password: Callable[[], str]
    cache: Path | None
    connections: int
    record_path: Path | None = None
    state: Path | None = None
    adds: bool = False
    forget_password: Callable[[], None] = lambda: None

    def record(self) -> Record:
        """What is remembered of it."""
        return Record() if self.record_path is None else Record.read(self.record_path)

    def remember(self, record: Record) -> None:
        """For the next time."""
        if self.record_path is not None:
            record.write(self.record_path)

    def open(self) -> Repository:
        """The repository that is there; NoRepository, WrongPassword, StoreError."""
        if self.cache is not None:
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        password, key = self.password(), self.record().key
        try:
            return Repository.open(self.open_store, password, self.cache, key)
        except WrongPassword:
            # It may have been changed since we fetched it.
            self.forget_password()
            if self.password() == password:
                raise
            return Repository.open(self.open_store, self.password(), self.cache, key)

    def open_or_make(self, machine: Machine, clock: Clock) -> Repository:
        """The repository, made at the first time only."""
        return self.open_expected() or self.make(machine, clock)

    def open_expected(self) -> Repository | None:
        """The repository; None before the first time, but a disk that is not mounted is not an empty store."""
        record = self.record()
        try:
            repository = self.open()
        except (NoRepository, NoSuchRelay):
            if record.repository:
                raise RepositoryGone(where=self.url, versions=record.versions, section=self.section) from None
            return None
        if record.repository and record.repository != repository.config.id:
            repository.close()
            raise OtherRepository(where=self.url, section=self.section)
        return repository

    def make(self, machine: Machine, clock: Clock) -> Repository:
        """A new repository; RepositoryExists."""
        self.make_place()
        if self.cache is not None:
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Repository.init(self.open_store, self.password(), self.cache, machine, clock.now())

    def must_delete(self) -> None:
        """MayNotDelete where this machine only adds."""
        if self.adds:
            raise MayNotDelete(section=self.section, url=self.url)

    def heads(self, repository: Repository, machine: Machine, clock: Clock) -> Heads | None:
        """What signs for this machine; None where nothing is remembered."""
        return None if self.state is None else Heads(repository, machine, clock, self.state, adds=self.adds)

    def is_of_section(self, version: Snapshot, machine: Machine) -> bool:
        """Whether the section saved this version, on this machine."""
        paths = sorted(map(str, self.paths))
        return version.hostname == machine.hostname and sorted(version.paths) == paths
