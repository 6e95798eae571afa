"""A clock that moves only when somebody sleeps or a test says so."""

from __future__ import annotations


class SimClock:
    """Starts at `start` (Unix seconds); `jump` moves the wall clock alone, as a wrong time server does."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._wall = start
        self._monotonic = 0.0

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock is set; no time passes."""
        self._wall += seconds
