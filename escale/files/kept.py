"""What the ledger remembers of one item of the trash."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Cause(enum.StrEnum):
    """Why something was put into the trash."""

    DELETED = "deleted"
    """Somebody deleted it elsewhere."""

    REPLACED = "replaced"
    """A newer version came."""

    SETTLED = "settled"
    """The user decided for another version."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One path that was put into the batch of the trash: when (Unix seconds), why, and which client had caused it.

    `digest` is None if nobody had read the content.
    """

    batch: str
    path: str
    when: float
    cause: str
    client: str
    size: int
    digest: str | None
