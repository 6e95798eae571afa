"""Whom updates wait for: clients by name, or a number of them."""

from __future__ import annotations

import re
from typing import Any

from . import faults
from .kinds import BadValue, ClientName, Kind, Number, Place, Words

COUNT = Number(1, 1000)


class _Names(Words):
    def item(self, text: str, start: int, place: Place) -> str:
        try:
            return str(ClientName().read(text, place))
        except BadValue as bad:
            raise BadValue(bad.fault, start, len(text), **bad.facts) from None


class Pullers(Kind):
    """A whole number is how many; anything else is a list of client names."""

    word = "names or a number"
    possible = (faults.BAD_CLIENT_NAME, faults.OUT_OF_RANGE, faults.WRONG_TYPE)

    def read(self, text: str, place: Place) -> int | tuple[str, ...]:
        if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            return COUNT.read(text, place)
        return self._named(_Names().read(text, place), text)

    def native(self, raw: object, place: Place) -> int | tuple[str, ...]:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return COUNT.read(str(raw), place)
        return self._named(_Names().native(raw, place), "[]")

    def _named(self, names: tuple[str, ...], text: str) -> tuple[str, ...]:
        """Each once; nobody at all is a slip, for updates would wait for the first who comes."""
        if not names:
            raise BadValue(faults.BAD_CLIENT_NAME, value=text)
        return tuple(dict.fromkeys(names))

    def show(self, value: Any) -> str:
        return str(value) if isinstance(value, int) else ", ".join(value)

    @property
    def rule(self) -> str:
        return f"client names between commas, or a number: {COUNT.rule}"
