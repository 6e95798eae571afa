"""Quoting: names of any bytes, as Go's strconv.Quote writes them; against restic itself in test_restic."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.quoting import quoted, unquoted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain.txt", "plain.txt"),
        (b"", ""),
        (b" ", " "),
        (b'q"\\', r"q\"\\"),
        (b"\a\b\f\n\r\t\v", r"\a\b\f\n\r\t\v"),
        (b"\x00\x1f\x7f", r"\x00\x1f\x7f"),
        (b"\xff\xc3", r"\xff\xc3"),
        (b"\xc0\xaf", r"\xc0\xaf"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ("é€😀'".encode(), "é€😀'"),
        ("\ufffd".encode(), "\ufffd"),
        ("\u00a0\u00ad\u200b\u2028\u3000".encode(), r"\u00a0\u00ad\u200b\u2028\u3000"),
        ("\ufeff\ue000\ufdd0".encode(), r"\ufeff\ue000\ufdd0"),
        ("\U000e0001\U0010ffff".encode(), r"\U000e0001\U0010ffff"),
        ("\u0301".encode(), "\u0301"),
    ],
)
def test_as_go(name, text):
    assert quoted(os.fsdecode(name)) == text
    assert os.fsencode(unquoted(text)) == name


@given(st.binary(max_size=60))
def test_any_bytes_come_back(name):
    text = quoted(os.fsdecode(name))
    assert os.fsencode(unquoted(text)) == name
    assert unquoted(json.loads(json.dumps(text))) == os.fsdecode(name)
    assert text.isprintable()


@given(st.text(max_size=40))
def test_any_text_comes_back(name):
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return
    assert os.fsencode(unquoted(quoted(name))) == os.fsencode(name)


@given(st.text("\\\"'abfnrtvxuU0123456789fF\udcff\u20ac", max_size=30))
def test_what_go_does_not_write_is_refused_in_one_way(text):
    try:
        name = unquoted(text)
    except ValueError:
        return
    assert os.fsencode(unquoted(quoted(name))) == os.fsencode(name)


@pytest.mark.parametrize(
    ("text", "name"), [(r"\101", b"A"), (r"\377", b"\xff"), (r"\xC3\xa9", "é".encode()), (r"\u00e9", "é".encode())]
)
def test_what_go_would_read_as_well(text, name):
    assert os.fsencode(unquoted(text)) == name


@pytest.mark.parametrize(
    "text",
    ["\\", "a\\", r"\q", r"\x", r"\x1", r"\u12", r"\U0001", r"\ud800", r"\U00110000", r"\UFFFFFFFF", r"\400", r"\18"],
)
def test_what_is_no_quoted_name(text):
    with pytest.raises(ValueError, match=r"."):
        unquoted(text)


def test_a_name_that_is_longer_than_any():
    assert unquoted(r"\xff" * 1024) == "\udcff" * 1024
    for text in ("a" * 1_000_000, r"\xff" * 1_000_000):
        with pytest.raises(ValueError, match="longer"):
            unquoted(text)
