"""What must be true of a relay at every moment, whoever dies next.

* **No lies**: an update that has its index has its data, unless who named it was stopped for hours before he did.
* **Nothing is forgotten**: when a generation of an index goes, another blob says what it said, or something newer.
* **The quota holds**, where there is one.
* **Locks are respected**: nobody removes a lock of somebody else that he has seen to be young.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from escale.relay.format1 import MARKER, Format1
from escale.relay.index import Record
from escale.relay.marker import Marker
from escale.seal import Seal
from escale.store.blob import TEMPORARY, BlobStore
from escale.testing.faults import MUTATIONS, HookedStore

from .truth import Untrue

FIRST_GENERATION = ".0000000000-"
"""Later ones only register pullers."""

YOUNG_S = 450.0
"""Half of the time after which a lock is stale: clocks of machines run ahead of the world's while they sleep."""

Blobs = Mapping[str, tuple[bytes, float]]


@dataclass(slots=True)
class Overslept:
    """Updates that were named by who had been stopped for hours, at whatever instant: nobody can know then that what
    he had sent was swept away after him.  They are found without their data, and removed."""

    is_here: Callable[[], bool] = lambda: False
    names: set[str] = field(default_factory=set)


def watched(
    store: BlobStore,
    blobs: Blobs,
    seal: Seal | None = None,
    quota: int | None = None,
    overslept: Overslept | None = None,
) -> BlobStore:
    """The store over these blobs; Untrue as soon as one of the promises is broken."""
    reader = _Reader(blobs, seal)
    overslept = overslept or Overslept()

    def before(verb: str, name: str) -> None:
        if verb == "delete" and ".index." in name and name in blobs:
            _forget_nothing(reader, name)

    def after(verb: str, name: str) -> None:
        if verb in MUTATIONS:
            if verb == "put" and overslept.is_here():
                overslept.names.add(name)
            _tell_no_lies(blobs, overslept.names)
            if quota is not None:
                _keep_quota(blobs, quota)

    return HookedStore(store, before, after)


def respecting_locks(store: BlobStore, blobs: Blobs, incarnation: str, now: Callable[[], float]) -> BlobStore:
    """The store of a client of this incarnation.

    That he removes a lock which has taken the place of the one that he saw is no fault of his.
    """
    young: dict[str, str] = {}

    def before(verb: str, name: str) -> None:
        if verb == "delete" and name in young:
            raise Untrue(f"the lock {name} of {young[name]} is removed by somebody else")

    def after(verb: str, name: str) -> None:
        if verb == "get" and ".lock" in name and name in blobs:
            data, written = blobs[name]
            lock = Format1().decode_lock(data)
            young.pop(name, None)
            if now() - written < YOUNG_S and not lock.nonce.startswith(incarnation):
                young[name] = lock.owner

    return HookedStore(store, before, after)


def _tell_no_lies(blobs: Blobs, overslept: Set[str]) -> None:
    for name in blobs:
        page, _, rest = name.partition(".update.")
        if name.startswith(TEMPORARY) or name in overslept:
            continue
        if FIRST_GENERATION in rest and f"{page}.data.{rest.partition('.')[0]}" not in blobs:
            raise Untrue(f"{name} has no data")


def _keep_quota(blobs: Blobs, quota: int) -> None:
    used = sum(len(data) for name, (data, _) in blobs.items() if not name.startswith(TEMPORARY))
    if used > quota:
        raise Untrue(f"{used} bytes lie on the relay, and {quota} may")


def _forget_nothing(reader: _Reader, name: str) -> None:
    page = name.partition(".")[0]
    left: dict[str, Record] = {}
    for other in reader.blobs:
        if other != name:
            for record in reader.records(page, other):
                known = left.get(record.path)
                if known is None or record.precedence() > known.precedence():
                    left[record.path] = record
    for record in reader.records(page, name):
        if record.path not in left or left[record.path].precedence() < record.precedence():
            raise Untrue(f"with {name} goes {record.path} in version {record.version}")


class _Reader:
    """Reads indices as clients do."""

    def __init__(self, blobs: Blobs, seal: Seal | None) -> None:
        self.blobs = blobs
        self._seal = seal

    def records(self, page: str, name: str) -> list[Record]:
        """What a blob says about a page."""
        if name.startswith(f"{page}.index."):
            return list(Format1().decode_index(page, self._plain(name)).records.values())
        if name.startswith(f"{page}.update."):
            stamp = name.split(".")[2]
            return list(Format1().decode_update(page, stamp, self._plain(name)).records.values())
        return []

    def _plain(self, name: str) -> bytes:
        if self._seal is None:
            return self.blobs[name][0]
        marker = Marker.decode(self.blobs[MARKER][0], "the relay")
        return self._seal.unseal_bytes(self.blobs[name][0], f"{marker.relay_id}/{name}")
