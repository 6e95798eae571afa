"""Guard: deletions so many that they look like an accident wait until the user has approved them, once.

What is held is neither sent nor fetched again.  The held paths and the decision are facts of the ledger, so that they
survive a restart and `escalectl approve` needs no running service.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import asdict, dataclass
from typing import Self

from ..digest import short_name
from ..files.ledger import Ledger
from ..files.tree import path_bytes

APPROVE = "approve"
REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """How many files may be deleted between two passes: `count`, or `percent` of all, whichever is more.

    None for both: no limit.  A folder of several files that is emptied is held whatever the limit.
    """

    count: int | None = 50
    percent: float | None = 25.0

    def allows(self, missing: int, agreed: int) -> bool:
        """Whether so many of the files that were agreed on may be missing."""
        if self.count is None and self.percent is None:
            return True
        if missing == agreed > 1:
            return False
        return missing <= max(self.count or 0, (self.percent or 0.0) * agreed / 100)


@dataclass(frozen=True, slots=True)
class HeldDeletion:
    """Deletions that wait: their `id` (what they are is part of it), since which Unix time, of how many files."""

    id: str
    since: float
    agreed: int
    paths: tuple[str, ...]

    @classmethod
    def of(cls, paths: Iterable[str], agreed: int, now: float) -> Self:
        """A new one."""
        ordered = tuple(sorted(paths))
        return cls(short_name(*map(path_bytes, ordered))[:8], now, agreed, ordered)

    @classmethod
    def load(cls, ledger: Ledger) -> Self | None:
        """The one that waits, if there is one."""
        text = ledger.meta("held deletion")
        return None if text is None else cls(**{**json.loads(text), "paths": tuple(json.loads(text)["paths"])})

    def save(self, ledger: Ledger) -> None:
        """Durable on return."""
        ledger.set_meta("held deletion", json.dumps(asdict(self)))

    def decide(self, ledger: Ledger, decision: str) -> None:
        """APPROVE or REFUSE; the next pass acts on it."""
        ledger.set_meta("decision", f"{decision} {self.id}")


class Guard:
    """Judges the missing files of each pass."""

    def __init__(self, ledger: Ledger, limit: DeletionLimit) -> None:
        self._ledger = ledger
        self._limit = limit

    def refused(self) -> frozenset[str]:
        """Paths whose deletion the user has refused; asked once, they are to be fetched again."""
        held = HeldDeletion.load(self._ledger)
        if held is None or self._ledger.meta("decision") != f"{REFUSE} {held.id}":
            return frozenset()
        self._ledger.disagree(held.paths)
        self._forget()
        return frozenset(held.paths)

    def hold(self, missing: Set[str], agreed: int, now: float) -> HeldDeletion | None:
        """What of these missing files has to wait, of so many that were agreed on."""
        approved = self._approved()
        left = missing - approved
        if approved and not missing & approved:
            self._ledger.set_meta("approved deletion", None)
        before = HeldDeletion.load(self._ledger)
        if before is not None:
            # What was too much stays too much, however many files are added meanwhile.
            agreed = before.agreed + len(left - frozenset(before.paths))
        if self._limit.allows(len(left), agreed):
            self._forget()
            return None
        held = HeldDeletion.of(left, agreed, now)
        if before is not None and before.id == held.id:
            return before
        held.save(self._ledger)
        return held

    def _approved(self) -> frozenset[str]:
        """What was approved, from now on."""
        held = HeldDeletion.load(self._ledger)
        if held is not None and self._ledger.meta("decision") == f"{APPROVE} {held.id}":
            self._ledger.set_meta("approved deletion", json.dumps(held.paths))
            self._forget()
        text = self._ledger.meta("approved deletion")
        return frozenset(json.loads(text)) if text else frozenset()

    def _forget(self) -> None:
        for key in ("held deletion", "decision"):
            if self._ledger.meta(key) is not None:
                self._ledger.set_meta(key, None)
