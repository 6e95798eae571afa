"""Running schedules by the thousand: in this process, or in several."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from .histories import History
from .interleavings import Exploration, Small, variants
from .machines import memory_directory

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


def run_orders(small: Small, most: int) -> tuple[str, int, bool, list[Failure]]:
    """A small history in all its orders, at most so many: its name, how many, whether that was all, what failed."""
    os.umask(0o022)
    is_all = False
    with memory_directory() as directory:
        exploration = Exploration(directory / "world", small)
        try:
            is_all = sum(1 for _ in islice(exploration.run(), most)) < most
            failures = []
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            failures = [Failure(0, small.name, what, tuple(exploration.scheduler.trace))]
        finally:
            exploration.close()
    return small.name, exploration.count.schedules, is_all, failures


def run_all_orders(most: int, jobs: int) -> Iterator[tuple[str, int, bool, list[Failure]]]:
    """Every small history, one after the other as they end."""
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(partial(run_orders, most=most), variants(every=True))
