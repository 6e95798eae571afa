"""Acts that take turns, as decided."""

from __future__ import annotations

from random import Random

import pytest

from escale.testing.choices import Choices, depth_first
from escale.testing.scheduler import Equivalent, Scheduler, commute


def _run(choices: Choices, *scripts: tuple[str, list[tuple[str, str]]], **options: bool) -> Scheduler:
    """Acts that do nothing but make these steps."""
    scheduler = Scheduler(choices, **options)
    for who, steps in scripts:
        scheduler.start(who, lambda steps=steps: [scheduler.step(*step) for step in steps])
    try:
        scheduler.run()
    except Equivalent:
        scheduler.trace.clear()
    return scheduler


def test_every_interleaving_is_run_once():
    steps = [("put", "x")] * 3
    traces = [tuple(_run(choices, ("a", steps), ("b", steps)).trace) for choices in depth_first()]
    assert len(traces) == len(set(traces)) == 20


def test_orders_of_steps_that_do_not_touch_each_other_are_run_once():
    """Two independent scripts have one order that counts; one shared blob gives as many as it has orders."""
    apart = (("a", [("put", "x")] * 4), ("b", [("put", "y")] * 4))
    shared = (("a", [("put", "x"), ("put", "s")]), ("b", [("put", "y"), ("list", ""), ("put", "s")]))

    def count(*scripts: tuple[str, list[tuple[str, str]]]) -> int:
        runs = [_run(choices, *scripts, skips_equivalent=True) for choices in depth_first()]
        return sum(1 for run in runs if run.trace)

    assert count(*apart) == 1
    # `list` sees both, one or none of a's two writes (3); both orders of the writes to s, unless the list, which
    # comes before b's, is after a's.
    assert count(*shared) == 5


def test_what_commutes():
    assert commute(("get", "x"), ("get", "x"))
    assert commute(("list", ""), ("info", "x"))
    assert commute(("put", "x"), ("delete", "y"))
    assert commute(("list", "0."), ("put", "client.x"))
    assert not commute(("get", "x"), ("delete", "x"))
    assert not commute(("put", "0.lock"), ("list", "0."))
    assert not commute(("create", "x"), ("create", "x"))
    assert not commute(("sweep", ".part-"), ("put", ".part-1"))


def test_the_same_decisions_give_the_same_trace():
    scripts = [(who, [("put", f"{who}{number}") for number in range(20)]) for who in "abc"]
    digests = {_run(Choices(Random(3)), *scripts).digest() for _ in range(3)}
    assert len(digests) == 1
    assert _run(Choices(Random(4)), *scripts).digest() not in digests


def test_what_an_act_raises_is_handed_over_and_the_others_go_on():
    scheduler = Scheduler(Choices())

    def fail() -> None:
        scheduler.step("put", "x")
        raise ValueError("broken")

    scheduler.start("a", fail)
    scheduler.start("b", lambda: scheduler.step("put", "y"))
    scheduler.start("c", lambda: None)
    failures = scheduler.run()
    assert isinstance(failures["a"], ValueError)
    assert (failures["b"], failures["c"]) == (None, None)


def test_an_act_that_hangs_goes_on_when_it_is_resumed():
    done = []
    scheduler = Scheduler(Choices())

    def hang() -> None:
        scheduler.step("put", "x")
        scheduler.hang()
        done.append("resumed")

    scheduler.start("a", hang)
    scheduler.start("b", lambda: done.append("other"))
    assert scheduler.run() == {"b": None}
    assert scheduler.hanging == ["a"]
    assert scheduler.run() == {}
    scheduler.resume("a")
    assert scheduler.run() == {"a": None}
    assert done == ["other", "resumed"]


def test_abandoned_acts_do_not_go_on_whatever_they_try():
    done = []
    scheduler = Scheduler(Choices())

    def stubborn() -> None:
        try:
            scheduler.step("put", "x")
            scheduler.hang()
        finally:
            scheduler.step("put", "y")
            done.append("went on")

    scheduler.start("a", stubborn)
    scheduler.run()
    scheduler.abandon()
    assert done == []
    assert scheduler.hanging == []


def test_an_error_in_deciding_ends_the_run():
    class Broken(Choices):
        def choose(self, options: tuple[str, ...]) -> str:
            raise RuntimeError("no decision")

    with pytest.raises(RuntimeError, match="no decision"):
        _run(Broken(), ("a", [("put", "x")]), ("b", [("put", "x")]))
