"""A folder with a ledger in a temporary directory, a clock to set, and short ways to write files."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from escale.digest import digest_of
from escale.files.folder import Folder, Installed
from escale.files.ledger import Ledger
from escale.files.rules import Rules
from escale.files.tree import Entry, path_bytes

OLD_NS = 1_600_000_000_000_000_000
"""A modification time that no rule about recent changes applies to."""


class SetClock:
    """A clock that stands `ahead_s` before the machine's, which stamps the files; sleeping only moves it."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s

    def now(self) -> float:
        return time.time() + self.ahead_s

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def sleep(self, seconds: float) -> None:
        self.ahead_s += seconds


class Home:
    """One folder under test with everything that belongs to it."""

    def __init__(self, directory: Path, rules: Rules, settle_s: float, ledger: Path | None = None) -> None:
        self.root = directory / "folder"
        self.root.mkdir()
        self.clock = SetClock(60)
        self.ledger = Ledger(ledger or directory / "state" / "ledger.db")
        self.folder = Folder(self.root, rules, self.ledger, self.clock, "sha512", settle_s)

    def full(self, path: str) -> bytes:
        return os.fsencode(self.root) + b"/" + path_bytes(path)

    def write(self, path: str, content: bytes = b"content", mtime_ns: int | None = OLD_NS) -> None:
        full = self.full(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content)
        if mtime_ns is not None:
            os.utime(full, ns=(mtime_ns, mtime_ns))

    def read(self, path: str) -> bytes:
        with open(self.full(path), "rb") as file:
            return file.read()

    def names(self) -> set[str]:
        """All files by path, whatever a scan makes of them, without our own directory."""
        found = set()
        for directory, _, names in os.walk(self.root):
            relative = os.path.relpath(directory, self.root)
            found |= {os.path.normpath(os.path.join(relative, name)) for name in names}
        return {name for name in found if not name.startswith(".escale/")}

    def hashed(self) -> dict[str, Entry]:
        """A scan completed with the digests it lacks, as the program does it."""
        entries = self.folder.scan().entries
        unread = [path for path, entry in entries.items() if entry.is_file and entry.digest is None]
        fresh, troubles = self.folder.hash(unread)
        assert not troubles
        return {**entries, **fresh}

    def files(self) -> dict[str, Entry]:
        """Those of a scan that are files."""
        return {path: entry for path, entry in self.folder.scan().entries.items() if entry.is_file}

    def reasons(self) -> dict[str, str]:
        return {trouble.path: trouble.reason for trouble in self.folder.scan().problems}

    def receive(
        self, content: dict[str, bytes], expected: dict[str, Entry | None], aside: dict[str, str] | None = None
    ) -> dict[str, Installed]:
        """Stage and install these files."""
        with self.folder.staging() as staging:
            staged = [staging.add(arriving(path, data), io.BytesIO(data)) for path, data in content.items()]
            results = self.folder.install(staged, {path: expected.get(path) for path in content}, aside)
        return {result.entry.path: result for result in results}


def arriving(path: str, content: bytes, mtime_ns: int = OLD_NS + 5, mode: int = 0o640) -> Entry:
    """The entry of a file that comes from the relay."""
    return Entry(path, len(content), mtime_ns, mode, digest_of([content]))


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that every user can reach; those pytest makes are closed to others."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o777)
        yield Path(made)


def run_unprivileged(script: str, *arguments: str) -> str:
    """What the Python script prints when it runs as nobody; root, as whom tests often run, may read and write all."""
    prologue = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tests.files.conftest import Folder, Home, Ledger, Rules, SetClock\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([])\n"
        "    os.setgid(65534)\n"
        "    os.setuid(65534)\n"
    )
    command = [sys.executable, "-c", prologue + script, *arguments]
    top = Path(__file__).parents[2]
    return subprocess.run(command, cwd=top, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path, Rules(), 0.0)
    yield made
    made.ledger.close()
