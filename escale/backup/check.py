"""Check: is everything there that versions need, and is it what it was?  Nothing is changed.

Without reading data a listing is compared with the index, and all directories of all versions are read.  With it, packs
are read to their ends: their digest is compared with their name, and every blob is opened.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from ..errors import Corrupt, EscaleError, Missing, NoSuchRelay, PeerError
from .audit import NOTICES, audit
from .chunks import PARAMETERS
from .fetch import Fetch
from .heads import Heads
from .keys import KeyFile
from .objects import EXTRA, Kind, Objects
from .pack import BlobKind, read_contents
from .progress import Progress, Report, silent
from .proof import remember_damaged
from .reach import RANGE_BYTES, Reached, reach
from .repository import Repository
from .touched import Touched, touched


class Unlisted(PeerError):
    """{where} is listed by no index"""

    code = "B446"
    advice = "A run that was broken off left it. If anything is missing:    escalectl backup check --repair"


class Unneeded(PeerError):
    """{where} is listed by an index and is not there; no version needs it"""

    code = "B447"


class Lost(PeerError):
    """{where}: {what} is in no pack that an index lists"""

    code = "B448"
    advice = "An index file may be lost:    escalectl backup check --repair"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it was written, and what that touches: nothing, where others have the same."""

    error: EscaleError
    touched: tuple[Touched, ...] = ()


@dataclass(slots=True)
class Checked:
    """`damage`: what is wrong; `notices`: what may be in order, but should be known.  `salvage`: damaged packs, with
    the blobs in them that are whole."""

    versions: int = 0
    packs: int = 0
    packs_read: int = 0
    bytes_read: int = 0
    damage: list[Damage] = field(default_factory=list)
    notices: list[EscaleError] = field(default_factory=list)
    salvage: dict[str, set[bytes]] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage


@dataclass(frozen=True, slots=True)
class PackState:
    """What reading a pack showed: `error` if it is not what its name tells, and which of its blobs are whole."""

    pack: str
    size: int
    error: EscaleError | None
    whole: set[bytes]


class Check:
    """Of one repository, by one thread; the caller holds a lock and renews it by `tell`."""

    def __init__(
        self,
        repository: Repository,
        *,
        connections: int = 4,
        rng: random.Random | None = None,
        tell: Callable[[], None] = lambda: None,
        report: Report = silent,
    ) -> None:
        self._repository = repository
        self._connections = connections
        self._rng = rng or random.SystemRandom()
        self._tell = tell
        self._report = report
        self._done = Checked()

    def run(self, share: float = 0.0, heads: Heads | None = None) -> Checked:
        """`share`: of the packs that are read to their ends, 0 to 1; `heads`: whose memory is compared, and grows."""
        with Fetch(self._repository, self._connections, RANGE_BYTES) as fetch:
            reached = reach(self._repository, fetch, self._looked, is_strict=True)
        self._done.versions, self._done.packs = len(reached.snapshots), len(reached.packs)
        self._identity()
        known = self._repository.read_back(sorted(self._repository.catalog.index_names()))
        for error in [*reached.indices_damaged, *known.values(), *reached.snapshots_damaged]:
            self._done.damage.append(Damage(error))
        suspects = self._suspects(reached)
        states = self._read(suspects, share, reached)
        self._weigh(reached, suspects, states)
        if self._done.salvage:
            remember_damaged(self._repository.catalog, self._done.salvage)
        if heads is not None:
            self._heads(heads, reached)
        return self._done

    def _looked(self, progress: Progress) -> None:
        self._tell()
        self._report(progress)

    # --- keys and parameters

    def _identity(self) -> None:
        objects = self._repository.objects
        for blob in objects.list(Kind.KEY):
            if blob.name == self._repository.key:
                # It was read to open the repository, and the config with it.
                continue
            try:
                KeyFile.decode(objects.read(Kind.KEY, blob.name), objects.where(Kind.KEY, blob.name))
            except (PeerError, Missing) as error:
                self._done.damage.append(Damage(error))
        try:
            # Whoever saves new content next writes it anew, with what the repository was made with.
            sealed = objects.store.within(EXTRA).read_bytes(PARAMETERS)
            self._repository.master.open(sealed, f"{objects.url}/{EXTRA}/{PARAMETERS}")
        except (Missing, NoSuchRelay):
            return
        except PeerError as error:
            self._done.notices.append(error)

    # --- packs

    def _suspects(self, reached: Reached) -> dict[str, EscaleError]:
        """What a listing shows to be wrong."""
        objects, catalog = self._repository.objects, self._repository.catalog
        sizes, suspects = catalog.pack_sizes(), dict[str, EscaleError]()
        for pack, size in sizes.items():
            there = reached.packs.get(pack)
            if there is None:
                suspects[pack] = Missing(where=f"{objects.url}/{Kind.PACK.value}", name=pack)
            elif there != size:
                reason = f"it has {there} bytes, and the index tells of {size}"
                suspects[pack] = Corrupt(where=objects.where(Kind.PACK, pack), reason=reason)
        unlisted = sorted(reached.packs.keys() - sizes.keys())
        self._done.notices += [Unlisted(where=objects.where(Kind.PACK, pack)) for pack in unlisted]
        return suspects

    def _read(self, suspects: Iterable[str], share: float, reached: Reached) -> dict[str, PackState]:
        """Packs that are damaged, as reading shows; those that a listing shows to be are read in any case."""
        there = sorted(reached.packs)
        chosen = set(self._rng.sample(there, round(share * len(there)))) | (set(suspects) & set(there))
        damaged = {}
        sizes, known = reached.packs, sum(reached.packs[pack] for pack in chosen)
        for state in read_packs(self._repository, [(pack, sizes[pack]) for pack in sorted(chosen)], self._connections):
            self._done.packs_read += 1
            self._done.bytes_read += state.size
            if state.error is not None:
                damaged[state.pack] = state
            looked = (self._done.packs_read, len(chosen), self._done.bytes_read, known)
            self._looked(Progress(*looked, path=state.pack, noun="packs"))
        return damaged

    def _weigh(self, reached: Reached, suspects: dict[str, EscaleError], states: dict[str, PackState]) -> None:
        """What damage there is to packs, and what it costs."""
        errors = {pack: error for pack, error in suspects.items() if pack not in reached.packs}
        errors |= {pack: state.error for pack, state in states.items() if state.error is not None}
        self._done.salvage = {pack: state.whole for pack, state in states.items()}
        lost = self._lost(reached, errors, states)
        paths = touched(self._repository, reached.snapshots, lost, self._tell) if lost else {}
        for pack, error in sorted(errors.items()):
            hit = {(blob.kind, blob.id) for blob in self._repository.catalog.blobs_of(pack)} & lost
            if not hit and pack not in reached.packs:
                self._done.notices.append(Unneeded(where=self._repository.objects.where(Kind.PACK, pack)))
            else:
                self._done.damage.append(Damage(error, _merged(paths.get(blob, []) for blob in hit)))
        for kind, blob_id in sorted(lost, key=lambda blob: (blob[0].value, blob[1])):
            if not errors.keys() & {pack for pack, _ in self._repository.catalog.find(kind, blob_id)}:
                what = f"{kind.value} {blob_id.hex()[:12]}"
                error = Lost(where=self._repository.objects.url, what=what)
                self._done.damage.append(Damage(error, _merged([paths.get((kind, blob_id), [])])))

    def _lost(
        self, reached: Reached, errors: Iterable[str], states: dict[str, PackState]
    ) -> set[tuple[BlobKind, bytes]]:
        catalog = self._repository.catalog
        catalog.let_go(errors)
        lost = {(BlobKind.TREE, tree) for tree in reached.trees_damaged}
        for kind, blob_id in catalog.unheld():
            packs = {pack for pack, _ in catalog.find(kind, blob_id)}
            if not any(blob_id in states[pack].whole for pack in packs & states.keys()):
                lost.add((kind, blob_id))
        return lost

    # --- what clients signed

    def _heads(self, heads: Heads, reached: Reached) -> None:
        heads.settle()
        found, damaged = heads.read()
        listed = {blob.name for blob in self._repository.objects.list(Kind.SNAPSHOT)}
        wrong = audit(found, reached.snapshots, listed, heads.memory.seen, heads.client)
        self._done.notices += [error for error in wrong if isinstance(error, NOTICES)]
        for error in [*damaged, *wrong]:
            if not isinstance(error, NOTICES):
                self._done.damage.append(Damage(error))
        heads.remember(found)


