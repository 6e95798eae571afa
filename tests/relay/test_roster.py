"""Entries of the roster that no client wrote."""

from __future__ import annotations

import pytest

from escale.errors import Corrupt
from escale.relay.roster import Participant

UNIQUE = "0123456789abcdef"


def test_an_entry_is_read_back() -> None:
    entry = Participant("älice", True, UNIQUE)
    assert Participant.decode(entry.encode(), "here") == entry


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"client": "\\ud800", "pulls": true, "incarnation": "0123456789abcdef"}',
    ],
)
def test_what_is_no_entry_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        Participant.decode(data, "here")
