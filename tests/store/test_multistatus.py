"""Answers to PROPFIND that no server should give: an error of ours, whatever they hold."""

from __future__ import annotations

import io
import itertools

import pytest

from escale.errors import Corrupt, Refused
from escale.store import multistatus
from escale.store.multistatus import Multistatus
from escale.stream import pieces_of
from tests.fuzz.bounds import bounded


def answer(href: str = "/relay/a", size: str = "5", date: str = "", encoding: str = "utf-8") -> bytes:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><multistatus xmlns="DAV:"><response><href>{href}</href>'
        f"<propstat><prop><getcontentlength>{size}</getcontentlength><getlastmodified>{date}</getlastmodified>"
        "</prop></propstat></response></multistatus>"
    ).encode()


def responses(*hrefs: str, status: str = "200 OK") -> bytes:
    """Of collections, if they end with a slash, and of files."""
    kinds = ["<collection/>" if href.endswith("/") else "" for href in hrefs]
    each = "".join(
        f"<response><href>{href}</href><propstat><prop><resourcetype>{kind}</resourcetype></prop>"
        f"<status>HTTP/1.1 {status}</status></propstat></response>"
        for href, kind in zip(hrefs, kinds, strict=True)
    )
    return f'<multistatus xmlns="DAV:">{each}</multistatus>'.encode()


@pytest.mark.parametrize(
    ("hrefs", "names"),
    [
        (["/relay/data/", "/relay/data/ab/", "/relay/data/name", "/relay/data/ac/"], ["ab", "ac"]),
        (["/relay/data/ab/", "/relay/data/ac/", "/relay/data/"], ["ab", "ac"]),
        (["/relay/data/"], []),
        (["/", "/data/", "/da%2Fta/"], ["data", "da/ta"]),
        (["http://host/behind/a/proxy/", "http://host/behind/a/proxy/data/"], ["data"]),
        (["/data/data/", "/data/data/data/"], ["data"]),
        (["/data/ab/", "/data/ac/"], ["ab", "ac"]),
        ([], []),
    ],
)
def test_collections_in_the_one_that_was_asked_for(hrefs: list[str], names: list[str]) -> None:
    assert Multistatus("here", [responses(*hrefs)]).collections() == names


def test_what_is_forbidden_is_not_nothing() -> None:
    for status in ("403 Forbidden", "401 Unauthorized", "500 Oops", ""):
        with pytest.raises(Refused, match=status or "says"):
            Multistatus("here", [responses("/relay/data/", status=status)])
        bare = f'<multistatus xmlns="DAV:"><response><href>/a</href><status>HTTP/1.1 {status}</status></response>'
        with pytest.raises(Refused, match=status or "says"):
            Multistatus("here", [f"{bare}</multistatus>".encode()])


def test_what_went_away_meanwhile_is_left_out() -> None:
    assert Multistatus("here", [responses("/relay/a", "/relay/b/", status="404 Not Found")]).blobs() == []


def test_an_honest_answer() -> None:
    (blob,) = Multistatus("here", [answer()]).blobs()
    assert (blob.name, blob.size) == ("a", 5)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(encoding="gb2312"), id="an encoding of several bytes"),
        pytest.param(answer(encoding="foo"), id="an encoding that there is not"),
        pytest.param(answer(href="http://[::1/a"), id="half an address"),
        pytest.param(answer(size="-5"), id="less than nothing"),
        pytest.param(answer(size="9" * 5000), id="a size of thousands of digits"),
        pytest.param(answer(date="Mon, 1 Jan 2020 00:00:00 +99999999999999"), id="a time zone that there is not"),
        pytest.param(answer(date="1 Jan 99999 00:00:00 GMT"), id="a year of five digits"),
    ],
)
def test_a_wrong_answer_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        Multistatus("here", pieces_of(io.BytesIO(data))).blobs()


@pytest.mark.parametrize("inside", ["<a/>" * 2_000_000, "<a>" * 1_000_000 + "</a>" * 1_000_000], ids=["wide", "deep"])
def test_empty_elements_do_not_fill_the_memory(inside: str) -> None:
    data = f'<multistatus xmlns="DAV:">{inside}</multistatus>'.encode()
    with bounded(5.0, 32), pytest.raises(Corrupt, match="elements"):
        Multistatus("here", pieces_of(io.BytesIO(data)))


def test_a_long_listing_is_held_one_response_at_a_time() -> None:
    one = answer().partition(b"<response>")[2].rpartition(b"</multistatus>")[0]
    data = b'<multistatus xmlns="DAV:">' + (b"<response>" + one) * 20_000 + b"</multistatus>"
    with bounded(10.0, 32):
        assert len(Multistatus("here", pieces_of(io.BytesIO(data))).blobs()) == 20_000


@pytest.mark.parametrize("inside", [b"name", b"<!-- name -->", b"\n"], ids=["text", "comments", "empty lines"])
def test_a_response_without_end_does_not_fill_the_memory(inside: bytes) -> None:
    endless = itertools.repeat(inside * 10_000)
    beginning = b'<multistatus xmlns="DAV:"><response><href>'
    with bounded(10.0, 32), pytest.raises(Corrupt, match="a response in its listing is larger"):
        Multistatus("here", itertools.chain([beginning], endless))


def test_a_listing_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multistatus, "SIZE_MAX", 4 * 1024 * 1024)
    one = b"<response>" + answer().partition(b"<response>")[2].rpartition(b"</multistatus>")[0]
    with bounded(10.0, 64), pytest.raises(Corrupt, match="its listing is larger"):
        Multistatus("here", itertools.chain([b'<multistatus xmlns="DAV:">'], itertools.repeat(one)))
