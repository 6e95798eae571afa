"""Prune racing writers: a few schedules each time, and proof that they would show what they are there to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from escale.backup import locks, proof, save
from escale.backup.doomed import Doomed
from escale.backup.prune import Prune

from .racing import Race, run_seeds


def test_no_version_loses_anything():
    outcomes, failures = run_seeds(range(40))
    assert not failures, failures[0]
    assert outcomes["packs deleted"] > 10


def test_the_same_seed_is_the_same_schedule():
    traces = []
    for _ in range(2):
        race = Race(4)
        race.run()
        traces.append(race.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100


@contextmanager
def without_marks() -> Iterator[None]:
    """Writers do not know of marks."""
    with patch.object(proof, "doomed", lambda repository: set()):
        yield


@contextmanager
def without_a_second_look() -> Iterator[None]:
    """A writer that slept writes its version, and goes."""
    with patch.object(save, "GRACE_S", float("inf")):
        yield


@contextmanager
def without_looking_again() -> Iterator[None]:
    """What was marked goes, whoever needs it by now."""
    with patch.object(Prune, "_needed_after_all", lambda self, candidates: iter(())):
        yield


@contextmanager
def without_grace() -> Iterator[None]:
    """What was marked goes at once."""
    with patch.object(Doomed, "ages", lambda self, store_now=0.0: dict.fromkeys(_marked(self), 1e9)):
        yield


def _marked(marks: Doomed) -> set[str]:
    return {blob.name for blob in marks._store.list()}


@contextmanager
def without_locks_and_grace() -> Iterator[None]:
    """Nobody waits for anybody."""
    with patch.object(locks, "_look", lambda *arguments, **named: None), without_grace():
        yield


@pytest.mark.parametrize(
    "mutant", [without_marks, without_a_second_look, without_looking_again, without_locks_and_grace]
)
def test_a_broken_protocol_is_found_out(mutant):
    with mutant():
        for first in range(0, 2000, 20):
            _, failures = run_seeds(range(first, first + 20))
            if failures:
                return
    pytest.fail(f"nobody notices {mutant.__name__}")
