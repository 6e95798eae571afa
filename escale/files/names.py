"""Names that some file systems cannot tell apart: they differ only in case or in how accents are composed.

Here both may exist; on macOS or Windows only one of them can.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .tree import path_text


def folded(name: str) -> str:
    """The same text for all names that a file system may take for one."""
    return unicodedata.normalize("NFC", name.casefold())


def clashes(names: Sequence[bytes]) -> list[tuple[str, str]]:
    """Pairs of these names of one directory that cannot be told apart everywhere; each but the first with the first.

    Nearly always there are none, and for plain names a comparison of bytes says so.
    """
    if b"".join(names).isascii() and len(set(map(bytes.lower, names))) == len(names):
        return []
    return _pairs(map(path_text, names))


def _pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[folded(name)].append(name)
    return [(first, other) for first, *others in map(sorted, groups.values()) for other in others]
