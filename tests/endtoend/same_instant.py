"""Two machines edit the same file and synchronise at the same instant; afterwards both have both edits.

    python -m tests.endtoend.same_instant --backend sshd --rounds 100

A warm parent forks both passes before it lets either begin, so they meet: at the lock, at the listing, at the index.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from .histories import workplace
from .history import CALM, Failed
from .program import RUN_S_MAX, Program, environment
from .station import Station
from .trees import difference, tree
from .warm import Order, Run

PATH = "notes/plan.txt"
ROUNDS_MAX = 8


class Twins:
    """Two clients of one relay and the file that both edit."""

    def __init__(self, station: Station, directory: Path) -> None:
        self._station = station
        directory.mkdir()
        self._place = station.place(False)
        self._programs = [Program(directory, name, self._place) for name in ("ann", "ben")]
        self._count = 0
        for program in self._programs:
            (program.folder / PATH).parent.mkdir()
            (program.folder / PATH).write_text("as agreed")
        self._settle()

    def edit_and_meet(self) -> None:
        """One round; Failed if an edit is missing anywhere or the folders differ."""
        self._count += 1
        edits = {f"{program.name} {self._count:06d}".encode() for program in self._programs}
        for program, edit in zip(self._programs, sorted(edits), strict=True):
            (program.folder / PATH).write_bytes(edit)
        self._await(self._pass(self._programs))
        self._settle()
        for program in self._programs:
            there = {node.content for node in tree(program.folder).values()}
            if not edits <= there:
                raise Failed(f"round {self._count}: {program.name} has not got {sorted(edits - there)}")

    def _settle(self) -> None:
        """Passes in turn until both are equal and nothing is under way."""
        for _ in range(ROUNDS_MAX):
            for program in self._programs:
                self._await(self._pass([program]))
            wrong = difference(*(tree(program.folder) for program in self._programs)) + self._place.unrest()
            if not wrong:
                return
        raise Failed(f"round {self._count}: after {ROUNDS_MAX} rounds\n" + "\n".join(wrong))

    def _pass(self, programs: list[Program]) -> list[Run]:
        orders = [
            Order(("-c", str(each.configuration), "--once"), each.home, environment(each.home), each.home / "pass")
            for each in programs
        ]
        return self._station.run(*orders)

    def _await(self, runs: list[Run]) -> None:
        for run in runs:
            code = run.code(RUN_S_MAX)
            if code not in CALM or "X900" in run.output():
                run_output = run.output()
                raise Failed(f"round {self._count}: a pass ended with {code}\n{run_output}")


def main() -> int:
    """The command; 1 at the first round in which something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.endtoend.same_instant", description=__doc__)
    parser.add_argument("--backend", default="sshd")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    place = workplace()
    done = 0
    try:
        with Station(options.backend, place) as station:
            twins = Twins(station, place / "twins")
            for _ in range(options.rounds):
                twins.edit_and_meet()
                done += 1
    except Failed as failed:
        print(failed)
    finally:
        shutil.rmtree(place)
    print(f"{options.backend}: both edits on both machines in {done} of {options.rounds} rounds")
    return 0 if done == options.rounds else 1


if __name__ == "__main__":
    sys.exit(main())
