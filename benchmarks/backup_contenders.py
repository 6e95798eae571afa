"""Who saves versions: our commands, every restic that RESTIC names, and borg.  Each with a repository on one relay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from tests.servers import Relay

from .contenders import REPOSITORY, way_to
from .meter import Command

PASSWORD = "benchmark"
SECTION = "versions"


class Contender(ABC):
    """One program that saves `source`; `place` is an empty directory for what it keeps on this machine."""

    schemes: ClassVar[frozenset[str]] = frozenset({"file", "sftp", "s3"})
    good: ClassVar[tuple[int, ...]] = (0, 3)
    """Exit codes: files that cannot be read are told, and are the same for all."""

    def __init__(self, name: str, place: Path, source: Path, relay: Relay, environment: dict[str, str]) -> None:
        self.name = name
        self.source = source
        self.relay = relay
        self.place = place
        self.cache = place / "cache"
        """A machine without it is a new one: nothing but the password and the address is known there."""
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(place), **environment}

    @abstractmethod
    def prepare(self) -> Command:
        """Make the repository."""

    @abstractmethod
    def save(self) -> Command:
        """One more version."""

    @abstractmethod
    def restore(self, target: Path, path: Path) -> Command:
        """A file or a folder of the newest version, into an empty directory, below which it has its whole path."""

    @abstractmethod
    def check(self) -> Command:
        """Is everything there that the versions need?  Without reading the contents."""

    @abstractmethod
    def prune(self) -> list[Command]:
        """All versions but the newest go, and what only they need."""

    def forget_cache(self) -> None:
        """Be a new machine."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def stored(self) -> int:
        """Bytes in the repository."""
        assert self.relay.path is not None
        return sum(file.stat().st_size for file in self.relay.path.rglob("*") if file.is_file())

    def command(self, *arguments: str, at: Path | None = None) -> Command:
        """With the environment of this contender."""
        return Command(arguments, at or self.place, self._environment, self.good)


class Escale(Contender):
    """The commands of this source tree."""

    def __init__(self, name: str, place: Path, source: Path, relay: Relay) -> None:
        super().__init__(
            name, place, source, relay, {"PYTHONPATH": str(REPOSITORY), "STATE_DIRECTORY": str(place / "state")}
        )
        self.cache = place / "state" / "catalogs"

    def prepare(self) -> Command:
        self._write_conf()
        return self._run("escalectl", "backup", "init", SECTION)

    def save(self) -> Command:
        return self._run("escalectl", "backup", "create", SECTION)

    def restore(self, target: Path, path: Path) -> Command:
        # What comes back has its path below the folder that was saved.
        return self._run("restore", "get", str(path), "--to", str(target / self.source.relative_to("/")))

    def check(self) -> Command:
        return self._run("escalectl", "backup", "check", SECTION)

    def prune(self) -> list[Command]:
        """The first of two steps: what goes is marked, or stored anew where others have a part of it; three days later
        it is deleted."""
        return [self._run("escalectl", "backup", "prune", SECTION, "--yes")]

    def _run(self, module: str, *arguments: str) -> Command:
        start = f"from escale.cli.{module} import main; raise SystemExit(main())"
        return self.command(sys.executable, "-c", start, "-c", str(self.place / "conf"), *arguments)

    def _write_conf(self) -> None:
        key, conf = self.place / "key", self.place / "conf"
        ways = way_to(self.relay)
        lines = {
            "role": "backup",
            "path": self.source,
            "store": ways.pop("address"),
            "passphrase": f"file: {key}",
            "schedule": "no",
            "keep": "1 last",
            "prune": "no",
            **ways,
        }
        for file, text in (
            (key, PASSWORD),
            (conf, "".join([f"[{SECTION}]\n", *(f"{name} = {value}\n" for name, value in lines.items())])),
        ):
            file.touch(mode=0o600)
            file.write_text(text)


