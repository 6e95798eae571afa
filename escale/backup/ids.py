"""Ids of blobs and names of objects: a SHA-256 as 64 hexadecimal digits."""

from __future__ import annotations

import re

_ID = re.compile(r"[0-9a-f]{64}")


def is_id(value: object) -> bool:
    """Whether this is one, and text at all."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None
