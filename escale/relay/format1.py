"""Relay format 1: immutable blobs, names as bytes, nothing readable from outside when a key is used.

Names, all lower case so that no server can confuse them:

    escale.relay                                the marker: which format, key, paging, lock strategy
    client.CLIENT                               one per client that ever took part
    PAGE.index.GENERATION-UNIQUE                persistent index; several generations are merged
    PAGE.update.STAMP.GENERATION-UNIQUE         update index; further generations only register pullers
    PAGE.data.STAMP                             update data
    PAGE.lock, PAGE.lock.UNIQUE                 the lock (exclusive creation, or claims by listing)

PAGE is `0`, or 16 hex digits of the page's directory (keyed when a key is used, so the name tells nothing).  An index
is a zlib stream of JSON lines: a header, then a record a line.  Doc: doc/protocol/relay-format-1.md.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any

from ..digest import short_name
from ..errors import Corrupt, RelayInUse
from ..files.tree import Entry, Kind, path_bytes, path_problem, path_text, target_problem, validate_path
from .format import Format, LockText, Place, Role
from .index import ANCESTORS_MAX, Index, Record, State, Update

VERSION = 1
MARKER = "escale.relay"

INDEX_BYTES_MAX = 512 * 1024 * 1024
"""Plain bytes of an index: a million records of 500 bytes; more is a bomb."""

LINE_BYTES_MAX = 64 * 1024
"""A path of 4096 bytes, each escaped in six characters, and the rest of its record."""

CLIENT_LENGTH_MAX = 255
"""Characters: four times what the settings allow."""

_GENERATION = r"(?P<generation>[0-9]{10})-(?P<unique>[0-9a-f]{16})"
_STAMP = r"(?P<stamp>[0-9]{20}-[0-9a-f]{16})"
_PAGE = r"(?P<page>0|[0-9a-f]{16})"
_NAMES = [
    (Role.MARKER, re.compile(r"escale\.relay")),
    (Role.CLIENT, re.compile(r"client\.(?P<unique>[0-9a-f]{16})")),
    (Role.INDEX, re.compile(rf"{_PAGE}\.index\.{_GENERATION}")),
    (Role.UPDATE, re.compile(rf"{_PAGE}\.update\.{_STAMP}\.{_GENERATION}")),
    (Role.DATA, re.compile(rf"{_PAGE}\.data\.{_STAMP}")),
    (Role.LOCK, re.compile(rf"{_PAGE}\.lock(?:\.(?P<unique>[0-9a-f]{{16}}))?")),
]
_HEX = re.compile(r"(?:[0-9a-f]{2}){16,64}")
_BRIEF = re.compile(r"[0-9a-f]{16}")


class Format1(Format):
    """`levels` directory components name a page (0: one page for all); `name_key` hides them."""

    number = "1"
    overwrites = False
    seals_indices = True
    asks_by_removal = False
    reads_under_lock = False
    kinds = frozenset(Kind)
    budget_page = "f" * 16

    def __init__(self, levels: int = 0, name_key: bytes = b"") -> None:
        self.levels = levels
        self._name_key = name_key

    def parse(self, name: str) -> Place | None:
        for role, pattern in _NAMES:
            if match := pattern.fullmatch(name):
                groups = match.groupdict(default="")
                generation = int(groups.pop("generation", "0") or 0)
                return Place(role, generation=generation, **groups)
        return None

    def name(self, place: Place) -> str:
        generation = f"{place.generation:010d}-{place.unique}"
        match place.role:
            case Role.MARKER:
                return MARKER
            case Role.CLIENT:
                return f"client.{place.unique}"
            case Role.INDEX:
                return f"{place.page}.index.{generation}"
            case Role.UPDATE:
                return f"{place.page}.update.{place.stamp}.{generation}"
            case Role.DATA:
                return f"{place.page}.data.{place.stamp}"
            case Role.LOCK:
                return f"{place.page}.lock.{place.unique}" if place.unique else f"{place.page}.lock"

    def page_of(self, path: str) -> str:
        directories = path_bytes(path).split(b"/")[:-1]
        if not self.levels or len(directories) < self.levels:
            return "0"
        return short_name(*directories[: self.levels], key=self._name_key)

    def client_place(self, client: str) -> Place:
        """Where a client registers."""
        return Place(Role.CLIENT, unique=short_name(client.encode(), key=self._name_key))

    def new_stamp(self, now: float, newest: str, unique: str) -> str:
        """Nanoseconds, then the client's own 16 hex digits; greater than the newest even if our clock is behind."""
        count = max(int(now * 1e9), int(newest.partition("-")[0]) + 1 if newest else 0)
        return f"{count:020d}-{unique}"

    def problem_with(self, entry: Entry) -> str | None:
        if problem := path_problem(entry.path):
            return f"its name {problem}"
        problem = target_problem(entry.target) if entry.kind is Kind.LINK else None
        return f"what it links to {problem}" if problem else None

    def encode_index(self, index: Index) -> bytes:
        header = {"escale": "index", "version": VERSION, "page": index.page}
        return _encode(header, index.records.values())

    def decode_index(self, page: str, data: bytes) -> Index:
        _, records = _decode("index", page, data)
        return Index(page, records)

    def encode_update(self, update: Update) -> bytes:
        header = {
            "escale": "update",
            "version": VERSION,
            "page": update.page,
            "stamp": update.stamp,
            "client": update.client,
            "consumed": sorted(update.consumed),
            "garbage": update.garbage,
            "asked": sorted(update.asked),
        }
        return _encode(header, update.records.values())

    def decode_update(self, page: str, stamp: str, data: bytes) -> Update:
        header, records = _decode("update", page, data)
        where = f"the update index of page {page}"
        consumed, garbage, asked = header.get("consumed"), header.get("garbage"), header.get("asked", [])
        if header.get("stamp") != stamp or not isinstance(consumed, list) or not isinstance(asked, list):
            raise Corrupt(where=where, reason="its header belongs to another update")
        if type(garbage) is not int or garbage < 0:
            raise Corrupt(where=where, reason="its header is damaged")
        try:
            have, miss = frozenset(map(_client, consumed)), frozenset(map(_client, asked))
            return Update(page, stamp, _client(header.get("client")), records, have, garbage=garbage, asked=miss)
        except ValueError as error:
            raise Corrupt(where=where, reason=str(error)) from error

    def encode_lock(self, lock: LockText) -> bytes:
        return json.dumps(
            {"owner": lock.owner, "mode": lock.mode, "nonce": lock.nonce, "lease_s": lock.lease_s}
        ).encode()

    def decode_lock(self, data: bytes) -> LockText:
        try:
            found = json.loads(data)
            lease_s = float(found["lease_s"])
            if not math.isfinite(lease_s):
                return LockText("", "")
            return LockText(str(found["owner"]), str(found["mode"]), str(found["nonce"]), lease_s)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return LockText("", "")


