"""A ledger without a file, for simulations that restart a client a thousand times a second."""

from __future__ import annotations

from pathlib import Path

from ..files.ledger import Ledger


class MemoryLedger(Ledger):
    """The production code over a database in memory; it outlives the process that is simulated, as a file would.

    What the simulated process had not committed when it died is rolled back, by the same code as ever.  Small facts are
    kept beside it, for a pass asks for the same ones again and again.
    """

    def __init__(self) -> None:
        self._facts: dict[str, str | None] = {}
        super().__init__(Path(":memory:"))

    def meta(self, key: str) -> str | None:
        if key not in self._facts:
            self._facts[key] = super().meta(key)
        return self._facts[key]

    def hashes_with(self, algorithm: str) -> None:
        super().hashes_with(algorithm)
        self._facts.clear()

    def set_meta(self, key: str, value: str | None) -> None:
        self._facts.pop(key, None)
        super().set_meta(key, value)

    def close(self) -> None:
        """The next process finds all of it."""

    def save(self) -> bytes:
        """All of it, as bytes."""
        return self._connection.serialize()

    def restore(self, saved: bytes) -> None:
        """As it was when it was saved."""
        self._facts.clear()
        self._connection.deserialize(saved)
