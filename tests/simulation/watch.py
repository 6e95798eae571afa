"""What must be true of a relay at every moment, whoever dies next.

* **No lies**: an update that has its index has its data.
* **Nothing is forgotten**: when a generation of an index goes, another blob says what it said, or something newer.
"""

from __future__ import annotations

from collections.abc import Mapping

from escale.relay.format1 import Format1
from escale.relay.index import Record
from escale.store.blob import TEMPORARY, BlobStore
from escale.testing.faults import MUTATIONS, HookedStore

from .truth import Untrue

FIRST_GENERATION = ".0000000000-"
"""Later ones only register pullers."""

Blobs = Mapping[str, tuple[bytes, float]]


def watched(store: BlobStore, blobs: Blobs) -> BlobStore:
    """The store over these blobs; Untrue as soon as one of the promises is broken."""

    def before(verb: str, name: str) -> None:
        if verb == "delete" and ".index." in name and name in blobs:
            _forget_nothing(blobs, name)

    def after(verb: str, name: str) -> None:
        if verb in MUTATIONS:
            _tell_no_lies(blobs)

    return HookedStore(store, before, after)


def _tell_no_lies(blobs: Blobs) -> None:
    for name in blobs:
        page, _, rest = name.partition(".update.")
        if name.startswith(TEMPORARY):
            continue
        if FIRST_GENERATION in rest and f"{page}.data.{rest.partition('.')[0]}" not in blobs:
            raise Untrue(f"{name} has no data")


def _forget_nothing(blobs: Blobs, name: str) -> None:
    page = name.partition(".")[0]
    left: dict[str, Record] = {}
    for other in blobs:
        if other != name:
            for record in _records(page, other, blobs):
                known = left.get(record.path)
                if known is None or record.precedence() > known.precedence():
                    left[record.path] = record
    for record in _records(page, name, blobs):
        if record.path not in left or left[record.path].precedence() < record.precedence():
            raise Untrue(f"with {name} goes {record.path} in version {record.version}")


def _records(page: str, name: str, blobs: Blobs) -> list[Record]:
    data = blobs[name][0]
    if name.startswith(f"{page}.index."):
        return list(Format1().decode_index(page, data).records.values())
    if name.startswith(f"{page}.update."):
        stamp = name.split(".")[2]
        return list(Format1().decode_update(page, stamp, data).records.values())
    return []
