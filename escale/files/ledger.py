"""What this client remembers of one section, in SQLite: digests it has computed, and what it last agreed on.

    known      stat cache: what a file looked like when its content was hashed.  A loss costs time only.
    base       for each path the version that this client and the relay last agreed on, that it is gone included: the
               middle of three-way plans.  A loss makes a plan more careful (two versions become a conflict), never
               wrong.
    offered    what we were about to write on the relay: if it is found there, it was agreed on
    intended   directories that were about to be made because something arrived in them, and for no other reason
    meta       small facts by key
    sightings  when a name was first seen on the relay, by our own clock: the age of locks
    trash      why, when and for whom something was put into the trash, which is in the folder.  After a loss content
               that lies there is not found, and fetched again.

Paths are stored as the bytes of the file system, so any name comes back unchanged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import LocalError, NoLocalSpace
from .kept import Kept
from .known import Known
from .tree import Base, Entry, Kind, path_bytes, path_text

_BUSY_S = 10.0
"""Far longer than any transaction here takes; a holder of longer standing is another escale on the same section."""

_STEPS = (
    "CREATE TABLE known (path BLOB PRIMARY KEY, size, mtime_ns, ctime_ns, inode, digest BLOB, seen_ns) WITHOUT ROWID",
    "CREATE TABLE base (path BLOB PRIMARY KEY, size, mtime_ns, mode, digest BLOB, version) WITHOUT ROWID",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sightings (name TEXT PRIMARY KEY, first_seen REAL NOT NULL) WITHOUT ROWID",
    "ALTER TABLE base ADD COLUMN kind NOT NULL DEFAULT 'file'",
    "ALTER TABLE base ADD COLUMN target BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE base ADD COLUMN ancestors TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE trash (batch TEXT, path BLOB, at REAL, cause TEXT, client TEXT, size, digest BLOB,"
    " PRIMARY KEY (batch, path)) WITHOUT ROWID",
    "CREATE INDEX trash_by_digest ON trash (digest)",
    "CREATE TABLE offered (path BLOB PRIMARY KEY, size, mtime_ns, mode, digest BLOB, version, kind, target BLOB,"
    " ancestors TEXT) WITHOUT ROWID",
    "ALTER TABLE base ADD COLUMN wished",
    "ALTER TABLE offered ADD COLUMN wished",
    "CREATE TABLE intended (path BLOB PRIMARY KEY) WITHOUT ROWID",
)
"""The schema, as the steps that lead to it; `user_version` counts those taken.  Append only, never edit.

