"""When the next run is: the words, and the arithmetic over nights, months and changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.conf.kinds import BadValue, Place
from escale.conf.schedule import Schedule, ScheduleKind

BERLIN = ZoneInfo("Europe/Berlin")
PLACE = Place("schedule", Path("/"), {}, lambda bad: None)

FORMS = (
    "hourly",
    "hourly :15",
    "daily",
    "daily 03:00",
    "daily 12:00, 18:30",
    "weekly",
    "weekly Sun 03:00",
    "weekly Mon, Thu 20:00",
    "weekly friday",
    "monthly",
    "monthly 31 04:00",
    "every 6 h",
    "every 2 d",
)


def schedule(text: str) -> Schedule:
    return ScheduleKind().parse(text, PLACE)


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def next_text(words: str, last: str) -> str:
    found = schedule(words).next_after(at(last), BERLIN)
    return datetime.fromtimestamp(found, BERLIN).strftime("%a %Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("words", "last", "following"),
    [
        ("hourly :15", "2026-11-21 10:15", "Sat 2026-11-21 11:15"),
        ("hourly :15", "2026-11-21 10:14:59", "Sat 2026-11-21 10:15"),
        ("daily 03:00", "2026-11-21 02:59", "Sat 2026-11-21 03:00"),
        ("daily 03:00", "2026-11-21 03:00", "Sun 2026-11-22 03:00"),
        ("daily 12:00, 18:30", "2026-11-21 13:00", "Sat 2026-11-21 18:30"),
        ("weekly Mon, Thu 20:00", "2026-11-21 13:00", "Mon 2026-11-23 20:00"),
        ("weekly", "2026-11-21 13:00", "Sun 2026-11-22 00:00"),
        ("monthly 31 04:00", "2026-11-21 13:00", "Mon 2026-11-30 04:00"),
        ("monthly 31 04:00", "2026-11-30 04:00", "Thu 2026-12-31 04:00"),
        ("monthly 29", "2027-01-30 04:00", "Sun 2027-02-28 00:00"),
        ("every 6 h", "2026-11-21 13:07", "Sat 2026-11-21 19:07"),
        # The hour that does not exist, and the one that is there twice.
        ("daily 02:30", "2027-03-28 01:00", "Sun 2027-03-28 03:30"),
        ("daily 02:30", "2026-10-25 02:30", "Mon 2026-10-26 02:30"),
    ],
)
def test_the_next_run(words: str, last: str, following: str) -> None:
    assert next_text(words, last) == following


@given(st.sampled_from(FORMS), st.integers(0, 4_000_000_000))
def test_every_moment_has_a_next_one_that_is_later_and_not_far(words: str, last: int) -> None:
    plan = schedule(words)
    following = plan.next_after(last, BERLIN)
    assert last < following <= last + 32 * 86400
    assert not plan.is_due(last, following - 1, BERLIN) and plan.is_due(last, following, BERLIN)


@given(st.integers(0, 4_000_000_000))
def test_hourly_runs_are_an_hour_apart(last: int) -> None:
    first = schedule("hourly :20").next_after(last, BERLIN)
    assert schedule("hourly :20").next_after(first, BERLIN) - first == 3600


def test_what_was_missed_is_made_up_once() -> None:
    plan, last = schedule("daily 03:00"), at("2026-11-01 03:00")
    now = at("2026-11-21 09:00")
    assert plan.is_due(last, now, BERLIN)
    assert not plan.is_due(now, now, BERLIN) and plan.next_after(now, BERLIN) == at("2026-11-22 03:00")


def test_without_a_version_it_is_due_at_once_and_by_hand_it_never_is() -> None:
    assert schedule("weekly").is_due(None, 0.0, UTC)
    assert not schedule("no").is_due(None, 0.0, UTC) and schedule("no").next_after(0.0, UTC) is None


def test_a_last_run_in_the_future_keeps_nothing_from_running() -> None:
    now = at("2026-11-21 09:00")
    assert not schedule("daily 03:00").is_due(now + 1e9, now, BERLIN)
    assert schedule("daily 03:00").is_due(now + 1e9, now + 2 * 86400, BERLIN) is False
    assert schedule("every 6 h").next_after(now, BERLIN) == now + 6 * 3600


@pytest.mark.parametrize("words", [*FORMS, "no"])
def test_what_is_shown_can_be_written(words: str) -> None:
    plan = schedule(words)
    assert schedule(ScheduleKind().show(plan)) == plan


@pytest.mark.parametrize(
    "words",
    [
        "",
        "dayly",
        "daily 24:00",
        "daily 3",
        "weekly Foo",
        "weekly Sun 25:00",
        "monthly 32",
        "monthly 0",
        "hourly :60",
        "every",
        "every 1 min",
        "every 2 years",
        "daily 03:00 x",
        "weekly Sun 03:00 Foo",
    ],
)
def test_what_is_no_schedule(words: str) -> None:
    with pytest.raises(BadValue):
        schedule(words)
