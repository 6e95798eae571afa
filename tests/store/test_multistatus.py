"""Answers to PROPFIND that no server should give: an error of ours, whatever they hold."""

from __future__ import annotations

import pytest

from escale.errors import Corrupt
from escale.store.multistatus import Multistatus


def answer(href: str = "/relay/a", size: str = "5", date: str = "", encoding: str = "utf-8") -> bytes:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><multistatus xmlns="DAV:"><response><href>{href}</href>'
        f"<propstat><prop><getcontentlength>{size}</getcontentlength><getlastmodified>{date}</getlastmodified>"
        "</prop></propstat></response></multistatus>"
    ).encode()


def test_an_honest_answer() -> None:
    (blob,) = Multistatus("here", answer()).blobs()
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
        Multistatus("here", data).blobs()
