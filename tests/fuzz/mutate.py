"""Bytes that were valid once: flipped, cut, spliced, doubled, with numbers too large and brackets too deep."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

LENGTH_MAX = 1 << 20
"""Bytes beyond which nothing is doubled any more: a fuzzer is for surprises, not for volume."""

NUMBERS = (b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"4294967295", b"9223372036854775808", b"9" * 400, b"1" * 5000)
"""What machines and parsers mistake for numbers, and numbers that fit nowhere."""

SCRAPS = (
    b"[",
    b"{",
    b"<",
    b"(",
    b"]",
    b"}",
    b"\0",
    b"\n",
    b"\r\n",
    b"\r",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\xe2\x80\xa8",
    b"..",
    b"/",
    b"../../",
    b"%s",
    b"null",
    b"true",
    b'"',
    b"'",
    b" ",
    b"\t",
    b"\x1b[2J",
    b"*",
    b"**/",
    b"=",
    b":",
)
"""What means something to one parser or another."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


class Change(enum.Enum):
    """What is done to the bytes at a place."""

    FLIP = enum.auto()
    SET = enum.auto()
    CUT = enum.auto()
    REMOVE = enum.auto()
    REPEAT = enum.auto()
    MOVE = enum.auto()
    INSERT = enum.auto()
    SCRAP = enum.auto()
    NUMBER = enum.auto()
    SPLICE = enum.auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One change: where (a share of the length, in 65536ths), over how many bytes, and what with."""

    change: Change
    at: int
    length: int
    times: int
    fill: bytes


steps = st.builds(
    Step,
    st.sampled_from(Change),
    st.integers(0, 0xFFFF),
    st.integers(1, 8) | st.integers(1, 4096),
    st.integers(1, 3) | st.integers(1, 20_000),
    st.binary(max_size=8),
)


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the seeds after a few changes; now and then the seed itself, and noise."""
    changed = st.builds(changed_by, st.sampled_from(seeds), st.lists(steps, max_size=6), st.sampled_from(seeds))
    return changed | changed | changed | st.binary(max_size=200)


def changed_by(data: bytes, changes: Sequence[Step], other: bytes) -> bytes:
    """The bytes after these changes; `other` is what a splice goes on with."""
    for step in changes:
        data = _changed(data, step, other)[:LENGTH_MAX]
    return data


def _changed(data: bytes, step: Step, other: bytes) -> bytes:
    at = len(data) * step.at >> 16
    before, span, after = data[:at], data[at : at + step.length], data[at + step.length :]
    match step.change:
        case Change.FLIP:
            return before + bytes(byte ^ 1 << step.times % 8 for byte in span[:1]) + span[1:] + after
        case Change.SET:
            return before + step.fill + data[at + len(step.fill) :]
        case Change.CUT:
            return before
        case Change.REMOVE:
            return before + after
        case Change.REPEAT:
            return before + span * min(step.times, LENGTH_MAX // max(1, len(span))) + after
        case Change.MOVE:
            middle = len(after) * step.times // 20_000
            return before + after[:middle] + span + after[middle:]
        case Change.INSERT:
            return before + step.fill + span + after
        case Change.SCRAP:
            return before + SCRAPS[step.length % len(SCRAPS)] * step.times + span + after
        case Change.NUMBER:
            found = _NUMBER.search(data, at)
            number = NUMBERS[step.length % len(NUMBERS)]
            return data if found is None else data[: found.start()] + number + data[found.end() :]
        case Change.SPLICE:
            return before + other[len(other) * step.times // 20_000 :]
