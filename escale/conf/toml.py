"""The TOML spelling, with positions.

tomli parses and says where a file is not TOML.  It does not say where the keys stand, so the statements are found
again, line by line: a statement ends where tomli accepts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import faults
from .document import Block, Document, Entry, Piece
from .problems import Findings, Source, Span

SECTIONS = "repository"
"""The table that holds the sections."""

OPTIONS = "option"
"""The table inside a section that holds the parameters of the storage driver."""

_HEADER = re.compile(r"\s*\[(?P<path>[^\[].*?)\]\s*(#.*)?")
_NAME = r"(?:[A-Za-z0-9_.-]|\"[^\"]*\"|'[^']*')"
_STATEMENT = re.compile(rf"\s*(?P<path>{_NAME}(?:\s*{_NAME})*)\s*=\s*(?P<value>.*)", re.DOTALL)
STATEMENT_LINES_MAX = 1000
"""Lines in which the end of a statement is looked for: each of them is a reading of all before it."""

_PLACE_IN_TEXT = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a statement or a header stands."""

    key: Span
    value: Piece | None
    last_line: int


def read_toml(source: Source, findings: Findings) -> Document:
    """The document in the lines of the source; empty, and with a finding, if it is not TOML."""
    import tomli

    document = Document(source, Block(source, "", Span(1, 1)))
    try:
        values = tomli.loads("\n".join(source.lines))
    except ValueError as error:
        # Mostly a TOMLDecodeError; a number of thousands of digits is Python's own.
        _report(error, source, findings)
        return document
    except RecursionError:
        findings.add(faults.TOML_SYNTAX, source, reason="too many brackets inside one another")
        return document
    places = _places(source)
    for key, value in values.items():
        if key == SECTIONS and isinstance(value, dict):
            _add_sections(value, places, document, findings)
        else:
            document.common.entries.extend(_entries((), key, value, places, source))
    return document


def _add_sections(
    tables: dict[str, object], places: dict[tuple[str, ...], _Found], document: Document, findings: Findings
) -> None:
    for name, table in tables.items():
        path = (SECTIONS, name)
        span = places[path].key if path in places else Span(1, 1)
        if not isinstance(table, dict):
            facts = {"key": f"{SECTIONS}.{name}", "kind": "a table", "type": type_word(table)}
            findings.add(faults.WRONG_TYPE, document.source, span, **facts)
            continue
        block = Block(document.source, name, span)
        for key, value in table.items():
            block.entries.extend(_entries(path, key, value, places, document.source))
        document.sections.append(block)


def _entries(
    path: tuple[str, ...], key: str, value: object, places: dict[tuple[str, ...], _Found], source: Source
) -> Iterator[Entry]:
    if key == OPTIONS and isinstance(value, dict):
        for name, inner in value.items():
            yield _entry((*path, key), name, f"{OPTIONS} {name}", inner, places, source)
    else:
        yield _entry(path, key, key, value, places, source)


def _entry(
    path: tuple[str, ...],
    key: str,
    name: str,
    value: object,
    places: dict[tuple[str, ...], _Found],
    source: Source,
) -> Entry:
    """Keys of inline tables stand where their table stands."""
    full = (*path, key)
    found = next((places[full[:end]] for end in range(len(full), 0, -1) if full[:end] in places), None)
    if found is None:
        return Entry(source, name, Span(1, 1), value, (), 1, True)
    pieces = (found.value,) if found.value else ()
    return Entry(source, name, found.key, value, pieces, found.last_line, True)


def _places(source: Source) -> dict[tuple[str, ...], _Found]:
    """By the path of each key and table: where it was written first."""
    found: dict[tuple[str, ...], _Found] = {}
    table: tuple[str, ...] = ()
    lines = source.lines
    at = 0
    while at < len(lines):
        line = lines[at]
        last = at
        if header := _HEADER.fullmatch(line):
            table = _path(header["path"])
            span = Span(at + 1, header.start("path") + 1, len(header["path"]))
            found.setdefault(table, _Found(span, None, at + 1))
        elif statement := _STATEMENT.fullmatch(line):
            last = _end_of(lines, at)
            path = (*table, *_path(statement["path"]))
            span = Span(at + 1, statement.start("path") + 1, len(statement["path"]))
            piece = _piece(statement["value"], at + 1, statement.start("value") + 1)
            for end in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:end], _Found(span, piece, last + 1))
        at = last + 1
    return found


def _piece(text: str, line: int, column: int) -> Piece:
    """The value as it is marked: without a comment behind it, and inside the quotes of a simple text."""
    simple = re.match(r"""(["'])(?!\1)((?:(?!\1)[^\\])*)\1""", text)
    if simple:
        return Piece(0, line, column + 1, simple[2])
    bare = re.match(r"[^\s#\"'{\[]+", text)
    return Piece(0, line, column, bare[0] if bare else text.rstrip())


def _end_of(lines: Sequence[str], first: int) -> int:
    """The last line of the statement that begins there."""
    import tomli

    for last in range(first, min(len(lines), first + STATEMENT_LINES_MAX)):
        try:
            tomli.loads("\n".join(lines[first : last + 1]))
        except (ValueError, RecursionError):
            continue
        return last
    return first


def _path(text: str) -> tuple[str, ...]:
    """The names in a dotted key."""
    import tomli

    try:
        value: object = tomli.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        return (text,)
    names = []
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names)


def _report(error: Exception, source: Source, findings: Findings) -> None:
    """tomli before 2.2 says the place only in its text."""
    text = str(error)
    inside = _PLACE_IN_TEXT.search(text)
    line = int(inside[1]) if inside else max(1, len(source.lines))
    column = int(inside[2]) if inside else 1
    reason = text[: inside.start()] if inside else text.partition(" (at ")[0]
    # A text without quotes is the likeliest slip, and it may be a password: only the key before it is shown.
    shown = source.lines[line - 1] if line <= len(source.lines) else ""
    before = re.match(r"\s*(?:[A-Za-z0-9_. -]+=\s*)?", shown)
    source.hide(line, before.end() + 1 if before else 1)
    findings.add(faults.TOML_SYNTAX, source, Span(line, min(column, len(shown) + 1)), reason=reason)


def type_word(value: object) -> str:
    """What a native value is called in messages."""
    words = {bool: "yes or no", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return words.get(type(value), "a date")
