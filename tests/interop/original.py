"""The original program, version 0.7.11 of the package index, in an environment of its own.

It was written for Python 2.7 and 3.5; a line in a .pth file gives it back the two names of the standard library that
are gone since.  It needs requests, cryptography and pyOpenSSL without saying so.  Its first run asks whether the
licence is accepted (`-y`), its state lies below HOME, and unless `cache dir` is set it keeps its cache in the folder
it synchronises.  The host of a relay must begin with a letter, `protocol = webdav` would mean https, and a refresh of 1
would mean "yes", which is 30 seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..servers import Relay
from .client import Client, until

PACKAGES = ("escale==0.7.11", "requests", "cryptography", "pyOpenSSL")
INSTALL_S_MAX = 240

SHIM = (
    "import collections, collections.abc, sys, xml.etree.ElementTree;"
    " collections.MutableMapping = collections.abc.MutableMapping;"
    " sys.modules['xml.etree.cElementTree'] = xml.etree.ElementTree\n"
)


class NotInstalled(Exception):
    """The original cannot be had here, and why."""


def installed() -> Path:
    """The interpreter of an environment with the original; made once per machine and Python version."""
    version = ".".join(map(str, sys.version_info[:3]))
    home = Path(tempfile.gettempdir()) / f"escale-original-0.7.11-{os.getuid()}-{version}"
    if not home.exists():
        fresh = Path(tempfile.mkdtemp(prefix=f"{home.name}-"))
        _install(fresh)
        with suppress(OSError):  # another test process was faster; its environment is as good as ours
            fresh.rename(home)
    return home / "bin" / "python"


def _install(home: Path) -> None:
    python = str(home / "bin" / "python")
    _run(home, sys.executable, "-m", "venv", str(home))
    _run(home, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "original_shim.pth").write_text(SHIM)
    _run(home, python, "-c", "import escale.relay.webdav.webdav, escale.encryption.fernet")


def _run(directory: Path, *command: str) -> None:
    try:
        subprocess.run(
            command, check=True, cwd=directory, timeout=INSTALL_S_MAX, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except subprocess.CalledProcessError as error:
        raise NotInstalled(error.output.decode(errors="replace")[-1000:]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error


class Original(Client):
    """One client of the original program, run by the interpreter that `installed` gave."""

    interrupt = signal.SIGINT
    stop_s_max = 3.0  # some of its loops swallow the interrupt

    def __init__(self, python: Path, place: Path, name: str, relay: Relay, index: str, key: Path | None = None) -> None:
        super().__init__(place, name, relay, index, key)
        self._python = python

    def keys(self, mode: str) -> dict[str, object]:
        encryption: dict[str, object] = {"encryption": "fernet", "passphrase": self.key} if self.key else {}
        return {
            "local path": self.folder,
            "host address": f"http://localhost:{self.relay.port}",
            "relay dir": self.relay.directory,
            "user": self.relay.user,
            "password": self.relay.password,
            "client name": self.name,
            "mode": mode,
            "index": self.index,
            "refresh": 0.9,
            "cache dir": self.home,
            **encryption,
        }

    def command(self, configuration: Path) -> list[str]:
        return [str(self._python), "-m", "escale", "-y", "-c", str(configuration)]

    def run_until(self, mode: str, condition: Callable[[], bool]) -> None:
        self.start(mode)
        until(condition, self)
        self.stop()

    def stop(self) -> None:
        """End the process.

        While idle it locks a page for a moment in each round.  If it is interrupted just then, its lock is taken away,
        as its own next start would do; a lock for writing stays, because a push was under way.
        """
        super().stop()
        assert self.relay.path is not None
        for lock in self.relay.path.glob(".*.lock"):
            if lock.read_text() == f"lock%1.0\nowner: {self.name}\nmode: r":
                lock.unlink()
