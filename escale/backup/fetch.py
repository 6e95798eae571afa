"""Fetch: many blobs by few requests.  Blobs that lie near each other in a pack come with one, several at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ..errors import Missing, PeerError
from .objects import Kind, Objects
from .pack import BlobKind, PackedBlob
from .repository import Repository

GAP_BYTES = 128 << 10
"""Bytes between two blobs that are rather read than asked around: 20 ms of 50 Mbit/s."""

RANGE_BYTES = 8 << 20
"""A request is not longer, unless one blob is: what several threads have in memory stays small."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of one pack that are read together, and the blobs in them that are wanted."""

    pack: str
    offset: int
    length: int
    blobs: tuple[PackedBlob, ...]


Places = dict[str, list[PackedBlob]]
"""Blobs by the pack that they are read from, each once."""

Kept = dict[tuple[str, int], bytes]
"""What ranges have given, sealed as it is, by pack and offset."""

Receiver = Callable[[bytes, bytes], None]
"""Called with a blob's id and its clear, verified bytes; from any thread, several at a time."""


class Fetch:
    """Reads from a repository over several connections; a context manager.  Used by the thread that the repository
    belongs to, whose own connection is one of them while that waits: whoever wants one file does not log in twice.

    `range_bytes`: how long a request may be; each connection holds as much.
    """

    def __init__(self, repository: Repository, connections: int, range_bytes: int = RANGE_BYTES) -> None:
        self._repository = repository
        self._pool = ThreadPoolExecutor(connections, "fetch")
        self._width = connections
        self._range_bytes = range_bytes
        self._idle: list[Objects] = []
        self._all: list[Objects] = []
        self._sizes: list[int] = []

    def __enter__(self) -> Fetch:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for objects in self._all:
            objects.store.close()

    @property
    def bytes_read(self) -> int:
        """From packs, so far."""
        return sum(self._sizes)

    def blobs(self, kind: BlobKind, ids: Iterable[bytes], receive: Receiver) -> dict[bytes, str]:
        """Hand every blob to the receiver, in any order; returns those that nobody has whole, with the reason.

        What the receiver raises, and what concerns the store as a whole (it does not answer, it refuses us), comes
        through.
        """
        places, failed = self._placed(kind, ids)
        return failed | self.read(places, receive)

    def read(self, places: Places, receive: Receiver, *, lent: bool = True) -> dict[bytes, str]:
        """The same for blobs whose places are known; what lies there damaged is looked for elsewhere.

        `lent`: the repository's own connection is one of those that are used; not if somebody goes on using it.
        """
        return self.read_ranges(ranges(places, self._range_bytes), receive, lent=lent)

    def read_ranges(
        self, wanted: Iterable[Range], receive: Receiver, *, kept: Kept | None = None, lent: bool = True
    ) -> dict[bytes, str]:
        """The same for ranges that are chosen already.  `kept`: what is in it is not read again; what is read, however
        much of it is wanted, is in it afterwards."""
        failed: dict[bytes, str] = {}
        running: set[Future[dict[bytes, str]]] = set()
        if lent:
            self._idle.append(self._repository.objects)
        try:
            for one in wanted:
                running.add(self._pool.submit(self._read, one, receive, {} if kept is None else kept))
                if len(running) > 2 * self._width:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        failed |= future.result()
            for future in running:
                failed |= future.result()
        finally:
            # However it ends, the receiver is not called any more afterwards.
            for future in running:
                future.cancel()
            wait(running)
            if lent:
                self._idle.remove(self._repository.objects)
        return failed

    def _placed(self, kind: BlobKind, ids: Iterable[bytes]) -> tuple[Places, dict[bytes, str]]:
        places: Places = defaultdict(list)
        failed = {}
        for blob_id in ids:
            found = self._repository.catalog.find(kind, blob_id)
            if found:
                places[found[0][0]].append(found[0][1])
            else:
                failed[blob_id] = "no index lists it"
        return places, failed

    def _read(self, one: Range, receive: Receiver, kept: Kept) -> dict[bytes, str]:
        data = memoryview(kept.get((one.pack, one.offset)) or self._read_part(one, kept))
        failed = {}
        for blob in one.blobs:
            start = blob.offset - one.offset
            try:
                clear = self._repository.opened(data[start : start + blob.length], blob, one.pack)
            except PeerError:
                try:
                    clear = self._alone(blob)
                except PeerError as error:
                    failed[blob.id] = str(error)
                    continue
            receive(blob.id, clear)
        return failed

    def _read_part(self, one: Range, kept: Kept) -> bytes:
        objects = self._connection()
        try:
            data = objects.read_part(Kind.PACK, one.pack, one.offset, one.length)
        except (PeerError, Missing):
            # One by one, for another pack may have what this one lacks.
            return b""
        finally:
            self._idle.append(objects)
        self._sizes.append(len(data))
        kept[one.pack, one.offset] = data
        return data

    def _alone(self, blob: PackedBlob) -> bytes:
        objects = self._connection()
        try:
            return self._repository.load_blob(blob.kind, blob.id, objects)
        finally:
            self._idle.append(objects)

    def _connection(self) -> Objects:
        try:
            return self._idle.pop()
        except IndexError:
            objects = self._repository.another_connection()
            self._all.append(objects)
            return objects


def ranges(places: Places, range_bytes: int = RANGE_BYTES) -> Iterator[Range]:
    """The requests for these blobs, by pack."""
    for pack, blobs in places.items():
        group: list[PackedBlob] = []
        for blob in sorted(blobs, key=lambda blob: blob.offset):
            if group:
                is_far = blob.offset - _end(group) > GAP_BYTES
                if is_far or blob.offset + blob.length - group[0].offset > range_bytes:
                    yield _around(pack, group)
                    group = []
            group.append(blob)
        yield _around(pack, group)


def _around(pack: str, group: list[PackedBlob]) -> Range:
    return Range(pack, group[0].offset, _end(group) - group[0].offset, tuple(group))


def _end(group: list[PackedBlob]) -> int:
    return group[-1].offset + group[-1].length
