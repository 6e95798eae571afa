"""What FTP servers say of files, in the forms they say it in: facts, and lines as of `ls -l`.

Names that are not UTF-8 are not ours and are passed over.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from contextlib import suppress

from .blob import BlobInfo

_LIST_LINE = re.compile(
    rb"(?P<kind>[-dlbcps])\S{9,}\s+\d+\s+\S+\s+\S+\s+(?P<size>\d{1,19})\s\w{3}\s+\d+\s+[\d:]+\s(?P<name>.+)"
)
"""As `ls -l` prints it.  Exactly one blank before the name: names may begin with more."""

_BYTES = re.compile(r"[0-9]{1,19}")
"""Any number that fits into 64 bits, and few others."""

_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d+)?")


def whole_number(text: str) -> int | None:
    """The number of bytes that the text says; None if it says something else."""
    return int(text) if _BYTES.fullmatch(text) else None


def described(name: str, size: int, moment: str, unique: str = "") -> BlobInfo:
    """What a listing of ours says of a blob whose last change was at the `moment`, as servers write it; "": unknown."""
    return BlobInfo(name, size, _unix_time(moment), "-".join(filter(None, (moment, str(size), unique))))


def _unix_time(moment: str) -> float | None:
    found = _MOMENT.match(moment)
    if found is None:
        return None
    try:
        return calendar.timegm(tuple(int(part) for part in found.groups()[:6])) + float(found.group(7) or 0)
    except ValueError:
        # There is no such day.
        return None


def parse_facts(listing: bytes) -> Iterator[BlobInfo]:
    """The files of a listing by MLSD."""
    for line in listing.splitlines():
        facts, _, name = line.partition(b" ")
        try:
            blob = from_facts(facts.decode(), name.decode())
        except UnicodeDecodeError:
            continue
        if blob is not None:
            yield blob


def from_facts(facts: str, name: str) -> BlobInfo | None:
    """The file that the facts are about; None if it is none."""
    known = dict(fact.lower().split("=", 1) for fact in facts.split(";") if "=" in fact)
    size = whole_number(known.get("size", ""))
    if known.get("type") != "file" or size is None:
        return None
    return described(name, size, known.get("modify", ""), known.get("unique", ""))


def parse_directories(listing: bytes) -> Iterator[str]:
    """The directories of a listing by MLSD."""
    for line in listing.splitlines():
        facts, _, name = line.partition(b" ")
        if b"type=dir;" in facts.lower() + b";":
            with suppress(UnicodeDecodeError):
                yield name.decode()


def parse_lines(listing: bytes, kind: bytes) -> Iterator[tuple[str, int]]:
    """Names and sizes in a listing by LIST of what is of a `kind`: b"-" for files, b"d" for directories.

    ValueError if not one line is as `ls -l` prints it, which is not to look empty.
    """
    lines = [line for line in listing.splitlines() if line.strip() and not line.startswith(b"total")]
    understood = [found for found in map(_LIST_LINE.fullmatch, lines) if found]
    if lines and not understood:
        raise ValueError(f"its listing is in a form of its own: {lines[0][:80]!r}")
    for found in understood:
        if found["kind"] != kind:
            continue
        try:
            name = found["name"].decode()
        except UnicodeDecodeError:
            continue
        yield name, int(found["size"])
