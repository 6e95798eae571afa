"""What a folder holds, as values: entries by path, and what may be a path at all.

A path is text with `/` between its components, relative to the folder.  Bytes that are not UTF-8 are carried as lone
surrogates (PEP 383, `surrogateescape`), so every file name of a POSIX system has exactly one spelling here and comes
back unchanged.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from ..errors import Corrupt

PATH_BYTES_MAX = 4096
"""Linux's PATH_MAX; longer paths cannot be installed anyway."""

COMPONENT_BYTES_MAX = 255
"""NAME_MAX of every common file system."""

PRIVATE = ".escale"
"""Our own directory inside a synchronised folder: staging, marker.  Never synchronised."""


class Kind(enum.Enum):
    """What a path is.  That a path is gone is a version of it like any other, so a deletion is an edit."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: what it is, how large, when last modified, which permissions, what content.

    `size` in bytes, `mtime_ns` nanoseconds since 1970 (may be negative), `mode` the nine permission bits, `digest` in
    lower-case hex or None while nobody has read the content.  Only files have a size and a digest; only symbolic links
    have a `target`, the text they hold (as paths, bytes that are not UTF-8 as lone surrogates), and no mode.
    """

    path: str
    size: int
    mtime_ns: int
    mode: int = 0o644
    digest: str | None = None
    kind: Kind = Kind.FILE
    target: str = ""

    @classmethod
    def directory(cls, path: str, mode: int = 0o755, mtime_ns: int = 0) -> Self:
        """A directory; its time is nobody's business, it changes with every file in it."""
        return cls(path, 0, mtime_ns, mode, None, Kind.DIRECTORY)

    @classmethod
    def link(cls, path: str, target: str, mtime_ns: int = 0) -> Self:
        """A symbolic link."""
        return cls(path, 0, mtime_ns, 0o777, None, Kind.LINK, target)

    @classmethod
    def gone(cls, path: str, when_ns: int = 0) -> Self:
        """Nothing, since `when_ns`."""
        return cls(path, 0, when_ns, 0, None, Kind.GONE)

    @property
    def is_gone(self) -> bool:
        return self.kind is Kind.GONE

    @property
    def is_file(self) -> bool:
        return self.kind is Kind.FILE

    def same_content(self, other: Entry) -> bool:
        """Both are the same kind of thing and hold the same; a file whose content nobody has read equals nothing."""
        if self.kind is not other.kind:
            return False
        if self.kind is Kind.FILE:
            return self.digest is not None and self.digest == other.digest
        return self.target == other.target


@dataclass(frozen=True, slots=True)
class Base:
    """What was agreed on for one path: what it was, and what its record said of its versions.

    `entry` has the permissions that the file system here has made of those of the record; where they differ, `wished`
    has the record's.  `ancestors`: as in `escale.relay.index.Record`.
    """

    entry: Entry
    version: int
    ancestors: tuple[str, ...] = ()
    wished: int | None = None

    @property
    def recorded(self) -> Entry:
        """The entry as its record has it."""
        return self.entry if self.wished is None else replace(self.entry, mode=self.wished)

    @property
    def is_implied(self) -> bool:
        """A directory that is here only for the sake of what is in it: it was made because a file arrived in it, or was
        deleted elsewhere and is not empty."""
        return self.version == 0 and self.entry.kind is Kind.DIRECTORY


def is_unchanged(entry: Entry, base: Base | None) -> bool:
    """Whether this is what was agreed on, permissions included."""
    if base is None or not entry.same_content(base.entry):
        return False
    return entry.mode == base.entry.mode or entry.is_gone or entry.kind is Kind.LINK


Tree = Mapping[str, Entry]
"""Entries by path."""


def path_bytes(path: str) -> bytes:
    """The bytes the file system knows the path by."""
    return path.encode("utf-8", "surrogateescape")


def path_text(raw: bytes) -> str:
    """The inverse of `path_bytes`."""
    return raw.decode("utf-8", "surrogateescape")


def parent_of(path: str) -> str:
    """The directory of the path; "" is the folder itself."""
    return path.rpartition("/")[0]


def parents_of(path: str) -> list[str]:
    """All directories above the path within the folder, the highest first."""
    return [path[:at] for at, character in enumerate(path) if character == "/"]


def name_bytes(path: str) -> bytes:
    """The last component, as the file system knows it."""
    return path_bytes(path.rpartition("/")[2])


def display(path: str) -> str:
    """The path for a terminal: control characters and undecodable bytes are shown as escapes."""
    return "".join(c if c.isprintable() else _escape(c) for c in path)


def target_problem(target: str) -> str | None:
    """Why no symbolic link can hold this text, or None.  Where it leads is the user's business: we never follow it."""
    raw = path_bytes_or_none(target)
    if raw is None:
        return "is not made of bytes"
    if not raw or len(raw) > PATH_BYTES_MAX or b"\0" in raw:
        return "is empty, too long or holds a zero byte"
    return None


def validate_path(path: str, where: str) -> str:
    """The path itself if it stays inside a folder; Corrupt otherwise.  For everything that comes from a relay."""
    problem = path_problem(path)
    if problem:
        raise Corrupt(where=where, reason=f"it names the path {display(path[:200])!r}, which {problem}")
    return path


def path_problem(path: str) -> str | None:
    """Why the path cannot be a file of a synchronised folder, or None."""
    raw = path_bytes_or_none(path)
    if raw is None:
        return "is not made of bytes"
    if not raw or len(raw) > PATH_BYTES_MAX:
        return "is empty or too long"
    if b"\0" in raw:
        return "contains a zero byte"
    parts = raw.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        return "leaves the folder or is not in its simplest form"
    if any(len(part) > COMPONENT_BYTES_MAX for part in parts):
        return "has a name of more than 255 bytes"
    if parts[0] == PRIVATE.encode():
        return "lies in escale's own directory"
    return None


def path_bytes_or_none(path: str) -> bytes | None:
    """`path_bytes`, or None for text that no file name decodes to."""
    try:
        raw = path_bytes(path)
    except UnicodeEncodeError:
        return None
    return raw if path_text(raw) == path else None


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
