"""Two machines edit the same file and synchronise at the same instant, over each kind of storage.

A hundred rounds each: `python -m tests.endtoend.same_instant --backend sshd --rounds 100`.
"""

from __future__ import annotations

import pytest

from .same_instant import Twins
from .station import Station
from .test_main_job import on

ROUNDS = 3


@pytest.mark.parametrize("backend", on("directory", "sshd", "apache", "moto_locked", "pyftpd"))
def test_both_edits_are_on_both_machines(backend, tmp_path):
    """GIVEN two edits of one file, WHEN both machines begin their passes at once, THEN both have both."""
    with Station(backend, tmp_path) as station:
        twins = Twins(station, tmp_path / "twins")
        for _ in range(ROUNDS):
            twins.edit_and_meet()