Numbers have no declared type: those beyond 64 bits (hostile or broken time stamps) are stored as text, which a column
declared INTEGER would round.
"""


_BASE = "path, size, mtime_ns, mode, digest, version, kind, target, ancestors, wished"
_REPLACE = f"REPLACE INTO {{}} ({_BASE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KINDS = {kind.value: kind for kind in Kind}


class Ledger:
    """The database of one section; blocking, for one thread at a time.

    A database that is damaged is moved aside and a new one begun: `damaged` then says where the old one lies, and the
    caller should tell the user.  One written by a newer escale is LocalError, as is one that cannot be read or written;
    NoLocalSpace if the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: Path | None = None
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._connection = _opened(path)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                self.damaged = _moved_aside(path)
                self._connection = _opened(path)

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        self._connection.close()

    # --- stat cache

    def hashes_with(self, algorithm: str) -> None:
        """From now on digests are of this algorithm; those of another one are forgotten."""
        if self.meta("algorithm") == algorithm:
            return
        with self._transaction() as database:
            database.execute("DELETE FROM known")
            database.execute("REPLACE INTO meta VALUES ('algorithm', ?)", (algorithm,))

    def known(self) -> dict[str, Known]:
        """All that is remembered, by path."""
        with self._reading():
            rows = self._connection.execute("SELECT path, size, mtime_ns, ctime_ns, inode, digest, seen_ns FROM known")
            return {path_text(row[0]): _known(row) for row in rows}

    def known_of(self, path: str) -> Known | None:
        """What is remembered of one path."""
        with self._reading():
            row = self._connection.execute(
                "SELECT path, size, mtime_ns, ctime_ns, inode, digest, seen_ns FROM known WHERE path = ?",
                (path_bytes(path),),
            ).fetchone()
            return _known(row) if row else None

    def remember(self, known: Mapping[str, Known]) -> None:
        """Add, or put in the place of what was remembered of these paths."""
        rows = (
            (path_bytes(path), *map(_stored, (it.size, it.mtime_ns, it.ctime_ns, it.inode)), bytes.fromhex(it.digest),
             _stored(it.seen_ns))
            for path, it in known.items()
        )  # fmt: skip
        with self._transaction() as database:
            database.executemany("REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget_known(self, paths: Iterable[str]) -> None:
        """Paths that are not remembered are no error."""
        with self._transaction() as database:
            database.executemany("DELETE FROM known WHERE path = ?", ((path_bytes(path),) for path in paths))

    # --- what was agreed on

    def bases(self) -> dict[str, Base]:
        """All agreements, by path."""
        with self._reading():
            rows = self._connection.execute(f"SELECT {_BASE} FROM base")
            return {base.entry.path: base for base in map(_base, rows)}

    def agree(self, bases: Iterable[Base]) -> None:
        """These are what both sides have now: all of them durable on return, or none."""
        with self._transaction() as database:
            database.executemany(_REPLACE.format("base"), map(_base_row, bases))

    def offered(self) -> dict[str, Base]:
        """What was offered and neither agreed on nor withdrawn, by path."""
        with self._reading():
            rows = self._connection.execute(f"SELECT {_BASE} FROM offered")
            return {base.entry.path: base for base in map(_base, rows)}

    def offer(self, bases: Iterable[Base]) -> None:
        """These are about to be written on the relay; durable on return."""
        with self._transaction() as database:
            database.executemany(_REPLACE.format("offered"), map(_base_row, bases))

    def withdraw(self, paths: Iterable[str]) -> None:
        """What became of the offers of these paths is known."""
        with self._transaction() as database:
            database.executemany("DELETE FROM offered WHERE path = ?", ((path_bytes(path),) for path in paths))

    def disagree(self, paths: Iterable[str]) -> None:
        """Forget what was agreed on for these paths, as if they had never been met."""
        with self._transaction() as database:
            database.executemany("DELETE FROM base WHERE path = ?", ((path_bytes(path),) for path in paths))

    def intended(self) -> list[str]:
        """Directories that were intended and not forgotten, in no order."""
        with self._reading():
            return [path_text(row[0]) for row in self._connection.execute("SELECT path FROM intended")]

    def intend(self, paths: Iterable[str]) -> None:
        """These directories are about to be made for what arrives in them; durable on return."""
        with self._transaction() as database:
            database.executemany("REPLACE INTO intended VALUES (?)", ((path_bytes(path),) for path in paths))

    def forget_intended(self, paths: Iterable[str]) -> None:
        """What became of these is known."""
        with self._transaction() as database:
            database.executemany("DELETE FROM intended WHERE path = ?", ((path_bytes(path),) for path in paths))

    # --- the trash

    def keep(self, kept: Iterable[Kept]) -> None:
        """These were put into the trash."""
        rows = [
            (it.batch, path_bytes(it.path), it.when, it.cause, it.client, _stored(it.size),
             None if it.digest is None else bytes.fromhex(it.digest))
            for it in kept
        ]  # fmt: skip
        if rows:
            with self._transaction() as database:
                database.executemany("REPLACE INTO trash VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def kept(self) -> list[Kept]:
        """All that is remembered of the trash, in no order."""
        with self._reading():
            return [_kept(row) for row in self._connection.execute("SELECT * FROM trash")]

    def kept_with(self, digest: str) -> list[Kept]:
        """What was of this content when it was put into the trash, in no order."""
        with self._reading():
            rows = self._connection.execute("SELECT * FROM trash WHERE digest = ?", (bytes.fromhex(digest),))
            return [_kept(row) for row in rows]

    def forget_kept(self, kept: Iterable[Kept]) -> None:
        """These are in the trash no longer."""
        with self._transaction() as database:
            pairs = ((it.batch, path_bytes(it.path)) for it in kept)
            database.executemany("DELETE FROM trash WHERE batch = ? AND path = ?", pairs)

    def forget_batches(self, batches: Iterable[str]) -> None:
        """Nor is anything of these batches."""
        with self._transaction() as database:
            database.executemany("DELETE FROM trash WHERE batch = ?", ((batch,) for batch in batches))

    # --- small facts

    def meta(self, key: str) -> str | None:
        """The fact of this key, or None."""
        with self._errors():
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, key: str, value: str | None) -> None:
        """Durable on return; None forgets the fact."""
        with self._transaction() as database:
            if value is None:
                database.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                database.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

    def sighting(self, name: str, now: float) -> float:
        """When the name was first asked for here, in Unix seconds: `now` if this is the first time."""
        with self._reading(), self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO sightings VALUES (?, ?)", (name, now))
            return float(database.execute("SELECT first_seen FROM sightings WHERE name = ?", (name,)).fetchone()[0])

    def forget_sightings(self, before: float) -> None:
        """Those first seen before that Unix time."""
        with self._transaction() as database:
            database.execute("DELETE FROM sightings WHERE first_seen < ?", (before,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; durable at its end (synchronous is FULL)."""
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Rows that become our nouns; SQLite lets a cell be of any type, so one that we do not write is damage."""
        with self._errors():
            try:
                yield
            except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
                reason = "it holds a value that escale does not write; move it away, and a new one is begun"
                raise LocalError(path=str(self.path), reason=reason) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            number = getattr(error, "sqlite_errorcode", 0)
            kind = NoLocalSpace if number == sqlite3.SQLITE_FULL else LocalError
            raise kind(path=str(self.path), reason=str(error)) from error


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a sound database of the present schema."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _Damage("the database does not pass its check")
        _upgrade(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class _Damage(sqlite3.DatabaseError):
    """Found by our own check, not by a statement."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _is_damage(error: sqlite3.DatabaseError | UnicodeDecodeError) -> bool:
    # A message that quotes a schema which is no text cannot even be decoded.
    if isinstance(error, UnicodeDecodeError):
        return True
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(_STEPS):
        raise LocalError(path=str(path), reason="it was written by a newer version of escale")
    if version == len(_STEPS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in _STEPS[version:]:
        connection.execute(step)
    connection.execute(f"PRAGMA user_version = {len(_STEPS)}")
    connection.execute("COMMIT")


def _moved_aside(path: Path) -> Path:
    """Give the damaged database, with its journal, a name of its own; what it holds may still help somebody."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + suffix))
    return aside


def _stored(number: int) -> int | str:
    return number if -(1 << 63) <= number < 1 << 63 else str(number)


def _known(row: tuple[bytes, int, int, int, int, bytes, int]) -> Known:
    _, size, mtime_ns, ctime_ns, inode, digest, seen_ns = row
    return Known(int(size), int(mtime_ns), int(ctime_ns), int(inode), digest.hex(), int(seen_ns))


def _kept(row: tuple[str, bytes, float, str, str, int, bytes | None]) -> Kept:
    batch, path, when, cause, client, size, digest = row
    return Kept(batch, path_text(path), when, cause, client, int(size), None if digest is None else digest.hex())


def _base_row(base: Base) -> tuple[object, ...]:
    entry = base.entry
    digest = None if entry.digest is None else bytes.fromhex(entry.digest)
    numbers = map(_stored, (entry.size, entry.mtime_ns, entry.mode))
    kind = entry.kind.value
    return (
        path_bytes(entry.path),
        *numbers,
        digest,
        _stored(base.version),
        kind,
        path_bytes(entry.target),
        " ".join(base.ancestors),
        base.wished,
    )


def _base(row: tuple[bytes, int, int, int, bytes | None, int, str, bytes, str, int | None]) -> Base:
    path, size, mtime_ns, mode, digest, version, kind, target, ancestors, wished = row
    content = None if digest is None else digest.hex()
    entry = Entry(path_text(path), int(size), int(mtime_ns), int(mode), content, _KINDS[kind], path_text(target))
    return Base(entry, int(version), tuple(ancestors.split()), None if wished is None else int(wished))
