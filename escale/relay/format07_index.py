"""The two index files of format 0.7: how entries follow one another.

An entry is a line `PATH LENGTH` and then LENGTH units of metadata (format07_entry).  The update index is plain text,
its lengths count characters.  The persistent index is a bzip2 stream, its lengths count bytes, and entries that share
their first two lines stand together in a group that says them once.

Reading follows the original's reader, quirk by quirk (white space, line ends, what ends a file): what it accepts lies
on relays.  An entry that is no record, because it has no checksum for instance, is kept as it stands and written again;
one that is empty, or whose path leaves the folder, is dropped.  All of them are told.
"""

from __future__ import annotations

import bz2
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from ..errors import Corrupt
from ..files.tree import display, path_problem
from .format07_entry import PULLERS, name_problem, record_of, spell
from .index import Record, Records

GROUP = "---group---"
GROUP_END = "-----------"

INDEX_BYTES_MAX = 512 * 1024 * 1024
"""Plain bytes of an index: three million entries of their usual 170 bytes; more is a bomb."""

ENTRIES_MAX = 3_000_000
"""Or else 512 MiB of the shortest entries would fill the memory."""

LINE_BYTES_MAX = 64 * 1024
"""A path has at most 4096 bytes; no other line comes near."""

ENTRY_LENGTH_MAX = 1024 * 1024
"""A usual entry has 200 bytes; this is room for any key somebody may add."""

REJECTED_MAX = 20
"""Sentences about entries left out; the rest is a number."""

GROUP_LINES_MAX = 16
"""A group says two lines."""

CLIENTS_MAX = 10_000
"""More than any relay has: as many groups (one for each pusher) and names of pullers are read."""

Foreign = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Found:
    """What an index file held.  `foreign`: the lines of entries that we would not spell the same way."""

    records: dict[str, Record] = field(default_factory=dict)
    foreign: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pullers: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    beyond: int = 0

    def reject(self, sentence: str) -> None:
        """Leave an entry out; of the first ones is said why."""
        if len(self.rejected) < REJECTED_MAX:
            self.rejected.append(sentence)
        else:
            self.beyond += 1

    def told(self) -> tuple[str, ...]:
        """One sentence for each of the first entries left out, and how many there were beyond."""
        return (*self.rejected, *([f"{self.beyond} more entries are left out"] if self.beyond else []))


def read_persistent(data: bytes, where: str, digits: int) -> Found:
    """The persistent index; checksums have `digits` hex digits.  Corrupt if the original could not read it either."""
    if not data:
        return Found()
    with _damage(where), bz2.BZ2File(io.BytesIO(data)) as file:
        return _found(_Bytes(file), True, digits)


def read_update(data: bytes, where: str, digits: int) -> Found:
    """The update index, likewise."""
    if not data:
        return Found()
    with _damage(where), io.TextIOWrapper(io.BytesIO(data), "utf-8") as file:
        return _found(_Text(file), False, digits)


def spell_persistent(records: Records, foreign: Foreign, digits: int) -> bytes:
    """The bytes of a persistent index.  ValueError if nothing is left to write: the original cannot read that."""
    groups: dict[tuple[str, ...], list[bytes]] = {}
    for path, lines in _spelled(records, foreign, digits):
        group = _group_of(lines)
        body = _body(lines[len(group) :]).encode()
        groups.setdefault(group, []).append(f"{_safe(path)} {len(body)}\n".encode() + body)
    if not groups:
        raise ValueError("an index of format 0.7 must name at least one file")
    pieces: list[bytes] = []
    for group, entries in groups.items():
        pieces.append(_body([GROUP, *group, GROUP_END]).encode())
        pieces.extend(entries)
    return bz2.compress(b"".join(pieces), 9)


def spell_update(records: Records, foreign: Foreign, digits: int, pullers: Iterable[str]) -> bytes:
    """The bytes of an update index.  ValueError if there is neither an entry nor a puller."""
    pieces = []
    for path, lines in _spelled(records, foreign, digits):
        body = _body(lines)
        pieces.append(f"{_safe(path)} {len(body)}\n{body}")
    for number, name in enumerate(pullers):
        # As the reader: only these end a line of a text file, and white space at its end is lost.
        if not name or name != name.rstrip() or "\n" in name or "\r" in name:
            raise ValueError(f"not the name of a puller: {name!r}")
        pieces.append(f"{'' if number else PULLERS}\n{name}")
    if not pieces:
        raise ValueError("an update index of format 0.7 must name a file or a puller")
    return "".join(pieces).encode()


# -- reading


class _Lines(Protocol):
    """An index as the original's reader sees it; both raise ValueError at the limits."""

    def line(self) -> str:
        """The next line without white space at its end; empty at the end of the file."""

    def block(self, length: int) -> str:
        """The next `length` units."""


