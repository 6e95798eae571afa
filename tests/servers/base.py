"""A real server as a child process: free loopback port, directory of its own, stopped for certain."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

START_S_MAX = 30.0
STOP_S_MAX = 5.0
PORTS = (15_000, 32_000)
ATTEMPTS = 3
"""A port that was free a moment ago may be taken by another test process: then the next one is tried."""

UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Relay:
    """One fresh, empty directory (or bucket and prefix) on a server, and all that a client needs to reach it.

    `path` is where its blobs lie on this machine's disk, where that exists.  `options` are driver options, as the
    configuration file has them.
    """

    url: str
    host: str
    port: int
    directory: str
    user: str = ""
    password: str = ""
    key_file: Path | None = None
    host_key: str = ""
    ca_file: Path | None = None
    options: dict[str, str] = field(default_factory=dict)
    path: Path | None = None


class Server(ABC):
    """One server program.  `start` returns when it answers; `stop` returns when all its processes are gone."""

    name: ClassVar[str]
    programs: ClassVar[Sequence[str]] = ()
    modules: ClassVar[Sequence[str]] = ()
    install: ClassVar[str] = ""
    unprivileged: ClassVar[bool] = False
    """Whether it gives up root when the tests run as root, so that permissions mean something."""

    scheme: ClassVar[str] = "http"
    user: str = "escale"
    password: str = "right-password"

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"escale-{self.name}-"))
        self.root = self.directory / "root"
        self.root.mkdir()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.prepare()

    @classmethod
    def missing(cls) -> str:
        """What has to be installed before it can run; empty if nothing."""
        lacking = [program for program in cls.programs if find_program(program) is None]
        lacking += [module for module in cls.modules if find_spec(module) is None]
        return f"{', '.join(lacking)} not found; {cls.install}" if lacking else ""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Make keys, certificates, password files: once, before the first start."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Write the configuration for the present port and return the command line."""

    def start(self) -> Self:
        has_port = self.port != 0
        for attempt in range(1, ATTEMPTS + 1):
            self.port = self.port if has_port else free_port()
            self._launch()
            try:
                self._wait_until_it_listens()
                return self
            except RuntimeError:
                self.kill()
                if attempt == ATTEMPTS:
                    self.stop()
                    raise
        raise AssertionError("unreachable")

    def kill(self) -> None:
        """End all processes at once, as a power cut would; the data stay."""
        if self.process is not None:
            _end_group(self.process, signal.SIGKILL)
            self.process = None
            self._wait_until_the_port_is_free()

    def restart(self) -> None:
        """Stop it and start it again, on the same port with the same data."""
        self.halt()
        self.start()

    def halt(self) -> None:
        """End all processes; the data stay and `start` brings it back on the same port."""
        if self.process is not None:
            _end_group(self.process, signal.SIGTERM)
            self.process = None
            self._wait_until_the_port_is_free()

    def stop(self) -> None:
        """End all processes and remove the data."""
        self.halt()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The root of what it serves."""
        return self._url("")

    def relay(self) -> Relay:
        """A fresh, empty place on this server."""
        path = self.root / f"relay-{uuid.uuid4().hex[:12]}"
        path.mkdir()
        self.hand_over(path)
        return self.relay_at(path.name)

    def relay_at(self, name: str) -> Relay:
        """The place of that name, whether or not it exists."""
        return Relay(self._url(name), self.host, self.port, name, self.user, self.password, path=self.root / name)

    def log(self) -> str:
        """What the program has said."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def hand_over(self, path: Path) -> None:
        """Give `path` and all below to the account the server runs under."""
        if self.unprivileged and os.getuid() == 0:
            account = pwd.getpwnam(UNPRIVILEGED)
            for each in [path, *path.rglob("*")]:
                os.chown(each, account.pw_uid, account.pw_gid)

    @property
    def account(self) -> str:
        """The name of the account the server runs under."""
        return UNPRIVILEGED if self.unprivileged and os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name

    def _url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/{path}"

    def _launch(self) -> None:
        command = [str(word) for word in self.command()]
        self.hand_over(self.directory)
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self._wrapper(), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, "HOME": str(self.directory)},
                start_new_session=True,
            )

    def _wrapper(self) -> list[str]:
        """Dies with the tests, even if they are killed (setpriv is part of util-linux); gives up root where wished."""
        setpriv = shutil.which("setpriv")
        drop = self.unprivileged and os.getuid() == 0
        if setpriv is None:
            if drop:
                raise RuntimeError("setpriv (util-linux) is needed to run this server as root")
            return []
        account = pwd.getpwnam(self.account)
        become = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if drop else []
        return [setpriv, *become, "--pdeathsig=TERM", "--"]

    def _wait_until_the_port_is_free(self) -> None:
        """Processes that were killed hold it for a moment yet: the next one would find it taken, and end, while we
        take the old one's last breath for its first."""
        end = time.monotonic() + STOP_S_MAX
        while time.monotonic() < end:
            with socket.socket() as probe, suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.host, self.port))
                return
            time.sleep(0.02)

    def _wait_until_it_listens(self) -> None:
        assert self.process is not None
        end = time.monotonic() + START_S_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-2000:]}")
            try:
                socket.create_connection((self.host, self.port), 0.5).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen on {self.port}:\n{self.log()[-2000:]}")


def free_port() -> int:
    """A loopback port nobody uses at the moment, from below those that outgoing connections are given.

    So it is still free when a server is restarted on it.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def find_program(program: str) -> str | None:
    """The path of a program: beside this interpreter, on PATH, or where Debian keeps daemons."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"]
    return shutil.which(program, path=os.pathsep.join(places))


def program_path(program: str) -> str:
    """Like `find_program`, for programs that `missing` has looked for."""
    path = find_program(program)
    assert path is not None, program
    return path


def _end_group(process: subprocess.Popen[bytes], first: signal.Signals) -> None:
    for number in (first, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
