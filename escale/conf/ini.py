"""The INI spelling, as 0.7 reads it, with positions.

The parsing is ConfigUpdater's, which follows the standard library and keeps every line.  Two things are added here:
lines above the first section get a section of their own, and lines that are nothing are reported and passed over, so
that one slip does not hide the others.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

from configupdater import Comment, ConfigUpdater, Option, Section, Space
from configupdater.parser import InconsistentStateError

from . import faults
from .document import Block, Document, Entry, Piece
from .lookup import begins_a_key
from .problems import Findings, Source, Span

_TOP = "[\N{SYMBOL FOR START OF HEADING}]\n"
"""The header that is put above the first line; ConfigUpdater does not read lines without a section."""

_DEFAULT = "DEFAULT"
_HEADER = re.compile(r"\s*\[(?P<name>.+)\]")
_KEY = re.compile(r"(?P<indent>\s*)(?P<key>[^=:]*?)\s*[=:]\s*(?P<value>.*)", re.DOTALL)


def read_ini(source: Source, findings: Findings) -> Document:
    """The document in the lines of the source."""
    lines = list(source.lines)
    updater = _parsed(lines, source, findings)
    document = Document(source, Block(source, "", Span(1, 1)))
    block = document.common
    for line, part in _placed(updater):
        if isinstance(part, Section):
            block = _section(part.name.strip(), line, document)
        elif isinstance(part, Option):
            block.entries.append(_entry(part.lines, line, source))
    return document


def _parsed(lines: list[str], source: Source, findings: Findings) -> ConfigUpdater:
    """Lines that do not parse become comments, until the rest does."""
    while True:
        updater = ConfigUpdater(strict=False)
        text = _TOP + "".join(f"{line}\n" for line in lines)
        try:
            return updater.read_string(text)
        except configparser.ParsingError as error:
            bogus = [number - 1 for number, _ in error.errors]
        except InconsistentStateError as error:
            bogus = [error.args[2] - 1]
        for number in bogus:
            _report(number, lines[number - 1], source, findings)
            lines[number - 1] = "#"


def _report(number: int, line: str, source: Source, findings: Findings) -> None:
    indent = len(line) - len(line.lstrip())
    word = re.match(r"[^\s=:]*", line[indent:])
    length = word.end() if word else 0
    # It may be a password, or a key and a password between which the '=' was forgotten.
    if not begins_a_key(line[indent : indent + length]):
        source.hide(number, indent + 1)
    elif line[indent + length :].strip():
        source.hide(number, indent + length + 2)
    findings.add(faults.INI_SYNTAX, source, Span(number, indent + 1, max(1, length)))


def _placed(updater: ConfigUpdater) -> Iterator[tuple[int, Section | Option]]:
    """Sections and options with the number of their first line; the header that we added is line 0."""
    line = 0
    for block in updater.iter_blocks():
        if not isinstance(block, Section):
            line += len(block.lines)
            continue
        if line:
            yield line, block
        line += 1
        for part in block.iter_blocks():
            if isinstance(part, Option):
                yield line, part
            assert isinstance(part, Option | Comment | Space)
            line += len(part.lines)


def _section(name: str, line: int, document: Document) -> Block:
    source = document.source
    header = _HEADER.match(source.lines[line - 1])
    span = Span(line, header.start("name") + 1, len(name)) if header else Span(line, 1)
    if name == _DEFAULT:
        return document.common
    block = Block(source, name, span)
    document.sections.append(block)
    return block


def _entry(lines: list[str], first: int, source: Source) -> Entry:
    head = _KEY.fullmatch(lines[0].rstrip("\n"))
    assert head, "ConfigUpdater found an option in this line"
    starts = [(first, head.start("value"), head["value"].strip())]
    for number, line in enumerate(lines[1:], first + 1):
        text = line.strip()
        if text[:1] not in ("#", ";"):
            starts.append((number, len(line) - len(line.lstrip()), text))
    # A value may begin in the line below its key, and empty lines at its end do not belong to it.
    while starts and not starts[0][2]:
        starts.pop(0)
    value = "\n".join(text for _, _, text in starts).rstrip()
    span = Span(first, head.start("key") + 1, max(1, len(head["key"])))
    return Entry(source, head["key"], span, value, tuple(_pieces(starts)), first + len(lines) - 1)


def _pieces(starts: list[tuple[int, int, str]]) -> Iterator[Piece]:
    offset = 0
    for number, column, text in starts:
        if text:
            yield Piece(offset, number, column + 1, text)
        offset += len(text) + 1
