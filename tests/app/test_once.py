"""One pass for every section at the same time, and the truth about each."""

import os
import signal
import threading

from escale.app.once import pass_over
from escale.app.status import PassResult
from escale.errors import NoSuchRelay
from escale.events import PageEnded, Problem

from .scripted import Stage, nothing


def test_sections_run_together_and_are_told_apart(tmp_path):
    stage, meeting = Stage(), threading.Barrier(3)

    def meets(loop):
        meeting.wait(20)
        loop.report(PageEnded(loop.name, "up", "p", 3, 100, 50, 2.0))
        loop.report(PageEnded(loop.name, "down", "p", 1, 10, 5, 1.0))
        return PassResult(up_files=3, down_files=1, skipped=1, exit_code=3)

    def fails(loop):
        meeting.wait(20)
        raise NoSuchRelay(where="s3://bucket", reason="no such bucket")

    def breaks(loop):
        meeting.wait(20)
        raise RuntimeError("unforeseen")

    parts = [stage.part("a", meets), stage.part("b", fails), stage.part("c", breaks)]
    ending = pass_over(parts, stage.report, tmp_path / "errors.log", None)
    assert [outcome.exit_code for outcome in ending.outcomes] == [3, 10, 1]
    tally = ending.outcomes[0].tally
    assert (tally.up.files, tally.up.bytes, tally.up.seconds) == (3, 100, 2.0)
    assert (tally.down.files, tally.down.bytes) == (1, 10)
    assert sorted(event.code for event in stage.events if isinstance(event, Problem)) == ["R310", "X900"]
    assert "RuntimeError: unforeseen" in (tmp_path / "errors.log").read_text()
    assert all(loop.is_closed.is_set() for loop in stage.loops.values())


def test_it_gives_up_in_time_and_reports_who_was_done(tmp_path):
    stage, gate, done = Stage(), threading.Event(), threading.Event()

    def endless(loop):
        done.wait(20)
        gate.wait(20)
        return PassResult()

    def quick(loop):
        done.set()
        return PassResult()

    ending = pass_over([stage.part("a", endless), stage.part("b", quick)], stage.report, tmp_path / "e", 0.5)
    gate.set()
    assert ending.cut_short == 1
    assert "a" not in [outcome.section for outcome in ending.outcomes]


def test_a_signal_ends_it_with_the_code_of_the_signal(tmp_path):
    stage, gate = Stage(), threading.Event()

    def endless(loop):
        os.kill(os.getpid(), signal.SIGTERM)
        gate.wait(20)
        return PassResult()

    before = signal.getsignal(signal.SIGTERM)
    assert pass_over([stage.part("a", endless)], stage.report, tmp_path / "e", None).cut_short == 143
    gate.set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_to_do_is_done(tmp_path):
    stage = Stage()
    ending = pass_over([stage.part("a", nothing)], stage.report, tmp_path / "e", None)
    assert (ending.outcomes[0].exit_code, ending.cut_short) == (0, None)