class _Bytes:
    """A compressed index: bytes are counted and stripped, then decoded."""

    def __init__(self, file: bz2.BZ2File) -> None:
        self._file = file
        self._left = INDEX_BYTES_MAX

    def line(self) -> str:
        raw = self._file.readline(LINE_BYTES_MAX)
        self._spend(len(raw))
        if len(raw) == LINE_BYTES_MAX:
            raise ValueError("a line is far too long")
        return raw.rstrip().decode()

    def block(self, length: int) -> str:
        raw = self._file.read(length)
        self._spend(len(raw))
        if len(raw) < length:
            raise EOFError
        return raw.decode()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError("it unpacks to more than 512 MiB")


class _Text:
    """A plain index: characters are counted, with every kind of line end read as LF."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file

    def line(self) -> str:
        text = self._file.readline(LINE_BYTES_MAX)
        if len(text) == LINE_BYTES_MAX:
            raise ValueError("a line is far too long")
        return text.rstrip()

    def block(self, length: int) -> str:
        text = self._file.read(length)
        if len(text) < length:
            raise EOFError
        return text


@contextmanager
def _damage(where: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise Corrupt(where=where, reason="it is not UTF-8 text") from error
    except EOFError as error:
        raise Corrupt(where=where, reason="its end is missing") from error
    except OSError as error:
        raise Corrupt(where=where, reason="it is not a bzip2 stream") from error
    except ValueError as error:
        raise Corrupt(where=where, reason=str(error)) from error


def _found(lines: _Lines, grouped: bool, digits: int) -> Found:
    found = Found()
    size = 0
    for count, (path, text) in enumerate(_entries(lines, grouped, found.pullers)):
        size += len(text)
        if count >= ENTRIES_MAX or size > INDEX_BYTES_MAX:
            raise ValueError("it has more entries than any folder")
        _sort(found, path, tuple(text.splitlines()), digits)
    return found


def _entries(lines: _Lines, grouped: bool, pullers: list[str]) -> Iterator[tuple[str, str]]:
    """Path and metadata of each entry; the names after the last one go to `pullers`.

    A blank line ends the file, whatever follows.
    """
    group: list[str] | None = None
    shared = None if grouped else ""
    groups = 0
    is_empty = True
    while line := lines.line():
        if grouped and line == GROUP:
            group = []
            groups += 1
            if groups > CLIENTS_MAX:
                raise ValueError("it has more groups than a relay has clients")
        elif group is not None and line == GROUP_END:
            shared, group = _body(group), None
        elif group is not None:
            group.append(line)
            if len(group) > GROUP_LINES_MAX:
                raise ValueError("a group does not end")
        elif line == PULLERS:
            pullers.extend(islice(iter(lines.line, ""), CLIENTS_MAX))
            return
        elif shared is None:
            raise ValueError("an entry stands before the first group")
        else:
            is_empty = False
            path, length = _length_line(line)
            yield path, shared + lines.block(length) if length else ""
    if is_empty:
        raise ValueError("it names no file at all")


def _length_line(line: str) -> tuple[str, int]:
    parts = line.rsplit(None, 1)
    try:
        path, length = parts[0], int(parts[1])
    except (ValueError, IndexError):
        raise ValueError(f"the line {display(line[:100])!r} does not say how long its entry is") from None
    if not 0 <= length <= ENTRY_LENGTH_MAX:
        raise ValueError(f"the entry of {display(path[:100])!r} has an impossible length")
    return path, length


def _sort(found: Found, path: str, lines: tuple[str, ...], digits: int) -> None:
    """File an entry under what it is: a record, a record with something to keep, something to keep, or nothing."""
    problem = path_problem(path)
    for known in (found.records, found.foreign):
        known.pop(path, None)
    if problem:
        found.reject(f"the path {display(path[:200])!r} {problem}")
        return
    try:
        record = record_of(path, lines, digits)
    except ValueError as error:
        found.reject(f"the entry of {display(path)!r} is of no use: {error}")
        if lines:
            found.foreign[path] = lines
        return
    found.records[path] = record
    if list(lines) != spell(record):
        found.foreign[path] = lines


# -- writing


def _spelled(records: Records, foreign: Foreign, digits: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Path and lines of each entry: ours, or those that were found and still say the same."""
    for path, record in records.items():
        lines = foreign.get(path, ())
        yield path, lines if lines and _is_record(path, lines, digits, record) else spell(record)
    for path, lines in foreign.items():
        if path not in records and not _is_record(path, lines, digits):
            yield path, lines


def _is_record(path: str, lines: tuple[str, ...], digits: int, record: Record | None = None) -> bool:
    """Whether the lines are a record; this one, if one is given."""
    try:
        found = record_of(path, lines, digits)
    except ValueError:
        return False
    return record is None or found == record


def _group_of(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines at the beginning that a group can say for all its entries.  An entry keeps one line at least."""
    if not lines[0].startswith("placeholder") or len(lines) < 3:
        return ()
    return tuple(lines[: 2 if lines[1].startswith("pusher") else 1])


def _safe(path: str) -> str:
    problem = name_problem(path)
    if problem:
        raise ValueError(f"a path that {problem} cannot stand in an index of format 0.7: {path!r}")
    return path


def _body(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
