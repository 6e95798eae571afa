"""Catalog: which blob lies where, from all index files of a repository, in SQLite.

Only a cache: a catalog that is lost, damaged or of another repository is read again from the store.  It lies on disk,
so that a repository with millions of blobs takes no memory, and an index file that is known is never fetched again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import LocalError, NoLocalSpace
from .index import IndexFile
from .pack import ENTRY_BYTES, ENTRY_COMPRESSED_BYTES, BlobKind, PackedBlob, pack_bytes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS indices (number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS sizes (name TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packs (number INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS listed (pack INTEGER, source INTEGER, PRIMARY KEY (pack, source)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS listed_by_source ON listed (source);
CREATE TABLE IF NOT EXISTS blobs (id BLOB, kind INTEGER, pack INTEGER, offset INTEGER, length INTEGER,
    raw_length INTEGER, PRIMARY KEY (id, kind, pack)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_pack ON blobs (pack);
CREATE TABLE IF NOT EXISTS sound (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE needs (id BLOB, kind INTEGER, PRIMARY KEY (id, kind)) WITHOUT ROWID;
CREATE TEMP TABLE holders (pack INTEGER PRIMARY KEY);
"""
_NUMBER = {BlobKind.DATA: 0, BlobKind.TREE: 1}
_HELD = (
    "SELECT 1 FROM blobs AS other JOIN holders ON holders.pack = other.pack"
    " WHERE other.id = needs.id AND other.kind = needs.kind"
)
_TOGETHER = (8, 40, 200)
"""How many ids are in one question: SQLite knows the question already if it is always as long."""

_CACHE_KIB = 16 << 10
"""Of a catalog without a path: 600 000 blobs took 30 MiB so, and 110 in memory alone; with SQLite's own 2 MiB adding
them took a quarter longer."""

