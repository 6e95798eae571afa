"""Saving that ends in the middle, of real processes: killed, cut off, the server killed under them.

Whatever was saved before comes back; no version is listed that lacks anything; and the next run saves.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..cli.commands import TIMEOUT_S
from ..cli.test_backups import Saver
from ..contracts.test_contract_remote import on_servers
from ..servers import Proxy, Relay, Server
from .conftest import Restic
from .portraits import Portrait, differences, portrait

FILES = 12
FILE_BYTES = 1 << 20
MOMENTS = 4
CTL = "escale.cli.escalectl"


def behind(relay: Relay, port: int) -> Relay:
    """The same relay by another way."""
    options = {name: value.replace(f":{relay.port}", f":{port}") for name, value in relay.options.items()}
    return replace(relay, port=port, url=relay.url.replace(f":{relay.port}", f":{port}"), options=options)


def settings_of(relay: Relay) -> dict[str, str]:
    """What a section says of a relay, besides its address."""
    known = {"user": relay.user, "keyfile": relay.key_file, "host key": relay.host_key, "ca file": relay.ca_file}
    settings = {setting: str(value) for setting, value in known.items() if value}
    settings |= {f"option {option}": value for option, value in relay.options.items()}
    return settings | ({"password": f"literal: {relay.password}"} if relay.password else {})


class Survivor(Saver):
    """Saves again and again, and remembers what every version has to be like."""

    def __init__(self, place: Path, relay: Relay | None = None, more: str = "") -> None:
        said = "".join(f"{one} = {value}\n" for one, value in settings_of(relay).items()) if relay else ""
        super().__init__(place, store=relay.url if relay else "", more=said + more)
        (self.home / "a/b/x.tmp").unlink()
        self._rng = random.Random(7)
        self.wanted: dict[str, Portrait] = {}

    def edit(self) -> None:
        """Most of what there is becomes another, so that a run takes its time."""
        for number in range(FILES):
            (self.home / f"file {number}").write_bytes(self._rng.randbytes(FILE_BYTES))

    def saved(self) -> float:
        """One undisturbed run; how long it took."""
        begun = time.monotonic()
        done = self.backup("create")
        assert done.returncode == 0, done.stdout_text + done.stderr_text
        took = time.monotonic() - begun
        (new,) = set(self.versions()) - self.wanted.keys()
        self.wanted[new] = portrait(self.home)
        return took

    def take_in(self) -> None:
        """A run that was broken off may have been ready but for its last words."""
        for version in set(self.versions()) - self.wanted.keys():
            self.wanted[version] = portrait(self.home)

    def is_killed(self, after_s: float) -> bool:
        """Whether a run was at work when it was killed."""
        process = self.start("backup", "create", "-c", str(self.conf), module=CTL)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        return process.returncode < 0

    def all_is_well(self) -> None:
        """Each version that was ever there comes back, and nothing that is there is damaged."""
        checked = self.backup("check", "--read-data")
        assert checked.returncode == 0, checked.stdout_text + checked.stderr_text
        assert self.wanted.keys() == set(self.versions())
        for number, (version, features) in enumerate(self.wanted.items()):
            target = self.place / f"back {number} {len(os.listdir(self.place))}"
            done = self.restore("get", ".", "--at", version, "--to", str(target))
            assert done.returncode == 0, done.stdout_text + done.stderr_text
            assert differences(features, portrait(target)) == []


def test_a_run_that_is_killed_at_any_moment(tmp_path: Path, restic: Restic) -> None:
    survivor, killed = Survivor(tmp_path), 0
    survivor.saved()
    survivor.edit()
    took = survivor.saved()
    for moment in range(MOMENTS):
        survivor.edit()
        killed += survivor.is_killed(took * (moment + 0.5) / MOMENTS)
        survivor.take_in()
        restic.run(survivor.store, "check", "--read-data", "--no-lock")
    assert killed > MOMENTS / 2
    survivor.saved()
    survivor.all_is_well()


@on_servers("sshd", "rclone_s3", "lighttpd")
def test_a_connection_that_is_cut_in_the_middle(
    server: Callable[[str], Server], server_name: str, proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    """It is tried again, and saves; or says in a sentence that it did not."""
    relay = server(server_name).relay()
    way = proxy(relay.port)
    survivor = Survivor(tmp_path, behind(relay, way.port))
    survivor.saved()
    for share in (0.2, 0.8):
        survivor.edit()
        way.cut_after(round(share * FILES * FILE_BYTES))
        before = len(survivor.wanted)
        done = survivor.backup("create")
        survivor.take_in()
        assert done.returncode != 0 or len(survivor.wanted) == before + 1
    survivor.saved()
    survivor.all_is_well()


@on_servers("sshd", "rclone_s3", "lighttpd")
def test_a_server_that_dies_in_the_middle_and_comes_back_later(
    own_server: Callable[[str], Server], server_name: str, proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    there = own_server(server_name)
    relay = there.relay()
    way = proxy(relay.port)
    survivor = Survivor(tmp_path, behind(relay, way.port), more="max retries = 1\n")
    survivor.saved()
    survivor.edit()
    way.traffic()
    process = survivor.start("backup", "create", "-c", str(survivor.conf), module=CTL)
    sent = 0
    while sent < FILES * FILE_BYTES * 0.4:
        assert process.poll() is None, process.communicate()
        sent += way.traffic().up
    # What serves a connection may outlive the server.
    way.refuse()
    there.kill()
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, 1) and "Traceback" not in said, said
    there.start()
    way.refuse(False)
    survivor.take_in()
    survivor.saved()
    survivor.all_is_well()
