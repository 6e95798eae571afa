"""Clients around one relay, made of production parts: real folders and ledgers, a store of the test's choice."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from escale.app.connection import Connection, Parts
from escale.app.link import Link
from escale.app.syncing import SyncLoop
from escale.clock import Clock
from escale.events import Event
from escale.files.folder import Folder
from escale.files.ledger import Ledger
from escale.files.rules import Rules
from escale.files.trash import Item
from escale.relay.client import Settings
from escale.relay.plan import Mode
from escale.seal import NoSeal, Seal
from escale.store.blob import BlobStore
from escale.store.memory import MemoryStore
from escale.store.wrapped import Traffic
from escale.testing.clock import SimClock

SETTINGS = Settings(
    mode=Mode.SHARED,
    size_max=200 << 20,
    count=None,
    compression="zstd",
    workers=2,
    lock_timeout_s=900.0,
    algorithm="sha512",
)


@dataclass
class Machine:
    """One client: its folder, and the loop that is rebuilt at every restart."""

    world: World
    name: str
    settings: Settings
    events: list[Event] = field(default_factory=list)
    loop: SyncLoop | None = None
    quota: int | None = None
    rules: Rules = field(default_factory=lambda: Rules(hidden=True))
    wrap: Callable[[BlobStore], BlobStore] = lambda store: store

    @property
    def folder(self) -> Path:
        return self.world.directory / self.name

    @property
    def clock(self) -> Clock:
        return self.world.clock

    def connect(self, rng: random.Random) -> Connection:
        """What a new process of this machine begins with."""
        return Connection(self.world.parts(self), self.clock, rng)

    def start(self) -> SyncLoop:
        """The loop; a new process if there was none."""
        if self.loop is None:
            rng = random.Random(f"{self.world.seed}/{self.name}/{self.world.starts}")
            self.world.starts += 1
            self.loop = SyncLoop(self.name, self.connect(rng), 30.0, self.quota, self.clock, self.events.append)
        return self.loop

    def sync(self):
        """One pass."""
        return self.start().run_once()

    def stop(self) -> None:
        """The process ends, cleanly or not: nothing in memory survives."""
        if self.loop is not None:
            self.loop.close()
            self.loop = None

    def write(self, path: str, content: bytes | str) -> None:
        target = self.folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def tree(self) -> dict[str, tuple[str, bytes, int]]:
        """Everything that travels: what it is, what it holds, its permissions; by path."""
        found = {}
        for directory, names, files in os.walk(self.folder):
            for name in (*names, *files):
                path = Path(directory, name)
                relative = str(path.relative_to(self.folder))
                if relative.split("/")[0] != ".escale":
                    found[relative] = _node(path)
        return found

    def trash(self) -> list[Item]:
        """What lies in the trash."""
        ledger = Ledger(self.world.directory / f"{self.name}.ledger")
        try:
            return list(Folder(self.folder, self.rules, ledger, self.clock).trash.items())
        finally:
            ledger.close()

    def files(self) -> dict[str, bytes]:
        """Every synchronised file and its content."""
        found = {}
        for directory, _, names in os.walk(self.folder):
            for name in names:
                path = Path(directory, name)
                relative = path.relative_to(self.folder)
                if relative.parts[0] != ".escale":
                    found[str(relative)] = path.read_bytes()
        return found


class World:
    """Several machines and one relay.  `open_store` gives each client its own view of the relay."""

    machine_class: type[Machine] = Machine

    def __init__(
        self,
        directory: Path,
        open_store: Callable[[], BlobStore] | None = None,
        *,
        clock: Clock | None = None,
        form: str = "1",
        levels: int = 0,
        seal: Seal | None = None,
        fingerprint: str = "",
        exclusive: bool = True,
        patience_s: float = 5.0,
        seed: int = 1,
    ) -> None:
        self.directory = directory
        self.clock = clock or SimClock()
        self.seed = seed
        self.starts = 0
        self.form = form
        self.levels = levels
        self.seal = seal or NoSeal()
        self.fingerprint = fingerprint
        self.exclusive = exclusive
        self.patience_s = patience_s
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self._open_store = open_store or (lambda: MemoryStore(self.clock.now, self.blobs))
        self.machines: list[Machine] = []

    def machine(self, name: str, *, quota: int | None = None, **changes: object) -> Machine:
        made = self.machine_class(self, name, replace(SETTINGS, **changes), quota=quota)
        made.folder.mkdir(parents=True, exist_ok=True)
        self.machines.append(made)
        return made

    def parts(self, machine: Machine) -> Parts:
        return Parts(
            section=machine.name,
            client=machine.name,
            root=machine.folder,
            rules=machine.rules,
            settle_s=0.0,
            ledger=self.directory / f"{machine.name}.ledger",
            format=self.form,
            levels=self.levels,
            algorithm="sha512",
            fingerprint=self.fingerprint,
            seal=self.seal,
            settings=machine.settings,
            patience_s=self.patience_s,
            open_store=lambda owner, look_only: machine.wrap(self._open_store()),
            certify=lambda owner: self.exclusive,
            link=Link(Traffic(), machine.clock, cores=1, is_local=True),
        )

    def settle(self, rounds: int = 8) -> None:
        """All machines in turn until a whole round changes nothing."""
        for _ in range(rounds):
            moved = 0
            for machine in self.machines:
                result = machine.sync()
                moved += result.up_files + result.down_files + result.waiting
                self.clock.sleep(1)
            if not moved:
                return
        raise AssertionError(f"still moving after {rounds} rounds")

    def relay_names(self) -> list[str]:
        with self._open_store() as store:
            return [blob.name for blob in store.list()]

    def holds_only_indices(self) -> bool:
        """No update, no lock, one generation of each index."""
        return not [name for name in self.relay_names() if any(word in name for word in (".data", ".update", ".lock"))]

    def close(self) -> None:
        for machine in self.machines:
            machine.stop()


def _node(path: Path) -> tuple[str, bytes, int]:
    if path.is_symlink():
        return "link", os.fsencode(os.readlink(path)), 0o777
    mode = stat.S_IMODE(path.stat().st_mode)
    return ("directory", b"", mode) if path.is_dir() else ("file", path.read_bytes(), mode)