_KIND = {number: kind for kind, number in _NUMBER.items()}


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes of packs that are needed, `in_all` whether others have the same or not; `once`: what several hold is
    counted at one of them only."""

    in_all: dict[str, int]
    once: dict[str, int]


class Catalog:
    """May be asked from several threads at once."""

    def __init__(self, path: Path | None) -> None:
        """Without a path in memory, and what does not fit there in a file of SQLite's that nobody else sees."""
        self._path = path
        self._lock = Lock()
        with self._errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._database = _opened(path)
            except sqlite3.DatabaseError:
                if path is None:
                    raise
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        path.with_name(path.name + suffix).unlink()
                self._database = _opened(path)

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        with self._lock:
            self._database.close()

    def beside(self, suffix: str) -> Path | None:
        """A path for more of what is only a cache; None if this one has none."""
        return None if self._path is None else self._path.with_suffix(suffix)

    def index_names(self) -> set[str]:
        """The index files that are in it."""
        return {row[0] for row in self._rows("SELECT name FROM indices")}

    def index_sizes(self) -> dict[str, int]:
        """The stored bytes of the index files that were read back from the store."""
        return dict(self._rows("SELECT name, size FROM sizes"))

    def confirm(self, name: str, size: int) -> None:
        """An index file was read back from the store, and is what its name tells."""
        with self._transaction() as database:
            database.execute("REPLACE INTO sizes VALUES (?, ?)", (name, size))

    def add(self, name: str, index: IndexFile) -> None:
        """Take in an index file under its name."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO indices (name) VALUES (?)", (name,))
            source = database.execute("SELECT number FROM indices WHERE name = ?", (name,)).fetchone()[0]
            for pack, blobs in index.packs.items():
                raw = bytes.fromhex(pack)
                database.execute("INSERT OR IGNORE INTO packs (name, size) VALUES (?, ?)", (raw, pack_bytes(blobs)))
                number = database.execute("SELECT number FROM packs WHERE name = ?", (raw,)).fetchone()[0]
                database.execute("INSERT OR IGNORE INTO listed VALUES (?, ?)", (number, source))
                rows = ((it.id, _NUMBER[it.kind], number, it.offset, it.length, it.raw_length) for it in blobs)
                database.executemany("REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?)", rows)

    def remove(self, names: Iterable[str]) -> None:
        """Forget index files, the packs that no other one lists, and the notes, which told of more."""
        with self._transaction() as database:
            database.execute("DELETE FROM notes")
            for name in names:
                database.execute("DELETE FROM sizes WHERE name = ?", (name,))
                found = database.execute("SELECT number FROM indices WHERE name = ?", (name,)).fetchone()
                if found:
                    database.execute("DELETE FROM listed WHERE source = ?", found)
                    database.execute("DELETE FROM indices WHERE number = ?", found)
            gone = "SELECT number FROM packs WHERE number NOT IN (SELECT pack FROM listed)"
            database.execute(f"DELETE FROM blobs WHERE pack IN ({gone})")
            database.execute(f"DELETE FROM packs WHERE number IN ({gone})")
            database.execute("DELETE FROM sound WHERE id NOT IN (SELECT id FROM blobs WHERE kind = 1)")

    def find(self, kind: BlobKind, blob_id: bytes) -> list[tuple[str, PackedBlob]]:
        """Every pack that is said to hold the blob, and where in it."""
        rows = self._rows(
            "SELECT name, offset, length, raw_length FROM blobs JOIN packs ON number = pack WHERE id = ? AND kind = ?",
            (blob_id, _NUMBER[kind]),
        )
        return [(name.hex(), PackedBlob(blob_id, kind, *rest)) for name, *rest in rows]

    def has(self, kind: BlobKind, blob_id: bytes) -> bool:
        """Whether a pack is said to hold it."""
        return bool(self._rows("SELECT 1 FROM blobs WHERE id = ? AND kind = ? LIMIT 1", (blob_id, _NUMBER[kind])))

    def known(self, kind: BlobKind, ids: list[bytes], without: set[str]) -> set[bytes]:
        """Those of the blobs that a pack is said to hold, not counting packs `without`; in few questions."""
        columns = "id, name FROM blobs JOIN packs ON number = pack" if without else "id FROM blobs"
        statement = f"SELECT {columns} WHERE kind = {_NUMBER[kind]} AND id IN "
        return {row[0] for row in self._those(statement, ids) if not without or row[1].hex() not in without}

    def amount(self, kind: BlobKind) -> tuple[int, int]:
        """How many blobs of a kind there are, and their stored bytes; those that are in two packs count twice."""
        count, size = self._rows("SELECT COUNT(*), SUM(length) FROM blobs WHERE kind = ?", (_NUMBER[kind],))[0]
        return count, size or 0

    def is_empty(self) -> bool:
        """Whether no blob is known."""
        return not self._rows("SELECT 1 FROM blobs LIMIT 1")

    def packs(self) -> set[str]:
        """All packs that index files list."""
        return {row[0].hex() for row in self._rows("SELECT name FROM packs")}

    def pack_sizes(self) -> dict[str, int]:
        """The bytes that each of them should have."""
        return {row[0].hex(): row[1] for row in self._rows("SELECT name, size FROM packs")}

    def pack_size(self, pack: str) -> int:
        """The bytes that one should have; 0 for one that no index lists."""
        rows = self._rows("SELECT size FROM packs WHERE name = ?", (bytes.fromhex(pack),))
        return rows[0][0] if rows else 0

    def blobs_of(self, pack: str) -> list[PackedBlob]:
        """The blobs of a pack, in the order of their places."""
        rows = self._rows(
            "SELECT id, kind, offset, length, raw_length FROM blobs"
            " WHERE pack = (SELECT number FROM packs WHERE name = ?) ORDER BY offset",
            (bytes.fromhex(pack),),
        )
        return [PackedBlob(row[0], _KIND[row[1]], *row[2:]) for row in rows]

    def indices_of(self, pack: str) -> set[str]:
        """The index files that list a pack."""
        rows = self._rows(
            "SELECT indices.name FROM indices JOIN listed ON source = indices.number"
            " WHERE pack = (SELECT number FROM packs WHERE name = ?)",
            (bytes.fromhex(pack),),
        )
        return {row[0] for row in rows}

    def packs_of(self, index: str) -> list[str]:
        """The packs that an index file lists."""
        rows = self._rows(
            "SELECT packs.name FROM packs JOIN listed ON pack = packs.number"
            " WHERE source = (SELECT number FROM indices WHERE name = ?) ORDER BY packs.name",
            (index,),
        )
        return [row[0].hex() for row in rows]

    # --- what versions need, and who holds it: for the time that the catalog is open, asked for by one at a time

    def forget_needs(self) -> None:
        """Nothing is needed, and no pack counts as a holder."""
        with self._transaction() as database:
            database.execute("DELETE FROM needs")
            database.execute("DELETE FROM holders")

    def need(self, kind: BlobKind, ids: Iterable[bytes]) -> list[bytes]:
        """These blobs are needed; returns those that were not yet."""
        statement, number = "INSERT OR IGNORE INTO needs VALUES (?, ?)", _NUMBER[kind]
        with self._transaction() as database:
            return [blob_id for blob_id in ids if database.execute(statement, (blob_id, number)).rowcount]

    def hold(self, packs: Iterable[str]) -> None:
        """These packs, as far as an index lists them, are there to hold what is needed."""
        statement = "INSERT OR IGNORE INTO holders SELECT number FROM packs WHERE name = ?"
        with self._transaction() as database:
            database.executemany(statement, ((bytes.fromhex(pack),) for pack in packs))

    def let_go(self, packs: Iterable[str]) -> None:
        """These are not to be counted on any more."""
        statement = "DELETE FROM holders WHERE pack = (SELECT number FROM packs WHERE name = ?)"
        with self._transaction() as database:
            database.executemany(statement, ((bytes.fromhex(pack),) for pack in packs))

    def unheld(self) -> list[tuple[BlobKind, bytes]]:
        """What is needed and held by nobody."""
        rows = self._rows(f"SELECT kind, id FROM needs WHERE NOT EXISTS ({_HELD})")
        return [(_KIND[kind], blob_id) for kind, blob_id in rows]

    def needed_bytes(self) -> Needed:
        """How much of each holder is needed, with what its table of contents tells of it."""
        # In the order of ids: both tables are read from their beginnings to their ends.
        statement = (
            "SELECT needs.id, needs.kind, blobs.pack,"
            f" length + CASE WHEN raw_length IS NULL THEN {ENTRY_BYTES} ELSE {ENTRY_COMPRESSED_BYTES} END"
            " FROM needs CROSS JOIN blobs USING (id, kind)"
            " ORDER BY needs.id, needs.kind, blobs.pack"
        )
        in_all, once, last = Counter[int](), Counter[int](), None
        with self._lock, self._errors():
            names = {row[0]: row[1].hex() for row in self._database.execute("SELECT number, name FROM packs")}
            holders = {row[0] for row in self._database.execute("SELECT pack FROM holders")}
            for blob_id, kind, pack, length in self._database.execute(statement):
                if pack in holders:
                    in_all[pack] += length
                    if (blob_id, kind) != last:
                        once[pack] += length
                        last = (blob_id, kind)
        return Needed(*({names[pack]: size for pack, size in found.items()} for found in (in_all, once)))

    def needed_blobs_of(self, pack: str) -> list[tuple[BlobKind, bytes]]:
        """What is needed of a pack and held by nobody."""
        rows = self._rows(
            "SELECT kind, id FROM blobs JOIN needs USING (id, kind)"
            " WHERE pack = (SELECT number FROM packs WHERE name = ?)"
            f" AND NOT EXISTS ({_HELD})",
            (bytes.fromhex(pack),),
        )
        return [(_KIND[kind], blob_id) for kind, blob_id in rows]

    def other_holders(self, pack: str) -> set[str]:
        """The holders that are said to have what is needed of a pack, too."""
        rows = self._rows(
            "SELECT DISTINCT packs.name FROM blobs AS own JOIN needs USING (id, kind)"
            " JOIN blobs AS other ON other.id = own.id AND other.kind = own.kind AND other.pack <> own.pack"
            " JOIN holders ON holders.pack = other.pack JOIN packs ON packs.number = other.pack"
            " WHERE own.pack = (SELECT number FROM packs WHERE name = ?)",
            (bytes.fromhex(pack),),
        )
        return {row[0].hex() for row in rows}

    # --- trees that a check has found to be right in everything; they never change

    def sound(self, trees: list[bytes]) -> set[bytes]:
        """Those of these trees that are known to be."""
        return {row[0] for row in self._those("SELECT id FROM sound WHERE id IN ", trees)}

    def remember_sound(self, trees: Iterable[bytes]) -> None:
        """They need not be looked at so closely again."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO sound VALUES (?)", ((tree,) for tree in trees))

    def note(self, key: str, value: str) -> None:
        """Remember something about what is in it, until less is."""
        with self._transaction() as database:
            database.execute("REPLACE INTO notes VALUES (?, ?)", (key, value))

    def noted(self, key: str) -> str:
        """What was remembered, or ""."""
        rows = self._rows("SELECT value FROM notes WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def count(self) -> int:
        """How many blobs there are; those that are in two packs count twice."""
        return int(self._rows("SELECT COUNT(*) FROM blobs")[0][0])

    def _those(self, statement: str, ids: list[bytes]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(ids), _TOGETHER[-1]):
            asked = ids[start : start + _TOGETHER[-1]]
            count = next(count for count in _TOGETHER if count >= len(asked))
            values = (*asked, *(asked[-1:] * (count - len(asked))))
            yield from self._rows(f"{statement}({','.join('?' * count)})", values)

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._errors():
            return self._database.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            is_full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
            raise (NoLocalSpace if is_full else LocalError)(
                path=str(self._path or "a temporary file"), reason=str(error)
            ) from error


def _opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or "", isolation_level=None, check_same_thread=False, timeout=60.0)
    try:
        if path is None:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA journal_mode = WAL")
        # A catalog that a crash of the machine damages is made again; one that lies about a blob cannot be made so,
        # as SQLite writes in order.
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
