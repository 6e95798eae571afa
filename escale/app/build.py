"""The composition root: from a section of the configuration to a loop that runs.  Config stops here."""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..clock import Clock
from ..conf.secrets import Ask, Secret
from ..conf.settings import Common, Config, Section
from ..digest import DEFAULT, short_name
from ..events import Reporter
from ..files.folder import Folder
from ..files.ledger import Ledger
from ..files.rules import Rules
from ..relay.client import Settings
from ..relay.plan import Mode
from ..seal import FernetSeal, Key, NoSeal, Seal, StreamSeal
from ..store.blob import BlobStore
from ..store.memory import MemoryStore
from ..store.remote import Address, open_store
from ..store.wrapped import CountingStore, RetryingStore, Traffic
from .ahead import ReadAheadStore
from .connection import Connection, Parts, TrashLimit
from .guard import DeletionLimit
from .link import Link
from .syncing import SyncLoop
from .together import run_together

PATIENCE_S = 10.0
"""How long a pass waits for a page that somebody else has locked: longer than a small push or pull takes."""

REFRESH_S = 30.0
"""Between passes, where the section asks for one pass only and the loop is kept all the same."""


def build_section(
    config: Config,
    section: Section,
    environ: Mapping[str, str],
    clock: Clock,
    reporter: Reporter,
    ask: Ask | None = None,
) -> SyncLoop:
    """The loop of one section; reads its secrets (SecretError), opens nothing else yet.

    `ask` is None where nobody can be asked for a password.
    """
    connection = build_connection(config, section, environ, clock, ask)
    return SyncLoop(section.name, connection, section.refresh or REFRESH_S, section.disk_quota, clock, reporter)


def build_connection(
    config: Config, section: Section, environ: Mapping[str, str], clock: Clock, ask: Ask | None = None
) -> Connection:
    """The client of one section and its way to the relay, for whoever wants to look at the relay only."""
    rng = random.Random(os.urandom(16))
    traffic = Traffic()
    address = relay_address(section, environ, ask)
    key = _key(section, environ, ask)
    seal = _seal(section, key, clock, config.state_dir)

    def certify(owner: str) -> bool:
        from ..store.probe import races_create  # Needed once in the life of a relay.

        return races_create(lambda: open_store(replace(address, owner=owner)), run_together, rng, clock, owner)

    def opened(owner: str, look_only: bool) -> BlobStore:
        return _opened(replace(address, owner=owner), look_only, section.max_retries, traffic, clock, rng)

    parts = Parts(
        section=section.name,
        client=section.client_name,
        root=section.local_path,
        rules=rules_of(section),
        settle_s=section.settle,
        ledger=ledger_path(config.state_dir, section),
        format=section.relay_format,
        levels=section.index,
        algorithm=section.checksum or DEFAULT,
        fingerprint=key.fingerprint if key else "",
        seal=seal,
        settings=_settings(section),
        patience_s=PATIENCE_S,
        open_store=opened,
        certify=certify,
        link=Link(traffic, clock, os.cpu_count() or 1, address.scheme == "file"),
        pullers=frozenset(section.pullers) if isinstance(section.pullers, tuple) else None,
        stale_after_s=section.stale_after,
        releases_stale=section.on_stale == "release",
        max_delete=DeletionLimit(section.max_delete.count, section.max_delete.percent),
        trash=TrashLimit(section.trash_keep, section.trash_size, section.deletions == "propagate"),
    )
    return Connection(parts, clock, rng)


def open_relay_store(section: Common, environ: Mapping[str, str], ask: Ask | None = None) -> BlobStore:
    """The section's relay as a bare store: no retries, no counting."""
    return open_store(relay_address(section, environ, ask))


def relay_address(section: Common, environ: Mapping[str, str], ask: Ask | None = None) -> Address:
    """Where the relay is, with the secrets to enter; SecretError if one cannot be had."""
    where = section.address
    return Address(
        scheme=where.scheme,
        host=where.host,
        port=where.port,
        path=where.path,
        user=section.user or where.user or "",
        password=_reveal(section.password, environ, ask),
        certificate=section.certfile,
        key_file=section.keyfile,
        host_key=section.host_key or "",
        ca_file=section.ca_file,
        verify=section.verify_ssl,
        oldest_tls=section.ssl_version,
        proxy=section.proxy or "",
        connect_timeout_s=section.connect_timeout,
        timeout_s=section.timeout,
        options=section.options,
    )


