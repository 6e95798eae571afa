"""Several things at the same time, for races that certify a relay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_together(acts: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run all acts at once, each in a thread of its own; their results in order, or the first exception."""
    with ThreadPoolExecutor(max_workers=max(1, len(acts))) as pool:
        return [future.result() for future in [pool.submit(act) for act in acts]]
