"""Sieve: tells of most ids at once that they are new, without a question to a database (a Bloom filter, 1970)."""

from __future__ import annotations

_BITS = 24


class Sieve:
    """2 MiB, whatever is in it.  With a million ids it lets through one new one of two hundred; never the other way."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_BITS - 3))

    def add(self, blob_id: bytes) -> None:
        """From now on it may be there.  Ids are digests, so their own bytes are as good as any function of them."""
        bits = self._bits
        for start in (0, 3, 6):
            place = int.from_bytes(blob_id[start : start + 3])
            bits[place >> 3] |= 1 << (place & 7)

    def may_have(self, blob_id: bytes) -> bool:
        """False: it certainly was not added."""
        bits = self._bits
        for start in (0, 3, 6):
            place = int.from_bytes(blob_id[start : start + 3])
            if not bits[place >> 3] >> (place & 7) & 1:
                return False
        return True
