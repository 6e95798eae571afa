"""Writer: many blobs into packs, and the packs into index files, with all processors at work and bounded memory.

The caller's thread hashes a blob and looks it up; what is new goes in batches to threads that compress and seal it and
put it into one of several open packs at random, so that the lengths of its neighbours tell nobody what a file is.  A
full pack goes to a connection of its own; when it is durable an index may list it, and when the index is durable the
catalog does.  So whatever dies, nothing is listed that is not there.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, Self

import zstandard

from ..clock import Clock, SystemClock
from ..errors import EscaleError, NoRelaySpace
from .cipher import MasterKey
from .index import IndexFile
from .locks import RepositoryLock
from .objects import Kind, Objects
from .pack import PACK_BYTES, BlobKind, Pack
from .repository import LEVEL, Repository
from .sieve import Sieve

BATCH_BYTES = 512 << 10
BATCH_BLOBS = 64
"""What goes to a thread at once: small blobs cost less than handing each of them over would."""

QUEUE_BYTES = 8 << 20
"""Clear bytes that wait for a thread, or are with one; `add` waits beyond that."""

PACK_BLOBS = 10_000
"""In one pack, which is smaller then: what is known of a tiny blob takes more memory than the blob."""

OPEN_PACKS = {BlobKind.DATA: 4, BlobKind.TREE: 1}
"""Only the pieces of contents tell anything by their lengths."""

INDEX_BLOBS = 30_000
"""In one index file: 5 MiB as text."""

INDEX_PACKS = 64
INDEX_S = 600.0
"""In one index file: after a gigabyte or ten minutes at most what was saved is found by the run after one that died."""


class Sink(Protocol):
    """What takes the blobs that a walk finds."""

    def add(self, kind: BlobKind, raw: bytes) -> str:
        """Take a blob, unless it is there; its id in hex."""
        ...

    def known(self, kind: BlobKind, ids: list[bytes]) -> set[bytes]:
        """Those of many that need not be stored."""
        ...


@dataclass(slots=True)
class Written:
    """What a writer has stored so far.  `packs`: the bytes of each by its name, those that are durable only."""

    data_blobs: int = 0
    tree_blobs: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0
    packs: dict[str, int] = field(default_factory=dict)


class Writer:
    """Stores blobs; nothing is promised before `flush` returns.  A context manager: it holds threads and connections.

    Used by one thread.  What fails in a thread of its own is raised by the next call, and then by every one.
    """

    def __init__(
        self,
        repository: Repository,
        threads: int,
        connections: int,
        rng: random.Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`connections`: how many packs are sent at once."""
        self.repository = repository
        self.written = Written()
        self._rng = rng or random.SystemRandom()
        self._batch: list[tuple[BlobKind, bytes, bytes]] = []
        self._batch_bytes = 0
        self._fresh: dict[BlobKind, set[bytes]] = {kind: set() for kind in BlobKind}
        self._has_begun = False
        self._sieve: Sieve | None = None
        self._index = IndexFile()
        self._index_blobs = 0
        self._clock = clock or SystemClock()
        self._index_s = self._clock.monotonic()
        self._open = {kind: [_OpenPack.nth(n, count) for n in range(count)] for kind, count in OPEN_PACKS.items()}
        self._tools = _Tools(repository.master)
        self._work = _Work(threads, connections)
        self._idle: list[Objects] = []
        self._lock = threading.Lock()

    def has(self, kind: BlobKind, blob_id: bytes) -> bool:
        """Whether it need not be stored: it is in a pack that is there and whole, or will be after the next `flush`."""
        if blob_id in self._fresh[kind]:
            return True
        if self._sieve is not None and not self._sieve.may_have(blob_id):
            return False
        missing, catalog = self.repository.missing, self.repository.catalog
        if not missing:
            return catalog.has(kind, blob_id)
        return any(pack not in missing for pack, _ in catalog.find(kind, blob_id))

    def known(self, kind: BlobKind, ids: list[bytes]) -> set[bytes]:
        """Those of many that need not be stored."""
        fresh = self._fresh[kind]
        return self.repository.catalog.known(kind, ids, self.repository.missing).union(filter(fresh.__contains__, ids))

    def add(self, kind: BlobKind, raw: bytes) -> str:
        """Store a blob, unless it is there; its id in hex at once, its bytes some time before `flush` returns."""
        blob_id = hashlib.sha256(raw).digest()
        if not self._has_begun:
            # The first run over a place asks for every blob, and hardly one is known.
            self._has_begun = True
            self._sieve = Sieve() if self.repository.catalog.is_empty() else None
        if not self.has(kind, blob_id):
            self._fresh[kind].add(blob_id)
            self._batch.append((kind, blob_id, raw))
            self._batch_bytes += len(raw)
            if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_BLOBS:
                self._hand_over()
        return blob_id.hex()

    def flush(self) -> None:
        """Return when all that was added is durable, and listed by index files that are durable."""
        self._hand_over()
        self._work.wait()
        for kind, packs in self._open.items():
            for number, pack in enumerate(packs):
                if pack.blobs:
                    packs[number] = _OpenPack.nth(number, OPEN_PACKS[kind])
                    self._send(pack)
        self._work.wait()
        self._work.send(lambda: self._with_connection(self._write_index))
        self._work.wait()

    @contextmanager
    def giving_room_back(self, lock: RepositoryLock) -> Iterator[None]:
        """Where the store has no room for all, the packs that no index lists go again: nobody else can use them, and
        what makes room, a lock, marks, a smaller index, needs some.

        `lock`: ours; if others may have taken it for left, they may have listed these packs, and nothing goes.
        """
        try:
            yield
        except NoRelaySpace:
            self._work.close()
            with suppress(EscaleError):
                for pack in self._index.packs:
                    lock.must_hold()
                    self.repository.objects.delete(Kind.PACK, pack)
            raise

    def close(self) -> None:
        """End the threads; what was not flushed is lost."""
        self._work.close()
        while self._idle:
            self._idle.pop().store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _hand_over(self) -> None:
        batch, size = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        self._work.seal(size, lambda: self._seal(batch))

    def _seal(self, batch: list[tuple[BlobKind, bytes, bytes]]) -> None:
        tools = self._tools
        sealed = []
        for (_, _, raw), packed in zip(batch, tools.compressed([raw for _, _, raw in batch]), strict=True):
            is_smaller = len(packed) < len(raw)
            sealed.append((tools.sealer.seal(packed if is_smaller else raw), len(raw) if is_smaller else None))
        full = []
        with self._lock:
            for (kind, blob_id, raw), (blob, raw_length) in zip(batch, sealed, strict=True):
                packs = self._open[kind]
                number = self._rng.randrange(len(packs)) if len(packs) > 1 else 0
                pack = packs[number]
                pack.add(blob_id, kind, blob, raw_length)
                self._count(kind, len(raw))
                if pack.size >= pack.limit or len(pack.blobs) >= PACK_BLOBS:
                    full.append(pack)
                    packs[number] = _OpenPack(PACK_BYTES)
        for pack in full:
            self._send(pack)

    def _count(self, kind: BlobKind, raw_bytes: int) -> None:
        self.written.raw_bytes += raw_bytes
        if kind is BlobKind.DATA:
            self.written.data_blobs += 1
        else:
            self.written.tree_blobs += 1

    def _send(self, pack: Pack) -> None:
        self._work.send(lambda: self._with_connection(lambda objects: self._store(pack, objects)))

    def _with_connection(self, use: Callable[[Objects], None]) -> None:
        with self._lock:
            objects = self._idle.pop() if self._idle else None
        objects = objects or self.repository.another_connection()
        try:
            use(objects)
        finally:
            with self._lock:
                self._idle.append(objects)

    def _store(self, pack: Pack, objects: Objects) -> None:
        data = pack.finish(self.repository.master)
        name = objects.write_view(Kind.PACK, data)
        with self._lock:
            self.written.packs[name] = len(data)
            self.written.stored_bytes += len(data)
            self._index.packs[name] = pack.blobs
            self._index_blobs += len(pack.blobs)
            is_full = self._index_blobs >= INDEX_BLOBS or len(self._index.packs) >= INDEX_PACKS
            is_old = self._clock.monotonic() - self._index_s >= INDEX_S
        if is_full or is_old:
            self._write_index(objects)

    def _write_index(self, objects: Objects) -> None:
        with self._lock:
            index, self._index, self._index_blobs = self._index, IndexFile(), 0
            self._index_s = self._clock.monotonic()
        if not index.packs:
            return
        try:
            name = self.repository.write_unpacked(Kind.INDEX, index.encode(), objects)
        except NoRelaySpace:
            with self._lock:
                self._index.packs.update(index.packs)
            raise
        self.repository.catalog.add(name, index)
        for blobs in index.packs.values():
            for blob in blobs:
                if self._sieve is not None:
                    self._sieve.add(blob.id)
                self._fresh[blob.kind].discard(blob.id)


