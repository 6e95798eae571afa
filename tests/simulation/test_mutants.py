"""A simulator that cannot fail proves nothing: it has to find bugs that were put there on purpose."""

from __future__ import annotations

import pytest

from .hunting import hunt
from .mutants import MUTANTS


def test_without_a_bug_nothing_is_found():
    count, found = hunt()
    assert not found
    assert count > 400


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_bug_is_found(mutant, monkeypatch):
    mutant(monkeypatch)
    count, found = hunt()
    assert found, f"{count} schedules noticed nothing"
    print(f"{mutant.__name__}: found by schedule {count}: {found}")
