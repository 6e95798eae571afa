"""Relay format 0.7: the names and bytes of the original program, so that its clients and ours share a relay.

    .PAGE.index          persistent index: a bzip2 stream, rewritten by every push
    .PAGE.STAMP.index    update index: plain text, rewritten when a puller registers
    .PAGE.STAMP.data     update data
    .PAGE.lock           the lock, while somebody works on the page

PAGE is `0` or made of the first directories of a path; STAMP is the Unix time at which the push began.  There is one
name per role, and nothing is sealed but the archives.  What the two kinds of index say is in format07_index.
Doc: doc/protocol/relay-format-0.7.md.
"""

from __future__ import annotations

import io
import math

from ..digest import DEFAULT, hasher
from ..files.tree import Entry, Kind, path_problem
from ..store.blob import validate_name
from . import format07_index as files
from .format import Format, LockText, Place, Role
from .format07_entry import SECOND_NS, TIMESTAMP_MAX, client_name, name_problem
from .index import Index, Update

STAMP_LENGTH_MAX = 20
"""Characters of a stamp: any time in nanoseconds, should somebody use them.  A longer one is nobody's clock."""

LOCK_BYTES_MAX = 4096
"""A lock file has some 30 bytes; what is longer is none."""


class Format07(Format):
    """`levels` directory components name a page (0: one page for all).

    `algorithm` makes the checksums; the format does not record which one, so all clients of a relay must agree.
    ValueError for one that hashlib does not know.
    """

    number = "0.7"
    overwrites = True
    seals_indices = False
    asks_by_removal = True
    reads_under_lock = True
    kinds = frozenset({Kind.FILE})
    budget_page = ""

    def __init__(self, levels: int = 0, algorithm: str = DEFAULT) -> None:
        self.levels = levels
        self._digits = len(hasher(algorithm).hexdigest())

    def parse(self, name: str) -> Place | None:
        match name.split("."):
            case ["", page, "index"] if self._is_page(page):
                return Place(Role.INDEX, page)
            case ["", page, "lock"] if self._is_page(page):
                return Place(Role.LOCK, page)
            case ["", page, stamp, ("index" | "data") as kind] if _is_stamp(stamp) and self._is_page(page):
                return Place(Role.UPDATE if kind == "index" else Role.DATA, page, stamp)
        return None

    def name(self, place: Place) -> str:
        match place.role:
            case Role.INDEX:
                return f".{place.page}.index"
            case Role.UPDATE:
                return f".{place.page}.{place.stamp}.index"
            case Role.DATA:
                return f".{place.page}.{place.stamp}.data"
            case Role.LOCK:
                return f".{place.page}.lock"
        raise ValueError(f"format 0.7 has no {place.role.value}")

    def page_of(self, path: str) -> str:
        directories = path.split("/")[:-1]
        if not self.levels or len(directories) < self.levels:
            return "0"
        return "_".join(directories[: self.levels]).replace(".", "_")

    def new_stamp(self, now: float, newest: str, unique: str) -> str:
        """Seconds, as the original; two pushers of one second are told apart by the lock, not by `unique`."""
        return str(max(round(now), int(newest) + 1 if newest else 0))

    def problem_with(self, entry: Entry) -> str | None:
        problem = path_problem(entry.path) or name_problem(entry.path)
        if not problem and "\r" in entry.path:
            problem = "contains a carriage return"
        if problem:
            return f"its name {problem}, which escale 0.7 cannot read"
        if not self._is_page(self.page_of(entry.path)):
            return "the name of its folder cannot be part of a file name on the relay"
        return _time_problem(entry.mtime_ns)

    def encode_index(self, index: Index) -> bytes:
        """ValueError for an index without records: the original cannot read one, so the caller keeps a last record."""
        return files.spell_persistent(index.records, index.foreign, self._digits)

    def decode_index(self, page: str, data: bytes) -> Index:
        """Entries that are no records are in `rejected`; some of them stay in `foreign`, to be written again."""
        found = files.read_persistent(data, f"the index {self.name(Place(Role.INDEX, page))}", self._digits)
        return Index(page, found.records, found.foreign, rejected=found.told())

    def encode_update(self, update: Update) -> bytes:
        """ValueError for an update without records and pullers."""
        return files.spell_update(update.records, update.foreign, self._digits, sorted(update.consumed))

    def decode_update(self, page: str, stamp: str, data: bytes) -> Update:
        """`client` is the pusher of the first record, empty if there is none (the original may leave only pullers)."""
        where = f"the update index {self.name(Place(Role.UPDATE, page, stamp))}"
        found = files.read_update(data, where, self._digits)
        client = next((record.client for record in found.records.values()), "")
        pullers = frozenset(found.pullers)
        return Update(page, stamp, client, found.records, pullers, foreign=found.foreign, rejected=found.told())

    def encode_lock(self, lock: LockText) -> bytes:
        """The original's three lines, then ours, which it ignores.  ValueError without owner: it would be fair game."""
        if not lock.owner:
            raise ValueError("a lock of format 0.7 must have an owner")
        lines = ["lock%1.0", f"owner: {client_name(lock.owner)}", f"mode: {lock.mode}"]
        if lock.nonce:
            lines.append(f"nonce: {lock.nonce}")
        if lock.lease_s:
            lines.append(f"lease: {lock.lease_s}")
        return "\n".join(lines).encode()

    def decode_lock(self, data: bytes) -> LockText:
        try:
            lines = io.TextIOWrapper(io.BytesIO(data), "utf-8").readlines() if len(data) <= LOCK_BYTES_MAX else []
        except UnicodeDecodeError:
            lines = []
        if not lines or not lines[0].startswith("lock%"):
            return LockText(lines[0].strip() if lines else "", "")  # the oldest form: a name and nothing else
        values = {key: value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        return LockText(
            values.get("owner", ""), values.get("mode", ""), values.get("nonce", ""), _lease_s(values.get("lease", ""))
        )

    def _is_page(self, page: str) -> bool:
        """Whether the longest name of that page can be a blob's: one that we could not write is not ours to work on."""
        try:
            validate_name(self.name(Place(Role.DATA, page, "0" * STAMP_LENGTH_MAX)))
        except ValueError:
            return False
        return bool(page)


def _is_stamp(text: str) -> bool:
    """Whatever Python's int() accepts, as in the original."""
    try:
        int(text)
    except ValueError:
        return False
    return len(text) <= STAMP_LENGTH_MAX


def _time_problem(mtime_ns: int) -> str | None:
    """Times are written in whole seconds, zero means unknown, and the original rounds towards zero."""
    if 0 <= mtime_ns < SECOND_NS:
        return "it was last modified in the first second of 1970, which escale 0.7 takes for no time at all"
    if mtime_ns < 0 and mtime_ns % SECOND_NS:
        return "it was last modified before 1970 and not at a full second, which escale 0.7 cannot write down"
    if abs(mtime_ns) > TIMESTAMP_MAX * SECOND_NS:
        return "it was last modified in a year of five digits"
    return None


def _lease_s(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
