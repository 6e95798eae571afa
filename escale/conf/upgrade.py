"""Upgrading a file of 0.7: lines without effect out, units in, private settings named as options, deletions kept.

The file is edited where it stands, line by line, so comments, order and alignment remain.  First a plan is made and
can be shown; secrets are not in what is shown.  Then it is carried out, and the old file is kept beside it.
"""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LocalError
from .document import Document, Entry
from .keys import Since
from .kinds import FLAGS, BadValue, Place, TlsVersion
from .lookup import find, option_name, suggestion
from .problems import Findings, Problem, Source
from .quantities import Duration, Size, size_text
from .read import read_document

KEEP = "deletions = keep"
"""Who wrote the file relied on it: with 0.7 nothing that is deleted on one machine is deleted on another."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is to become of a file: the lines that are written, and those that may be shown."""

    path: Path
    lines: Sequence[str] = field(repr=False)
    shown_before: Sequence[str] = field(repr=False)
    shown_after: Sequence[str] = field(repr=False)
    ending: str = "\n"

    @property
    def diff(self) -> str:
        """The change in the form of `diff`, without secrets; empty if there is none.

        There are no lines around a change: a neighbour may be a comment with an old password in it.
        """
        names = (str(self.path), f"{self.path} (upgraded)")
        lines = difflib.unified_diff(self.shown_before, self.shown_after, *names, lineterm="", n=0)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replaces `last - first + 1` lines by `text`, or removes them if it is None."""

    first: int
    last: int
    text: str | None = None
    shown: str = ""


def plan_upgrade(path: Path) -> tuple[Upgrade, tuple[Problem, ...]]:
    """What would be changed in the file, and what kept it from being read as a whole."""
    findings = Findings()
    document = read_document(Path(os.path.abspath(path)), findings)
    edits = {edit.first: edit for edit in _edits(document)}
    source = document.source
    before = [source.shown(number) for number in range(1, len(source.lines) + 1)]
    place = _place_of_keep(document)
    lines = [KEEP] if place == 0 else []
    after = [*lines]
    number = 1
    while number <= len(source.lines):
        edit = edits.get(number, _Edit(number, number, source.lines[number - 1], before[number - 1]))
        if edit.text is not None:
            lines.append(edit.text)
            after.append(edit.shown)
        if place is not None and number <= place <= edit.last:
            lines.append(KEEP)
            after.append(KEEP)
        number = edit.last + 1
    return Upgrade(source.path, lines, before, after, source.ending), findings.sorted()


def carry_out(upgrade: Upgrade) -> Path:
    """Write the file anew and return where the old one is kept; LocalError."""
    path = Path(os.path.realpath(upgrade.path))
    kept = _free_name(path)
    try:
        shutil.copy2(path, kept)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(upgrade.ending.join(upgrade.lines))
                file.flush()
                os.fsync(descriptor)
            shutil.copymode(path, name)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise LocalError(path=path, reason=error.strerror or str(error)) from error
    return kept


def _free_name(path: Path) -> Path:
    """FILE.bak, or with a number if an older one is kept there already."""
    kept = path.with_name(f"{path.name}.bak")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.bak{number}")
    return kept


def _place_of_keep(document: Document) -> int | None:
    """The line below which KEEP is to stand: the end of what stands above the sections.

    None for a file that knows a setting which 0.7 did not have: its author knew that deletions travel.
    """
    keys = [find(entry.key) for block in (document.common, *document.sections) for entry in block.entries]
    is_new = any(key is not None and key.since is Since.NEW for key in keys)
    if is_new or not document.sections or document.source.path.suffix == ".toml":
        return None
    if document.common.entries:
        return max(entry.last_line for entry in document.common.entries)
    above = document.sections[0].span.line - 1
    while above and document.source.lines[above - 1].startswith(("#", ";")):
        above -= 1
    return above


def _edits(document: Document) -> Iterator[_Edit]:
    if document.source.path.suffix == ".toml":
        return
    for block in (document.common, *document.sections):
        for entry in block.entries:
            edit = _edit(entry)
            if edit is not None:
                yield edit


def _edit(entry: Entry) -> _Edit | None:
    if option_name(entry.key) is not None:
        return None
    key = find(entry.key)
    if key is None:
        # A near miss is a slip of the finger, for its author to decide; anything else was meant for the driver.
        column = entry.key_span.column - 1
        return None if suggestion(entry.key) else _changed(entry, column, column, "option ")
    if not key.has_effect:
        return _Edit(entry.key_span.line, entry.last_line)
    better = _with_unit(entry) if len(entry.pieces) == 1 else None
    if better is None:
        return None
    piece = entry.pieces[0]
    return _changed(entry, piece.column - 1, piece.column - 1 + len(piece.text), better, piece.line)


def _changed(entry: Entry, start: int, end: int, text: str, number: int | None = None) -> _Edit:
    """The line with the part from `start` to `end` replaced, and the same as it may be shown."""
    source: Source = entry.source
    number = number or entry.key_span.line
    line, shown = source.lines[number - 1], source.shown(number)
    return _Edit(number, number, line[:start] + text + line[end:], shown[:start] + text + shown[end:])


def _with_unit(entry: Entry) -> str | None:
    """The value with the unit that it is read with, or None if it has one."""
    key, text = find(entry.key), str(entry.value)
    assert key is not None
    warnings: list[BadValue] = []
    try:
        value = key.kind.parse(text, Place(entry.key, entry.source.path.parent, {}, warnings.append))
    except BadValue:
        return None
    if isinstance(key.kind, Size) and warnings:
        return size_text(value)
    if isinstance(key.kind, TlsVersion) and warnings:
        return str(value)
    if isinstance(key.kind, Duration) and text.isdigit() and not (key.kind.words and text in FLAGS):
        return f"{text} s"
    return None
