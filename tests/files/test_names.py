"""Names that some file systems take for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.files.names import clashes, folded


@pytest.mark.parametrize(
    ("one", "other"), [("Read", "read"), ("\u00c9", "e\u0301"), ("STRASSE", "stra\u00dfe"), ("\u212a", "k"), ("Σ", "ς")]
)
def test_names_that_are_one_elsewhere(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert clashes([one.encode(), b"between", other.encode()]) == [tuple(sorted([one, other]))]


def test_names_that_are_different_everywhere() -> None:
    assert clashes([b"a", b"b", b"a ", b"a.", b"A1", b"\xff", b"\xfe", "é".encode(), "è".encode()]) == []
    assert clashes([]) == []


def test_each_of_many_is_named() -> None:
    assert sorted(clashes([b"aa", b"AA", b"Aa", b"b"])) == [("AA", "Aa"), ("AA", "aa")]


@given(st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=3)))
def test_the_short_way_for_plain_names_finds_the_same(names: set[str]) -> None:
    found = clashes([name.encode() for name in names])
    assert len(found) == len(names) - len(set(map(folded, names)))
    assert all(folded(one) == folded(other) and one != other for one, other in found)
