"""Finding the row of the key table for a word in a file, however it is spelled, and guessing what was meant."""

from __future__ import annotations

import functools
import re

from .document import normal
from .keys import OPTION, Key
from .kinds import did_you_mean
from .table import KEYS

_OPTION_NAME = re.compile(r"option[\s_-]+(?P<name>\S.*)", re.IGNORECASE)
_SENSITIVE = re.compile(r"secret|passw|token|key|credential|sign|connection_?string", re.IGNORECASE)


def find(key: str) -> Key | None:
    """The row of a key as spelled in a file, or None."""
    if option_name(key) is not None:
        return OPTION
    return _by_name().get(normal(key))


def option_name(key: str) -> str | None:
    """NAME of `option NAME`, or None for other keys."""
    found = _OPTION_NAME.fullmatch(key)
    return found["name"] if found else None


def suggestion(key: str) -> str:
    """The beginning of a hint for an unknown key, or nothing."""
    return did_you_mean(key.replace("_", " ").replace("-", " "), _spellings(), 0.7)


def begins_a_key(word: str) -> bool:
    """Whether a word is the beginning of a key, so that it can be shown without fear."""
    return bool(normal(word)) and any(name.startswith(normal(word)) for name in _by_name())


def is_public(key: str) -> bool:
    """Whether the value of a key as spelled may be shown: a secret, and what may be a misspelled one, may not."""
    name = option_name(key)
    if name is not None:
        return not _SENSITIVE.search(name)
    row = find(key)
    if row is not None:
        return not row.is_secret
    public = [name for row in KEYS if not row.is_secret for name in row.names]
    secret = [name for row in KEYS if row.is_secret for name in row.names]
    return bool(did_you_mean(key, public, 0.7)) and not did_you_mean(key, secret, 0.5)


@functools.cache
def _by_name() -> dict[str, Key]:
    return {normal(name): key for key in KEYS if key is not OPTION for name in key.names}


@functools.cache
def _spellings() -> tuple[str, ...]:
    return tuple(name for key in KEYS for name in key.names)
