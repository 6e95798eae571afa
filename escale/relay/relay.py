"""IndexRelay: a BlobStore seen as typed pages.  It reads and writes; it decides nothing.

The order of every write is content before name, and of every removal name before content.  In a format that never
overwrites, a new generation of an index is written first and those merged into it are deleted afterwards, so what can
be lost on the way is only work.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

from ..errors import Forged, Missing, PeerError
from ..seal import Seal
from ..store.blob import BlobInfo, BlobStore
from .format import Format, Place, Role
from .index import Index, Update

LOCK_BYTES_MAX = 1 << 16
"""A lock has some hundred bytes; what is larger is none."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob of the relay: what its name says and what the listing says."""

    place: Place
    info: BlobInfo


@dataclass(frozen=True, slots=True)
class UpdateView:
    """What the listing shows of one update: its update index (generations) and its data."""

    stamp: str
    indices: tuple[Blob, ...] = ()
    data: Blob | None = None

    @property
    def is_named(self) -> bool:
        """An update exists from the moment its update index is there; lone data is a push under way, or its rest."""
        return bool(self.indices)


@dataclass(frozen=True, slots=True)
class PageView:
    """What the listing shows of one page."""

    page: str
    indices: tuple[Blob, ...] = ()
    updates: tuple[UpdateView, ...] = ()
    locks: tuple[Blob, ...] = ()

    @property
    def index_tags(self) -> frozenset[tuple[str, str]]:
        """Changes whenever the persistent index does."""
        return frozenset((blob.info.name, blob.info.tag) for blob in self.indices)

    @property
    def tags(self) -> frozenset[tuple[str, str]]:
        """Changes whenever anything but a lock does."""
        updates = (blob for update in self.updates for blob in (*update.indices, update.data) if blob)
        return self.index_tags | {(blob.info.name, blob.info.tag) for blob in updates}

    @property
    def newest_stamp(self) -> str:
        return max((update.stamp for update in self.updates), default="", key=lambda stamp: (len(stamp), stamp))


@dataclass(frozen=True, slots=True)
class Survey:
    """One listing of the relay.  `used` counts all bytes there, whoever put them; `foreign` names that are not ours."""

    pages: dict[str, PageView]
    marker: Blob | None
    clients: tuple[Blob, ...]
    used: int
    foreign: tuple[str, ...]


