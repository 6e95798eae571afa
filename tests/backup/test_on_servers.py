"""A repository on real servers: packs sent and fetched over several connections, and read by restic from the disk."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from escale.backup.fetch import Fetch
from escale.backup.machine import Machine
from escale.backup.repository import Repository
from escale.backup.restore import Restore
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.store.blob import BlobStore
from escale.store.remote import Address, open_store
from escale.testing.clock import SimClock

from ..contracts.test_contract_remote import on_servers
from ..servers import Relay, Server
from .conftest import PASSWORD, Restic

CONNECTIONS = 4
MACHINE = Machine("anvil", "alice", 1000, 1000, 1)


def opener(relay: Relay) -> Callable[[], BlobStore]:
    address = Address.parse(
        relay.url,
        user=relay.user,
        password=relay.password,
        key_file=relay.key_file,
        host_key=relay.host_key,
        ca_file=relay.ca_file,
        proxy="none",
        options=dict(relay.options),
    )
    return lambda: open_store(address)


def lay_out(folder: Path) -> None:
    """Small files in directories, and 60 MB that nobody can compress: several packs."""
    rng = random.Random(11)
    for number in range(300):
        path = folder / f"{number % 20}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(3000)))
    for number in range(3):
        (folder / f"large {number}").write_bytes(rng.randbytes(20_000_000))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def save(relay: Relay, folder: Path) -> Repository:
    open_relay = opener(relay)
    with open_relay() as store:
        # Some servers remember directories, so one that was made behind their backs is not there yet.
        if hasattr(store, "make_relay"):
            store.make_relay()
    clock = SimClock(4_000_000_000.0)
    Repository.init(open_relay, PASSWORD, None, MACHINE, clock.now()).close()
    repository = Repository.open(open_relay, PASSWORD, None)
    assert repository.refresh() == []
    with Writer(repository, 2, CONNECTIONS) as writer:
        saved = Save(repository, writer, clock, MACHINE).run([str(folder)])
    assert not saved.unreadable
    repository.close()
    return Repository.open(open_relay, PASSWORD, None)


@on_servers("sshd", "sshd_plain", "vsftpd", "pyftpd_tls", "lighttpd", "apache", "moto_locked", "rclone_s3")
def test_what_was_saved_is_restored(server: Callable[[str], Server], server_name: str, tmp_path: Path) -> None:
    folder, target = tmp_path / "folder", tmp_path / "target"
    lay_out(folder)
    target.mkdir()
    repository = save(server(server_name).relay(), folder)
    try:
        assert repository.refresh() == []
        (snapshot,) = repository.snapshots()
        assert isinstance(snapshot, Snapshot)
        with Fetch(repository, CONNECTIONS) as fetch:
            versions = Versions(repository)
            done = Restore(repository, target, fetch).run(versions.walk(snapshot.tree))
        assert not versions.damaged
        assert not done.missing
        assert contents(target / str(folder).lstrip("/")) == contents(folder)
    finally:
        repository.close()


@on_servers("sshd", "vsftpd", "lighttpd")
def test_restic_reads_what_was_saved(
    server: Callable[[str], Server], server_name: str, tmp_path: Path, restic: Restic
) -> None:
    folder = tmp_path / "folder"
    lay_out(folder)
    relay = server(server_name).relay()
    save(relay, folder).close()
    assert relay.path is not None
    restic.run(relay.path, "check", "--read-data", "--no-lock")
