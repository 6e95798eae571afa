"""What is done to versions after they were saved, on real servers: forgetting, pruning, checking, healing, mending."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from escale.backup.check import Check, Checked
from escale.backup.fetch import Fetch
from escale.backup.forget import forget, plan_forget
from escale.backup.objects import Kind
from escale.backup.prune import Prune
from escale.backup.repair import Repair
from escale.backup.repository import Repository
from escale.backup.restore import Restore
from escale.backup.retention import Keep
from escale.backup.save import Save, Saved
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.testing.clock import SimClock

from ..contracts.test_contract_remote import on_servers
from ..servers import Relay, Server
from .conftest import PASSWORD, Restic
from .portraits import differences, portrait
from .test_on_servers import CONNECTIONS, MACHINE, opener

CLOCK = SystemClock()
SERVERS = ("sshd", "sshd_plain", "vsftpd", "pyftpd_tls", "lighttpd", "apache", "moto_locked", "rclone_s3")


class Owner:
    """Of a repository on a server, with a catalog that is kept."""

    def __init__(self, relay: Relay, folder: Path, cache: Path) -> None:
        self._open_relay = opener(relay)
        with self._open_relay() as store:
            # Some servers remember directories, so one that was made behind their backs is not there yet.
            if hasattr(store, "make_relay"):
                store.make_relay()
        self._folder, self._cache, self._clock = folder, cache, SimClock(4_000_000_000.0)
        Repository.init(self._open_relay, PASSWORD, None, MACHINE, self._clock.now()).close()
        self.repository = Repository.open(self._open_relay, PASSWORD, cache)

    def save(self, parent: Snapshot | None = None) -> Saved:
        self._clock.advance(3600)
        with Writer(self.repository, 2, CONNECTIONS) as writer:
            return Save(self.repository, writer, self._clock, MACHINE).run([str(self._folder)], parent=parent)

    def check(self) -> Checked:
        return Check(self.repository, connections=CONNECTIONS).run(1.0)

    def prune(self) -> set[str]:
        done = Prune(self.repository, MACHINE, self._clock, grace_s=0.0, connections=CONNECTIONS).run()
        assert not done.damage
        return {*done.deleted}

    def forget(self, keep: int) -> None:
        forget(self.repository, plan_forget(Versions(self.repository).all(), Keep(last=keep)), is_approved=True)

    def repair(self, checked: Checked) -> None:
        Repair(self.repository, MACHINE, self._clock).run(checked.salvage)

    def damage(self, kind: Kind, name: str, how: str) -> None:
        """As a server that loses or cuts what it has."""
        data = self.repository.objects.read(kind, name)
        self.repository.objects.delete(kind, name)
        if how == "cut":
            place = f"{kind.value}/{name[:2]}" if kind is Kind.PACK else kind.value
            self.repository.objects.store.within(place).write_bytes(name, data[:-1])

    def back(self, snapshot: Snapshot, target: Path) -> Path:
        """A version comes back to somebody who knows nothing but the password."""
        target.mkdir()
        repository = Repository.open(self._open_relay, PASSWORD, None)
        assert repository.refresh() == []
        versions = Versions(repository)
        with Fetch(repository, CONNECTIONS) as fetch:
            done = Restore(repository, target, fetch).run(versions.walk(snapshot.tree))
        repository.close()
        assert not (done.missing or versions.damaged)
        return target / str(self._folder).lstrip("/")


def lay_out(folder: Path) -> None:
    """Small files, and some that make several packs."""
    rng = random.Random(12)
    (folder / "below").mkdir(parents=True)
    for number in range(60):
        (folder / "below" / f"file {number}").write_bytes(rng.randbytes(rng.randrange(3000)))
    for number in range(2):
        (folder / f"large {number}").write_bytes(rng.randbytes(9_000_000))
    os.symlink("large 0", folder / "link")


@on_servers(*SERVERS)
def test_the_life_of_a_repository(
    server: Callable[[str], Server], server_name: str, tmp_path: Path, restic: Restic
) -> None:
    folder = tmp_path / "folder"
    lay_out(folder)
    relay = server(server_name).relay()
    owner = Owner(relay, folder, tmp_path / "cache")
    try:
        first = owner.save().snapshot
        (folder / "large 0").write_bytes(random.Random(13).randbytes(9_000_000))
        second = owner.save(first).snapshot
        before = {blob.name for blob in owner.repository.objects.list(Kind.PACK)}
        owner.forget(keep=1)
        # Some servers tell whole seconds: what is of this one may be somebody's who is at work.
        while not owner.prune():
            CLOCK.sleep(0.5)
        assert before - {blob.name for blob in owner.repository.objects.list(Kind.PACK)}
        assert owner.check().is_sound
        assert differences(portrait(folder), portrait(owner.back(second, tmp_path / "after pruning"))) == []
        _heals(owner, second, folder, tmp_path)
        if relay.path is not None:
            restic.run(relay.path, "check", "--read-data", "--no-lock")
    finally:
        owner.repository.close()


def _heals(owner: Owner, version: Snapshot, folder: Path, tmp_path: Path) -> None:
    """A pack that is gone, a pack and an index that are cut: told, and stored again by the next run."""
    objects = owner.repository.objects
    for number, (kind, how) in enumerate([(Kind.PACK, "gone"), (Kind.PACK, "cut"), (Kind.INDEX, "cut")]):
        name = sorted(blob.name for blob in objects.list(kind))[number % 2]
        owner.damage(kind, name, how)
        checked = owner.check()
        assert name[:12] in str(checked.damage)
        if number:
            owner.repair(checked)
        saved = owner.save(version)
        assert number or name[:12] in str(saved.damaged)
        target = tmp_path / f"healed {number}"
        assert differences(portrait(folder), portrait(owner.back(saved.snapshot, target))) == []
        # Of the older one the directories above the folder, whose times go on, may be lost.
        objects.delete(Kind.SNAPSHOT, version.id)
        version = saved.snapshot
    assert owner.check().is_sound


@on_servers("moto", "rclone_s3")
def test_restic_finds_in_a_bucket_what_was_saved_there(
    server: Callable[[str], Server],
    server_name: str,
    tmp_path: Path,
    restic: Restic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its own way to S3: the same names, at the same places."""
    folder = tmp_path / "folder"
    lay_out(folder)
    relay = server(server_name).relay()
    owner = Owner(relay, folder, tmp_path / "cache")
    version = owner.save().snapshot
    owner.repository.close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", relay.user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", relay.password)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"s3:http://{relay.host}:{relay.port}/{relay.directory}"
    assert "no errors" in restic.run(bucket, "check", "--read-data")
    restic.run(bucket, "restore", version.id, "--target", str(tmp_path / "back"))
    there = tmp_path / "back" / str(folder).lstrip("/")
    assert differences(portrait(folder), portrait(there)) == []
