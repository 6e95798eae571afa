"""Times as restic writes them, RFC 3339 with up to nine digits of a second, and as we count them: Unix nanoseconds."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = date(1970, 1, 1)

_CYCLE_DAYS = 146_097
"""Of 400 years, after which the calendar begins anew; datetime knows the years 1 to 9999 only."""

YEAR_MAX = 9999
"""Go writes no time outside the years 0 to 9999; a file that claims one gets the same day of the nearest, as restic
gives it."""


def text_of(ns: int) -> str:
    """In UTC, without trailing zeros, as Go's RFC3339Nano."""
    seconds, rest = divmod(ns, 10**9)
    if not rest:
        return f"{_second_text(seconds)}Z"
    return f"{_second_text(seconds)}.{f'{rest:09d}'.rstrip('0')}Z"


def _second_text(seconds: int) -> str:
    days, of_day = divmod(seconds, 86400)
    minutes, second = divmod(of_day, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day_text(days)}T{hour:02d}:{minute:02d}:{second:02d}"


@lru_cache(1 << 12)
def _day_text(days: int) -> str:
    # Remembered, for most files are of few days.
    cycles, of_cycle = divmod(_EPOCH.toordinal() + days - 1, _CYCLE_DAYS)
    day = date.fromordinal(of_cycle + 1)
    year, month_and_day = day.year + 400 * cycles, f"{day.month:02d}-{day.day:02d}"
    if year > YEAR_MAX and month_and_day == "02-29":
        month_and_day = "03-01"
    return f"{min(max(year, 0), YEAR_MAX):04d}-{month_and_day}"


@lru_cache(1 << 6)
def ns_of(text: str) -> int:
    """Unix nanoseconds; ValueError for what is no such time."""
    # Remembered, for the times of one file are mostly the same.
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.40} is not a time")
    day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    seconds = _day_number(day) * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))


@lru_cache(1 << 12)
def _day_number(text: str) -> int:
    year, month, day = map(int, text.split("-"))
    cycle, of_cycle = divmod(year - 1, 400)
    return date(of_cycle + 1, month, day).toordinal() + cycle * _CYCLE_DAYS - _EPOCH.toordinal()
