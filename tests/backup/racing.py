"""Prune racing writers: `python -m tests.backup.racing --seeds 10000 --first 0 --jobs 2`.

Three machines save, one of them twice, a fourth forgets and prunes three times, and time passes in leaps that make
locks stale and marks old, everything at once, one operation on the store at a time, in an order that the seed decides.
In some schedules one of them dies, or falls asleep until all others are done, often just before it writes a version.
Afterwards, and again after more prunes, every version that was reported to be saved has every byte of every file.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

from escale.backup import cipher
from escale.backup.catalog import Catalog
from escale.backup.chunks import Chunker
from escale.backup.doomed import GRACE_S
from escale.backup.locks import locked
from escale.backup.machine import Machine
from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind
from escale.backup.proof import Proof
from escale.backup.prune import Prune, Pruned
from escale.backup.repository import Repository
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.errors import EscaleError
from escale.store.blob import BlobInfo
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices
from escale.testing.faults import Crash
from escale.testing.scheduler import Scheduler

from .places import Place

POOL = 6
"""Files there are; a folder holds some of them, so most of what is saved was there before, or was forgotten."""

FILE_BYTES = 900
LEAPS_S = (1.0, 1200.0, 2400.0, GRACE_S / 3, GRACE_S / 2 + 1, GRACE_S + 1)
LOOPS = (0.0, 0.5, 0.9, 0.97)
"""How likely it is that who moved last moves next: long stretches of one within one step of another are rare else."""


AT_VERSION = -10
"""Who is to sleep so soon sleeps before the next version is written."""


@cache
def folders() -> tempfile.TemporaryDirectory[str]:
    """Of every choice of files of the pool one; made at once, as what they lie in is part of every version, too, and
    where nobody else makes anything, so that a seed gives the same versions again."""
    root = tempfile.TemporaryDirectory(prefix="racing", dir="/var/tmp")
    for choice in range(1 << POOL):
        folder = Path(root.name, f"{choice}")
        folder.mkdir()
        for number in range(POOL):
            if choice >> number & 1:
                (folder / f"file {number}").write_bytes(random.Random(number).randbytes(FILE_BYTES))
    return root


def folder_of(files: tuple[int, ...]) -> Path:
    """The folder with these files."""
    return Path(folders().name, f"{sum(1 << number for number in files)}")


class Stickiness(Choices):
    """Draws who moves next, and likes who moved last."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._chance = rng
        self._odds = rng.choice(LOOPS)
        self._last = ""

    def choose(self, options: tuple[str, ...]) -> str:
        if self._last not in options or self._chance.random() >= self._odds:
            self._last = self._chance.choice(options)
        return self._last


class RacingStore(MemoryStore):
    """One act's view: each operation, of whichever of its threads, is a step."""

    step: Callable[[str, str], None]

    def get(self, name: str) -> BinaryIO:
        self.step("get", self._key(name))
        return super().get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        self.step("get", self._key(name))
        return super().get(name).read()[offset : offset + length]

    def put(self, name: str, source: BinaryIO) -> int:
        self.step("put", self._key(name))
        return super().put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        self.step("create", self._key(name))
        return super().create(name, data)

    def delete(self, name: str) -> None:
        self.step("delete", self._key(name))
        super().delete(name)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        self.step("list", self._directory + prefix)
        return iter([*super().list(prefix)])

    def info(self, name: str) -> BlobInfo | None:
        self.step("info", self._key(name))
        return next((blob for blob in super().list(name) if blob.name == name), None)

    def list_below(self) -> Iterator[BlobInfo]:
        self.step("list", self._directory)
        return iter([*super().list_below()])

    def within(self, directory: str) -> MemoryStore:
        store = RacingStore(self._now, self.blobs, f"{self._directory}{directory}/")
        store.step = self.step
        return store


@dataclass
class Promise:
    """A version that was reported to be saved, and what is in it."""

    snapshot: Snapshot
    files: tuple[int, ...]


