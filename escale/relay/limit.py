"""What the relay takes in one upload, as far as its refusals have taught us.  Pure; all numbers are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..files.tree import Entry
from .budget import MEMBER_OVERHEAD, UNLIMITED

MEMORY_S = 86400.0
"""A limit is tried again after a day: somebody may have raised it, and a refused upload a day costs little."""


@dataclass(frozen=True, slots=True)
class UploadLimit:
    """Files of one update may have `together` bytes, headers included; one of `alone` bytes or more was refused by
    itself.  `until`: Unix seconds, when this is forgotten.

    A refusal names no number, so what was refused is halved until it passes.  Sizes are those before compression: the
    files of a folder are taken to be as compressible as one another.
    """

    together: int = UNLIMITED
    alone: int = UNLIMITED
    until: float = 0.0

    @classmethod
    def read(cls, text: str | None, now: float) -> Self:
        """What `str` wrote; no limit if that is nothing or too long ago."""
        if text is None:
            return cls()
        together, alone, until = text.split()
        known = cls(int(together), int(alone), float(until))
        return known if now < known.until <= now + MEMORY_S else cls()

    def __str__(self) -> str:
        return f"{self.together} {self.alone} {self.until}"

    def within(self, size_max: int) -> Self:
        """With the limit that the user has set."""
        return replace(self, together=min(self.together, size_max))

    def after_refusal(self, entries: Sequence[Entry], now: float) -> Self | None:
        """What is known once an update of these files was too large; None if it cannot be smaller."""
        total = sum(entry.size + MEMBER_OVERHEAD for entry in entries)
        if len(entries) > 1:
            return type(self)(min(self.together, total // 2), self.alone, now + MEMORY_S)
        if total < 2 * MEMBER_OVERHEAD:
            return None
        return type(self)(self.together, min(self.alone, entries[0].size), now + MEMORY_S)
