"""Remnants: what uploads that were broken off left under temporary names, which nobody lists and nobody reads.

A writer that died cannot take them away, and the next one has other names.  They are known by nothing but their age.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..errors import NoSuchRelay, Refused
from ..store.blob import BlobStore
from .objects import EXTRA, Kind, Objects

EXTRA_DIRECTORIES = ("damaged", "doomed", "heads")
DAYS = 8
"""So many days in turn, each with a part of the directories of packs: every one of them costs a listing."""

_PACK_DIRECTORIES = 256


def sweep_remnants(objects: Objects, older_than_s: float, now: float) -> int:
    """Remove those that are so old by the store's clock; returns how many.

    Uploads in progress are younger.  What we may not remove stays.
    """
    removed = 0
    for store in _stores(objects, round(now // 86400)):
        with suppress(NoSuchRelay, Refused):
            removed += store.sweep(older_than_s)
    return removed


def _stores(objects: Objects, day: int) -> Iterator[BlobStore]:
    yield objects.store
    if objects.store.guarantees.sweeps_below:
        return
    for kind in Kind:
        if kind is not Kind.PACK:
            yield objects.store.within(kind.value)
    for number in range(day % DAYS, _PACK_DIRECTORIES, DAYS):
        yield objects.store.within(f"{Kind.PACK.value}/{number:02x}")
    yield objects.store.within(EXTRA)
    for directory in EXTRA_DIRECTORIES:
        yield objects.extra(directory)