def read_packs(repository: Repository, packs: Sequence[tuple[str, int]], connections: int) -> Iterator[PackState]:
    """Read packs of these sizes to their ends, several at a time."""
    waiting, idle, opened = iter(packs), list[Objects](), list[Objects]()

    def read(pack: str, size: int) -> PackState:
        objects = idle.pop() if idle else repository.another_connection()
        if objects not in opened:
            opened.append(objects)
        try:
            return read_pack(repository, objects, pack, size)
        finally:
            idle.append(objects)

    try:
        with ThreadPoolExecutor(connections, "check") as pool:
            # No more at a time than there are threads: each holds a pack in memory.
            while batch := [pool.submit(read, *one) for one in islice(waiting, connections)]:
                for future in batch:
                    yield future.result()
    finally:
        for objects in opened:
            objects.store.close()


def read_pack(repository: Repository, objects: Objects, pack: str, size: int) -> PackState:
    """Every byte of one pack, and every blob that it is said to hold."""
    where = objects.where(Kind.PACK, pack)
    try:
        data = memoryview(objects.read_part(Kind.PACK, pack, 0, size))
    except (PeerError, Missing) as error:
        return PackState(pack, 0, error, set())
    errors: list[EscaleError] = []
    if hashlib.sha256(data).hexdigest() != pack:
        errors.append(Corrupt(where=where, reason="its content does not match its name"))
    listed, whole = repository.catalog.blobs_of(pack), set[bytes]()
    for blob in listed:
        try:
            repository.opened(data[blob.offset : blob.offset + blob.length], blob, pack)
            whole.add(blob.id)
        except PeerError as damage:
            errors.append(damage)
    try:
        if not {*listed} <= {*read_contents(bytes(data), repository.master, where)}:
            errors.append(Corrupt(where=where, reason="the index tells of other content than it has"))
    except PeerError as damage:
        errors.append(damage)
    return PackState(pack, size, errors[0] if errors else None, whole)


def _merged(groups: Iterable[Sequence[Touched]]) -> tuple[Touched, ...]:
    """One for each path."""
    paths: dict[str, dict[str, None]] = {}
    for one in (one for group in groups for one in group):
        paths.setdefault(one.path, {}).update(dict.fromkeys(one.versions))
    return tuple(Touched(path, tuple(versions)) for path, versions in sorted(paths.items()))
