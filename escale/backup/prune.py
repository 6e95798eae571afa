"""Prune: what no version needs goes, in two steps that lie days apart, beside writers that go on.

`mark` (with a shared lock): packs of which nothing is needed are marked; of packs of which much is not needed the rest
is stored anew first.  `sweep` (alone): packs whose mark is old enough are looked at again, with all versions of that
moment.  What somebody needs after all is spared; the others go, first from the index, then themselves, then the mark.

A pack that was put since the oldest writer at work began is not marked: what will need it is not written yet.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock

from ..clock import Clock
from ..errors import EscaleError, Missing, NoRelaySpace, PeerError
from .catalog import Catalog
from .doomed import GRACE_S, Doomed, doomed
from .fetch import Fetch, Receiver
from .listing import take_from_index
from .locks import RepositoryLock, locked, others_since
from .machine import Machine
from .objects import Kind
from .pack import BlobKind, pack_bytes, read_contents
from .progress import Progress, Report, silent
from .reach import RANGE_BYTES, Reached, reach, whole_packs
from .remnants import sweep_remnants
from .repository import Repository
from .writer import Writer

WASTE_MAX = 0.3
"""Of a pack, before the rest of it is worth to be stored anew."""

TOGETHER = 4
"""Packs whose rests are read at once."""


@dataclass(slots=True)
class Pruned:
    """What was done.  Packs with their bytes: `marked` now, `deleted`; `spared`: were marked, and are needed;
    `waiting`: how many marks are not old enough.  `repacked_bytes`: what was stored anew.

    `swept`: how many remnants of uploads that were broken off are gone.

    `damage`: if there is any, nothing was marked or deleted, for what cannot be read may need anything.  `full`: the
    store had no room for all of the first step; the second one makes some.
    """

    marked: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)
    waiting: int = 0
    repacked_bytes: int = 0
    swept: int = 0
    damage: list[EscaleError] = field(default_factory=list)
    full: NoRelaySpace | None = None


class Prune:
    """For one repository, by one thread.  `connections`: for reading and for storing anew.

    `report`: called as those who save do; what it raises comes through, and the next prune goes on from there.
    """

    def __init__(
        self,
        repository: Repository,
        machine: Machine,
        clock: Clock,
        *,
        grace_s: float = GRACE_S,
        threads: int = 2,
        connections: int = 4,
        rng: random.Random | None = None,
        report: Report = silent,
    ) -> None:
        self._repository = repository
        self._machine = machine
        self._clock = clock
        self._grace_s = grace_s
        self._threads = threads
        self._connections = connections
        self._rng = rng
        self._report = report
        self._doomed = Doomed(repository, clock)
        self._done = Pruned()
        self._read: set[str] = set()
        self._reached: Reached | None = None

    def run(self) -> Pruned:
        """Both steps; RepositoryLocked if somebody works alone, or if there is something to delete and somebody works.

        What `mark` did stays.
        """
        self.mark()
        if not self._done.damage:
            self.sweep()
        return self._done

    # --- the first step

    def mark(self, held: RepositoryLock | None = None) -> Pruned:
        """Mark what is not needed; with this shared lock, if there is one already."""
        with (
            nullcontext(held) if held else self._held(exclusive=False) as lock,
            Fetch(self._repository, self._connections, RANGE_BYTES) as fetch,
        ):
            # Who is at work is looked for before versions are: who is done since has written his.
            since = others_since(self._repository, self._machine, self._clock, lock)
            reached = self._reach(fetch, lock)
            if self._is_damaged(reached):
                return self._done
            marked = doomed(self._repository) & set(reached.packs)
            settled = {pack for pack, mtime in reached.mtimes.items() if mtime is not None and mtime < since}
            try:
                self._choose(reached, marked, settled, fetch, lock)
            except NoRelaySpace as error:
                self._done.full = error
        return self._done

    def _choose(
        self, reached: Reached, marked: set[str], settled: set[str], fetch: Fetch, lock: RepositoryLock
    ) -> None:
        catalog, wasteful = self._repository.catalog, self._wasteful(reached, marked, settled, lock)
        catalog.hold(wasteful)
        for pack in self._needed_after_all(sorted(marked)):
            # A program that knows no marks relied on it.
            self._spare(pack)
        catalog.let_go(wasteful)
        missing = {*self._repository.missing}
        try:
            self._store_anew(sorted(wasteful), fetch, lock)
        except NoRelaySpace as error:
            # Packs of which nothing is needed can go all the same.
            self._done.full = error
        finally:
            self._repository.missing = missing
        wasteful -= {*self._needed_after_all(sorted(wasteful))}
        for pack in sorted(wasteful):
            lock.renew()
            self._doomed.mark(pack)
            self._done.marked[pack] = reached.packs[pack]

    def _wasteful(self, reached: Reached, marked: set[str], settled: set[str], lock: RepositoryLock) -> set[str]:
        """Packs of which little is needed, or has to be: others have the rest, and these are whole."""
        catalog, whole, damaged = self._repository.catalog, whole_packs(self._repository, reached.packs), set[str]()
        while True:
            catalog.hold(whole)
            catalog.let_go(marked | damaged)
            needed = catalog.needed_bytes()
            wasteful = _wasteful(needed.in_all, settled - marked, reached.packs)
            catalog.let_go(wasteful)
            if needed.once != needed.in_all:
                # Packs that are full of what is needed are the last to go because others have the same.
                wasteful |= _wasteful(catalog.needed_bytes().once, settled - marked - wasteful, reached.packs)
                catalog.let_go(wasteful)
            found = self._damaged(marked | wasteful, lock)
            if not found:
                return wasteful
            damaged |= found

    def _damaged(self, candidates: Iterable[str], lock: RepositoryLock) -> set[str]:
        """What is to take the place of the candidates is read: the packs that are not whole are no holders then.

        Every blob is opened: whoever only adds may have added a pack that says to hold what it does not.
        """
        catalog, damaged, looked = self._repository.catalog, set(), self._looked(lock)
        packs = sorted(set().union(*map(catalog.other_holders, candidates)) - self._read)
        for (pack,), progress in _groups(catalog, packs, 1):
            try:
                self._open_all(pack)
                self._read.add(pack)
            except (PeerError, Missing):
                damaged.add(pack)
            looked(progress)
        catalog.let_go(damaged)
        return damaged

    def _open_all(self, pack: str) -> None:
        repository, objects = self._repository, self._repository.objects
        data = objects.read(Kind.PACK, pack)
        read_contents(data, repository.master, objects.where(Kind.PACK, pack))
        for blob in repository.catalog.blobs_of(pack):
            repository.opened(memoryview(data)[blob.offset : blob.offset + blob.length], blob, pack)

    def _store_anew(self, packs: Sequence[str], fetch: Fetch, lock: RepositoryLock) -> None:
        """What is needed of these packs and nobody else holds, into others; those count as holders then."""
        repository, mutex, looked = self._repository, Lock(), self._looked(lock)
        repository.missing = {*repository.missing, *packs}
        with (
            Writer(repository, self._threads, self._connections, self._rng) as writer,
            writer.giving_room_back(lock),
        ):
            for group, progress in _groups(repository.catalog, packs, TOGETHER):
                wanted: dict[BlobKind, set[bytes]] = {kind: set() for kind in BlobKind}
                for pack in group:
                    for kind, blob_id in repository.catalog.needed_blobs_of(pack):
                        wanted[kind].add(blob_id)
                for kind, ids in wanted.items():
                    # What cannot be read stays where it is, and its pack with it.
                    fetch.blobs(kind, ids, _adder(writer, mutex, kind))
                looked(progress)
            writer.flush()
            self._done.repacked_bytes += writer.written.stored_bytes
            repository.catalog.hold(writer.written.packs)

    def _needed_after_all(self, candidates: Iterable[str]) -> Iterator[str]:
        """The candidates that hold something that is needed and that no other holder has; these are holders then."""
        catalog = self._repository.catalog
        for pack in candidates:
            if catalog.needed_blobs_of(pack):
                catalog.hold([pack])
                yield pack

    # --- the second step

    def sweep(self) -> Pruned:
        """Delete what was marked long enough ago, unless it is needed by now; and uploads that nobody will finish."""
        self._done.swept += sweep_remnants(self._repository.objects, self._grace_s, self._clock.now())
        ages = self._doomed.ages()
        if all(0 <= age < self._grace_s for age in ages.values()):
            # Nothing to do that somebody has to be alone for.
            self._done.waiting += len(ages)
            return self._done
        with self._held(exclusive=True) as lock, Fetch(self._repository, self._connections, RANGE_BYTES) as fetch:
            old = self._old_marks(lock)
            if not old:
                return self._done
            reached = self._reach(fetch, lock)
            if self._is_damaged(reached):
                return self._done
            self._repository.catalog.let_go(old)
            while self._damaged(old, lock):
                pass
            spared = {*self._needed_after_all(sorted(old & set(reached.packs)))}
            gone = self._repository.catalog.packs() - set(reached.packs)
            take_from_index(self._repository, (old - spared) | gone, lock)
            for pack in sorted(old - spared):
                lock.must_hold()
                self._delete(pack, reached.packs.get(pack))
            for pack in sorted(spared):
                self._spare(pack)
        return self._done

    def _old_marks(self, lock: RepositoryLock) -> set[str]:
        """Old enough to go; those whose age nobody knows are made anew."""
        old = set()
        for pack, age in self._doomed.ages(lock.store_now()).items():
            if age < 0:
                self._doomed.mark(pack)
            if age >= self._grace_s:
                old.add(pack)
            else:
                self._done.waiting += 1
        return old

    def _delete(self, pack: str, size: int | None) -> None:
        self._repository.objects.delete(Kind.PACK, pack)
        self._doomed.spare(pack)
        if size is not None:
            self._done.deleted[pack] = size

    # --- both

    def _reach(self, fetch: Fetch, lock: RepositoryLock) -> Reached:
        self._reached = reach(self._repository, fetch, self._looked(lock), before=self._reached)
        return self._reached

    def _spare(self, pack: str) -> None:
        self._doomed.spare(pack)
        self._repository.missing.discard(pack)
        self._done.spared.add(pack)

    def _looked(self, lock: RepositoryLock) -> Report:
        def looked(progress: Progress) -> None:
            lock.renew()
            self._report(progress)

        return looked

    def _is_damaged(self, reached: Reached) -> bool:
        if not reached.is_complete or reached.indices_damaged:
            self._done.damage += reached.damage(self._repository.objects.url)
        return bool(self._done.damage)

    def _held(self, *, exclusive: bool) -> AbstractContextManager[RepositoryLock]:
        return locked(self._repository, self._machine, self._clock, exclusive=exclusive)


def _wasteful(needed: Mapping[str, int], candidates: Iterable[str], sizes: Mapping[str, int]) -> set[str]:
    """Those that would be so much smaller with only what is needed; around a tiny blob there is more than in it."""
    return {
        pack
        for pack in candidates
        if pack not in needed or needed[pack] + pack_bytes(()) <= (1 - WASTE_MAX) * sizes[pack]
    }


def _groups(catalog: Catalog, packs: Sequence[str], count: int) -> Iterator[tuple[Sequence[str], Progress]]:
    """So many at a time, and how far one is after them."""
    sizes, done = [*map(catalog.pack_size, packs)], 0
    known = sum(sizes)
    for start in range(0, len(packs), count):
        group = packs[start : start + count]
        done += sum(sizes[start : start + count])
        yield group, Progress(start + len(group), len(packs), done, known, noun="packs")


def _adder(writer: Writer, mutex: Lock, kind: BlobKind) -> Receiver:
    """A writer is for one thread at a time."""

    def add(_: bytes, clear: bytes) -> None:
        with mutex:
            writer.add(kind, clear)

    return add
