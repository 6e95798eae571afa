"""Repository: blobs, index files and snapshots of one restic repository of format 2, behind its key.

Order of writes: packs, then the index that lists them, then the snapshot that needs them; readers go the other way.
So what a snapshot needs is there when the snapshot is.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import zstandard

from ..errors import Corrupt, EscaleError, Missing, PeerError, UserError
from ..store.blob import BlobStore
from .catalog import Catalog
from .cipher import MasterKey
from .config import Config
from .ids import is_id
from .index import IndexFile
from .keys import KeyFile, WrongPassword, lock_away
from .machine import Machine
from .objects import Kind, Objects
from .pack import BlobKind, PackedBlob
from .snapshot import Snapshot

RAW_BYTES_MAX = 512 << 20
"""What one compressed blob or file may grow to; restic's blobs have 8 MiB at most, its index files some tens."""

LISTINGS = 3
"""Of index files, where somebody replaces them while they are read; a prune does so once."""

_WRITTEN = "version that was written last"

_COMPRESSED = b"\x02"
LEVEL = 3
"""Of zstd: measured, 1 saves no time that is noticed beside sealing and storing, more than 6 never pays."""


class NoRepository(UserError):
    """there is no repository at {where}"""

    code = "R343"
    exit_code = 10
    advice = "A section with role = backup makes one at its first run; for another place:    escalectl backup init"


class RepositoryExists(UserError):
    """there is a repository at {where} already"""

    code = "R344"


