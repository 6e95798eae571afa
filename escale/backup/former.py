"""Former: a directory as it was in the version before, beside what it is now.

Both are in the order of names, so one pass is enough and nothing of it has to be kept: what is unchanged is a slice of
the former text.  A directory whose slices make up all of that text is unchanged, and nothing of it is encoded again.
"""

from __future__ import annotations

import json
import os
from typing import Any

from .moments import ns_of, text_of
from .quoting import unquoted
from .tree import EMPTY_TREE

_START = '{"nodes":['
_decode = json.JSONDecoder().raw_decode


class TreeText:
    """The text of a tree in the making; names come in the order of their bytes."""

    def __init__(self, former: str | None) -> None:
        """`former`: the text of the version before."""
        self.former = former if former is not None and former.startswith(_START) else EMPTY_TREE.decode()
        self._node: dict[str, Any] = {}
        self._key: bytes | None = b""
        self._begin, self._end = 0, len(_START) - 1
        self._run: tuple[int, int] | None = None
        self._pieces: list[str] = []
        self._advance()

    def find(self, name: str) -> dict[str, Any] | None:
        """What the version before had under this name; as JSON, for most of it is never looked at."""
        key = os.fsencode(name)
        while self._key is not None and self._key < key:
            self._advance()
        return self._node if self._key == key else None

    def keep(self) -> None:
        """What was found last is unchanged."""
        if self._run is not None and self._run[1] == self._begin - 1:
            self._run = (self._run[0], self._end)
        else:
            self._close_run()
            self._run = (self._begin, self._end)

    def add(self, name: str, node: str) -> None:
        """The text of a node that is new, or was looked at again; `find` was asked for this name last."""
        if self._key == os.fsencode(name) and self.former[self._begin : self._end] == node:
            self.keep()
            return
        self._close_run()
        self._pieces.append(node)

    def is_unchanged(self) -> bool:
        """Whether all of the former nodes were kept, and there are no others."""
        if self._pieces:
            return False
        begin, end = self._run or (len(_START), len(_START))
        return begin == len(_START) and self.former[end] == "]"

    def text(self) -> str:
        """The whole tree."""
        self._close_run()
        return f"{_START}{','.join(self._pieces)}]}}\n"

    def _close_run(self) -> None:
        if self._run is not None:
            self._pieces.append(self.former[slice(*self._run)])
            self._run = None

    def _advance(self) -> None:
        at = self._end + 1
        try:
            # After the opening bracket or a comma comes a node.
            self._node, self._end = _decode(self.former, at)
            name = self._node["name"]
            self._begin, self._key = at, os.fsencode(unquoted(name) if "\\" in name else name)
        except (ValueError, KeyError, TypeError):
            self._key = None


def is_same_time(text: object, ns: int) -> bool:
    """Whether a time in a tree is this one; restic writes it in the time zone of the machine."""
    if text == text_of(ns):
        return True
    try:
        return isinstance(text, str) and not text.endswith("Z") and ns_of(text) == ns
    except ValueError:
        return False
