"""What the commands end with.  A code that is not listed here is a failure, too."""

from __future__ import annotations

from collections.abc import Iterable

DONE = 0
FAILED = 1
USAGE = 2
SKIPPED = 3
PENDING = 4
DECISION = 5
NO_RELAY = 10
LOCKED = 11
REFUSED = 12
UNREACHABLE = 13
NO_SPACE = 14
NOT_RUNNING = 15
ALREADY_RUNNING = 16
PERMISSION = 77
CONFIGURATION = 78
INTERRUPTED = 130
TERMINATED = 143

_MILD = (DONE, PENDING, SKIPPED, DECISION, LOCKED, NO_SPACE, UNREACHABLE)
"""From nothing to say to worth a look; all others need somebody to mend something and are worse, in order of number."""


def worst(codes: Iterable[int]) -> int:
    """The code that speaks for several sections."""
    return max(codes, key=_gravity, default=DONE)


def _gravity(code: int) -> tuple[int, int]:
    return (0, _MILD.index(code)) if code in _MILD else (1, code)