class _OpenPack(Pack):
    """`limit`: the size at which it is stored.  The first packs of a run end at different sizes, and so do all that
    follow them: memory holds half of what it would if they were full at the same time."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    @classmethod
    def nth(cls, number: int, count: int) -> Self:
        """The first one in this place."""
        return cls(PACK_BYTES * (number + 1) // count)


class _Tools(threading.local):
    """Of each thread its own."""

    def __init__(self, master: MasterKey) -> None:
        self.sealer = master.sealer()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def compressed(self, raws: Sequence[bytes]) -> list[bytes]:
        """All in one call, which took a third of the time that one call for each did; the empty blob stays as it is."""
        full: list[bytes | bytearray | memoryview] = [raw for raw in raws if raw]
        packed = iter(self._compressor.multi_compress_to_buffer(full) if full else ())
        return [next(packed).tobytes() if raw else raw for raw in raws]


class _Work:
    """Threads that seal and threads that send, and what they may hold at a time."""

    def __init__(self, threads: int, connections: int) -> None:
        self._sealing = ThreadPoolExecutor(threads, "seal")
        self._sending = ThreadPoolExecutor(connections, "send")
        self._turn = threading.Condition()
        self._connections = connections
        self._bytes = 0
        self._batches = 0
        self._sends = 0
        self._failure: BaseException | None = None

    def seal(self, size: int, task: Callable[[], None]) -> None:
        """Do it when a thread is free; waits while too much is waiting."""
        with self._turn:
            self._turn.wait_for(lambda: not self._bytes or self._bytes + size <= QUEUE_BYTES or self._failure)
            self._raise()
            self._bytes += size
            self._batches += 1
        self._sealing.submit(self._run, task, 1, 0, size)

    def send(self, task: Callable[[], None]) -> None:
        """Do it at once on a connection; waits until one is free."""
        with self._turn:
            self._turn.wait_for(lambda: self._sends < self._connections or self._failure)
            self._raise()
            self._sends += 1
        self._sending.submit(self._run, task, 0, 1, 0)

    def wait(self) -> None:
        """Until nothing is left to do; raises what failed."""
        with self._turn:
            self._turn.wait_for(lambda: not self._batches and not self._sends)
            self._raise()

    def close(self) -> None:
        """Waits for what is being done."""
        self._sealing.shutdown(cancel_futures=True)
        self._sending.shutdown(cancel_futures=True)

    def _run(self, task: Callable[[], None], batches: int, sends: int, size: int) -> None:
        failure: BaseException | None = None
        try:
            if self._failure is None:
                task()
        except BaseException as error:
            failure = error
        with self._turn:
            self._failure = self._failure or failure
            self._bytes -= size
            self._batches -= batches
            self._sends -= sends
            self._turn.notify_all()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
