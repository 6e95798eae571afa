"""The decisions of one simulated run, as a value that can be drawn, repeated and enumerated.

Whatever a simulation leaves open (who moves next, does this call fail) it asks here.  So a run is a function of its
decisions: the same ones give the same run, all sequences of them give all runs, and a run in which the same beginning
leads to other options than before is not deterministic, which is a bug of its own and is reported as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Decision:
    """One of several options, in words that are the same whenever the run is repeated."""

    options: tuple[str, ...]
    index: int


class Divergence(AssertionError):
    """The same decisions led to other options than before: the run depends on something that was not decided."""


class Choices:
    """Repeats the decisions of `prefix`; after that it draws from `rng`, or takes the first option if there is none."""

    def __init__(self, rng: Random | None = None, prefix: Sequence[Decision] = ()) -> None:
        self.taken: list[Decision] = []
        self._rng = rng
        self._prefix = prefix

    def choose(self, options: tuple[str, ...]) -> str:
        """One of these; where there is only one there is nothing to decide."""
        return options[0] if len(options) == 1 else options[self._decide(options)]

    def happens(self, odds: float) -> bool:
        """Whether something takes place that has these odds; enumerated runs know only whether they are 0."""
        if not odds:
            return False
        if self._rng is not None and len(self.taken) >= len(self._prefix):
            self.taken.append(Decision(_NO_YES, int(self._rng.random() < odds)))
            return bool(self.taken[-1].index)
        return bool(self._decide(_NO_YES))

    def successor(self) -> list[Decision] | None:
        """The beginning of the next run in depth-first order; None after the last."""
        for position in range(len(self.taken) - 1, -1, -1):
            decision = self.taken[position]
            if decision.index + 1 < len(decision.options):
                return [*self.taken[:position], Decision(decision.options, decision.index + 1)]
        return None

    def _decide(self, options: tuple[str, ...]) -> int:
        position = len(self.taken)
        if position < len(self._prefix):
            known = self._prefix[position]
            if known.options != options:
                raise Divergence(f"decision {position} was among {known.options} and is now among {options}")
            index = known.index
        else:
            index = self._rng.randrange(len(options)) if self._rng else 0
        self.taken.append(Decision(options, index))
        return index


_NO_YES = ("no", "yes")


def depth_first(beginning: Sequence[Decision] = ()) -> Iterator[Choices]:
    """Choices for every run that begins so, one after the other; each must have been used up when the next is taken."""
    prefix: list[Decision] | None = list(beginning)
    while prefix is not None and prefix[: len(beginning)] == list(beginning):
        choices = Choices(prefix=prefix)
        yield choices
        prefix = choices.successor()
