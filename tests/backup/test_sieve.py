"""Sieve: what was added may be there, and hardly anything else."""

from __future__ import annotations

import hashlib

from escale.backup.sieve import Sieve


def test_it_never_denies_what_was_added_and_lets_little_else_through():
    sieve = Sieve()
    ids = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(40_000)]
    for each in ids[:20_000]:
        sieve.add(each)
    assert all(map(sieve.may_have, ids[:20_000]))
    assert sum(map(sieve.may_have, ids[20_000:])) < 20