def relay_fingerprint(section: Section, environ: Mapping[str, str], ask: Ask | None = None) -> str:
    """Of the section's key, "" for a relay in clear; SecretError if it cannot be had."""
    key = _key(section, environ, ask)
    return key.fingerprint if key else ""


def open_folder(config: Config, section: Section, clock: Clock) -> tuple[Folder, Ledger]:
    """The folder of a section without its relay, and its ledger, to be closed; LocalError, NoLocalSpace.

    Where the section has no ledger yet, none is made: what is noted then is forgotten.
    """
    path = ledger_path(config.state_dir, section)
    ledger = Ledger(path if path.exists() else Path(":memory:"))
    algorithm = ledger.meta("algorithm") or section.checksum or DEFAULT
    return Folder(section.local_path, rules_of(section), ledger, clock, algorithm), ledger


def ledger_path(state_directory: Path, section: Section) -> Path:
    """One ledger for a folder and a relay: what was agreed on with one relay means nothing on another."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "_", section.name)[:60]
    identity = short_name(os.fsencode(section.local_path), section.address.url.encode(), section.client_name.encode())
    return state_directory / f"{label}-{identity}.ledger"


def _settings(section: Section) -> Settings:
    count = section.pullers if isinstance(section.pullers, int) else section.puller_count
    if count is None and section.pullers is None and section.relay_format == "0.7":
        count = 1  # The original's meaning of "unset"; there is no roster in its format.
    return Settings(
        mode=Mode(section.mode),
        size_max=section.maxpagesize,
        count=count,
        compression="bz2" if section.relay_format == "0.7" else section.compression,
        workers=os.cpu_count() or 1,
        lock_timeout_s=math.inf if section.lock_timeout is None else section.lock_timeout,
        algorithm=section.checksum or DEFAULT,
        deletes=section.deletions != "keep",
        deletion_memory_s=section.deletion_memory,
    )


def rules_of(section: Common) -> Rules:
    """Which files of a section take part."""
    return Rules(
        include=section.include or (),
        exclude=section.exclude or (),
        include_directory=section.include_directory or (),
        exclude_directory=section.exclude_directory or (),
        extensions=section.file_extension or (),
        hidden=section.hidden_files,
        size_max=section.max_file_size,
        ignore_file=section.ignore_file,
    )


def _reveal(secret: Secret | None, environ: Mapping[str, str], ask: Ask | None) -> str:
    return "" if secret is None else secret.reveal(environ, ask)


def _key(section: Section, environ: Mapping[str, str], ask: Ask | None) -> Key | None:
    if section.encryption == "off" or section.passphrase is None:
        return None
    if section.passphrase.path is not None:
        return Key.load(section.passphrase.path)
    return Key.parse(section.passphrase.reveal(environ, ask), f"the passphrase {section.passphrase}")


def _seal(section: Section, key: Key | None, clock: Clock, state_directory: Path) -> Seal:
    """Format 0.7 knows only Fernet, format 1 only our sealed streams, which bind every blob to its place."""
    if key is None:
        return NoSeal()
    if section.relay_format == "0.7":
        return FernetSeal(key, clock, state_directory)
    return StreamSeal(key)


def _opened(
    address: Address, look_only: bool, retries: int, traffic: Traffic, clock: Clock, rng: random.Random
) -> BlobStore:
    if address.scheme == "file" and not _local_relay(Path(address.path), look_only):
        return MemoryStore()
    retrying = RetryingStore(open_store(address), clock, rng, retries + 1)
    return ReadAheadStore(CountingStore(retrying, clock, traffic))


def _local_relay(directory: Path, look_only: bool) -> bool:
    """Whether the relay directory is there; made on first use, beside what exists, unless it is only for a look."""
    if not look_only and not directory.exists() and directory.parent.is_dir():
        directory.mkdir(exist_ok=True)
    return directory.exists() or not look_only
