"""Decisions that can be drawn, repeated and enumerated."""

from __future__ import annotations

from random import Random

import pytest

from escale.testing.choices import Choices, Decision, Divergence, depth_first


def test_all_runs_are_enumerated_once():
    runs = []
    for choices in depth_first():
        first = choices.choose(("a", "b", "c"))
        runs.append((first, choices.choose(("x", "y")) if first != "b" else "-", choices.happens(0.5)))
    assert len(runs) == len(set(runs)) == 2 * (2 + 1 + 2)


def test_runs_below_a_beginning_are_enumerated_alone():
    beginning = [Decision(("a", "b"), 1)]
    runs = [(choices.choose(("a", "b")), choices.choose(("x", "y"))) for choices in depth_first(beginning)]
    assert runs == [("b", "x"), ("b", "y")]


def test_what_cannot_happen_and_what_must_is_no_decision():
    choices = Choices()
    assert choices.choose(("alone",)) == "alone"
    assert not choices.happens(0.0)
    assert choices.taken == []


def test_drawn_decisions_can_be_repeated():
    def run(choices: Choices) -> list[object]:
        return [choices.choose(("a", "b", "c")) if choices.happens(0.7) else "none" for _ in range(50)]

    drawn = Choices(Random(7))
    first = run(drawn)
    assert len(set(first)) == 4
    assert run(Choices(Random(7))) == first
    assert run(Choices(prefix=drawn.taken)) == first
    assert run(Choices(Random(8), drawn.taken)) == first


def test_a_run_that_depends_on_something_else_is_noticed():
    outside = iter("ab")
    with pytest.raises(Divergence, match="decision 0"):
        for choices in depth_first():
            choices.choose((next(outside), "z"))
