"""A worker goes on after every failure, stops at once, and says how it is."""

import threading

import pytest

from escale.app.presence import FolderGone
from escale.app.status import Need, PassResult, SectionState, SectionStatus
from escale.app.worker import REFUSALS_MAX, Worker
from escale.errors import SecretError, Unreachable
from escale.events import Problem

from .scripted import Stage, ends, nothing


@pytest.fixture
def stage():
    return Stage()


def running(stage, tmp_path, part, restart_s=None):
    worker = Worker(part, stage.report, tmp_path / "errors.log", restart_s)
    worker.start()
    return worker


def problems(events):
    return [event for event in events if isinstance(event, Problem)]


def finish(worker):
    worker.stop()
    assert worker.join(10)


def test_it_stops_at_once_in_the_middle_of_a_long_wait(stage, tmp_path):
    worker = running(stage, tmp_path, stage.part("work"))
    stage.wait_for(lambda events: ends(events) == 1)
    assert worker.is_well()
    finish(worker)
    assert stage.loops["work"].is_closed.is_set()
    assert not worker.is_well()


def test_it_does_a_pass_when_woken_and_is_in_step_only_after_it(stage, tmp_path):
    gate = threading.Event()

    def slow(loop):
        gate.wait(10)
        return PassResult()

    worker = running(stage, tmp_path, stage.part("work", nothing, slow))
    stage.wait_for(lambda events: ends(events) == 1)
    assert worker.status().state in (SectionState.IN_STEP, SectionState.STARTING)
    worker.wake()
    assert worker.status().state is SectionState.STARTING
    gate.set()
    stage.wait_for(lambda events: ends(events) == 2)
    finish(worker)
    assert worker.status().state is SectionState.IN_STEP


def test_it_tries_again_after_a_failure_and_forgets_it_after_success(stage, tmp_path):
    def unreachable(loop):
        raise Unreachable(where="relay", reason="no answer")

    worker = running(stage, tmp_path, stage.part("work", unreachable, nothing), restart_s=0.01)
    stage.wait_for(lambda events: ends(events) == 1)
    finish(worker)
    (problem,) = problems(stage.events)
    assert (problem.code, problem.exit_code, problem.retry_s) == ("R301", 13, 0.01)
    assert worker.status().needs == ()


def test_a_need_names_the_command_that_ends_it_and_is_said_once(stage, tmp_path):
    def gone(loop):
        error = FolderGone(path="/mnt/disk")
        loop.known = SectionStatus("work", SectionState.ERROR, needs=(Need(str(error)), Need("another thing")))
        raise error

    worker = running(stage, tmp_path, stage.part("work", gone))
    stage.wait_for(lambda events: problems(events))
    needs = worker.status().needs
    finish(worker)
    assert [need.command for need in needs] == ["escalectl sync work --adopt relay|local", ""]
    assert [need.sentence for need in needs] == [
        "the folder /mnt/disk was there before and is gone (L110)",
        "another thing",
    ]


def test_after_three_refusals_it_waits_to_be_told(stage, tmp_path):
    def refused(loop):
        raise SecretError(what="the relay refused user 'jane'")

    worker = running(stage, tmp_path, stage.part("work", *[refused] * REFUSALS_MAX, nothing), restart_s=0.01)
    stage.wait_for(lambda events: len(problems(events)) == REFUSALS_MAX)
    assert problems(stage.events)[-1].retry_s is None
    assert worker.status().state is SectionState.ERROR
    assert "refused user 'jane' (K202)" in worker.status().needs[0].sentence
    assert worker.is_well()
    worker.wake()
    stage.wait_for(lambda events: ends(events) == 1)
    finish(worker)


def test_an_unexpected_error_is_saved_and_tried_again(stage, tmp_path):
    def broken(loop):
        raise ZeroDivisionError("unforeseen")

    worker = running(stage, tmp_path, stage.part("work", broken, nothing), restart_s=0.01)
    stage.wait_for(lambda events: ends(events) == 1)
    finish(worker)
    (problem,) = problems(stage.events)
    assert problem.code == "X900"
    assert str(tmp_path / "errors.log") in problem.advice
    assert "ZeroDivisionError: unforeseen" in (tmp_path / "errors.log").read_text()


def test_a_loop_that_cannot_be_built_is_a_problem_like_any_other(stage, tmp_path):
    part = stage.part("work")
    attempts = []

    def fussy(clock, reporter):
        attempts.append(1)
        if len(attempts) == 1:
            raise SecretError(what="no passphrase")
        return part.open(clock, reporter)

    worker = running(stage, tmp_path, type(part)("work", None, fussy), restart_s=0.01)
    stage.wait_for(lambda events: ends(events) == 1)
    finish(worker)
    assert [problem.message for problem in problems(stage.events)] == ["no passphrase"]
