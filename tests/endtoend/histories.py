"""Many random histories: `python -m tests.endtoend.histories --backend sshd --histories 1000 --first 0 --jobs 4`.

Each job has a server of its own.  Every eighth history is one of services that run all the time (services.py); they
mostly wait, so more jobs than processors are of use.  A failure is printed with its seed; its folders, its relay and
the outputs of all passes are kept.  To repeat it: `--first SEED --histories 1`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from .history import Failed, History
from .services import ServiceHistory
from .station import Station, has_clocks
from .users import ACTS

SERVICES_EVERY = 8
MEMORY_DISK = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one history: how long it took, how many passes it had, and what was wrong, if anything."""

    seed: int
    seconds: float
    passes: int
    faults: tuple[str, ...]
    failure: str = ""
    kept: str = ""


def one(seed: int, station: Station, shelf: Path, acts: tuple[str, ...] = tuple(ACTS)) -> Outcome:
    """One history to its end, whatever that is."""
    begin = time.monotonic()
    history = (ServiceHistory if seed % SERVICES_EVERY == SERVICES_EVERY - 1 else History)(seed, station, acts)
    failure, kept = "", ""
    try:
        history.run()
    except Failed as failed:
        failure = str(failed)
        kept = str(history.keep(shelf, failure))
    history.close()
    return Outcome(seed, time.monotonic() - begin, history.count, history.faults, failure, kept)


def workplace() -> Path:
    """A directory for folders and relays: in memory if there is such a disk, because every pass waits for it often."""
    return Path(tempfile.mkdtemp(prefix="escale-histories-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))


def main() -> int:
    """The command; 1 if a history failed."""
    options = _options()
    if not has_clocks():
        sys.exit("without libfaketime no lock goes stale: apt-get install libfaketime")
    context = multiprocessing.get_context("spawn")
    outcomes: SimpleQueue[Outcome | str] = context.SimpleQueue()
    seeds = range(options.first, options.first + options.histories)
    shares = [seeds[number :: options.jobs] for number in range(options.jobs)]
    workers = [context.Process(target=_work, args=(options, share, outcomes)) for share in shares]
    begin = time.monotonic()
    for worker in workers:
        worker.start()
    failures = _watch(options, outcomes, begin)
    for worker in workers:
        worker.join()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = spent.ru_utime + spent.ru_stime
    print(f"{options.backend}: processor time {cpu_s:.0f} s in all, {cpu_s / options.histories:.2f} s each")
    return 1 if failures else 0


def _watch(options: argparse.Namespace, outcomes: SimpleQueue[Outcome | str], begin: float) -> list[Outcome]:
    """Print what comes until all have come; the failures."""
    failures: list[Outcome] = []
    passes = 0
    for done in range(1, options.histories + 1):
        outcome = outcomes.get()
        if isinstance(outcome, str):
            sys.exit(outcome)
        passes += outcome.passes
        if outcome.failure:
            failures.append(outcome)
            print(f"FAILED {options.backend} seed {outcome.seed} {outcome.faults}, kept in {outcome.kept}")
            print("  " + outcome.failure[:1500].replace("\n", "\n  "), flush=True)
        if done % options.every == 0 or done == options.histories:
            seconds = time.monotonic() - begin
            print(
                f"{options.backend}: {done} histories, {passes} passes, {len(failures)} failed, {seconds:.0f} s, "
                f"{done / seconds:.2f}/s",
                flush=True,
            )
    if failures:
        print(f"{options.backend}: seeds that failed: {sorted(outcome.seed for outcome in failures)}")
    return failures


def _work(options: argparse.Namespace, seeds: Sequence[int], outcomes: SimpleQueue[Outcome | str]) -> None:
    """One job: a station, and history after history."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    place = workplace()
    try:
        with Station(options.backend, place) as station:
            for seed in seeds:
                outcomes.put(one(seed, station, options.keep, tuple(options.acts.split(","))))
    except Exception:
        outcomes.put(traceback.format_exc())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.endtoend.histories", description=__doc__)
    parser.add_argument("--backend", default="sshd", help="a name of tests/servers, or directory")
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=50, help="how many histories between lines of progress")
    parser.add_argument("--acts", default=",".join(ACTS), help="what users do, separated by commas")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "escale-histories-failed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
