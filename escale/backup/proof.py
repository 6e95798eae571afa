"""Proof: before a version is called saved, the store is asked whether it has what the version relies on.

A listing is compared with the index: every pack and every index file, sizes included.  Then a sample is read back and
hashed: the index files and a pack of this run, and once a day the next few of the older ones in the order of their
names, so that after as many days each of them was read.  Who saves every hour does not pay for reading 24 times.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..errors import Corrupt, EscaleError, Missing, PeerError, StoreError
from .catalog import Catalog
from .doomed import doomed
from .objects import Kind
from .pack import BlobKind, read_contents
from .repository import Repository

_LAST = "last pack read"
_LAST_INDEX = "last index file read"
_DAMAGED = "packs that were damaged"
_LAST_TIME = "last time older ones were read"
_TURN_S = 20 * 3600.0
"""Older ones are read again after so long: less than a day, so that a daily run does it each time."""
_TURNS = 64
"""After so many turns each old pack was read, and each index file; but not more than these at a time:"""
_OLDER_MAX = 8


def whole(paths: Sequence[str]) -> str:
    """The note of a catalog that says below which tree of these paths every blob was known when it was saved."""
    return "\n".join(("whole", *paths))


class ProofFailed(StoreError):
    """{where} does not keep what is stored there: {reason}"""

    code = "B402"
    advice = "No version was written by this run; older ones are untouched. Look at the disk, or for who deletes there."


class Withdrawn(PeerError):
    """{where} is not needed by any version so far, and may be removed"""

    code = "B404"


class Proof:
    """For one run over a repository, by one thread.  `now`: when it began, in Unix seconds."""

    def __init__(self, repository: Repository, now: float, rng: random.Random | None = None) -> None:
        self._repository = repository
        self._now = now
        self._rng = rng or random.SystemRandom()

    def look(self) -> list[EscaleError]:
        """Bring the catalog up to date before a run, and `missing` of the repository; returns what is damaged.

        Here and below, Withdrawn is no damage, but what prune marked, or took out of the index: not to be relied on.
        """
        # Before anything leaves the catalog, and what was noted with it.
        noted, catalog = self._noted(), self._repository.catalog
        is_due = self._is_due()
        damaged: list[EscaleError] = [*self._repository.refresh()]
        damaged += self._indices(self._turn(sorted(catalog.index_sizes()), _LAST_INDEX) if is_due else ())
        for pack in sorted(catalog.packs().intersection(noted)):
            damaged += self._read(pack)
        return damaged + self._listed()

    def prove(self, fresh: Mapping[str, int]) -> list[EscaleError]:
        """After a run that stored the `fresh` packs; returns what was found to be damaged now and not before.

        It is in `missing` then, so that another pass stores anew what this run needs of it.
        """
        damaged = [*self._unlisted(), *self._indices(), *self._listed()]
        for pack in self._sample(fresh):
            damaged += self._read(pack)
        return damaged

    def doubt(self, kind: BlobKind, blob_id: bytes) -> None:
        """A blob could not be read: whatever packs should have it are not to be relied on."""
        self._repository.missing.update(pack for pack, _ in self._repository.catalog.find(kind, blob_id))

    def _unlisted(self) -> list[EscaleError]:
        """Bring the catalog up to date; returns what is wrong with the index, and which packs it has lost."""
        repository, catalog = self._repository, self._repository.catalog
        names, known = catalog.index_names(), catalog.packs() - repository.missing
        damaged: list[EscaleError] = [*repository.refresh()]
        lost, gone = known - catalog.packs(), names - catalog.index_names()
        if not lost:
            return damaged
        # Prune takes packs out of the index, too; but not packs that stay.
        left = lost.intersection(blob.name for blob in repository.objects.list(Kind.PACK)) - doomed(repository)
        if left:
            where = f"{repository.objects.url}/{Kind.INDEX.value}"
            damaged += [Missing(where=where, name=name) for name in sorted(gone)]
        return damaged + [Withdrawn(where=repository.objects.where(Kind.PACK, pack)) for pack in lost]

    def _indices(self, sample: Iterable[str] = ()) -> list[EscaleError]:
        """What is wrong with index files that the catalog has: those that nobody has read back, those that are not as
        long as they were, and a sample.  What a damaged one lists is unknown then."""
        repository, catalog = self._repository, self._repository.catalog
        sizes, listed = catalog.index_sizes(), repository.indices
        changed = {name for name in catalog.index_names() & listed.keys() if sizes.get(name) != listed[name]}
        if damaged := repository.read_back(sorted(changed.union(sample))):
            catalog.remove(damaged)
        return [*damaged.values()]

    def _listed(self) -> list[EscaleError]:
        """What a listing shows to be missing, of another size, or about to go."""
        repository = self._repository
        # Marks before packs: a mark goes after its pack.
        marked = doomed(repository) & repository.catalog.packs() - repository.missing
        repository.missing |= marked
        sizes = {blob.name: blob.size for blob in repository.objects.list(Kind.PACK)}
        damaged: list[EscaleError] = [Withdrawn(where=repository.objects.where(Kind.PACK, pack)) for pack in marked]
        for pack, size in repository.catalog.pack_sizes().items():
            if pack in repository.missing or sizes.get(pack) == size:
                continue
            if pack in sizes:
                # restic may list a part of a pack only; its name tells whether it is whole.
                damaged += self._read(pack)
            else:
                repository.missing.add(pack)
                damaged.append(Missing(where=f"{repository.objects.url}/{Kind.PACK.value}", name=pack))
        return damaged

    def _sample(self, fresh: Mapping[str, int]) -> Iterator[str]:
        repository = self._repository
        if ours := sorted(set(fresh) - repository.missing):
            yield self._rng.choice(ours)
        older = sorted(repository.catalog.packs() - set(fresh) - repository.missing)
        # Once in a run: what is found is healed by its next pass, which is not there to find more.
        if older and self._is_due():
            self._repository.catalog.note(_LAST_TIME, repr(self._now))
            yield from self._turn(older, _LAST)

    def _is_due(self) -> bool:
        """Whether older ones are to be read; also if the clock was set back since they were."""
        last = self._repository.catalog.noted(_LAST_TIME)
        return not last or not 0 <= self._now - float(last) < _TURN_S

    def _turn(self, names: Sequence[str], key: str) -> Iterator[str]:
        """The next few of these names, after those that were read last."""
        if not names:
            return
        catalog = self._repository.catalog
        last = catalog.noted(key) or self._rng.choice(names)
        start = next((number for number, name in enumerate(names) if name > last), 0)
        chosen = [*names[start:], *names[:start]][: min(_OLDER_MAX, -(-len(names) // _TURNS))]
        yield from chosen
        catalog.note(key, chosen[-1])

    def _read(self, pack: str) -> list[EscaleError]:
        """Read a pack to its end; its name is the digest of its bytes."""
        repository = self._repository
        try:
            data = repository.objects.read(Kind.PACK, pack)
            read_contents(data, repository.master, repository.objects.where(Kind.PACK, pack))
        except (Corrupt, Missing) as error:
            repository.missing.add(pack)
            remember_damaged(repository.catalog, [pack])
            return [error]
        return []

    def _noted(self) -> list[str]:
        """Packs that were damaged when they were read last; a listing does not show it."""
        return self._repository.catalog.noted(_DAMAGED).split()


def remember_damaged(catalog: Catalog, packs: Iterable[str]) -> None:
    """The next run reads these packs first, and stores anew what it needs of those that are damaged."""
    catalog.note(_DAMAGED, " ".join({*catalog.noted(_DAMAGED).split(), *packs}))
