"""Reading a configuration file into a document, whichever spelling it has."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from . import faults
from .document import Block, Document, Entry
from .ini import read_ini
from .kinds import User
from .lookup import find, is_public
from .problems import Findings, Source, Span
from .toml import read_toml

BYTES_MAX = 512 * 1024
"""Beyond this it is not a configuration: a thousand sections have two fifths of it."""


def read_document(path: Path, findings: Findings) -> Document:
    """The document; empty, and with findings, if it cannot be read.  Secrets in its lines are hidden from messages."""
    source = Source(path)
    data = _bytes(source, findings)
    text = _text(data, source, findings)
    if text is None:
        return Document(source, Block(source, "", Span(1, 1)))
    source.ending = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    source.lines = [line.removesuffix("\r") for line in text.split("\n")]
    read = read_toml if path.suffix == ".toml" else read_ini
    document = read(source, findings)
    _hide_secrets(document)
    return document


def _bytes(source: Source, findings: Findings) -> bytes | None:
    path = source.path
    try:
        with open(path, "rb") as file:
            data = file.read(BYTES_MAX + 1)
            if len(data) > BYTES_MAX:
                size = os.fstat(file.fileno()).st_size
                findings.add(faults.TOO_LARGE, source, size=size, limit=BYTES_MAX)
                return None
            return data
    except OSError as error:
        advice = _owner(path) if isinstance(error, PermissionError) else ""
        findings.add(faults.UNREADABLE, source, path=path, reason=error.strerror or error, advice=advice)
        return None


def _owner(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"it belongs to {owner} and has mode {status.st_mode & 0o777:04o}"


def _text(data: bytes | None, source: Source, findings: Findings) -> str | None:
    if data is None:
        return None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        findings.add(faults.NOT_UTF8, source, Span(line, column), byte=data[error.start], path=source.path)
        return None


def _hide_secrets(document: Document) -> None:
    for block in (document.common, *document.sections):
        for entry in block.entries:
            if is_public(entry.key) and not _is_user_and_password(entry):
                continue
            first = entry.key_span.line
            for line in range(first, entry.last_line + 1):
                on_line = [piece.column for piece in entry.pieces if piece.line == line]
                after_key = entry.key_span.column + entry.key_span.length
                document.source.hide(line, min(on_line, default=after_key if line == first else 1))


def _is_user_and_password(entry: Entry) -> bool:
    key = find(entry.key)
    return key is not None and isinstance(key.kind, User) and ":" in str(entry.value)
