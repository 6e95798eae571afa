"""A ledger without a file, for simulations that restart a client a thousand times a second."""

from __future__ import annotations

from pathlib import Path

from ..files.ledger import Ledger


class MemoryLedger(Ledger):
    """The production code over a database in memory; it outlives the process that is simulated, as a file would.

    What the simulated process had not committed when it died is rolled back, by the same code as ever.
    """

    def __init__(self) -> None:
        super().__init__(Path(":memory:"))

    def close(self) -> None:
        """The next process finds all of it."""

    def save(self) -> bytes:
        """All of it, as bytes."""
        return self._connection.serialize()

    def restore(self, saved: bytes) -> None:
        """As it was when it was saved."""
        self._connection.deserialize(saved)
