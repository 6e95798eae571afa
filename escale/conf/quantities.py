"""Lengths of time and sizes, with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import faults
from .kinds import FLAGS, BadValue, Kind, Place

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
KB, MB, GB = 1024, 1024**2, 1024**3

_NUMBER = r"(\d{1,15}(?:[.,]\d{1,9})?)"
_DURATION = re.compile(_NUMBER + r"\s*([a-z]*)", re.ASCII)
_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), SECOND),
    **dict.fromkeys(("min", "m", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY),
}
_SIZE = re.compile(_NUMBER + r"\s*([A-Za-z]*)", re.ASCII)
_PREFIXES = {"": 1, "k": KB, "m": MB, "g": GB, "t": 1024**4, "p": 1024**5}
_UNIT = re.compile(r"([kmgtp]?)(b|ib|o|io|)", re.IGNORECASE)
_BITS = re.compile(r"[KMGTP]b")


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """Seconds.  With `words` (by flag) also yes and no: 0.7 has settings that are a time or a switch.

    `zero`: what 0 means, if it means that there is no limit; it is read as None.
    """

    least: str
    most: str
    words: Mapping[bool, float | None] | None = None
    zero: str = ""
    word = "length of time"
    possible = (faults.NOT_A_DURATION, faults.OUT_OF_RANGE)

    def read(self, text: str, place: Place) -> float | None:
        flag = FLAGS.get(text.lower())
        if self.words is not None and flag is not None and not text.isdigit():
            return self.words[flag]
        if self.words is not None and text == "0" and self.words[False] is None:
            return None
        seconds = seconds_of(text)
        if self.zero and not seconds:
            return None
        if not seconds_of(self.least) <= seconds <= seconds_of(self.most):
            raise BadValue(faults.OUT_OF_RANGE, least=self.least, most=self.most, value=text)
        return seconds

    def show(self, value: Any) -> str:
        if value is None:
            return "0" if self.zero else "no"
        return duration_text(value)

    @property
    def rule(self) -> str:
        zero = f", 0 for {self.zero}" if self.zero else ""
        return f"{self.least} to {self.most}{zero}" + (", yes or no" if self.words is not None else "")


def seconds_of(text: str) -> float:
    """`90`, `90 s`, `1,5 h` in seconds; BadValue."""
    found = _DURATION.fullmatch(text.lower())
    if found is None or found[2] not in _SECONDS:
        raise BadValue(faults.NOT_A_DURATION, value=text)
    return float(found[1].replace(",", ".")) * _SECONDS[found[2]]


def duration_text(seconds: float) -> str:
    """The shortest exact spelling."""
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


@dataclass(frozen=True, slots=True)
class Size(Kind):
    """Bytes, in units of 1024; a number alone is MB, as in the code of 0.7.

    `zero`: what 0 means, if it means that there is no limit; it is read as None.
    """

    least: int = 1
    zero: str = ""
    word = "size"
    possible = (faults.NOT_A_SIZE, faults.NOT_A_SIZE_UNIT, faults.BITS, faults.NO_UNIT, faults.OUT_OF_RANGE)

    def read(self, text: str, place: Place) -> int | None:
        found = _SIZE.fullmatch(text)
        if found is None:
            raise BadValue(faults.NOT_A_SIZE, value=text)
        if self.zero and text == "0":
            return None
        number, unit = float(found[1].replace(",", ".")), found[2]
        value = self._bytes(text, number, unit, found, place)
        if self.zero and not value:
            return None
        if value < self.least:
            raise BadValue(faults.OUT_OF_RANGE, least=size_text(self.least), most="any number", value=text)
        return value

    def _bytes(self, text: str, number: float, unit: str, found: re.Match[str], place: Place) -> int:
        known = _UNIT.fullmatch(unit)
        if known is None:
            raise BadValue(faults.NOT_A_SIZE_UNIT, found.start(2), len(unit), value=unit)
        if not unit:
            place.warn(BadValue(faults.NO_UNIT, value=text))
            return int(number * MB)
        if _BITS.fullmatch(unit):
            value = int(number * _PREFIXES[unit[0].lower()] / 8)
            facts = {"unit": unit, "value": text, "bytes": size_text(value), "number": found[1]}
            place.warn(BadValue(faults.BITS, found.start(2), 2, better=unit.upper(), **facts))
            return value
        return int(number * _PREFIXES[known[1].lower()])

    def show(self, value: Any) -> str:
        return "0" if value is None else size_text(value)

    @property
    def rule(self) -> str:
        zero = f", 0 for {self.zero}" if self.zero else ""
        return (f"at least {size_text(self.least)}" if self.least > 1 else "a number and KB, MB, GB or TB") + zero


def size_text(size: int) -> str:
    """The shortest exact spelling."""
    for unit, length in (("PB", 1024**5), ("TB", 1024**4), ("GB", GB), ("MB", MB), ("KB", KB)):
        if size and size % length == 0:
            return f"{size // length} {unit}"
    return f"{size} B"
