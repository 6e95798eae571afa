"""Witness: what a client remembers of a page's listing, so that a relay that goes back on it is noticed.

In format 1 no name is ever used twice, and some things cannot happen while all clients keep to the protocol and the
relay gives back what it was given, however late a client wakes up and whatever the clocks say:

* an index leaves only after one of a higher generation is there;
* an index that has left stays away.  One of a low generation with a *new* name may come: its writer was asleep;
* the stamps of one client grow, so an update that is not newer than the newest of the same client was there before;
* an update index loses its first generation before its registrations.

A listing that breaks one of these was made by a backup, by a storage that answers with old listings, or by somebody who
wants to deceive.  It never does harm, for everything is merged and the ledger knows what is newer; but the user is to
know.  What an honest relay could look like as well is not told: an update that is gone may have been received by all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .relay import Blob, PageView, UpdateView

LEFT_MAX = 64
"""Names of indices that have left, as many as are remembered for a page: the last days of a busy one, in 3 KB."""

CLIENTS_MAX = 256
"""Clients whose newest update is remembered for a page: more than will ever share one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One page as it was last looked at: the `names` of all blobs but locks; `newest`, the newest stamp of an update of
    each client, by incarnation; `left`, names of indices that were there before, the latest last."""

    names: frozenset[str] = frozenset()
    newest: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    def after(self, view: PageView) -> Seen:
        """With a later look."""
        names = frozenset(blob.info.name for blob in _blobs(view))
        left = [name for name in self.left if name not in names] + sorted(self._indices(view.page) - names)
        stamps = [*self.newest.values(), *(update.stamp for update in view.updates if update.is_named)]
        newest = {_client_of(stamp): stamp for stamp in sorted(stamps)[-CLIENTS_MAX:]}
        return Seen(names, newest, tuple(left[-LEFT_MAX:]))

    def encode(self, relay_id: str) -> str:
        """For the ledger."""
        return json.dumps([relay_id, sorted(self.names), sorted(self.newest.values()), self.left])

    @classmethod
    def decode(cls, text: str | None, relay_id: str) -> Self:
        """What `encode` made of this relay; of another one, or of None, a page that was never looked at."""
        known_id, names, stamps, left = json.loads(text) if text else ("", [], [], [])
        if known_id != relay_id:
            return cls()
        return cls(frozenset(names), {_client_of(stamp): stamp for stamp in stamps}, tuple(left))

    def contradictions(self, view: PageView) -> list[str]:
        """What cannot be, after what was seen before, in sentences."""
        found = self._of_indices(view)
        before = {_stamp_of(name) for name in self.names - self._indices(view.page)}
        for update in view.updates:
            if update.stamp not in before and update.stamp <= self.newest.get(_client_of(update.stamp), ""):
                found.append(f"the update {update.stamp}, which had left, is there again")
            elif self._lacks_registration(view.page, update):
                found.append(f"a registration for the update {update.stamp} is gone")
        return found

    def _of_indices(self, view: PageView) -> list[str]:
        names = {blob.info.name for blob in view.indices}
        highest = max((blob.place.generation for blob in view.indices), default=0)
        found = []
        if any(_generation_of(name) >= highest for name in self._indices(view.page) - names):
            found.append("its index is older than the one that was there before" if names else "its index is gone")
        if not names.isdisjoint(self.left):
            found.append("an old index is there again")
        return found

    def _lacks_registration(self, page: str, update: UpdateView) -> bool:
        """Whether one was taken away although the first generation, which goes before it, is still there."""
        names = {blob.info.name for blob in update.indices}
        before = {name for name in self.names if name.startswith(f"{page}.update.{update.stamp}.")}
        return any(blob.place.generation == 0 for blob in update.indices) and not before <= names

    def _indices(self, page: str) -> frozenset[str]:
        return frozenset(name for name in self.names if name.startswith(f"{page}.index."))


def _blobs(view: PageView) -> list[Blob]:
    updates = (blob for update in view.updates for blob in (*update.indices, update.data))
    return [*view.indices, *(blob for blob in updates if blob is not None)]


def _generation_of(index: str) -> int:
    """PAGE.index.GENERATION-UNIQUE"""
    return int(index.split(".")[2].partition("-")[0])


def _stamp_of(name: str) -> str:
    """PAGE.update.STAMP.GENERATION-UNIQUE, PAGE.data.STAMP"""
    return name.split(".")[2]


def _client_of(stamp: str) -> str:
    """The incarnation that a stamp ends with."""
    return stamp.rpartition("-")[2]
