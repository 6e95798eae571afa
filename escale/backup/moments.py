"""Times as restic writes them, RFC 3339 with up to nine digits of a second, and as we count them: Unix nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

YEAR_0_NS = -62_167_219_200 * 10**9
YEAR_10000_NS = 253_402_300_800 * 10**9
"""Go writes no time outside these years; a file that claims one gets the nearest."""


def text_of(ns: int) -> str:
    """In UTC, without trailing zeros, as Go's RFC3339Nano."""
    ns = min(max(ns, YEAR_0_NS + 366 * 86400 * 10**9), YEAR_10000_NS - 1)
    seconds, rest = divmod(ns, 10**9)
    if not rest:
        return f"{_second_text(seconds)}Z"
    return f"{_second_text(seconds)}.{f'{rest:09d}'.rstrip('0')}Z"


@lru_cache(1 << 12)
def _second_text(seconds: int) -> str:
    # Remembered, for files that were unpacked together have the same times.
    days, of_day = divmod(seconds, 86400)
    day = datetime.fromordinal(_EPOCH.toordinal() + days)
    hour, minute, second = of_day // 3600, of_day // 60 % 60, of_day % 60
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def ns_of(text: str) -> int:
    """Unix nanoseconds; ValueError for what is no such time."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.40} is not a time")
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    # Go's zero time is of the year 1; datetime begins there, too.
    days = datetime(int(year), int(month), int(day)).toordinal() - _EPOCH.toordinal()
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))
