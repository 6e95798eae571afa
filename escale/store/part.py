"""A part of a blob as HTTP servers send it: the part, or the whole blob because they know no ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import Refused, Unreachable

_RANGE = re.compile(r"bytes +(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE)


def range_header(offset: int, length: int) -> str:
    """The value of Range.  There is no range of nothing: where none is wanted, one byte is asked for."""
    return f"bytes={offset}-{offset + max(length, 1) - 1}"


def told_range(status: int, content_range: str | None) -> str:
    """What an answer says it holds; "" if it is the whole blob.

    rclone sends parts with status 200; one with status 206 that does not tell which it is cannot be used.
    """
    return content_range or ("an unknown part" if status == 206 else "")


def take_part(
    pieces: Iterable[bytes], content_range: str, size: int | None, offset: int, length: int, where: str
) -> bytes:
    """What was asked for of the `pieces` of an answer's body; reads on no longer than needed.

    `content_range`: what the answer is said to hold, as of `told_range`; if that is the whole blob, it has `size` bytes
    (None: not told, but its end is certain).  Refused for another part than was asked for; Unreachable for one that is
    cut short.
    """
    begin, end = _told(content_range, offset, length, where) if content_range else (0, size)
    wanted = length if end is None else max(0, min(length, end - offset))
    part = _take(pieces, offset - begin, wanted, None if end is None else end - begin)
    if end is not None and len(part) != wanted:
        raise Unreachable(where=where, reason=f"the transfer ended after {len(part)} of {wanted} bytes")
    return part


def _told(content_range: str, offset: int, length: int, where: str) -> tuple[int, int]:
    """Where the part begins and ends."""
    found = _RANGE.fullmatch(content_range.strip())
    if found:
        begin, end = int(found[1]), int(found[2]) + 1
        last = offset + length if found[3] == "*" else min(offset + length, int(found[3]))
        if begin == offset and end >= last:
            return begin, end
    raise Refused(where=where, reason=f"it sends {content_range[:80]!r} instead of the part that was asked for")


def _take(pieces: Iterable[bytes], skipped: int, wanted: int, body_size: int | None) -> bytes:
    part = bytearray()
    received = 0
    for piece in pieces:
        part += piece[max(0, skipped - received) :][: wanted - len(part)]
        received += len(piece)
        # A body that ends here is read to its end, so that the connection can be used again.
        if received >= skipped + wanted and received != body_size:
            break
    return bytes(part)
