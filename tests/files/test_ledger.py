"""What the ledger keeps, across restarts, upgrades and damage."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.errors import LocalError
from escale.files.kept import Kept
from escale.files.known import Known
from escale.files.ledger import Ledger
from escale.files.tree import Base, Entry, path_text

KNOWN = Known(3, 5, 7, 11, "ab" * 64, 13)
ENTRY = Entry("a/b", 3, -5, 0o755, "cd" * 64)
OTHERS = (Entry.directory("d", 0o700), Entry.link("l\udcff", "/to\udcfe", 7), Entry.gone("g", 8))
KEPT = Kept("20261121-140211-000123", "a/\udcff", 5.25, "deleted", "alice", 3, "cd" * 64)

WHOLE_NUMBERS = st.integers(min_value=-(1 << 70), max_value=1 << 70)
PATHS = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw).map(path_text)


def reopened(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger(ledger.path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.db")


def test_everything_is_there_after_a_restart(ledger: Ledger) -> None:
    ledger.remember({"a": KNOWN, "b": KNOWN})
    ledger.agree(
        [
            Base(ENTRY, 4, ("one", "two"), 0o600),
            Base(replace(ENTRY, path="c", digest=None), 0),
            *map(Base, OTHERS, (1, 2, 3)),
        ]
    )
    ledger.set_meta("incarnation", "1f")
    assert ledger.sighting("lock", 100.5) == 100.5
    ledger = reopened(ledger)
    assert ledger.damaged is None
    assert ledger.known() == {"a": KNOWN, "b": KNOWN}
    assert ledger.known_of("a") == KNOWN
    assert ledger.known_of("x") is None
    assert ledger.bases() == {
        "a/b": Base(ENTRY, 4, ("one", "two"), 0o600),
        "c": Base(replace(ENTRY, path="c", digest=None), 0),
        **{entry.path: Base(entry, version) for version, entry in enumerate(OTHERS, 1)},
    }
    assert (ledger.meta("incarnation"), ledger.meta("other")) == ("1f", None)
    assert ledger.sighting("lock", 200) == 100.5


def test_later_facts_take_the_place_of_earlier_ones(ledger: Ledger) -> None:
    ledger.remember({"a": KNOWN, "b": KNOWN})
    ledger.remember({"a": replace(KNOWN, size=4)})
    ledger.forget_known(["b", "never known"])
    assert ledger.known() == {"a": replace(KNOWN, size=4)}
    ledger.agree([Base(ENTRY, 1)])
    ledger.agree([Base(replace(ENTRY, size=9), 2)])
    assert ledger.bases() == {"a/b": Base(replace(ENTRY, size=9), 2)}


def test_an_agreement_is_made_wholly_or_not_at_all(ledger: Ledger) -> None:
    def failing_half_way():
        yield Base(ENTRY, 1)
        raise RuntimeError("a crash")

    with pytest.raises(RuntimeError):
        ledger.agree(failing_half_way())
    assert ledger.bases() == {}
    ledger.agree([Base(ENTRY, 1)])
    assert reopened(ledger).bases() == {"a/b": Base(ENTRY, 1)}


def test_another_algorithm_empties_the_stat_cache_and_nothing_else(ledger: Ledger) -> None:
    ledger.hashes_with("sha512")
    ledger.remember({"a": KNOWN})
    ledger.agree([Base(ENTRY, 1)])
    ledger.hashes_with("sha512")
    assert ledger.known() == {"a": KNOWN}
    ledger.hashes_with("sha256")
    assert ledger.known() == {}
    assert ledger.bases() == {"a/b": Base(ENTRY, 1)}


def test_old_sightings_are_forgotten(ledger: Ledger) -> None:
    for name, first_seen in (("a", 1), ("b", 5), ("c", 9)):
        ledger.sighting(name, first_seen)
    ledger.forget_sightings(before=5)
    assert [ledger.sighting(name, 20) for name in ("a", "b", "c")] == [20, 5, 9]


def test_the_first_schema_is_upgraded_and_keeps_its_rows(tmp_path: Path) -> None:
    """GIVEN a ledger of the first release WHEN it is opened THEN it has all it had, and whatever came later."""
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute(
            "CREATE TABLE known (path BLOB PRIMARY KEY, size, mtime_ns, ctime_ns, inode, digest BLOB, seen_ns)"
            " WITHOUT ROWID"
        )
        database.execute(
            "CREATE TABLE base (path BLOB PRIMARY KEY, size, mtime_ns, mode, digest BLOB, version) WITHOUT ROWID"
        )
        database.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        database.execute("INSERT INTO base VALUES (?, 3, -5, 493, ?, 1)", (b"a/b", b"\xcd" * 64))
        database.execute("PRAGMA user_version = 3")
    database.close()
    upgraded = Ledger(tmp_path / "ledger.db")
    assert upgraded.bases() == {"a/b": Base(ENTRY, 1)}
    assert upgraded.sighting("lock", 5) == 5
    upgraded.keep([KEPT])
    assert upgraded.kept() == [KEPT]


def test_directories_that_were_intended_are_remembered_and_forgotten(ledger: Ledger) -> None:
    ledger.intend(["d", "d/e", "d/\udcff"])
    ledger.intend(["d"])
    ledger = reopened(ledger)
    assert sorted(ledger.intended()) == ["d", "d/e", "d/\udcff"]
    ledger.forget_intended(["d", "never"])
    assert sorted(ledger.intended()) == ["d/e", "d/\udcff"]


def test_the_trash_is_remembered_and_forgotten(ledger: Ledger) -> None:
    other = replace(KEPT, path="b", digest=None, client="", cause="replaced")
    later = replace(KEPT, batch=KEPT.batch + "-2")
    ledger.keep([KEPT, other, later])
    ledger.keep([])
    ledger = reopened(ledger)
    assert sorted(ledger.kept(), key=repr) == sorted([KEPT, other, later], key=repr)
    assert sorted(ledger.kept_with("cd" * 64), key=repr) == sorted([KEPT, later], key=repr)
    assert ledger.kept_with("00") == []
    ledger.forget_kept([other, other])
    assert sorted(ledger.kept(), key=repr) == sorted([KEPT, later], key=repr)
    ledger.forget_batches([KEPT.batch, "never"])
    assert ledger.kept() == [later]


def test_a_ledger_of_a_newer_version_is_left_alone(ledger: Ledger) -> None:
    ledger.close()
    with sqlite3.connect(ledger.path) as database:
        database.execute("PRAGMA user_version = 1000")
    database.close()
    with pytest.raises(LocalError, match="newer version"):
        Ledger(ledger.path)


@pytest.mark.parametrize("damage", [b"no database at all" * 300, "page", "half"])
def test_a_damaged_ledger_is_moved_aside_and_reported(ledger: Ledger, damage: bytes | str) -> None:
    ledger.agree([Base(replace(ENTRY, path=f"path {number}"), 1) for number in range(2000)])
    ledger.close()
    whole = ledger.path.read_bytes()
    if damage == "page":
        broken = whole[:4096] + b"\xa5" * 4096 + whole[8192:]
    elif damage == "half":
        broken = whole[: len(whole) // 2]
    else:
        broken = damage
    ledger.path.write_bytes(broken)
    fresh = Ledger(ledger.path)
    assert fresh.damaged is not None
    assert fresh.damaged.read_bytes() == broken
    assert fresh.bases() == {}
    fresh.agree([Base(ENTRY, 1)])
    assert reopened(fresh).damaged is None


def test_a_ledger_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="file"):
        Ledger(tmp_path / "file" / "ledger.db")


def test_any_path_and_any_number_comes_back_unchanged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")

    @given(path=PATHS, number=WHOLE_NUMBERS, digest=st.binary(min_size=1, max_size=64).map(bytes.hex))
    def round_trip(path: str, number: int, digest: str) -> None:
        known = Known(number, number, number, number, digest, number)
        entry = Entry(path, number, number, 0o644, digest)
        ledger.remember({path: known})
        ledger.agree([Base(entry, 1)])
        assert ledger.known_of(path) == known
        assert ledger.known()[path] == known
        assert ledger.bases()[path] == Base(entry, 1)

    # Each commit is a real fsync; what is tested does not depend on it.
    ledger._connection.execute("PRAGMA synchronous = OFF")
    round_trip()
