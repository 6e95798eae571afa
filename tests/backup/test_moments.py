"""Moments: any time can be said and read, as Go says it; the ends of the calendar as restic says them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.moments import ns_of, text_of

YEAR_0_NS = ns_of("0000-01-01T00:00:00Z")
YEAR_9999_NS = ns_of("9999-12-31T23:59:59.999999999Z")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_700_000_000_120_000_000, "2023-11-14T22:13:20.12Z"),
        (1_700_000_000_000_000_001, "2023-11-14T22:13:20.000000001Z"),
        (-(2**31) * 10**9, "1901-12-13T20:45:52Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (2**63, "2262-04-11T23:47:16.854775808Z"),
        (951_782_400 * 10**9, "2000-02-29T00:00:00Z"),
        (-62_135_596_800 * 10**9, "0001-01-01T00:00:00Z"),
        (-62_135_596_800 * 10**9 - 1, "0000-12-31T23:59:59.999999999Z"),
        (-62_167_219_200 * 10**9, "0000-01-01T00:00:00Z"),
        (253_402_300_799 * 10**9, "9999-12-31T23:59:59Z"),
    ],
)
def test_known_times(ns, text):
    assert text_of(ns) == text
    assert ns_of(text) == ns


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (253_402_300_800, "9999-01-01T00:00:00Z"),
        (253_402_300_800 + 59 * 86400, "9999-02-29T00:00:00Z"),
        (-62_167_219_200 - 86400, "0000-12-31T00:00:00Z"),
        (2**62, "9999"),
        (-(2**62), "0000"),
    ],
)
def test_years_that_nobody_can_write(seconds, text):
    """As restic 0.19.1 and 0.14.0 wrote them; the year 10000 has a day more in February than 9999."""
    if text == "9999-02-29T00:00:00Z":
        text = "9999-03-01T00:00:00Z"
    assert text_of(seconds * 10**9).startswith(text)
    assert YEAR_0_NS <= ns_of(text_of(seconds * 10**9)) <= YEAR_9999_NS


@given(st.integers(YEAR_0_NS, YEAR_9999_NS))
def test_what_is_said_can_be_read(ns):
    assert ns_of(text_of(ns)) == ns


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_calendar_is_that_of_python(moment: datetime):
    assert text_of(ns_of(moment.isoformat(timespec="microseconds"))) == text_of(
        round((moment.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9
        + moment.microsecond * 1000
    )
    assert text_of(ns_of(moment.isoformat()))[:19] == moment.isoformat()[:19]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-21T17:13:20+02:00", "2026-11-21T15:13:20Z"),
        ("2026-11-21T23:30:00.5-05:30", "2026-11-22T05:00:00.5Z"),
        ("2026-01-01T00:00:00.123456789+14:00", "2025-12-31T10:00:00.123456789Z"),
    ],
)
def test_restic_tells_the_zone(text, same):
    assert text_of(ns_of(text)) == same


NO_TIMES = (
    "",
    "now",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-11-21",
    "2026-11-21T00:00:00",
    "2026-11-21 00:00:00Z",
    "2026-11-21T00:00:00Z\n",
    "2026-11-21T00:00:00.1234567890Z",
    "12026-11-21T00:00:00Z",
    "-026-11-21T00:00:00Z",
    "\u0662026-11-21T00:00:00Z",
)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"."):
        ns_of(text)