def _encode(header: dict[str, Any], records: Any) -> bytes:
    """Level 6: digests do not compress, and everything else compresses well at any level."""
    ordered = sorted(records, key=lambda record: path_bytes(record.path))
    lines = [json.dumps(header), *(json.dumps(_as_json(record)) for record in ordered)]
    return zlib.compress(("\n".join(lines) + "\n").encode("ascii"), 6)


def _as_json(record: Record) -> dict[str, Any]:
    entry = record.entry
    more: dict[str, object] = {} if record.state is State.CURRENT else {"state": record.state.value}
    if record.ancestors:
        more["ancestors"] = record.ancestors
    if entry.is_file:
        more |= {"size": entry.size, "digest": entry.digest}
    else:
        more |= {"kind": entry.kind.value}
    if entry.kind is Kind.LINK:
        more |= _spelled("target", entry.target)
    return {
        **_spelled("path", entry.path),
        "mtime_ns": entry.mtime_ns,
        "mode": entry.mode,
        "version": record.version,
        "client": record.client,
        **more,
    }


def _spelled(key: str, text: str) -> dict[str, object]:
    """A path or a target; what is not UTF-8 in base 64."""
    raw = path_bytes(text)
    try:
        return {key: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{key}_b64": base64.b64encode(raw).decode("ascii")}


def _decode(kind: str, page: str, data: bytes) -> tuple[dict[str, Any], dict[str, Record]]:
    """Header and records; Corrupt for anything a client would not have written."""
    where = f"the {kind} of page {page}"
    try:
        lines = _lines(data)
        header = json.loads(next(lines, b""))
        if not isinstance(header, dict) or header.get("escale") != kind or header.get("page") != page:
            raise ValueError("its header belongs to something else")
        if header.get("version") != VERSION:
            raise RelayInUse(what=f"{where} was written by a newer escale (version {header.get('version')!r})")
        records = {}
        for line in lines:
            record = _record(json.loads(line), where)
            records[record.path] = record
        return header, records
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, zlib.error) as error:
        raise Corrupt(where=where, reason=str(error) or "it cannot be read") from error


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines of a zlib stream, inflated piece by piece; ValueError if it is cut, too large or followed by more."""
    inflate = zlib.decompressobj()
    total = 0
    rest = b""
    while not inflate.eof:
        piece = inflate.decompress(data, 1 << 20)
        data = inflate.unconsumed_tail
        if not piece and not data and not inflate.eof:
            raise ValueError("it is cut short")
        total += len(piece)
        if total > INDEX_BYTES_MAX:
            raise ValueError("it is too large to be an index")
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise ValueError("it has a line that is too long")
        yield from whole
    if rest or inflate.unused_data:
        raise ValueError("it does not end where it should")


def _record(found: Any, where: str) -> Record:
    kind = Kind(found.get("kind", "file"))
    target = _unspelled(found, "target") if kind is Kind.LINK else ""
    if kind is Kind.LINK and (problem := target_problem(target)):
        raise ValueError(f"a link in it holds a text that {problem}")
    entry = Entry(
        validate_path(_unspelled(found, "path"), where),
        _number(found["size"], 0, 1 << 62) if kind is Kind.FILE else 0,
        _number(found["mtime_ns"], -(1 << 63), 1 << 63),
        _number(found["mode"], 0, 0o777),
        _digest(found["digest"]) if kind is Kind.FILE else None,
        kind,
        target,
    )
    state = State(found.get("state", "current"))
    ancestors = tuple(_digest(one, _BRIEF) for one in found.get("ancestors", ())[:ANCESTORS_MAX])
    version = _number(found["version"], 1, 1 << 62)
    return Record(entry, version, _client(found["client"]), state, ancestors)


def _unspelled(found: Any, key: str) -> str:
    if f"{key}_b64" in found:
        return path_text(base64.b64decode(found[f"{key}_b64"], validate=True))
    return _text(found[key], key)


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is not a number from {least} to {most}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is not a {what}")
    return value


def _client(value: Any) -> str:
    """A name that can be said to a user."""
    name = _text(value, "client name")
    if not name.isprintable() or len(name) > CLIENT_LENGTH_MAX:
        raise ValueError(f"{value!r:.40} is not a client name")
    return name


def _digest(value: Any, form: re.Pattern[str] = _HEX) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"{value!r:.40} is not a digest")
    return value
