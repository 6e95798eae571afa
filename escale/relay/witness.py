"""Witness: what a client remembers of a page's listing, so that a relay that goes back on it is noticed.

In format 1 no name is ever used twice: generations and stamps grow, and what a client has taken away stays away.  A
listing that shows less than the last one did, or what had left, was made by a backup, by a storage that answers with
old listings, or by somebody who wants to deceive.  It never does harm, for everything is merged and the ledger knows
what is newer; but the user is to know.  What an honest relay could look like as well is not told: an update that is
gone may have been received by all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from .relay import Blob, PageView


@dataclass(frozen=True, slots=True)
class Seen:
    """One page as it was last looked at: the highest `generation` of its index, the newest `stamp` that ever was there,
    and the `names` of all blobs but locks."""

    generation: int = 0
    stamp: str = ""
    names: frozenset[str] = frozenset()

    def after(self, view: PageView) -> Seen:
        """With a later look."""
        names = frozenset(blob.info.name for blob in _blobs(view))
        return Seen(_generation(view), max(self.stamp, view.newest_stamp), names)

    def encode(self) -> str:
        """For the ledger."""
        return json.dumps([self.generation, self.stamp, sorted(self.names)])

    @classmethod
    def decode(cls, text: str | None) -> Self:
        """What `encode` made; of None, a page that was never looked at."""
        if text is None:
            return cls()
        generation, stamp, names = json.loads(text)
        return cls(generation, stamp, frozenset(names))


def contradictions(seen: Seen, view: PageView) -> list[str]:
    """What cannot be if all clients keep to the protocol and the relay gives back what it was given, in sentences."""
    found = []
    if _generation(view) < seen.generation:
        found.append("its index is older than the one that was there before" if view.indices else "its index is gone")
    elif any(_is_new(blob, seen) and blob.place.generation < seen.generation for blob in view.indices):
        found.append("an old index is there again")
    stamps = {name.split(".")[2] for name in seen.names if ".index." not in name}
    for update in view.updates:
        if update.stamp <= seen.stamp and update.stamp not in stamps:
            found.append(f"the update {update.stamp}, which had left, is there again")
        elif update.stamp in stamps and _lacks_registration(seen, view.page, update.stamp, update.indices):
            found.append(f"a registration for the update {update.stamp} is gone")
    return found


def _lacks_registration(seen: Seen, page: str, stamp: str, blobs: tuple[Blob, ...]) -> bool:
    """Whether one was taken away although the update, which goes with its first generation, is still there."""
    names = {blob.info.name for blob in blobs}
    before = {name for name in seen.names if name.startswith(f"{page}.update.{stamp}.")}
    return any(blob.place.generation == 0 for blob in blobs) and not before <= names


def _generation(view: PageView) -> int:
    return max((blob.place.generation for blob in view.indices), default=0)


def _is_new(blob: Blob, seen: Seen) -> bool:
    return blob.info.name not in seen.names


def _blobs(view: PageView) -> list[Blob]:
    updates = (blob for update in view.updates for blob in (*update.indices, update.data))
    return [*view.indices, *(blob for blob in updates if blob is not None)]
