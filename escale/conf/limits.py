"""How many files may be deleted between two passes before the user is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import faults
from .kinds import FLAGS, BadValue, Kind, Place

_COUNT = r"(?P<count>\d{1,12})(?:\s*files?)?"
_PERCENT = r"(?P<percent>\d{1,3}(?:[.,]\d{1,3})?)\s*%{1,2}"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (_COUNT, _PERCENT, rf"{_PERCENT}\s+or\s+{_COUNT}", rf"{_COUNT}\s+or\s+{_PERCENT}")
)


@dataclass(frozen=True, slots=True)
class MaxDelete:
    """So many files, or so many per cent of all, whichever is more; None for both: no limit."""

    count: int | None = None
    percent: float | None = None


class DeletionLimit(Kind):
    """A number, a share, or both."""

    word = "number or per cent"
    possible = (faults.NOT_A_LIMIT, faults.OUT_OF_RANGE)
    percent_is_literal = True

    def read(self, text: str, place: Place) -> MaxDelete:
        if not text.isdigit() and FLAGS.get(text.lower()) is False:
            return MaxDelete()
        found = next((match for form in _FORMS if (match := form.fullmatch(text.lower()))), None)
        if found is None:
            raise BadValue(faults.NOT_A_LIMIT, value=text)
        parts = found.groupdict()
        count, percent = parts.get("count"), parts.get("percent")
        share = None if percent is None else float(percent.replace(",", "."))
        if share is not None and share > 100:
            raise BadValue(faults.OUT_OF_RANGE, least="0%", most="100%", value=text)
        return MaxDelete(None if count is None else int(count), share)

    def show(self, value: Any) -> str:
        parts = [] if value.percent is None else [f"{value.percent:g}%"]
        parts += [] if value.count is None else [str(value.count)]
        return " or ".join(parts) or "off"

    @property
    def rule(self) -> str:
        return "N, N%, N% or M (the larger of the two counts), off"
