"""Which versions of a backup stay, in words."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from ..backup.retention import FOREVER, Keep
from . import faults
from .kinds import FLAGS, BadValue, Kind, Place
from .quantities import duration_text, seconds_of

_RULE = re.compile(r"(\d{1,6}|all)\s+([a-z]+)", re.ASCII)
_PERIODS = tuple(field.name for field in fields(Keep) if field.name != "within_s")
_WORDS = {name: name for name in _PERIODS} | {
    "hours": "hourly",
    "days": "daily",
    "weeks": "weekly",
    "months": "monthly",
    "years": "yearly",
    "latest": "last",
}


class KeepRules(Kind):
    """Rules between commas; each keeps what it keeps, whatever the others say."""

    word = "rules"
    possible = (faults.NOT_A_RULE,)

    def read(self, text: str, place: Place) -> Keep:
        if text.lower() == "all" or FLAGS.get(text.lower()) is True:
            return Keep()
        found: dict[str, Any] = {}
        for rule in re.split(r"[,\n]+", text.lower()):
            name, value = self._rule(" ".join(rule.split()), text)
            if name in found:
                raise BadValue(faults.NOT_A_RULE, value=text, reason=f"{name.removesuffix('_s')} is there twice")
            found[name] = value
        keep = Keep(**found)
        if keep.is_empty:
            raise BadValue(faults.NOT_A_RULE, value=text, reason="it keeps nothing")
        return keep

    def native(self, raw: object, place: Place) -> Keep:
        if isinstance(raw, list) and all(isinstance(rule, str) for rule in raw):
            return self.read(", ".join(raw), place)
        kept: Keep = super().native(raw, place)
        return kept

    def _rule(self, rule: str, text: str) -> tuple[str, Any]:
        if rule.startswith("within "):
            try:
                return "within_s", seconds_of(rule.removeprefix("within "))
            except BadValue:
                raise BadValue(faults.NOT_A_RULE, value=text, reason=f"'{rule}' has no length of time") from None
        found = _RULE.fullmatch(rule)
        if found is None or found[2] not in _WORDS:
            raise BadValue(faults.NOT_A_RULE, value=text, reason=f"'{rule}' is no rule")
        return _WORDS[found[2]], FOREVER if found[1] == "all" else int(found[1])

    def show(self, value: Any) -> str:
        parts = [
            f"{'all' if count == FOREVER else count} {name}" for name in _PERIODS if (count := getattr(value, name))
        ]
        if value.within_s:
            parts.append(f"within {duration_text(value.within_s)}")
        return ", ".join(parts) or "all"

    @property
    def rule(self) -> str:
        return "N last|hourly|daily|weekly|monthly|yearly (or all instead of N), within TIME, between commas; or all"
