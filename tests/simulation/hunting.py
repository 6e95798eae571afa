"""Looking for a bug: drawn histories, deaths in canonical ones, drawn orders of small ones, until a promise breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from escale.testing.choices import Choices

from .canonical import CANONICAL, Canonical, Death, Sweep
from .interleavings import Exploration, Small, variants
from .machines import memory_directory
from .running import run_seed

HISTORIES = range(400)
"""Seeds that are tried."""

DEATHS = ("a pull of edits", "a pull of renames", "a dead pusher is cleared away")
"""Canonical histories that are swept: the ones with the most changes."""


ORDERS = 20
"""Drawn orders of each of these small histories."""

TOGETHER = ("one path, two edits", "edit and deletion", "two pushes")


def hunt() -> tuple[int, str]:
    """How many schedules it took, and what was found: "" if nothing was."""
    count = 0
    with memory_directory() as directory:
        for count, found in enumerate(_schedules(directory), 1):
            if found:
                return count, found
    return count, ""


def _schedules(directory: Path) -> Iterator[str]:
    """For each schedule what broke in it."""
    for seed in HISTORIES[:40]:
        yield _what(seed, directory)
    for history in CANONICAL:
        if history.name in DEATHS:
            yield from _deaths(directory / history.name, history)
    for small in variants(every=True):
        if small.name.removesuffix(", no lock") in TOGETHER:
            yield from _orders(directory / small.name, small)
    for seed in HISTORIES[40:]:
        yield _what(seed, directory)


def _what(seed: int, directory: Path) -> str:
    _, failure = run_seed(seed, directory)
    return f"seed {failure.seed} ({failure.kind}): {failure.what}" if failure else ""


def _deaths(place: Path, history: Canonical) -> Iterator[str]:
    try:
        sweep = Sweep(place, history)
        for how in (Death.BEFORE, Death.POWER):
            for _ in sweep.run(how):
                yield ""
        sweep.close()
    except Exception as error:
        yield f"{history.name}: {type(error).__name__}: {error}"


def _orders(place: Path, small: Small) -> Iterator[str]:
    try:
        exploration = Exploration(place, small)
        for number in range(ORDERS):
            exploration.run_one(Choices(Random(number)), skips_equivalent=False)
            yield ""
        exploration.close()
    except Exception as error:
        yield f"{small.name}: {type(error).__name__}: {error}"