class Repository:
    """Reading, and single writes; `Writer` writes many blobs.

    `open_objects` gives another connection to the same place, for threads.  Used by one thread at a time.
    """

    def __init__(
        self,
        objects: Objects,
        master: MasterKey,
        config: Config,
        catalog: Catalog,
        open_store: Callable[[], BlobStore],
        key: str = "",
    ) -> None:
        """`key`: the name of the key file that opened it, "" if none did."""
        self.objects = objects
        self.master = master
        self.config = config
        self.key = key
        self.catalog = catalog
        self.missing: set[str] = set()
        """Packs that index files list and that are not there, or not whole: what they hold is to be stored again."""
        self.indices: dict[str, int] = {}
        """The bytes of each index file, as `refresh` found them."""
        self.received: dict[str, float | None] = {}
        """When the store received each version, as it was listed last; None where it does not tell."""
        self._open_store = open_store
        self._tools = _Tools(master)

    @classmethod
    def init(
        cls, open_store: Callable[[], BlobStore], password: str, cache: Path | None, machine: Machine, now: float
    ) -> Self:
        """Make a repository; RepositoryExists if there is one."""
        objects, config = Objects(open_store()), Config.generate()
        # The key before the config: a config that nobody can open would keep everybody out for ever.  Somebody may
        # have died between the two; a second key that opens with the same password would be taken for the right one.
        left, master = next(_masters(objects, password), ("", MasterKey.generate()))
        key = left or objects.write(Kind.KEY, lock_away(master, password, machine, now).encode())
        if not objects.write_config(master.seal(config.encode())):
            if not left:
                objects.delete(Kind.KEY, key)
            raise RepositoryExists(where=objects.url)
        return cls(objects, master, config, Catalog(_catalog_path(cache, config)), open_store, key)

    @classmethod
    def open(cls, open_store: Callable[[], BlobStore], password: str, cache: Path | None, key: str = "") -> Self:
        """NoRepository, WrongPassword; `cache`: the directory for catalogs, None to keep nothing; `key`: the key file
        that opened it last, which is tried before all of them are listed."""
        objects = Objects(open_store())
        try:
            sealed = objects.read_config()
        except Missing as error:
            raise NoRepository(where=objects.url) from error
        key, master, clear = _unlocked(objects, password, sealed, key)
        config = Config.decode(clear, f"{objects.url}/config")
        return cls(objects, master, config, Catalog(_catalog_path(cache, config)), open_store, key)

    def close(self) -> None:
        """Let go of the connection and of the catalog."""
        self.objects.store.close()
        self.catalog.close()

    def another_connection(self) -> Objects:
        """To the same place, for another thread, which closes it."""
        return Objects(self.objects.store.another() or self._open_store())

    def refresh(self) -> list[PeerError]:
        """Bring the catalog up to what the store has; returns what could not be read and is left out."""
        for _ in range(LISTINGS):
            damaged, has_vanished = self._take_in()
            if not has_vanished:
                break
        return damaged

    def _take_in(self) -> tuple[list[PeerError], bool]:
        """By one listing; and whether something of it was gone when it was read: another file has taken its place."""
        self.indices = {blob.name: blob.size for blob in self.objects.list(Kind.INDEX)}
        listed, known = self.indices.keys(), self.catalog.index_names()
        damaged: list[PeerError] = []
        has_vanished = False
        for name, data in self.objects.read_many(Kind.INDEX, sorted(listed - known)):
            try:
                clear = self._unpacked(Kind.INDEX, name, data)
                self.catalog.add(name, IndexFile.decode(clear, self.objects.where(Kind.INDEX, name)))
                self.catalog.confirm(name, self.indices[name])
            except Missing:
                has_vanished = True
            except PeerError as error:
                damaged.append(error)
        if gone := known - listed:
            self.catalog.remove(gone)
        return damaged, has_vanished

    def read_back(self, names: Iterable[str]) -> dict[str, PeerError]:
        """What is wrong by now with index files that the catalog knows: nobody who comes without it can read them."""
        damaged: dict[str, PeerError] = {}
        for name, data in self.objects.read_many(Kind.INDEX, [*names]):
            if isinstance(data, bytes):
                self.catalog.confirm(name, len(data))
            elif isinstance(data, Corrupt):
                damaged[name] = data
        return damaged

    # --- blobs

    def load_blob(self, kind: BlobKind, blob_id: bytes, objects: Objects | None = None) -> bytes:
        """The clear bytes, verified; from whichever pack has them whole.  Corrupt if none has, or no index knows it.

        `objects`: the connection to use, if not our own.
        """
        objects = objects or self.objects
        last: Exception | None = None
        for pack, place in self.catalog.find(kind, blob_id):
            try:
                sealed = objects.read_part(Kind.PACK, pack, place.offset, place.length)
                return self.opened(sealed, place, pack)
            except (Corrupt, Missing) as error:
                last = error
        where = f"{self.objects.url}, blob {blob_id.hex()[:12]}"
        raise Corrupt(where=where, reason=str(last) if last else "no index lists it") from last

    def opened(self, sealed: bytes | memoryview, place: PackedBlob, pack: str) -> bytes:
        """The clear bytes of a blob that was read from a pack; Corrupt if they are not those of its id."""
        where = self.objects.where(Kind.PACK, pack)
        clear = self._tools.opener.open(sealed, where)
        if place.raw_length is not None:
            clear = self._tools.decompressed(clear, place.raw_length, where)
        if hashlib.sha256(clear).digest() != place.id:
            raise Corrupt(where=where, reason=f"blob {place.id.hex()[:12]} is not what its id tells")
        if place.raw_length not in (None, len(clear)):
            raise Corrupt(where=where, reason=f"an index tells another length of blob {place.id.hex()[:12]}")
        return clear

    # --- files of their own

    def read_unpacked(self, kind: Kind, name: str) -> bytes:
        """The clear bytes of an index, snapshot or lock."""
        return self._unpacked(kind, name, self.objects.read(kind, name))

    def _unpacked(self, kind: Kind, name: str, sealed: bytes | EscaleError) -> bytes:
        """Of what came in its place, or what is wrong with it."""
        if isinstance(sealed, EscaleError):
            raise sealed
        where = self.objects.where(kind, name)
        clear = self.master.open(sealed, where)
        if clear[:1] in (b"{", b"["):
            return clear
        if clear[:1] != _COMPRESSED:
            raise Corrupt(where=where, reason="it is of a kind that escale does not know")
        return self._tools.decompressed(clear[1:], RAW_BYTES_MAX, where)

    def write_unpacked(self, kind: Kind, clear: bytes, objects: Objects | None = None) -> str:
        """Store one, durably, over the connection of a thread if it is not ours; returns its name."""
        compressed = zstandard.ZstdCompressor(level=LEVEL).compress(clear)
        return (objects or self.objects).write(kind, self.master.seal(_COMPRESSED + compressed))

    def snapshot_names(self) -> list[str]:
        """Those of the versions that are there now."""
        self.received = {blob.name: blob.mtime for blob in self.objects.list(Kind.SNAPSHOT)}
        return [*self.received]

    def snapshot(self, name: str) -> Snapshot:
        """One version that is there; Missing, or PeerError if it is damaged.  One that is remembered is not read."""
        noted, _, text = self.catalog.noted(_WRITTEN).partition(" ")
        clear = text.encode() if noted == name else self.read_unpacked(Kind.SNAPSHOT, name)
        return Snapshot.decode(clear, name, self.objects.where(Kind.SNAPSHOT, name))

    def snapshots(self) -> Iterator[Snapshot | PeerError]:
        """All versions, in no order; in the place of those that are damaged, what is wrong with them."""
        for name, data in self.objects.read_many(Kind.SNAPSHOT, self.snapshot_names()):
            try:
                clear = self._unpacked(Kind.SNAPSHOT, name, data)
                yield Snapshot.decode(clear, name, self.objects.where(Kind.SNAPSHOT, name))
            except Missing:
                continue
            except PeerError as error:
                yield error

    def write_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Store a version; it exists from now on."""
        return snapshot.named(self.write_unpacked(Kind.SNAPSHOT, snapshot.encode()))

    def remember_snapshot(self, snapshot: Snapshot) -> None:
        """A version that was written need not be read by the next who asks for it here."""
        self.catalog.note(_WRITTEN, f"{snapshot.id} {snapshot.encode().decode()}")

    def add_key(self, password: str, machine: Machine, now: float) -> str:
        """One more password; returns the name of its key file."""
        return self.objects.write(Kind.KEY, lock_away(self.master, password, machine, now).encode())


def _unlocked(objects: Objects, password: str, sealed: bytes, first: str) -> tuple[str, MasterKey, bytes]:
    """The key of this password that opens the config, after the name of its file, and the config in the clear."""
    last: PeerError | None = None
    for name, master in _masters(objects, password, first):
        try:
            return name, master, master.open(sealed, f"{objects.url}/config")
        except PeerError as error:
            last = error
    raise last or WrongPassword(where=objects.url)


def _masters(objects: Objects, password: str, first: str = "") -> Iterator[tuple[str, MasterKey]]:
    """What opens with this password, by key file; Corrupt at the end if a key file is damaged and none did."""
    damaged: PeerError | None = None
    has_any = False
    for name in _key_names(objects, first):
        where = objects.where(Kind.KEY, name)
        try:
            master = KeyFile.decode(objects.read(Kind.KEY, name), where).open(password, where)
        except Missing:
            continue
        except Corrupt as error:
            damaged = error
            continue
        if master is not None:
            has_any = True
            yield name, master
    if damaged is not None and not has_any:
        raise damaged


def _key_names(objects: Objects, first: str) -> Iterator[str]:
    if is_id(first):
        yield first
    yield from (blob.name for blob in objects.list(Kind.KEY) if blob.name != first)


class _Tools(threading.local):
    """Of each thread its own; making them anew for each blob costs more than the smallest blobs do."""

    def __init__(self, master: MasterKey) -> None:
        self.opener = master.opener()
        self._decompressor = zstandard.ZstdDecompressor()

    def decompressed(self, data: bytes, size_max: int, where: str) -> bytes:
        """Corrupt if it is damaged, or longer than `size_max`."""
        try:
            size = zstandard.frame_content_size(data)
            # The library obeys a size that the frame tells whatever the limit is.
            if max(size, size_max) > RAW_BYTES_MAX or size > size_max:
                raise Corrupt(where=where, reason="it says that it is larger than anything can be")
            return self._decompressor.decompress(data, max_output_size=size_max) if size_max else b""
        except zstandard.ZstdError as error:
            raise Corrupt(where=where, reason=f"it cannot be decompressed: {error}") from error


def _catalog_path(cache: Path | None, config: Config) -> Path | None:
    return None if cache is None else cache / f"{config.id[:16]}.catalog"
