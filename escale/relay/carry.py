"""Carrying a relay as a whole: to another place, or out of an archive into an empty one.

What travels are blobs as they lie there, unopened: what is sealed stays sealed, under the same names and the same
relay id.  Locks do not travel, nor does what is not the format's.

Nobody is locked out meanwhile.  Whoever takes the blobs lists again when he has all, takes what is new and lets go of
what has left, until a listing shows nothing else: what he has then is the relay as it was at that moment.

The order of writing makes a death harmless at every step (`_ORDER`):

    update data      nobody is told of it yet
    the roster       before any update: one that lies there without a roster would be taken away by the first who comes
    update indices   their data are there
    indices          what they call delivered was delivered, or lies there by now
    the marker       last: without it a newcomer refuses (R341), and a relay that has one is whole

It goes away in the opposite order, but that the marker first becomes a note that says where the relay went.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

from ..digest import digest_of, hasher
from ..errors import Missing, RelayInUse, StoreError
from ..store.blob import BlobInfo, BlobStore
from ..stream import PIECE, pieces_of, stream_of
from .format import Format, Role
from .format07 import Format07
from .format1 import MARKER, Format1

ALGORITHM = "sha256"
"""Of parcels: known to every program that may have to check one."""

ROUNDS_MAX = 10
"""Listings until a relay must have held still once; each round takes only what is new, so they become short."""

NAMED_MAX = 5
"""Names in a message."""

FORMATS: Mapping[str, Format] = {"1": Format1(), "0.7": Format07()}
"""For names only, which need neither key nor levels."""

_ORDER = (Role.DATA, Role.CLIENT, Role.UPDATE, Role.INDEX, Role.MARKER)


class Restless(StoreError):
    """the relay {where} changes faster than it can be read"""

    code = "R350"
    exit_code = 1
    advice = "Stop the clients for a while, or try again at a quieter time."


class Occupied(RelayInUse):
    """the relay {where} is not empty: {names}"""

    code = "R351"
    advice = "Nothing of it was touched. Use an empty directory, or empty this one yourself if nobody needs it."


class Differs(StoreError):
    """{where}: what was written as {name} reads back otherwise"""

    code = "R352"
    exit_code = 1
    advice = "Begin again; if it happens again, this storage cannot be a relay: escale check"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A blob on its way: name, size, digest (ALGORITHM), and the tag it had in the listing it was taken from."""

    name: str
    size: int
    digest: str
    tag: str = ""


Told = Callable[[int], None]
"""Called with the bytes that have just been carried."""


def rank(form: Format, name: str) -> int | None:
    """When a blob is written, the lowest first; None for what does not travel."""
    place = form.parse(name)
    return _ORDER.index(place.role) if place is not None and place.role in _ORDER else None


def in_order(form: Format, names: Iterable[str]) -> list[str]:
    """The names in the order of writing, without those that do not travel."""
    return sorted((name for name in names if rank(form, name) is not None), key=lambda name: (rank(form, name), name))


def awaited(store: BlobStore, form: Format, taken: dict[str, Parcel]) -> Iterator[BlobInfo]:
    """What is still to be taken, until `taken` is the relay as one listing shows it, the marker apart; Restless.

    Whoever iterates enters into `taken` what he has; what has vanished meanwhile he leaves out.  What has left the
    relay leaves `taken`.
    """
    for _ in range(ROUNDS_MAX):
        present = {info.name: info for info in store.list() if info.name != MARKER}
        for name in taken.keys() - present.keys():
            del taken[name]
        fresh = (info for name, info in present.items() if name not in taken or taken[name].tag != info.tag)
        found = {info.name: info for info in fresh}
        names = in_order(form, found)
        if not names:
            return
        yield from (found[name] for name in names)
    raise Restless(where=store.url)


