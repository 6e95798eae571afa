"""Files in the place of the ledger: of every earlier version, damaged, cut, and of another program."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from escale.errors import LocalError, NoLocalSpace
from escale.files.known import Known
from escale.files.ledger import Ledger
from escale.files.tree import Base, Entry

from .scratch import scratch
from .target import Target

STEPS = (
    "CREATE TABLE known (path BLOB PRIMARY KEY, size, mtime_ns, ctime_ns, inode, digest BLOB, seen_ns) WITHOUT ROWID",
    "CREATE TABLE base (path BLOB PRIMARY KEY, size, mtime_ns, mode, digest BLOB, version) WITHOUT ROWID",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sightings (name TEXT PRIMARY KEY, first_seen REAL NOT NULL) WITHOUT ROWID",
)
"""The schema of the first release, step by step: ledgers of all these versions lie on disks."""

_ROWS = (
    "INSERT INTO known VALUES (x'61', 5, 17, 18, 99, x'abcd', 20)",
    "INSERT INTO base VALUES (x'61', 5, 17, 420, x'abcd', 3)",
    "INSERT INTO meta VALUES ('algorithm', 'sha512')",
    "INSERT INTO sightings VALUES ('0.lock', 1700000000.5)",
)

COMPANION = b"\0WAL\0"
"""Parts the database from the journal that lies beside it."""


def written(statements: tuple[str, ...], version: int) -> bytes:
    """The file of a database made by these statements."""
    path = scratch("ledger") / "seed.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
    return path.read_bytes()


def of_version(version: int) -> bytes:
    """A ledger after so many steps, with a row in each of its tables."""
    return written((*STEPS[:version], *_ROWS[:version]), version)


def of_today() -> bytes:
    """A ledger as it is written now."""
    path = scratch("ledger") / "today.db"
    path.unlink(missing_ok=True)
    ledger = Ledger(path)
    ledger.hashes_with("sha512")
    ledger.remember({"a": Known(5, 17, 18, 99, "abcd", 20)})
    ledger.agree([Base(Entry("a", 5, 17, 0o644, "abcd"), 3), Base(Entry("b", 1 << 70, -1, 0o600, None), 1)])
    ledger.sighting("0.lock", 1_700_000_000.5)
    ledger.close()
    return path.read_bytes()


FOREIGN = written(("CREATE TABLE known (x)", "CREATE VIEW base AS SELECT 1 AS path"), 0)
FOREIGN_OF_OUR_VERSION = written(("CREATE TABLE pages (x)",), len(STEPS))


def use(data: bytes) -> bool:
    """One sentence, or a ledger that answers and takes notes; what it could not read is kept."""
    path = scratch("ledger") / "state" / "ledger.db"
    path.parent.mkdir(exist_ok=True)
    for old in path.parent.iterdir():
        old.unlink()
    database, _, journal = data.partition(COMPANION)
    path.write_bytes(database)
    if journal:
        path.with_name("ledger.db-wal").write_bytes(journal)
    try:
        ledger = Ledger(path)
        with closing(ledger):
            _ask_everything(ledger)
    except (LocalError, NoLocalSpace):
        return False
    # Not byte for byte: SQLite writes into its file as soon as it is asked to keep a journal.
    assert ledger.damaged is None or ledger.damaged.exists()
    return ledger.damaged is None


def _ask_everything(ledger: Ledger) -> None:
    ledger.known()
    ledger.known_of("a")
    ledger.bases()
    ledger.meta("algorithm")
    ledger.sighting("0.lock", 5.0)
    ledger.hashes_with("sha256")
    ledger.agree([Base(Entry("a", 5, 17, 0o644, "abcd"), 4)])
    assert ledger.bases()["a"].version == 4
    ledger.disagree(["a"])


TARGETS = (
    Target(
        "ledger",
        (*(of_version(version) for version in range(len(STEPS) + 1)), of_today(), FOREIGN, FOREIGN_OF_OUR_VERSION),
        use,
        examples=120,
    ),
)
