"""The indices, locks, names, markers and rosters of both relay formats."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from escale.errors import Corrupt, RelayInUse
from escale.files.tree import Entry, path_problem
from escale.relay.format import Format, LockText, Place, Role
from escale.relay.format07 import Format07
from escale.relay.format1 import Format1
from escale.relay.index import Index, Record, Update
from escale.relay.marker import Marker
from escale.relay.roster import Participant

from .target import Target

FORM, FORM07 = Format1(), Format07()
UNIQUE = "0123456789abcdef"
STAMP = f"{17:020d}-{UNIQUE}"
STAMP07 = "1700000000"


def _record(path: str, number: int) -> Record:
    return Record(Entry(path, number, number * 10**9, 0o644, f"{number:0128x}"), number, "alice")


FILES = {path: _record(path, number) for number, path in enumerate(("a", "b/c d.txt", "b/é/f"), 1)}
OTHERS = {
    "dir": Record(Entry.directory("dir"), 1, "bob"),
    "link": Record(Entry.link("link", "../elsewhere"), 2, "bob"),
    "lost": Record(Entry.gone("lost", 5), 3, "bob", ancestors=("ab" * 8, "cd" * 8)),
    "\udcff": _record("\udcff", 9),
}
INDEX, INDEX07 = Index("0", {**FILES, **OTHERS}), Index("0", FILES)
UPDATE = Update("0", STAMP, "alice", FILES, frozenset({"bob", "carol"}), garbage=17)
UPDATE07 = Update("0", STAMP07, "alice", FILES, frozenset({"bob", "carol"}))
LOCK = LockText("alice", "w", UNIQUE, 12.5)


def index(form: Format, data: bytes) -> bool:
    """Corrupt, or an index of honest paths that can be written again and says the same."""
    with suppress(Corrupt, RelayInUse):
        found = form.decode_index("0", data)
        _must_be_honest(found.records)
        if found.records or found.foreign:
            again = form.decode_index("0", form.encode_index(found))
            assert (again.records, again.foreign) == (found.records, found.foreign)
        return True
    return False


def update(form: Format, stamp: str, data: bytes) -> bool:
    """Likewise."""
    with suppress(Corrupt, RelayInUse):
        found = form.decode_update("0", stamp, data)
        _must_be_honest(found.records)
        if found.records or found.foreign:
            again = form.decode_update("0", stamp, form.encode_update(found))
            assert (again.records, again.foreign) == (found.records, found.foreign)
            assert again.consumed == found.consumed
        return True
    return False


def _must_be_honest(records: object) -> None:
    assert isinstance(records, dict)
    for path, record in records.items():
        assert path == record.path and path_problem(path) is None
        assert 0 <= record.entry.mode <= 0o777


def lock(form: Format, data: bytes) -> bool:
    """A lock, always; how long it may be kept is a number that a clock can be compared with."""
    found = form.decode_lock(data)
    assert isinstance(found, LockText)
    assert found.lease_s == found.lease_s
    return bool(found.owner)


def name(form: Format, data: bytes) -> bool:
    """A name says what `name` says back, or nothing."""
    text = data.decode("utf-8", "surrogateescape")
    place = form.parse(text)
    if place is not None:
        assert form.name(place) == text
        if place.role in (Role.UPDATE, Role.DATA):
            form.new_stamp(1_700_000_000.0, place.stamp, UNIQUE)
    return place is not None


def marker(data: bytes) -> bool:
    """Corrupt, RelayInUse, or a marker that can be written again."""
    with suppress(Corrupt, RelayInUse):
        found = Marker.decode(data, "here")
        assert Marker.decode(found.encode(), "here") == found
        return True
    return False


def participant(data: bytes) -> bool:
    """Corrupt, or somebody whose name can be said."""
    with suppress(Corrupt):
        found = Participant.decode(data, "here")
        assert Participant.decode(found.encode(), "here") == found
        FORM.client_place(found.name)
        return True
    return False


def _lines(data: bytes) -> bytes:
    return zlib.decompress(data)


def _packed(run: Callable[[bytes], bool], pack: Callable[[bytes], bytes]) -> Callable[[bytes], bool]:
    """Behind the compression, which would hide the structure from whoever changes bytes."""
    return lambda data: run(pack(data))


_INDEX1, _UPDATE1 = FORM.encode_index(INDEX), FORM.encode_update(UPDATE)
_INDEX07, _UPDATE07 = FORM07.encode_index(INDEX07), FORM07.encode_update(UPDATE07)
_LOCKS = (FORM.encode_lock(LOCK), FORM07.encode_lock(LOCK), b"alice", b"lock%1.0\nowner: bob\nlease: 1e400")
_MARKERS = tuple(Marker(UNIQUE, key, 1, "sha512", "create").encode() for key in ("", "7Q2F-K9XA"))
_NAMES = tuple(
    FORM.name(place).encode()
    for place in (
        Place(Role.MARKER),
        Place(Role.CLIENT, unique=UNIQUE),
        Place(Role.INDEX, "0", generation=3, unique=UNIQUE),
        Place(Role.UPDATE, UNIQUE, STAMP, 7, UNIQUE),
        Place(Role.DATA, "0", STAMP),
        Place(Role.LOCK, "0", unique=UNIQUE),
    )
)
_NAMES07 = tuple(
    FORM07.name(Place(role, "a_b", STAMP07)).encode() for role in (Role.INDEX, Role.UPDATE, Role.DATA, Role.LOCK)
)

TARGETS = (
    Target("index1", (_INDEX1,), partial(index, FORM)),
    Target("index1-lines", (_lines(_INDEX1),), _packed(partial(index, FORM), zlib.compress), examples=300),
    Target("update1", (_UPDATE1,), partial(update, FORM, STAMP)),
    Target("update1-lines", (_lines(_UPDATE1),), _packed(partial(update, FORM, STAMP), zlib.compress), examples=300),
    Target("index07", (_INDEX07,), partial(index, FORM07)),
    Target("index07-lines", (bz2.decompress(_INDEX07),), _packed(partial(index, FORM07), bz2.compress), examples=300),
    Target("update07", (_UPDATE07,), partial(update, FORM07, STAMP07), examples=300),
    Target("lock1", _LOCKS, partial(lock, FORM)),
    Target("lock07", _LOCKS, partial(lock, FORM07)),
    Target("name1", _NAMES, partial(name, FORM)),
    Target("name07", _NAMES07, partial(name, FORM07)),
    Target("marker", _MARKERS, marker),
    Target("participant", (Participant("alice", True, UNIQUE).encode(),), participant),
)
