"""Doomed: packs that nobody needs any more, marked so for some days before they go.

A mark is an object beside the repository that bears the name of its pack.  Writers do not rely on a marked pack, and
what they relied on before it was marked is in a version by the time the pack would go, which is looked for then.  So
no lock has to hold for anything to be safe; locks save work.

Whoever asks what is there looks at marks first and at packs afterwards: a mark goes after its pack, so a pack that is
about to go is either seen to be marked, or not seen at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from ..clock import Clock
from ..errors import NoSuchRelay, PeerError
from ..store.blob import BlobStore, read_many
from .repository import Repository

GRACE_S = 72 * 3600.0
"""From the mark to the end: a machine that slept over a weekend in the middle of its backup still finishes it."""

_DIRECTORY = "doomed"
_NAME_DIGITS = 64
_MARK_BYTES_MAX = 4096


def doomed(repository: Repository) -> set[str]:
    """The packs that are marked; to be asked for before packs are listed."""
    return set(_marks(_store(repository)))


class Doomed:
    """Makes and takes away the marks of one repository."""

    def __init__(self, repository: Repository, clock: Clock) -> None:
        self._master = repository.master
        self._store = _store(repository)
        self._clock = clock

    def ages(self, store_now: float = math.inf) -> Mapping[str, float]:
        """Seconds since each was marked, by the store's clock and by our own: the less of both, as far as it is told.

        Below zero for a mark from the future: one of the clocks is wrong, and nobody knows its age.  Who does not know
        the time by the store's clock is told those by our own, which are no less than the others.
        """
        marks = _marks(self._store)
        found = read_many(self._store, [*marks], _MARK_BYTES_MAX)
        return {pack: min(self._ages(pack, sealed, marks[pack], store_now)) for pack, sealed in found}

    def mark(self, pack: str) -> None:
        """From now on nobody relies on the pack; marked again, its time begins anew."""
        text = json.dumps({"time": self._clock.now()}).encode()
        self._store.write_bytes(pack, self._master.seal(text))

    def spare(self, pack: str) -> None:
        """Somebody needs it, or it is gone; no error if it is not marked."""
        self._store.delete(pack)

    def _ages(self, pack: str, sealed: bytes | None, mtime: float | None, store_now: float) -> list[float]:
        ages = [] if mtime is None else [store_now - mtime]
        try:
            ages.append(self._clock.now() - float(json.loads(self._master.open(sealed or b"", pack))["time"]))
        except (PeerError, ValueError, KeyError, TypeError):
            # Not one of ours, or damaged: it is marked anew, which takes longer and hurts nobody.
            ages.append(-1.0)
        return ages


def _store(repository: Repository) -> BlobStore:
    return repository.objects.extra(_DIRECTORY)


def _marks(store: BlobStore) -> dict[str, float | None]:
    try:
        return {blob.name: blob.mtime for blob in store.list() if len(blob.name) == _NAME_DIGITS}
    except NoSuchRelay:
        # The directory appears with the first mark.
        return {}
