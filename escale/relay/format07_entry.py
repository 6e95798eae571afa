"""The metadata of one file in format 0.7: lines of text, and which names they can carry.

    placeholder%1.0
    pusher: alice
    timestamp: 1700000000
    checksum: 05f7...
    ---pullers---

The timestamp is the modification time in whole seconds, zero or missing if unknown.  There is no size, no mode and no
version: a record read here has -1, 0o644 and 0.  Doc: doc/protocol/relay-format-0.7.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..files.tree import Entry
from .index import Record, State

HEADER = "placeholder%1.0"
PULLERS = "---pullers---"

SECOND_NS = 1_000_000_000

TIMESTAMP_MAX = 253_402_300_799
"""The end of the year 9999; no file system goes on for much longer."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_FATAL = ("version", "pullers", "self", "timestamp_format")
"""Keys at which the original stops with an exception, because they are names of its own variables."""


def record_of(path: str, lines: Sequence[str], digits: int) -> Record:
    """What the lines of an entry say, with a checksum of `digits` hex digits; ValueError says why that is no record."""
    values = _values_of(lines)
    checksum = values.get("checksum", "").lower()
    if not checksum:
        raise ValueError("it has no checksum")
    if len(checksum) != digits or not set(checksum) <= set("0123456789abcdef"):
        raise ValueError("its checksum is not made by the algorithm in use here")
    seconds = _integer(values.get("timestamp", "0"))
    if abs(seconds) > TIMESTAMP_MAX:
        raise ValueError("its time is beyond the year 9999")
    return Record(Entry(path, -1, seconds * SECOND_NS, 0o644, checksum), 0, values.get("pusher", ""))


def spell(record: Record) -> list[str]:
    """The lines of a record, as the original writes them.  ValueError for what has no spelling here."""
    if record.state is not State.CURRENT:
        raise ValueError("format 0.7 asks for a file by removing its record")
    seconds = record.entry.mtime_ns // SECOND_NS
    lines = [HEADER]
    if record.client:
        lines.append(f"pusher: {client_name(record.client)}")
    if seconds:
        lines.append(f"timestamp: {seconds}")
    return [*lines, f"checksum: {record.entry.digest}", PULLERS]


def name_problem(path: str) -> str | None:
    """What about a path would make an entry unreadable, or another path, for the original; or None."""
    if "\n" in path:
        return "contains a line break"
    if _SURROGATE.search(path):
        return "contains bytes that are not UTF-8"
    if not path.strip():
        return "is made of white space only"
    return "ends with white space" if path != path.rstrip() else None


def client_name(name: str) -> str:
    """The name itself, if a line can carry it; ValueError otherwise."""
    if ":" in name or len(name.splitlines()) > 1 or name != name.strip():
        raise ValueError(f"not a client name in format 0.7: {name!r}")
    return name


def _values_of(lines: Sequence[str]) -> dict[str, str]:
    """Keys and values between the header and the first section line."""
    if not lines or "%" not in lines[0]:
        raise ValueError("it has no header" if lines else "it is empty")
    values: dict[str, str] = {}
    for line in filter(None, (line.rstrip() for line in lines[1:])):
        if line[0] in "-=+#%":
            if not line.strip(line[0]).lower().startswith(("puller", "reader")):
                raise ValueError("it has an unknown section")
            break
        key, colon, value = line.partition(":")
        if not colon or ":" in value or key in _FATAL:
            raise ValueError("it has a line the original cannot read")
        values[key] = value.lstrip()
    _integer(values.get("parts", "0"))
    return values


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("it has something else where a number belongs") from None