class IndexRelay:
    """The pages of a relay in one format, sealed or not."""

    def __init__(self, store: BlobStore, form: Format, seal: Seal, relay_id: str = "") -> None:
        self.store = store
        self.format = form
        self._seal = seal
        self.relay_id = relay_id

    @property
    def growth(self) -> float:
        """By how much sealing makes an archive larger."""
        return self._seal.growth

    # -- looking

    def survey(self) -> Survey:
        """One listing, sorted into pages."""
        return self._sorted(self.store.list())

    def look(self, page: str) -> PageView:
        """One page, freshly listed."""
        prefix = f"{page}." if not self.format.overwrites else f".{page}."
        return self._sorted(self.store.list(prefix)).pages.get(page, PageView(page))

    def _sorted(self, listing: Iterable[BlobInfo]) -> Survey:
        pages: dict[str, dict[Role, list[Blob]]] = {}
        marker, clients, used, foreign = None, [], 0, []
        for info in listing:
            used += info.size
            place = self.format.parse(info.name)
            if place is None:
                foreign.append(info.name)
            elif place.role is Role.MARKER:
                marker = Blob(place, info)
            elif place.role is Role.CLIENT:
                clients.append(Blob(place, info))
            else:
                pages.setdefault(place.page, {}).setdefault(place.role, []).append(Blob(place, info))
        views = {page: _page_view(page, roles) for page, roles in pages.items()}
        return Survey(views, marker, tuple(clients), used, tuple(foreign))

    # -- reading

    def read_index(self, view: PageView) -> Index:
        """The persistent index: all its generations merged; empty if there is none."""
        result = Index(view.page)
        for blob in view.indices:
            found = self.format.decode_index(view.page, self._read(blob.info.name, self.format.seals_indices))
            merged = result.merged(found.records.values())
            foreign = {**result.foreign, **found.foreign}
            result = replace(merged, foreign=foreign, rejected=result.rejected + found.rejected)
        return result

    def read_update(self, page: str, view: UpdateView) -> Update:
        """The update index: the records of its first generation and all registrations."""
        whole = Update(page, view.stamp, "", {})
        for blob in view.indices:
            raw = self._read(blob.info.name, self.format.seals_indices)
            whole = whole.joined(self.format.decode_update(page, view.stamp, raw))
        return whole

    def unreadable(self, view: PageView) -> list[str]:
        """Names of the indices of a page that are damaged or do not open under our key."""
        parts = [replace(view, indices=(blob,), updates=()) for blob in view.indices]
        named = [(update, blob) for update in view.updates for blob in update.indices]
        parts += [replace(view, indices=(), updates=(UpdateView(update.stamp, (blob,)),)) for update, blob in named]
        return [name for part in parts for name, _ in part.tags if not self._is_readable(part)]

    def open_archive(self, page: str, stamp: str) -> BinaryIO:
        """The update data, unsealed, still compressed."""
        name = self._name(Place(Role.DATA, page, stamp))
        return self._seal.unseal(self.store.get(name), self._context(name))

    def read_blob(self, place: Place) -> bytes:
        """A small blob, unsealed where this format seals."""
        return self._read(self._name(place), self.format.seals_indices)

    # -- writing

    def write_archive(self, page: str, stamp: str, source: BinaryIO) -> int:
        """Content: the update data.  Returns the bytes that crossed the wire."""
        name = self._name(Place(Role.DATA, page, stamp))
        return self.store.put(name, self._seal.seal(source, self._context(name)))

    def write_update(self, update: Update, unique: str) -> None:
        """Name: from here on the update exists."""
        self._write(Place(Role.UPDATE, update.page, update.stamp, 0, unique), self.format.encode_update(update))

    def write_index(self, index: Index, replaces: PageView, unique: str) -> None:
        """Derived: the persistent index, and away with the generations that were merged into it."""
        generation = 1 + max((blob.place.generation for blob in replaces.indices), default=0)
        place = Place(Role.INDEX, index.page, "", 0 if self.format.overwrites else generation, unique)
        self._write(place, self.format.encode_index(index))
        for blob in replaces.indices:
            if blob.info.name != self._name(place):
                self.store.delete(blob.info.name)

    def register(self, update: Update, view: UpdateView, client: str, unique: str) -> None:
        """Mark the update consumed by a puller: a small further generation, or the update index written again (0.7)."""
        if self.format.overwrites:
            place = Place(Role.UPDATE, update.page, update.stamp)
            self._write(place, self.format.encode_update(update.consumed_by(client)))
            return
        note = Update(update.page, update.stamp, update.client, {}, frozenset({client}))
        generation = 1 + max((blob.place.generation for blob in view.indices), default=0)
        place = Place(Role.UPDATE, update.page, update.stamp, generation, unique)
        self._write(place, self.format.encode_update(note))

    def write_blob(self, place: Place, data: bytes) -> None:
        """A small blob, sealed where this format seals."""
        self._write(place, data)

    def delete_data(self, page: str, stamp: str) -> None:
        """Remove update data that no update index names."""
        self.store.delete(self._name(Place(Role.DATA, page, stamp)))

    def delete_index(self, name: str) -> None:
        """Remove an index that nobody can read."""
        self.store.delete(name)

    def delete_update(self, view: UpdateView) -> int:
        """Name away before content; returns the bytes that left the relay."""
        freed = 0
        for blob in sorted(view.indices, key=lambda blob: blob.place.generation):
            self.store.delete(blob.info.name)
            freed += blob.info.size
        if view.data is not None:
            self.store.delete(view.data.info.name)
            freed += view.data.info.size
        return freed

    # -- locks

    def create_lock(self, name: str, data: bytes) -> bool:
        """Write a lock file only if there is none."""
        return self.store.create(name, self._sealed(name, data))

    def write_lock(self, name: str, data: bytes) -> None:
        """Write a claim of our own."""
        self.store.write_bytes(name, self._sealed(name, data))

    def read_lock(self, name: str) -> bytes:
        """The content of a lock file; nothing if it does not open under our key.  Missing if it is gone."""
        data = self.store.read_bytes(name, LOCK_BYTES_MAX)
        try:
            return self._seal.unseal_bytes(data, self._context(name)) if self.format.seals_indices else data
        except Forged:
            return b""

    def _is_readable(self, view: PageView) -> bool:
        """What is gone by now does no harm."""
        try:
            self.read_index(view)
            for update in view.updates:
                self.read_update(view.page, update)
        except PeerError:
            return False
        except Missing:
            pass
        return True

    # -- names and seals

    def _name(self, place: Place) -> str:
        return self.format.name(place)

    def _context(self, name: str) -> str:
        """What a sealed blob is bound to: it opens under no other name and on no other relay."""
        return f"{self.relay_id}/{name}"

    def _read(self, name: str, sealed: bool) -> bytes:
        data = self.store.read_bytes(name)
        return self._seal.unseal_bytes(data, self._context(name)) if sealed else data

    def _write(self, place: Place, data: bytes) -> None:
        name = self._name(place)
        self.store.put(name, io.BytesIO(self._sealed(name, data)))

    def _sealed(self, name: str, data: bytes) -> bytes:
        return self._seal.seal_bytes(data, self._context(name)) if self.format.seals_indices else data


def _page_view(page: str, roles: dict[Role, list[Blob]]) -> PageView:
    stamps: dict[str, list[Blob]] = {}
    for blob in roles.get(Role.UPDATE, []):
        stamps.setdefault(blob.place.stamp, []).append(blob)
    data = {blob.place.stamp: blob for blob in roles.get(Role.DATA, [])}
    updates = tuple(
        UpdateView(stamp, tuple(stamps.get(stamp, ())), data.get(stamp)) for stamp in sorted({*stamps, *data})
    )
    return PageView(page, tuple(roles.get(Role.INDEX, ())), updates, tuple(roles.get(Role.LOCK, ())))
