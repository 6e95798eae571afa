"""A few random histories on each kind of storage; thousands: `python -m tests.endtoend.histories --help`."""

from __future__ import annotations

import pytest

from .histories import SERVICES_EVERY, one
from .station import Station, has_clocks
from .test_main_job import on

SEEDS = (1, 4)
"""The second with processes that are killed and lines that are cut."""

SERVICES = SERVICES_EVERY - 1
"""A seed whose clients run all the time."""


@pytest.mark.parametrize("backend", on("directory", "sshd", "apache", "moto_locked", "pyftpd"))
def test_no_last_word_is_lost_and_all_is_as_its_only_author_left_it(backend, tmp_path, tmp_path_factory):
    if not has_clocks():
        pytest.skip("NOT TESTED: locks that go stale; apt-get install libfaketime")
    shelf = tmp_path_factory.getbasetemp() / "failed"
    seeds = (*SEEDS, SERVICES) if backend == "directory" else SEEDS
    with Station(backend, tmp_path / "station") as station:
        outcomes = [one(seed, station, shelf) for seed in seeds]
    failures = [f"seed {each.seed}, kept in {each.kept}:\n{each.failure}" for each in outcomes if each.failure]
    assert not failures, "\n\n".join(failures)
