"""Digests of content: which algorithms we accept, and reading a file once while hashing it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

DEFAULT = "sha512"
"""The algorithm of the original on the wire."""


class Hasher(Protocol):
    """The part of hashlib's objects that we use."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def hasher(algorithm: str = DEFAULT) -> Hasher:
    """A fresh hasher; ValueError for a name hashlib does not know or one of variable length (shake)."""
    made = hashlib.new(algorithm, usedforsecurity=False)
    if made.digest_size == 0:
        raise ValueError(f"{algorithm} has no fixed length")
    return made


def digest_of(pieces: Iterable[bytes], algorithm: str = DEFAULT) -> str:
    """Lower-case hex digest of the concatenated pieces."""
    made = hasher(algorithm)
    for piece in pieces:
        made.update(piece)
    return made.hexdigest()


def short_name(*parts: bytes, key: bytes = b"") -> str:
    """A stable name of 16 hex digits for the parts; unguessable without `key` when one is given.

    BLAKE2b, 8 bytes: names pages and clients on a relay, where an accidental collision costs nothing but a shared
    page (a page may hold any path), so 64 bits are plenty.
    """
    made = hashlib.blake2b(key=key[:64], digest_size=8)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.hexdigest()
