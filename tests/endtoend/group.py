"""Group: the clients of one relay, and what is true when they have settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from .folders import difference
from .places import Place
from .program import CONDITION_S_MAX, POLL_S, Ending, Program, holds

ROUNDS_MAX = 6
"""A round is a pass of every client; two deliver, a third removes, the others are for what had to be asked again."""


class Group:
    """Clients of one relay; a context manager that ends all their processes.

    `keys` (`puller_count=3`) stand in the configuration of each.
    """

    def __init__(self, directory: Path, place: Place, keys: Mapping[str, object]) -> None:
        self.directory = directory
        self.place = place
        self._keys = {key.replace("_", " "): value for key, value in keys.items()}
        self.programs: list[Program] = []

    def client(
        self, name: str, place: Place | None = None, /, *, options: Mapping[str, Any] = {}, **keys: object
    ) -> Program:
        """One more client; `place` where it takes another way to the relay, `options` for Program."""
        own = {key.replace("_", " "): value for key, value in keys.items()}
        made = Program(self.directory, name, place or self.place, {**self._keys, **own}, **options)
        self.programs.append(made)
        return made

    def round(self) -> list[Ending]:
        """One pass of each, in turn."""
        return [program.once() for program in self.programs]

    def settle(self, *programs: Program) -> int:
        """Passes until all folders are the same and nothing is under way; returns the rounds.  Fails if it never is."""
        chosen = programs or tuple(self.programs)
        for done in range(1, ROUNDS_MAX + 1):
            for program in chosen:
                program.once()
            if not self.unsettled(*chosen):
                return done
        raise AssertionError(f"after {ROUNDS_MAX} rounds:\n{self.unsettled(*chosen)}")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for the condition while all run; fails with all they said if one ends before or it takes too long."""
        end = time.monotonic() + CONDITION_S_MAX
        while not holds(condition):
            if time.monotonic() > end or not all(program.is_running for program in self.programs):
                said = [f"--- {program.name}\n{program.said()}" for program in self.programs]
                raise AssertionError("\n".join(["not in time", f"on the relay: {self.place.names()}", *said]))
            time.sleep(POLL_S)

    def unsettled(self, *programs: Program) -> str:
        """What is not as it should be in the end, in words; empty if nothing."""
        first, *others = programs or self.programs
        wrong = [f"on the relay: {name}" for name in self.place.unrest()]
        reference = first.files()
        for other in others:
            if told := difference(reference, other.files()):
                wrong.append(f"{first.name} / {other.name}\n{told}")
        return "\n".join(wrong)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for program in self.programs:
            program.close()
