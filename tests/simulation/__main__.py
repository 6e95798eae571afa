"""`python -m tests.simulation --seeds 1000 --first 0 --jobs 2`: as many histories as one likes, and how fast.

`--orders 5000` runs the small histories instead, each in so many of its orders, which for most is all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from .circumstances import known_seeds
from .running import Failure, run_all_orders, run_many, run_seeds


def main() -> int:
    """0 if all promises were kept."""
    wanted = _arguments()
    return _orders(wanted) if wanted.orders else _histories(wanted)


def _histories(wanted: argparse.Namespace) -> int:
    failures: list[Failure] = []
    count, failed = run_seeds(known_seeds() if not wanted.first else [])
    _tell(failed, failures)
    last = 0.0
    for done, failed, seconds in run_many(range(wanted.first, wanted.first + wanted.seeds), wanted.jobs):
        count += done
        _tell(failed, failures)
        if seconds - last > wanted.every:
            last = seconds
            print(f"{count} schedules, {len(failures)} failed, {count / seconds:.0f} a second", flush=True)
    print(f"{count} schedules in {seconds:.0f} s, {count / seconds:.0f} a second; {len(failures)} failed")
    for kind, number in Counter(failure.kind for failure in failures).items():
        print(f"  {kind}: {number}")
    return 1 if failures else 0


def _orders(wanted: argparse.Namespace) -> int:
    failures: list[Failure] = []
    began, count = time.perf_counter(), 0
    for name, done, is_all, failed in run_all_orders(wanted.orders, wanted.jobs):
        count += done
        print(f"{name}: {done} orders{', all' if is_all else ''}", flush=True)
        _tell(failed, failures)
    seconds = time.perf_counter() - began
    print(f"{count} schedules in {seconds:.0f} s, {count / seconds:.0f} a second; {len(failures)} failed")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Run simulated histories.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--orders", type=int, default=0, help="orders of each small history, instead of histories")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines of progress")
    return parser.parse_args()


def _tell(failed: list[Failure], failures: list[Failure]) -> None:
    """The first failure of a kind with all that happened, the others in one line."""
    for failure in failed:
        if failure.kind not in {known.kind for known in failures}:
            for step in failure.trace:
                print("   ", *step)
        print(f"seed {failure.seed} ({failure.kind}): {failure.what}", flush=True)
        failures.append(failure)


if __name__ == "__main__":
    sys.exit(main())
