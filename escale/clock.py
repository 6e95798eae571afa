"""Time, as an argument: the only module that imports `time`."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What production code may know about time.  The simulator has its own."""

    def now(self) -> float:
        """Unix time in seconds; may jump in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; may end early when somebody calls for attention."""
        ...


class SystemClock:
    """The machine's clock; `wake` ends a sleep at once and makes later ones return at once until `rest`."""

    def __init__(self) -> None:
        self._bell = threading.Event()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._bell.wait(max(0.0, seconds))

    def wake(self) -> None:
        """End the sleep in progress; the next ones do not last either."""
        self._bell.set()

    def rest(self) -> None:
        """Let sleeps last again."""
        self._bell.clear()


@dataclass(slots=True)
class Backoff:
    """Growing waits with jitter: `first` seconds doubled each time up to `most`.

    Full jitter (a random share of the step) spreads clients that failed together.
    """

    rng: random.Random
    first: float = 0.5
    most: float = 60.0
    step: int = 0

    def next_wait(self) -> float:
        """Seconds to wait before the next attempt."""
        wait = min(self.most, self.first * 2.0**self.step)
        self.step = min(self.step + 1, 30)
        return wait * (0.5 + self.rng.random() / 2)

    def reset(self) -> None:
        """The thing works again."""
        self.step = 0
