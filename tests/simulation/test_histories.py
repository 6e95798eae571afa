"""Random histories of several clients in all kinds of trouble: whatever happens, every promise of `truth.py` is kept.

The same seed gives the same history; `make simulate SEEDS=100000` runs more of them.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .circumstances import known_seeds
from .histories import KINDS
from .machines import memory_directory
from .running import run_seed, run_seeds

SEEDS = int(os.environ.get("SEEDS", "80"))
"""Histories of each kind; more with SEEDS=1000 in the environment."""


def test_histories_that_once_failed_are_as_they_should_be():
    count, failures = run_seeds(known_seeds())
    assert count >= 1
    assert not failures


@pytest.mark.parametrize("kind", KINDS)
def test_every_promise_is_kept(kind):
    first = KINDS.index(kind)
    _, failures = run_seeds(range(first, first + SEEDS * len(KINDS), len(KINDS)))
    assert not failures, f"{len(failures)} failed"


def test_the_same_seed_gives_the_same_trace_in_every_process():
    """Neither the order of sets nor what ran before has a say in it."""
    script = "from tests.simulation.test_histories import digests\nprint(digests())"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": chance},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for chance in ("1", "2")
    }
    assert found == {f"{digests()}\n"}


def digests() -> list[str]:
    """Of the first history of each kind."""
    with memory_directory() as directory:
        return [run_seed(seed, directory)[0].scheduler.digest()[:16] for seed in range(len(KINDS))]
