"""The composition root of backup sections: from the configuration to a loop that runs, and to a vault to look into."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..backup.objects import Kind
from ..clock import Clock
from ..conf.secrets import Ask, Origin
from ..conf.settings import BackupSection
from ..digest import short_name
from ..events import Reporter
from ..store.adding import AddingStore
from ..store.blob import BlobStore
from ..store.remote import Address, open_store
from ..store.wrapped import RetryingStore
from .backing import BackupLoop
from .build import relay_address, rules_of
from .selection import Selection
from .vault import Vault

CONNECTIONS = 4
"""To a store over a network: enough to fill a line with packs of 16 MiB, few enough for a cheap account."""

CONNECTIONS_HERE = 2
"""To a disk of this machine."""


def build_backup(
    state: Path,
    section: BackupSection,
    environ: Mapping[str, str],
    clock: Clock,
    reporter: Reporter,
    ask: Ask | None = None,
    at_once: bool = False,
) -> BackupLoop:
    """The loop of one backup section; reads its secrets (SecretError), opens nothing else yet."""
    vault = build_vault(state, section, environ, clock, ask)
    vault.password()

    def selection() -> Selection:
        return Selection(vault.paths, rules_of(section))

    return BackupLoop(vault, section.schedule, selection, os.cpu_count() or 1, clock, reporter, at_once)


def build_vault(
    state: Path | None, section: BackupSection, environ: Mapping[str, str], clock: Clock, ask: Ask | None = None
) -> Vault:
    """Where the versions of a section are.  `state`: None to remember nothing."""
    address = relay_address(section, environ, ask)
    is_here = address.scheme == "file"

    @cache
    def password() -> str:
        return section.passphrase.reveal(environ, ask)

    def opened() -> BlobStore:
        store = open_store(address) if is_here else _retrying(address, clock, section.max_retries)
        return store if section.may_delete else AddingStore(store, removable=(Kind.LOCK.value,))

    def made() -> None:
        if is_here:
            _make_directory(Path(address.path))

    return Vault(
        section=section.name,
        url=section.address.url,
        paths=tuple(map(followed, section.paths)),
        keep=section.keep,
        prunes=section.prune and section.may_delete,
        open_store=opened,
        make_place=made,
        password=password,
        cache=None if state is None else state / "catalogs",
        connections=CONNECTIONS_HERE if is_here else CONNECTIONS,
        record_path=None if state is None else record_path(state, section),
        state=state,
        adds=not section.may_delete,
        forget_password=_forget_nothing if section.passphrase.origin is Origin.ASK else password.cache_clear,
    )


def _forget_nothing() -> None:
    """Who has typed it is not asked again: where a service runs there is nobody any more."""


def followed(path: Path) -> Path:
    """Whoever names a link means what it leads to; as a link it would be all that is saved."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def record_path(state: Path, section: BackupSection) -> Path:
    """One record for what is saved and where."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "_", section.name)[:60]
    paths = (os.fsencode(path) for path in section.paths)
    return state / f"{label}-{short_name(section.address.url.encode(), *paths)}.backup"


def _retrying(address: Address, clock: Clock, retries: int) -> BlobStore:
    return RetryingStore(open_store(address), clock, random.Random(os.urandom(16)), retries + 1)


def _make_directory(directory: Path) -> None:
    """At the first start, beside what exists: where the parent is not there, a disk is not mounted."""
    if not directory.exists() and directory.parent.is_dir():
        directory.mkdir(mode=0o700, exist_ok=True)