@dataclass
class Race:
    """One schedule."""

    seed: int
    promises: list[Promise] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self) -> None:
        """AssertionError if a promise is broken."""
        self.rng = random.Random(self.seed)
        with patch.object(cipher, "secrets", Seeded(self.seed)):
            self.place = Place()
            self._begin()
            self._together()
            self._verify("after the race")
            self._settle()

    # --- what was there before, and afterwards

    def _begin(self) -> None:
        self.catalogs = {name: Catalog(None) for name in ("ann", "ben", "cid")}
        for name in ("ann", "ben", "cid", "ann"):
            self._save(name, self._draw(), lambda verb, key: None)
            self.place.clock.advance(GRACE_S)
        for promise in self.rng.sample(self.promises, self.rng.randint(1, 3)):
            self._forget(promise, self.place.repository())
        if self.rng.random() < 0.7:
            self._prune(self.place.repository())
            self.place.clock.advance(self.rng.choice(LEAPS_S))

    def _settle(self) -> None:
        for number in range(3):
            self.place.clock.advance(GRACE_S + 1)
            done = self._prune(self.place.repository())
            # A version whose writer died before it could take it back may lack something; nothing is deleted then.
            self.outcomes["held back by damage"] += bool(done.damage and not number)
            self._verify(f"after prune {number + 1}")

    def _verify(self, when: str) -> None:
        for promise in self.promises:
            wanted = {f"file {number}": random.Random(number).randbytes(FILE_BYTES) for number in promise.files}
            try:
                found = content(self.place.repository(), promise.snapshot)
            except EscaleError as error:
                raise AssertionError(f"{when}: version {promise.snapshot.short} of {promise.files}: {error}") from error
            assert found == wanted, f"{when}: version {promise.snapshot.short}"

    # --- the race

    def _together(self) -> None:
        scheduler = Scheduler(Stickiness(self.rng))
        self.trace = scheduler.trace
        dying = self.rng.choice(("ann", "ben", "cid", "eve", "", "", "", ""))
        acts: dict[str, Callable[[Callable[[str, str], None]], None]] = {
            name: lambda step, name=name, times=times: self._writes(name, times, step)
            for name, times in (("ann", 2), ("ben", 1), ("cid", 1))
        }
        acts["eve"] = self._prunes
        for name, act in acts.items():
            left = self.rng.randrange(120) if name == dying else None
            sleeps = self.rng.choice((AT_VERSION, self.rng.randrange(90))) if self.rng.random() < 0.3 else None
            step = _Steps(scheduler, name, left, sleeps)
            scheduler.start(name, lambda act=act, step=step: act(step))
        leaps = [self.rng.choice(LEAPS_S) for _ in range(self.rng.randrange(6))]
        scheduler.start("time", lambda: self._passes(leaps, scheduler.step))
        ended = scheduler.run()
        for name in scheduler.hanging:
            self.outcomes["slept"] += 1
            self.place.clock.advance(self.rng.choice(LEAPS_S))
            scheduler.resume(name)
            ended |= scheduler.run()
        for name, failure in ended.items():
            self.outcomes[f"{name}: {type(failure).__name__ if failure else 'done'}"] += 1
            if failure is not None and not isinstance(failure, EscaleError | Crash):
                raise failure

    def _writes(self, name: str, times: int, step: Callable[[str, str], None]) -> None:
        for _ in range(times):
            self._save(name, self._draw(), step)

    def _prunes(self, step: Callable[[str, str], None]) -> None:
        for _ in range(3):
            self.place.clock.advance(self.rng.choice((0.0, GRACE_S + 1)))
            repository = self._repository("eve", step)
            if self.promises and self.rng.random() < 0.5:
                self._forget(self.rng.choice(self.promises), repository)
            try:
                done = self._prune(repository)
                self.outcomes["packs deleted"] += len(done.deleted)
                self.outcomes["packs spared"] += len(done.spared)
            except EscaleError as error:
                self.outcomes[f"prune: {type(error).__name__}"] += 1

    def _prune(self, repository: Repository) -> Pruned:
        rng = random.Random(self.seed)
        return Prune(repository, _machine("eve"), self.place.clock, threads=1, connections=1, rng=rng).run()

    def _passes(self, leaps: Sequence[float], step: Callable[[str, str], None]) -> None:
        for leap in leaps:
            step("time", f"{leap:.0f}")
            self.place.clock.advance(leap)

    def _draw(self) -> tuple[int, ...]:
        return tuple(number for number in range(POOL) if self.rng.random() < 0.5)

    def _save(self, name: str, files: tuple[int, ...], step: Callable[[str, str], None]) -> None:
        repository = self._repository(name, step)
        clock, machine = self.place.clock, _machine(name)
        rng = random.Random(self.seed)
        before = [promise.snapshot for promise in self.promises if promise.snapshot.hostname == name]
        with (
            locked(repository, machine, clock, exclusive=False) as lock,
            Writer(repository, 1, 1, rng) as writer,
        ):
            save = Save(repository, writer, clock, machine, Chunker(4096, 7), Proof(repository, clock.now(), rng))
            parent = before[-1] if before else None
            saved = save.run([str(folder_of(files))], parent=parent, report=lambda progress: lock.renew())
        self.promises.append(Promise(saved.snapshot, files))

    def _forget(self, promise: Promise, repository: Repository) -> None:
        self.promises.remove(promise)
        repository.objects.delete(Kind.SNAPSHOT, promise.snapshot.id)

    def _repository(self, name: str, step: Callable[[str, str], None]) -> Repository:
        def opened() -> MemoryStore:
            store = RacingStore(self.place.clock.now, self.place.blobs)
            store.step = step
            return store

        catalog = self.catalogs.get(name) or Catalog(None)
        return Repository(Objects(opened()), self.place.master, self.place.config, catalog, opened)


