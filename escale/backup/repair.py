"""Repair: what can be put right without the files that were saved; the next backup heals what needs those.

Packs that no index lists are listed again, by the tables at their ends.  Of damaged packs what is whole is stored anew.
What is damaged, packs and index files, is put aside in x-escale/damaged and listed no more, so that the next backup
stores again what it has of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ..clock import Clock
from ..errors import Corrupt, EscaleError, Missing, PeerError
from .listing import take_from_index, write_index
from .locks import RepositoryLock, locked
from .machine import Machine
from .objects import Kind
from .pack import PackedBlob, pack_bytes, read_contents
from .repository import Repository
from .writer import Writer

TAIL_BYTES = 64 << 10
"""Of a pack, read at first: most tables of contents are shorter."""

_DIRECTORY = "damaged"


@dataclass(slots=True)
class Repaired:
    """Packs that are `listed` again, objects that were put `aside`, packs that were listed and are `gone`; and what
    could not be put right."""

    listed: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    damage: list[EscaleError] = field(default_factory=list)


class Repair:
    """Of one repository, alone in it."""

    def __init__(self, repository: Repository, machine: Machine, clock: Clock) -> None:
        self._repository = repository
        self._machine = machine
        self._clock = clock
        self._done = Repaired()

    def run(self, salvage: Mapping[str, Collection[bytes]] | None = None) -> Repaired:
        """`salvage`: packs that a check found damaged, with the blobs that are whole.  RepositoryLocked if somebody is
        at work."""
        salvage = salvage or {}
        with locked(self._repository, self._machine, self._clock, exclusive=True) as lock:
            self._repository.refresh()
            catalog = self._repository.catalog
            if lost := self._repository.read_back(sorted(catalog.index_names())):
                catalog.remove(lost)
            packs = {blob.name: blob.size for blob in self._repository.objects.list(Kind.PACK)}
            indices = {blob.name for blob in self._repository.objects.list(Kind.INDEX)}
            damaged = sorted(indices - catalog.index_names())
            self._done.gone = sorted(catalog.packs() - packs.keys())
            self._list_again(packs, damaged, lock)
            self._store_anew(salvage, packs, lock)
            for name in damaged:
                self._put_aside(Kind.INDEX, name, lock)
            there = [pack for pack in salvage if pack in packs]
            take_from_index(self._repository, {*self._done.gone, *there}, lock)
            for pack in there:
                self._put_aside(Kind.PACK, pack, lock)
        return self._done

    def _list_again(self, packs: Mapping[str, int], damaged: list[str], lock: RepositoryLock) -> None:
        unlisted = sorted(packs.keys() - self._repository.catalog.packs())
        write_index(self._repository, self._contents(unlisted, packs, lock), tuple(damaged))

    def _contents(
        self, unlisted: list[str], packs: Mapping[str, int], lock: RepositoryLock
    ) -> Iterator[tuple[str, list[PackedBlob]]]:
        for pack in unlisted:
            lock.renew()
            try:
                yield pack, read_table(self._repository, pack, packs[pack])
                self._done.listed.append(pack)
            except (PeerError, Missing) as error:
                self._done.damage.append(error)

    def _store_anew(
        self, salvage: Mapping[str, Collection[bytes]], packs: Mapping[str, int], lock: RepositoryLock
    ) -> None:
        repository = self._repository
        missing = repository.missing
        # What is gone holds nothing; what is damaged is not to be relied on.
        repository.missing = {*missing, *salvage, *self._done.gone}
        try:
            with Writer(repository, 1, 1) as writer:
                for pack, whole in salvage.items():
                    for blob in repository.catalog.blobs_of(pack) if pack in packs else ():
                        if blob.id in whole and not writer.has(blob.kind, blob.id):
                            self._copy(writer, blob, pack)
                    lock.renew()
                writer.flush()
        finally:
            repository.missing = missing

    def _copy(self, writer: Writer, blob: PackedBlob, pack: str) -> None:
        sealed = self._repository.objects.read_part(Kind.PACK, pack, blob.offset, blob.length)
        writer.add(blob.kind, self._repository.opened(sealed, blob, pack))

    def _put_aside(self, kind: Kind, name: str, lock: RepositoryLock) -> None:
        """Never the only copy: somebody may be able to make something of it."""
        lock.must_hold()
        objects = self._repository.objects
        with suppress(Missing):
            objects.extra(_DIRECTORY).write_bytes(name, objects.read_damaged(kind, name))
            self._done.aside.append(objects.where(kind, name))
        objects.delete(kind, name)


def read_table(repository: Repository, pack: str, size: int) -> list[PackedBlob]:
    """The table of contents at the end of a pack of this size; Corrupt if it is not that of such a pack."""
    objects = repository.objects
    where = objects.where(Kind.PACK, pack)
    tail = objects.read_part(Kind.PACK, pack, max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))
    length = int.from_bytes(tail[-4:], "little") + 4
    if len(tail) < length <= size:
        tail = objects.read_part(Kind.PACK, pack, size - length, length)
    if length > len(tail):
        raise Corrupt(where=where, reason="its table of contents is damaged")
    blobs = read_contents(tail, repository.master, where)
    if pack_bytes(blobs) != size:
        raise Corrupt(where=where, reason="it is not as long as its table of contents tells")
    return blobs
