"""Format 1 on the wire: names, round trips, and bytes that no client wrote."""

from __future__ import annotations

import contextlib
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from escale.errors import Corrupt, RelayInUse
from escale.files.tree import Entry, path_problem, path_text
from escale.relay.format import LockText, Place, Role
from escale.relay.format1 import Format1
from escale.relay.index import Index, Record, State, Update

FORM = Format1()
UNIQUE = "0123456789abcdef"
STAMP = f"{17:020d}-{UNIQUE}"

paths = (
    some.lists(some.binary(min_size=1, max_size=12).filter(lambda raw: not {0, 47} & set(raw)), min_size=1, max_size=3)
    .map(lambda parts: path_text(b"/".join(parts)))
    .filter(lambda path: path_problem(path) is None)
)
records = some.builds(
    Record,
    some.builds(
        Entry,
        paths,
        some.integers(0, 1 << 50),
        some.integers(-(1 << 62), 1 << 62),
        some.integers(0, 0o777),
        some.binary(min_size=64, max_size=64).map(bytes.hex),
    ),
    some.integers(1, 1 << 40),
    some.text(max_size=20).filter(str.isprintable),
    some.sampled_from(State),
    some.lists(some.binary(min_size=8, max_size=8).map(bytes.hex), max_size=8).map(tuple),
)
by_path = some.lists(records, max_size=8).map(lambda found: {record.path: record for record in found})


@pytest.mark.parametrize(
    "place",
    [
        Place(Role.MARKER),
        Place(Role.CLIENT, unique=UNIQUE),
        Place(Role.INDEX, "0", generation=3, unique=UNIQUE),
        Place(Role.UPDATE, UNIQUE, STAMP, 7, UNIQUE),
        Place(Role.DATA, "0", STAMP),
        Place(Role.LOCK, "0"),
        Place(Role.LOCK, "0", unique=UNIQUE),
    ],
)
def test_names_are_read_back(place):
    assert FORM.parse(FORM.name(place)) == place


@pytest.mark.parametrize("name", ["", ".0.index", "0.index", "notes.txt", "0.data.17", "../escale.relay", "0.lock.x"])
def test_other_names_are_none_of_ours(name):
    assert FORM.parse(name) is None


def test_pages_hide_the_directory_when_there_is_a_key():
    plain, keyed, other = Format1(1), Format1(1, b"k" * 32), Format1(1, b"x" * 32)
    assert plain.page_of("root.txt") == "0"
    assert plain.page_of("dir/a") == plain.page_of("dir/b/c") != plain.page_of("other/a")
    assert len({plain.page_of("dir/a"), keyed.page_of("dir/a"), other.page_of("dir/a")}) == 3


@given(by_path)
def test_an_index_is_read_back(found):
    index = Index("0", found)
    assert FORM.decode_index("0", FORM.encode_index(index)) == index


@given(by_path, some.frozensets(some.text(min_size=1, max_size=10).filter(str.isprintable)), some.integers(0, 1 << 40))
def test_an_update_is_read_back(found, consumed, garbage):
    update = Update("0", STAMP, "alice", found, consumed, garbage=garbage)
    assert FORM.decode_update("0", STAMP, FORM.encode_update(update)) == update


def test_an_update_index_of_another_update_is_refused():
    raw = FORM.encode_update(Update("0", STAMP, "alice", {}))
    with pytest.raises(Corrupt):
        FORM.decode_update("0", f"{18:020d}-{UNIQUE}", raw)
    with pytest.raises(Corrupt):
        FORM.decode_update("1" * 16, STAMP, raw)


def lines(*objects: object) -> bytes:
    return zlib.compress("".join(json.dumps(one) + "\n" for one in objects).encode())


HEADER = {"escale": "index", "version": 1, "page": "0"}
GOOD = {"path": "a", "size": 1, "mtime_ns": 0, "mode": 420, "digest": "ab" * 32, "version": 1, "client": "x"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        lines(),
        lines([]),
        lines({**HEADER, "page": "1"}),
        lines(HEADER, 17),
        lines(HEADER, {}),
        lines(HEADER, {**GOOD, "path": "../a"}),
        lines(HEADER, {**GOOD, "path": "/a"}),
        lines(HEADER, {**GOOD, "path": "a//b"}),
        lines(HEADER, {**GOOD, "path": "a\0b"}),
        lines(HEADER, {**GOOD, "path": "\ud800"}),
        lines(HEADER, {**GOOD, "path": ".escale/x"}),
        lines(HEADER, {**GOOD, "path": "n" * 256}),
        lines(HEADER, {**GOOD, "path_b64": "!!"}),
        lines(HEADER, {**GOOD, "size": -1}),
        lines(HEADER, {**GOOD, "size": True}),
        lines(HEADER, {**GOOD, "size": 1e9}),
        lines(HEADER, {**GOOD, "mode": 0o4755}),
        lines(HEADER, {**GOOD, "digest": "XYZ"}),
        lines(HEADER, {**GOOD, "digest": None}),
        lines(HEADER, {**GOOD, "version": "2"}),
        lines(HEADER, {**GOOD, "client": 1}),
        lines(HEADER, {**GOOD, "state": "unheard of"}),
        lines(HEADER, {**GOOD, "ancestors": 5}),
        lines(HEADER, {**GOOD, "ancestors": ["short"]}),
        lines(HEADER, {**GOOD, "version": 0}),
        lines(HEADER, GOOD)[:-5],
        lines(HEADER, GOOD) + b"more",
        zlib.compress(b"[" * 100_000 + b"\n"),
        zlib.compress(json.dumps(HEADER).encode()),
    ],
)
def test_bytes_that_no_client_wrote_are_corrupt(data):
    with pytest.raises(Corrupt):
        FORM.decode_index("0", data)


@settings(max_examples=300)
@given(some.data())
def test_damage_is_corrupt_or_harmless_and_nothing_else(data):
    good = FORM.encode_index(Index("0", {"a": Record(Entry("a", 1, 0, 0o644, "ab" * 32), 1, "x")}))
    at = data.draw(some.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(some.binary(max_size=3)) + good[at + data.draw(some.integers(0, 3)) :]
    with contextlib.suppress(Corrupt, RelayInUse):
        FORM.decode_index("0", damaged)
    FORM.decode_lock(damaged)


def test_a_bomb_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("escale.relay.format1.INDEX_BYTES_MAX", 4 << 20)
    with pytest.raises(Corrupt, match="too large"):
        FORM.decode_index("0", lines(HEADER, *([GOOD] * 40_000)))
    with pytest.raises(Corrupt, match="line that is too long"):
        FORM.decode_index("0", zlib.compress(b"x" * (64 << 20), 9))


def test_an_index_of_a_newer_escale_says_so():
    with pytest.raises(RelayInUse, match="newer escale"):
        FORM.decode_index("0", lines({**HEADER, "version": 2}))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"null", b"[1]", b"{}", b"lock%1.0\nowner: bob", b"[" * 100_000])
def test_a_lock_that_cannot_be_read_has_no_owner(data):
    assert FORM.decode_lock(data).owner == ""


def test_a_lock_is_read_back():
    lock = LockText("älice", "w", UNIQUE, 12.5)
    assert FORM.decode_lock(FORM.encode_lock(lock)) == lock


def test_stamps_grow_even_when_the_clock_goes_back():
    first = FORM.new_stamp(1_700_000_000.0, "", UNIQUE)
    second = FORM.new_stamp(1_600_000_000.0, first, UNIQUE)
    assert second > first
    assert FORM.parse(f"0.data.{second}")
