"""Screens: how often they speak, and that they never raise."""

import io
import json

import pytest

from escale.app.wording import Level, Line
from escale.cli.render import JsonScreen, Palette, PlainScreen, json_line, palette_for, table
from escale.events import PassBegan, Problem, Progress


class TestClock:
    """Time as the test says."""

    __test__ = False

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def clock():
    return TestClock()


def progress(done, page="p"):
    return Progress("work", "up", page, done // 10, 10, done, 100)


def plain(clock, level=Level.INFO, is_journal=False, has_progress=True):
    stream = io.StringIO()
    return PlainScreen(stream, clock, level, Palette(), is_journal, has_progress), stream


def test_plain_progress_comes_once_a_minute(clock):
    screen, stream = plain(clock)
    for done in range(100):
        screen(progress(done))
        clock.sleep(2)
    assert stream.getvalue().splitlines() == [
        "work: sent 3 of 10 files, 30 B of 100 B, 0 B/s, 2 min 20 s left",
        "work: sent 6 of 10 files, 60 B of 100 B, 0 B/s, 1 min 20 s left",
        "work: sent 9 of 10 files, 90 B of 100 B, 0 B/s, 20 s left",
    ]


def test_without_progress_it_keeps_quiet(clock):
    screen, stream = plain(clock, has_progress=False)
    for done in range(100):
        screen(progress(done))
        clock.sleep(2)
    assert stream.getvalue() == ""


def test_errors_say_who_speaks_and_advice_is_indented(clock):
    screen, stream = plain(clock, Level.ERROR)
    screen(Problem("work", "R301", "cannot reach it", "Kept and sent later."))
    screen.say(Line(Level.INFO, "not heard"))
    assert stream.getvalue() == "escale: work: cannot reach it (R301)\n      Kept and sent later.\n"


def test_a_terminal_that_went_away_does_not_matter(clock):
    screen, stream = plain(clock)
    stream.close()
    screen(Problem("work", "R301", "x"))


def test_json_progress_is_thinned_but_the_last_one_comes(clock):
    stream, closed = io.StringIO(), []
    screen = JsonScreen(stream, clock, on_closed=lambda: closed.append(1))
    for done in range(101):
        screen(progress(done))
        clock.sleep(0.1)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert 10 <= len(events) <= 12
    assert events[-1]["bytes_done"] == 100
    assert events[-1]["bytes_per_s"] == 10
    stream.close()
    screen(PassBegan("work", 1.0))
    assert closed == [1]


def test_json_times_have_an_offset_and_paths_survive():
    values = json.loads(json_line(PassBegan("work", 1700000000.0).as_json()))
    assert values["time"].startswith("2023-11-1") and values["time"][-6] in "+-"
    assert json.loads(json_line({"path": "a\udcff"}))["path_b64"] == "Yf8="
    assert "path_b64" not in json.loads(json_line({"path": "plain"}))


def test_a_new_page_is_measured_anew(clock):
    screen, stream = plain(clock)
    screen(progress(90))
    clock.sleep(61)
    screen(progress(10, page="q"))
    assert stream.getvalue() == "work: sent 1 of 10 files, 10 B of 100 B\n"


def test_columns_are_as_wide_as_they_need_to_be():
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


@pytest.mark.parametrize(
    ("when", "environ", "is_on"),
    [
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour(when, environ, is_on):
    assert palette_for(io.StringIO(), when, environ).is_on is is_on
