"""When a backup is due: a small grammar, and the arithmetic of the next run.  Pure: time and time zone are arguments.

hourly        hourly :15
daily         daily 03:00        daily 12:00, 18:30
weekly        weekly Sun 03:00   weekly Mon, Thu 20:00
monthly       monthly 1 03:00    monthly 31 (the last day of shorter months)
every 6 h     every 2 d
no            only when somebody asks for it
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from . import faults
from .kinds import FLAGS, BadValue, Kind, Place
from .quantities import DAY, HOUR, MINUTE, duration_text, seconds_of

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_HOURLY = re.compile(r"hourly(?:\s+:(\d\d))?", re.ASCII)
_MONTHLY = re.compile(r"monthly(?:\s+(\d{1,2})(?![\d:]))?(.*)", re.ASCII | re.DOTALL)
_DAY_NAMES = {name: number for number, day in enumerate(calendar.day_name) for name in (day.lower(), day[:3].lower())}

LOOK_DAYS = 62
"""Days to look ahead: the same day of the month comes again within two months."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every_s` seconds after the last run began, or at `minutes` of the day on those days that both `weekdays` (Monday
    is 0) and `month_day` allow; None stands for every day.  `hour_minute`: in every hour.  Nothing: never."""

    every_s: float | None = None
    minutes: tuple[int, ...] = ()
    weekdays: tuple[int, ...] | None = None
    month_day: int | None = None
    hour_minute: int | None = None

    @property
    def is_never(self) -> bool:
        """Whether there is no next run."""
        return self.every_s is None and self.hour_minute is None and not self.minutes

    def next_after(self, last: float, zone: tzinfo | None) -> float | None:
        """The first moment after `last` (Unix time) that is due; None for never.  `zone`: None is that of the machine.

        An hour that the clocks skip is made up right after it, one that they repeat counts once.
        """
        if self.every_s is not None:
            return last + self.every_s
        if self.hour_minute is not None:
            return _next_in_hour(last, self.hour_minute, zone)
        return next((moment for moment in self._moments(last, zone) if moment > last), None)

    def is_due(self, last: float | None, now: float, zone: tzinfo | None) -> bool:
        """Whether a run is to be made now, if the last one began at `last`.  However many were missed, it is one."""
        if self.is_never:
            return False
        # A last run in the future is that of a clock which has been put right since.
        following = None if last is None else self.next_after(min(last, now), zone)
        return following is None or following <= now

    def _moments(self, last: float, zone: tzinfo | None) -> Iterator[float]:
        day = _local(last, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
        for _ in range(LOOK_DAYS):
            if self._has(day):
                for minute in self.minutes:
                    yield (day + timedelta(minutes=minute)).replace(tzinfo=zone).timestamp()
            day += timedelta(days=1)

    def _has(self, day: datetime) -> bool:
        if self.month_day is not None:
            return day.day == min(self.month_day, calendar.monthrange(day.year, day.month)[1])
        return self.weekdays is None or day.weekday() in self.weekdays


def _local(moment: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone)


def _next_in_hour(last: float, minute: int, zone: tzinfo | None) -> float:
    offset = _local(last, zone).utcoffset() or timedelta()
    local = last + offset.total_seconds()
    following = local - local % HOUR + minute * MINUTE
    return (following if following > local else following + HOUR) - offset.total_seconds()


class ScheduleKind(Kind):
    """A schedule in words."""

    word = "schedule"
    possible = (faults.NOT_A_SCHEDULE,)

    def read(self, text: str, place: Place) -> Schedule:
        found = _read(" ".join(text.lower().split()))
        if found is None:
            raise BadValue(faults.NOT_A_SCHEDULE, value=text)
        return found

    def show(self, value: Any) -> str:
        return _shown(value)

    @property
    def rule(self) -> str:
        return "hourly [:MM], daily [HH:MM, ...], weekly [DAY, ...] [HH:MM], monthly [N] [HH:MM], every N min|h|d, no"


def _read(text: str) -> Schedule | None:
    if FLAGS.get(text) is False or text == "never":
        return Schedule()
    if text.startswith("every "):
        return _every(text.removeprefix("every "))
    if hourly := _HOURLY.fullmatch(text):
        minute = int(hourly[1] or 0)
        return Schedule(hour_minute=minute) if minute < 60 else None
    if monthly := _MONTHLY.fullmatch(text):
        day, minutes = int(monthly[1] or 1), _minutes(monthly[2])
        return Schedule(minutes=minutes, month_day=day) if minutes and 1 <= day <= 31 else None
    word, _, rest = text.partition(" ")
    if word == "daily":
        minutes = _minutes(rest)
        return Schedule(minutes=minutes) if minutes else None
    return _weekly(rest) if word == "weekly" else None


def _every(text: str) -> Schedule | None:
    try:
        seconds = seconds_of(text)
    except BadValue:
        return None
    return Schedule(every_s=seconds) if 5 * MINUTE <= seconds <= 366 * DAY else None


def _weekly(rest: str) -> Schedule | None:
    names = re.findall(r"[a-z]+", rest)
    days = tuple(sorted({_DAY_NAMES[name] for name in names if name in _DAY_NAMES})) or (6,)
    minutes = _minutes(re.sub(r"[a-z]+,?", "", rest))
    return Schedule(minutes=minutes, weekdays=days) if minutes and all(name in _DAY_NAMES for name in names) else None


def _minutes(text: str) -> tuple[int, ...]:
    """Minutes of the day; those of midnight without any text; nothing for text that is no list of times."""
    words = [word for word in re.split(r"[ ,]+", text) if word]
    times = [_CLOCK.fullmatch(word) for word in words]
    found = {int(time[1]) * 60 + int(time[2]) for time in times if time and int(time[1]) < 24 and int(time[2]) < 60}
    if not words:
        return (0,)
    return tuple(sorted(found)) if len(found) == len(words) else ()


def _shown(value: Schedule) -> str:
    if value.is_never:
        return "no"
    if value.every_s is not None:
        return f"every {duration_text(value.every_s)}"
    if value.hour_minute is not None:
        return f"hourly :{value.hour_minute:02d}"
    times = ", ".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in value.minutes)
    if value.month_day is not None:
        return f"monthly {value.month_day} {times}"
    if value.weekdays is not None:
        return f"weekly {', '.join(DAYS[day].capitalize() for day in value.weekdays)} {times}"
    return f"daily {times}"
