"""Inserting: `%(other key)s` and `%%` in values of INI files, as 0.7 reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import faults
from .document import Entry, normal
from .kinds import BadValue
from .lookup import is_public

DEPTH_MAX = 10
"""Insertions inside insertions; the standard library has the same limit."""

LENGTH_MAX = 65536
"""Of the result: a few lines that insert one another twice each could otherwise fill the memory."""

_MARK = re.compile(r"%(?:%|\((?P<key>[^)]*)\)s)?")

Lookup = Callable[[str], Entry | None]
"""The entry of the section, or above the sections, by the normal form of its key."""


def inserted(entry: Entry, lookup: Lookup) -> str:
    """The text of an entry with everything inserted; BadValue (C009)."""
    assert isinstance(entry.value, str)
    try:
        return _inserted(entry.value, lookup, 0, 0)
    except BadValue as bad:
        if is_public(entry.key):
            raise
        # What looks like the name of a key may be a part of the secret.
        raise BadValue(faults.LONE_PERCENT, bad.start, 1) from None


def _inserted(text: str, lookup: Lookup, depth: int, at: int) -> str:
    """`at`: where to point when something inside an inserted value is wrong, or 0 at the top to point exactly."""
    parts: list[str] = []
    end = 0
    for mark in _MARK.finditer(text):
        parts.append(text[end : mark.start()])
        end = mark.end()
        start = at if depth else mark.start()
        if mark[0] == "%%":
            parts.append("%")
        elif mark["key"] is None:
            raise BadValue(faults.LONE_PERCENT, start, 1)
        else:
            parts.append(_value(mark["key"], lookup, depth, start))
    parts.append(text[end:])
    result = "".join(parts)
    if len(result) > LENGTH_MAX:
        raise BadValue(faults.BAD_INSERTION, at, key="...", reason=f"the result is longer than {LENGTH_MAX}")
    return result


def _value(key: str, lookup: Lookup, depth: int, start: int) -> str:
    found = lookup(normal(key))
    if found is None or not isinstance(found.value, str):
        raise BadValue(faults.BAD_INSERTION, start, key=key, reason="there is no such key")
    if not is_public(found.key):
        raise BadValue(faults.BAD_INSERTION, start, key=key, reason="it may be a secret")
    if depth >= DEPTH_MAX:
        raise BadValue(faults.BAD_INSERTION, start, key=key, reason="it inserts itself, or too many others")
    return _inserted(found.value, lookup, depth + 1, start)