class Restic(Contender):
    """As it comes."""

    def __init__(self, name: str, place: Path, source: Path, relay: Relay, program: str) -> None:
        keys = {"AWS_ACCESS_KEY_ID": relay.user, "AWS_SECRET_ACCESS_KEY": relay.password}
        own = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(place / "cache")}
        super().__init__(name, place, source, relay, {**keys, **own})
        self._program = program

    def prepare(self) -> Command:
        return self._run("init")

    def save(self) -> Command:
        return self._run("backup", str(self.source))

    def restore(self, target: Path, path: Path) -> Command:
        return self._run("restore", "latest", "--target", str(target), "--include", str(path))

    def check(self) -> Command:
        return self._run("check")

    def prune(self) -> list[Command]:
        return [self._run("forget", "--keep-last", "1", "--prune")]

    def _run(self, *arguments: str) -> Command:
        return self.command(self._program, "--quiet", *self._where(), *arguments)

    def _where(self) -> list[str]:
        relay = self.relay
        if relay.key_file is not None:
            # "sftp.args" would be shorter; restic 0.14 does not know it.
            line = " ".join([*ssh(relay), f"{relay.user}@{relay.host}", "-s", "sftp"])
            return ["-o", f"sftp.command={line}", "-r", f"sftp:{relay.user}@{relay.host}:{relay.directory}"]
        if "endpoint_url" in relay.options:
            return ["-r", f"s3:{relay.options['endpoint_url']}/{relay.directory}"]
        return ["-r", relay.directory]


class Borg(Contender):
    """With the compression that the others have.  Over ssh another borg is at the other end; S3 it does not know."""

    schemes = frozenset({"file", "sftp"})
    good = (0, 1)

    def __init__(self, name: str, place: Path, source: Path, relay: Relay, program: str) -> None:
        # The borg at the other end must not write into the account's home.
        far = f"env BORG_BASE_DIR={place / 'far'} {program}"
        own = {"BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": str(place / "cache"), "BORG_REMOTE_PATH": far}
        # A new machine has not seen the repository before, nor where it was.
        own |= {"BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        super().__init__(
            name, place, source, relay, {**own, "BORG_RSH": " ".join(ssh(relay))} if relay.key_file else own
        )
        self._program = program
        is_far = relay.key_file is not None
        self._where = f"ssh://{relay.user}@{relay.host}:{relay.port}{relay.directory}" if is_far else relay.directory
        self._count = 0

    def prepare(self) -> Command:
        return self.command(self._program, "init", "--encryption", "repokey", self._where)

    def save(self) -> Command:
        self._count += 1
        return self.command(self._program, "create", "--compression", "zstd,3", self._newest(), str(self.source))

    def restore(self, target: Path, path: Path) -> Command:
        return self.command(self._program, "extract", self._newest(), str(path.relative_to("/")), at=target)

    def check(self) -> Command:
        return self.command(self._program, "check", self._where)

    def prune(self) -> list[Command]:
        prune = self.command(self._program, "prune", "--keep-last", "1", self._where)
        return [prune, self.command(self._program, "compact", self._where)]

    def _newest(self) -> str:
        return f"{self._where}::{self._count}"


def ssh(relay: Relay) -> list[str]:
    """The command line of OpenSSH, but for the name of the host."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR"]
    way = ["ssh", "-F", "none", "-i", str(relay.key_file), "-p", str(relay.port)]
    return [*way, *(word for option in options for word in ("-o", option))]


Make = Callable[[Path, Path, Relay], Contender]


def contenders() -> Iterator[tuple[str, type[Contender], Make]]:
    """Name, class, and how to make one: ours, and every restic and borg there is."""
    yield "escale", Escale, partial(Escale, "escale")
    programs = [each for each in os.environ.get("RESTIC", shutil.which("restic") or "").split(":") if each]
    if not programs:
        print("NOT MEASURED: restic is neither on PATH nor named by RESTIC", file=sys.stderr)
    for program in programs:
        name = f"restic-{_version(program, 'version')}"
        yield name, Restic, partial(Restic, name, program=program)
    if borg := shutil.which("borg"):
        name = f"borg-{_version(borg, '--version')}"
        yield name, Borg, partial(Borg, name, program=borg)


def _version(program: str, question: str) -> str:
    return subprocess.run([program, question], capture_output=True, text=True, check=True).stdout.split()[1]
