"""Documents: a configuration file as entries with positions, before anybody asks what they mean.

Both spellings are read into this form.  The first block holds the lines above the sections; it has no name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .problems import Source, Span

_SPELLING = re.compile(r"[\s_-]+")


def normal(key: str) -> str:
    """The spelling by which keys are compared: case, spaces, dashes and underscores do not matter."""
    return _SPELLING.sub("", key).lower()


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a value that stands on one line; `offset` is where it begins in the whole value."""

    offset: int
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`key = value` as written.  `value` is text in INI files, any native value in TOML files.

    `last_line` is the last line that belongs to it.  `is_native`: from a TOML file, where % is a sign like others.
    """

    source: Source
    key: str
    key_span: Span
    value: object
    pieces: tuple[Piece, ...]
    last_line: int
    is_native: bool = False

    def place(self, start: int = 0, length: int | None = None) -> Span:
        """Where a part of the value stands; all of it (on its first line) without arguments."""
        if not self.pieces:
            return self.key_span
        piece = max((one for one in self.pieces if one.offset <= start), key=lambda one: one.offset)
        column = start - piece.offset
        rest = max(1, len(piece.text) - column)
        return Span(piece.line, piece.column + column, rest if length is None else max(1, min(length, rest)))


@dataclass(slots=True)
class Block:
    """A section, or with an empty name what stands above the sections."""

    source: Source
    name: str
    span: Span
    entries: list[Entry] = field(default_factory=list)

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"[{self.name}]" if self.name else "the part above the sections"


@dataclass(slots=True)
class Document:
    """A file: what stands above the sections, and the sections in their order."""

    source: Source
    common: Block
    sections: list[Block] = field(default_factory=list)
