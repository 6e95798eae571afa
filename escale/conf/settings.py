"""Settings: a configuration after it was read and found good.  Values only; nothing here opens anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backup.retention import Keep
from .address import RelayAddress
from .keys import Key
from .limits import MaxDelete
from .schedule import Schedule
from .secrets import Secret


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a line of a file, or nowhere, which means the default."""

    file: Path | None = None
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """A setting as it holds: `text` can be shown, secrets are not in it."""

    name: str
    key: Key
    value: Any = field(repr=False)
    text: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every section has: where something is stored and how to get in, and which files take part.

    Times in seconds, sizes in bytes; the key table says what each setting means.  `proxy` is "none" to ignore the
    environment, `host_key` is a fingerprint, "accept-new" or a path.
    """

    name: str
    address: RelayAddress
    options: Mapping[str, object] = field(repr=False)
    proxy: str | None = field(repr=False)
    connect_timeout: float
    timeout: float
    max_retries: int
    user: str | None
    password: Secret | None
    certfile: Path | None
    keyfile: Path | None
    host_key: str | None
    verify_ssl: bool
    ca_file: Path | None
    ssl_version: str
    file_extension: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    include_directory: tuple[str, ...]
    exclude_directory: tuple[str, ...]
    ignore_file: str
    hidden_files: bool
    max_file_size: int | None
    verbosity: int
    effective: tuple[Effective, ...] = field(repr=False)

    def origin(self, key: str) -> Origin:
        """Where the value of a key (by its name, `local path`) comes from; KeyError for a key of the program."""
        return _origin(self.effective, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSection(Common):
    """Folders whose versions are saved into a store.  `passphrase` opens the repository there."""

    paths: tuple[Path, ...]
    passphrase: Secret
    schedule: Schedule
    keep: Keep
    prune: bool
    may_delete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Common):
    """One folder and its relay.

    `refresh` is None for one pass, `lock_timeout` for never, `index` is 0 for one page or the number of levels of
    directories that have pages of their own, `pullers` are names or how many, `trash_keep` and `trash_size` are None
    for no limit.
    """

    local_path: Path
    client_name: str
    encryption: str
    passphrase: Secret | None
    mode: str
    puller_count: int | None
    pullers: int | tuple[str, ...] | None
    stale_after: float
    on_stale: str
    deletions: str
    max_delete: MaxDelete
    trash_keep: float | None
    trash_size: int | None
    deletion_memory: float
    refresh: float | None
    settle: float
    lock_timeout: float | None
    index: int
    relay_format: str
    compression: str
    maxpagesize: int
    disk_quota: int | None
    checksum: str | None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration: `sections` keep folders in step, `backups` save versions.

    `keep_alive` is None for the usual waits; `log_file` is a path or journal, stderr, none; `control_socket` is a path
    or off; None is the default of both.
    """

    path: Path
    sections: tuple[Section, ...]
    backups: tuple[BackupSection, ...]
    keep_alive: float | None
    log_file: Path | str | None
    log_level: str
    log_rotate: int
    log_size: int
    log_format: str
    state_dir: Path
    control_socket: Path | str | None
    include_conf: str | None
    effective: tuple[Effective, ...] = field(repr=False)

    def origin(self, key: str) -> Origin:
        """Where the value of a key of the program comes from; KeyError for a key of sections."""
        return _origin(self.effective, key)

    @property
    def verbosity(self) -> int:
        """How much is said on the screen: what the most talkative section wants."""
        return max(section.verbosity for section in self.everything)

    @property
    def everything(self) -> tuple[Common, ...]:
        """All sections, of both kinds."""
        return (*self.sections, *self.backups)


def _origin(effective: tuple[Effective, ...], key: str) -> Origin:
    for one in effective:
        if one.name == key:
            return one.origin
    raise KeyError(key)