class Reading:
    """A blob of a relay as a source to be stored elsewhere; hashed, and it can be rewound, for another attempt."""

    def __init__(self, store: BlobStore, name: str, told: Told) -> None:
        self._store = store
        self._name = name
        self._told = told
        self._stream: BinaryIO | None = None
        self._begin()

    def _begin(self) -> None:
        self.close()
        self._hasher = hasher(ALGORITHM)
        self.size = 0

    @property
    def digest(self) -> str:
        """Of what was read since the last rewinding."""
        return self._hasher.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        """Bytes, none at the end; Missing if the blob has left."""
        if self._stream is None:
            self._stream = self._store.get(self._name)
        data = self._stream.read(size)
        self._hasher.update(data)
        self.size += len(data)
        self._told(len(data))
        return data

    def seekable(self) -> bool:
        """To its beginning."""
        return True

    def tell(self) -> int:
        """Rewinding to anywhere else is our mistake."""
        return self.size

    def seek(self, offset: int) -> int:
        """Read again from the beginning."""
        assert offset == 0, "only to the beginning"
        self._begin()
        return 0

    def close(self) -> None:
        """Let go of the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def carry(source: BlobStore, target: BlobStore, form: Format, told: Told) -> list[Parcel]:
    """Everything but the marker from one relay to another, which holds nothing but an earlier attempt; what it was.

    Occupied if it holds anything else.
    """
    lying = {info.name: info for info in target.list()}
    expect_none(target, lying.keys() - {info.name for info in source.list()})
    taken: dict[str, Parcel] = {}
    ours = set(lying)
    for info in awaited(source, form, taken):
        ours.add(info.name)
        with suppress(Missing):
            taken[info.name] = _carried(source, target, info, lying.get(info.name), told)
    for name in ours - taken.keys():
        target.delete(name)
    return [taken[name] for name in in_order(form, taken)]


def _carried(source: BlobStore, target: BlobStore, info: BlobInfo, found: BlobInfo | None, told: Told) -> Parcel:
    reading = Reading(source, info.name, told)
    try:
        if found is not None and found.size == info.size:
            digest = digest_of(pieces_of(reading), ALGORITHM)
            if digest == read_back(target, info.name):
                return Parcel(info.name, reading.size, digest, info.tag)
            reading.seek(0)
        target.put(info.name, cast(BinaryIO, reading))
        return Parcel(info.name, reading.size, reading.digest, info.tag)
    finally:
        reading.close()


def expect_none(store: BlobStore, names: Collection[str]) -> None:
    """Occupied if there are any of these blobs."""
    if names:
        shown = sorted(names)[:NAMED_MAX]
        rest = len(names) - len(shown)
        raise Occupied(where=store.url, names=", ".join(shown) + (f" and {rest} more" if rest else ""))


def put(store: BlobStore, parcel: Parcel, pieces: Iterable[bytes]) -> None:
    """Store a parcel; if these are not its bytes nothing of that name is stored: Differs."""
    store.put(parcel.name, stream_of(_expected(store, parcel, pieces)))


def put_small(store: BlobStore, parcel: Parcel, data: bytes) -> None:
    """The same for bytes that are in memory, so that the store can try again."""
    if digest_of([data], ALGORITHM) != parcel.digest:
        raise Differs(where=store.url, name=parcel.name)
    store.put(parcel.name, io.BytesIO(data))


def _expected(store: BlobStore, parcel: Parcel, pieces: Iterable[bytes]) -> Iterator[bytes]:
    found = hasher(ALGORITHM)
    for piece in pieces:
        found.update(piece)
        yield piece
    if found.hexdigest() != parcel.digest:
        raise Differs(where=store.url, name=parcel.name)


def verify(store: BlobStore, parcels: Collection[Parcel], is_fast: bool, told: Told) -> None:
    """Whether the relay holds these and nothing else; reads everything back unless it is to be fast.

    Occupied if somebody else has begun to use it, Differs.
    """
    lying = {info.name: info.size for info in store.list()}
    expect_none(store, lying.keys() - {parcel.name for parcel in parcels} - {MARKER})
    for parcel in parcels:
        if lying.get(parcel.name) != parcel.size:
            raise Differs(where=store.url, name=parcel.name)
    for parcel in parcels if not is_fast else ():
        if read_back(store, parcel.name, told) != parcel.digest:
            raise Differs(where=store.url, name=parcel.name)


def read_back(store: BlobStore, name: str, told: Told = lambda count: None) -> str:
    """The digest of what lies there; "" if nothing does."""
    try:
        with store.get(name) as stream:
            return digest_of(_counted(stream, told), ALGORITHM)
    except Missing:
        return ""


def _counted(stream: BinaryIO, told: Told) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        told(len(piece))
        yield piece


def mark(store: BlobStore, marker: bytes) -> None:
    """From here on it is a relay.  Occupied if another has made one of it meanwhile."""
    if not store.create(MARKER, marker) and store.read_bytes(MARKER) != marker:
        raise Occupied(where=store.url, names=MARKER)


def clear(store: BlobStore, form: Format, names: Collection[str]) -> None:
    """Remove what was carried away, names before content; the marker stays, as whatever it says by now."""
    for name in reversed(in_order(form, names)):
        if name != MARKER:
            store.delete(name)
