"""Parts of blobs as HTTP servers send them, with ranges and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from escale.errors import Refused, Unreachable
from escale.store.part import range_header, take_part, told_range

CONTENT = bytes(range(100))


def pieces(content: bytes, size: int = 7) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def test_what_is_asked_for() -> None:
    assert range_header(10, 5) == "bytes=10-14"
    assert range_header(10, 0) == "bytes=10-10"


@pytest.mark.parametrize(
    ("status", "header", "told"),
    [
        (206, "bytes 1-2/3", "bytes 1-2/3"),
        (200, "bytes 1-2/3", "bytes 1-2/3"),
        (200, None, ""),
        (200, "", ""),
        (206, None, "an unknown part"),
    ],
)
def test_what_an_answer_says_it_holds(status: int, header: str | None, told: str) -> None:
    assert told_range(status, header) == told


@pytest.mark.parametrize("size", [100, None])
def test_of_the_whole_blob_the_part_is_taken(size: int | None) -> None:
    for offset in range(0, 120, 3):
        for length in (0, 1, 7, 50, 200):
            part = take_part(pieces(CONTENT), "", size, offset, length, "here")
            assert part == CONTENT[offset : offset + length], (offset, length)


def test_no_more_is_read_than_needed() -> None:
    def endless() -> Iterator[bytes]:
        yield from pieces(CONTENT)
        pytest.fail("read on")

    assert take_part(endless(), "", 10**12, 20, 30, "here") == CONTENT[20:50]


def test_a_body_is_read_to_its_end_if_that_is_near() -> None:
    body = pieces(CONTENT[40:60])
    assert take_part(body, "bytes 40-59/100", None, 40, 20, "here") == CONTENT[40:60]
    assert next(body, None) is None


@pytest.mark.parametrize("told", ["bytes 90-99/100", "Bytes 90-99/*", "bytes 90-99/100 "])
def test_a_part_ends_where_the_blob_does(told: str) -> None:
    wanted = 10 if told.endswith("*") else 20
    assert take_part(pieces(CONTENT[90:]), told, None, 90, wanted, "here") == CONTENT[90:]


@pytest.mark.parametrize(
    "told",
    [
        "bytes 0-9/100",
        "bytes 11-19/100",
        "bytes 10-18/100",
        "bytes */100",
        "an unknown part",
        "bytes 10-19",
        "items 10-19/100",
    ],
)
def test_another_part_is_refused(told: str) -> None:
    with pytest.raises(Refused, match="instead of"):
        take_part(pieces(CONTENT[10:20]), told, None, 10, 10, "here")


@pytest.mark.parametrize(("told", "size"), [("bytes 10-19/100", None), ("", 100)])
def test_a_part_that_is_cut_is_unreachable(told: str, size: int | None) -> None:
    begin = 10 if told else 0
    for end in range(begin, 20):
        with pytest.raises(Unreachable, match=f"after {max(0, end - 10)} of 10"):
            take_part(pieces(CONTENT[begin:end]), told, size, 10, 10, "here")
