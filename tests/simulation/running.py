"""Running schedules by the thousand: in this process, or in several."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .histories import History
from .machines import memory_directory

SEEDS_FILE = Path(__file__).parent / "seeds.txt"
CHUNK = 40
"""Seeds that a job takes at a time: long enough to forget what asking for them costs, short enough to share fairly."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in which history, and all that happened before."""

    seed: int
    kind: str
    what: str
    trace: tuple[tuple[str, str, str], ...] = field(repr=False)


def run_seed(seed: int, directory: Path) -> tuple[History, Failure | None]:
    """One schedule."""
    os.umask(0o022)
    place = directory / str(seed)
    history = History(place, seed)
    try:
        history.run()
        failure = None
    except Exception as error:
        failure = Failure(seed, history.kind, f"{type(error).__name__}: {error}", tuple(history.trace))
    finally:
        history.close()
        shutil.rmtree(place, ignore_errors=True)
    return history, failure


def run_seeds(seeds: Iterable[int]) -> tuple[int, list[Failure]]:
    """So many schedules, and those that failed."""
    count, failures = 0, []
    with memory_directory() as directory:
        for seed in seeds:
            _, failure = run_seed(seed, directory)
            count += 1
            if failure:
                failures.append(failure)
    return count, failures


def run_many(seeds: range, jobs: int) -> Iterator[tuple[int, list[Failure], float]]:
    """All seeds on so many processes: schedules and failures since the last time, and seconds since the beginning."""
    began = time.perf_counter()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for count, failures in pool.imap_unordered(run_seeds, chunks):
            yield count, failures, time.perf_counter() - began


def known_seeds() -> list[int]:
    """Seeds that once failed; what follows a `#` is their story."""
    lines = (line.partition("#")[0].strip() for line in SEEDS_FILE.read_text().splitlines())
    return [int(line) for line in lines if line]
