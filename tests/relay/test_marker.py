"""Markers that no client wrote."""

from __future__ import annotations

import pytest

from escale.errors import Corrupt, RelayInUse
from escale.relay.marker import Marker

HONEST = Marker("0123456789abcdef", "", 1, "sha512", "create")


def test_a_marker_is_read_back() -> None:
    assert Marker.decode(HONEST.encode(), "here") == HONEST


@pytest.mark.parametrize(
    ("honest", "wrong"),
    [
        (b'"levels": 1', b'"levels": 1e999'),
        (b'"levels": 1', b'"levels": NaN'),
        (b'"levels": 1', b'"levels": 65'),
        (b'"levels": 1', b'"levels": ' + b"[" * 100_000),
        (b"sha512", b"shake_128"),
        (b"create", b"hope"),
        (b"relay_id", b"name"),
    ],
)
def test_a_marker_with_wrong_values_is_corrupt(honest: bytes, wrong: bytes) -> None:
    with pytest.raises(Corrupt):
        Marker.decode(HONEST.encode().replace(honest, wrong), "here")


def test_a_marker_of_a_newer_escale_says_so() -> None:
    with pytest.raises(RelayInUse, match="newer escale"):
        Marker.decode(HONEST.encode().replace(b'"escale relay": 1', b'"escale relay": 2'), "here")
