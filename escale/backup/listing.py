"""Listing: index files for packs, written anew when packs come or go; the new ones are there before the old ones go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .index import IndexFile
from .locks import RepositoryLock
from .objects import Kind
from .pack import PackedBlob
from .repository import Repository
from .writer import INDEX_BLOBS, INDEX_PACKS


def write_index(
    repository: Repository, packs: Iterable[tuple[str, list[PackedBlob]]], supersedes: tuple[str, ...] = ()
) -> None:
    """Index files for these packs, into the catalog as well."""
    index, count = IndexFile({}, supersedes), 0
    for pack, blobs in packs:
        if index.packs and (count + len(blobs) > INDEX_BLOBS or len(index.packs) >= INDEX_PACKS):
            _store(repository, index)
            index, count = IndexFile({}, supersedes), 0
        index.packs[pack] = blobs
        count += len(blobs)
    if index.packs:
        _store(repository, index)


def take_from_index(repository: Repository, packs: Collection[str], lock: RepositoryLock) -> None:
    """Index files without these packs take the place of those with them.  The lock is exclusive."""
    catalog = repository.catalog
    old = sorted({name for pack in packs for name in catalog.indices_of(pack)})
    stay: Mapping[str, None] = dict.fromkeys(pack for name in old for pack in catalog.packs_of(name))
    write_index(repository, ((pack, catalog.blobs_of(pack)) for pack in stay if pack not in packs), tuple(old))
    for name in old:
        lock.must_hold()
        repository.objects.delete(Kind.INDEX, name)
    catalog.remove(old)


def _store(repository: Repository, index: IndexFile) -> None:
    repository.catalog.add(repository.write_unpacked(Kind.INDEX, index.encode()), index)