class _Steps:
    """The steps of one act; it dies after so many of them, and stays dead, or sleeps once after so many."""

    def __init__(self, scheduler: Scheduler, name: str, left: int | None, sleeps: int | None) -> None:
        self._scheduler = scheduler
        self._name = name
        self._left = left
        self._sleeps = sleeps

    def __call__(self, verb: str, key: str) -> None:
        self._scheduler.act_for(self._name)
        self._scheduler.step(verb, key)
        if self._sleeps is not None:
            self._sleeps -= 1
            is_version = verb == "put" and key.startswith("snapshots/")
            if self._sleeps == -1 or (self._sleeps < AT_VERSION and is_version):
                self._sleeps = None
                self._scheduler.hang()
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Crash


class Seeded:
    """In the place of the system's randomness, so that the same seed gives the same names."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def token_bytes(self, count: int) -> bytes:
        return self._rng.randbytes(count)


def _machine(name: str) -> Machine:
    return Machine(name, name, 1000, 1000, 1)


def content(repository: Repository, snapshot: Snapshot) -> dict[str, bytes]:
    """Every file of a version by its name, read back by somebody with an empty catalog."""
    repository.refresh()
    versions = Versions(repository)
    files = {
        found.node.name: b"".join(
            repository.load_blob(BlobKind.DATA, bytes.fromhex(text)) for text in found.node.content
        )
        for found in versions.walk(snapshot.tree)
        if found.node.type.value == "file"
    }
    for error in versions.damaged:
        raise error
    return files


@dataclass(frozen=True)
class Failure:
    """A seed that broke a promise."""

    seed: int
    what: str
    trace: tuple[tuple[str, str, str], ...]


def run_seeds(seeds: Sequence[int]) -> tuple[Counter[str], list[Failure]]:
    """All of them; what came of it, and those that failed."""
    outcomes: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        race = Race(seed)
        try:
            race.run()
        except AssertionError as error:
            failures.append(Failure(seed, str(error), tuple(race.trace)))
        outcomes += race.outcomes
    return outcomes, failures


def main() -> int:
    """0 if all promises were kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.backup.racing", description="Let prune race writers.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    wanted = parser.parse_args()
    began, count, failed = time.monotonic(), 0, 0
    outcomes: Counter[str] = Counter()
    parts = [
        range(at, min(at + 50, wanted.first + wanted.seeds))
        for at in range(wanted.first, wanted.first + wanted.seeds, 50)
    ]
    with ProcessPoolExecutor(wanted.jobs) as pool:
        for part, (found, failures) in zip(parts, pool.map(run_seeds, parts), strict=True):
            outcomes += found
            count += len(part)
            for failure in failures:
                if not failed:
                    for step in failure.trace:
                        print("   ", *step)
                failed += 1
                print(f"seed {failure.seed}: {failure.what}", flush=True)
    seconds = time.monotonic() - began
    print(f"{count} schedules in {seconds:.0f} s, {count / seconds:.0f} a second; {failed} failed")
    for what, number in sorted(outcomes.items()):
        print(f"  {what}: {number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
