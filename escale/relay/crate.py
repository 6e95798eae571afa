"""A crate: all blobs of a relay in one tar archive, as they lie there, and last a manifest that proves them.

The members bear the names of the blobs, so that any tar program makes a relay of it in an empty directory.  A blob that
was replaced or taken away while the relay was read may be in it twice, or in vain; the manifest says what counts, which
is of one name the last.  A crate without a manifest was cut off, or is none of ours.

Reading trusts nothing.  `open_crate` goes through all of it before anything is written anywhere: kinds of members,
names, sizes, digests, the manifest, the end; and it holds no more in memory than the manifest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..digest import digest_of, hasher
from ..errors import Corrupt, Missing
from ..files.tree import Entry, display
from ..store.blob import BlobInfo, BlobStore
from ..stream import PIECE, Readable, pieces_of
from .archive import END, WHOLE_MAX, header, members, padding, zeros
from .carry import ALGORITHM, FORMATS, Parcel, Told, awaited, in_order, put, put_small, rank
from .format import Format
from .format1 import MARKER

MANIFEST = "escale-archive.json"
VERSION = 1

MANIFEST_BYTES_MAX = 64 * 1024 * 1024
"""A parcel takes some 150 bytes: four hundred thousand of them."""

FREE_BYTES = 1 << 30
GROWTH_MAX = 1000
"""What a crate may unpack to: so much, and so many times its own size.  More is a bomb, or zeros."""


class NotACrate(Corrupt):
    """{where} is not a whole archive of a relay: {reason}"""

    code = "P424"
    advice = (
        "Nothing was written. Was it copied to its end? What escale 0.7 has archived cannot be restored by this one."
    )


def plain_max(size: int) -> int:
    """The most bytes that a crate of this size may unpack to."""
    return FREE_BYTES + GROWTH_MAX * size


class Packing:
    """The plain tar of a relay.  After `pieces` came to their end `parcels` is what is in it.

    `marker`: the bytes of the relay's marker, None in a format that has none.  `now`: Unix seconds.
    """

    def __init__(self, store: BlobStore, form: Format, marker: bytes | None, now: float, told: Told) -> None:
        self.parcels: list[Parcel] = []
        self._store = store
        self._form = form
        self._marker = marker
        self._now_ns = int(now * 1e9)
        self._told = told

    def pieces(self) -> Iterator[bytes]:
        """Missing blobs are left out, as they have left the relay; Restless, StoreError."""
        taken: dict[str, Parcel] = {}
        for info in awaited(self._store, self._form, taken):
            try:
                yield from self._small(info, taken) if info.size <= WHOLE_MAX else self._large(info, taken)
            except Missing:
                continue
        if self._marker is not None:
            taken[MARKER] = _parcel(MARKER, self._marker)
            yield from self._member(MARKER, self._marker)
        self.parcels = [taken[name] for name in in_order(self._form, taken)]
        yield from self._member(MANIFEST, self._manifest())
        yield END

    def _small(self, info: BlobInfo, taken: dict[str, Parcel]) -> Iterator[bytes]:
        """Read before its header is written: blobs that are replaced have another size now and then."""
        data = self._store.read_bytes(info.name)
        self._told(len(data))
        taken[info.name] = _parcel(info.name, data, info.tag)
        yield from self._member(info.name, data)

    def _large(self, info: BlobInfo, taken: dict[str, Parcel]) -> Iterator[bytes]:
        """The member keeps to the size that its header says; if the blob does not, it is taken again or not at all."""
        digest, left = hasher(ALGORITHM), info.size
        with self._store.get(info.name) as stream:
            yield header(Entry(info.name, info.size, self._now_ns, 0o600))
            while left and (piece := stream.read(min(PIECE, left))):
                left -= len(piece)
                digest.update(piece)
                self._told(len(piece))
                yield piece
            is_whole = not left and not stream.read(1)
        yield from zeros(left)
        yield padding(info.size)
        if is_whole:
            taken[info.name] = Parcel(info.name, info.size, digest.hexdigest(), info.tag)

    def _member(self, name: str, data: bytes) -> Iterator[bytes]:
        yield header(Entry(name, len(data), self._now_ns, 0o600)) + data + padding(len(data))

    def _manifest(self) -> bytes:
        blobs = [{"name": one.name, "size": one.size, ALGORITHM: one.digest} for one in self.parcels]
        head = {"escale archive": VERSION, "relay format": self._form.number, "taken": self._now_ns // 10**9}
        return json.dumps({**head, "blobs": blobs}, indent=1).encode()


def _parcel(name: str, data: bytes, tag: str = "") -> Parcel:
    return Parcel(name, len(data), digest_of([data], ALGORITHM), tag)


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate that was looked through: what is in it, `taken` when (Unix seconds), and the `marker`, b"" for none.

    `places`: which member of the tar holds which parcel.
    """

    path: Path
    form: Format
    taken: float
    marker: bytes
    places: dict[int, Parcel]

    @property
    def parcels(self) -> list[Parcel]:
        """All but the marker."""
        return [parcel for parcel in self.places.values() if parcel.name != MARKER]

    def contents(self, workers: int) -> Iterator[tuple[Parcel, Readable]]:
        """The parcels in the order in which they lie there; each can be read until the next is asked for."""
        for number, _, stream in _members(self.path, workers):
            if number in self.places:
                yield self.places[number], stream


def open_crate(path: Path, workers: int, told: Told) -> Crate:
    """Look through all of it; NotACrate."""
    try:
        return _looked_through(path, workers, told)
    except NotACrate:
        raise
    except Corrupt as error:
        raise NotACrate(where=path, reason=error.reason) from error


def _looked_through(path: Path, workers: int, told: Told) -> Crate:
    found: dict[str, tuple[int, Parcel]] = {}
    manifest, marker = b"", b""
    for number, name, stream in _members(path, workers):
        if manifest:
            raise NotACrate(where=path, reason="something follows its list of contents")
        if name in (MANIFEST, MARKER):
            data = _small_member(path, name, stream)
            manifest, marker = (data, marker) if name == MANIFEST else (manifest, data)
            digest, size = digest_of([data], ALGORITHM), len(data)
        else:
            sizes: list[int] = []
            digest = digest_of(_measured(stream, sizes, told), ALGORITHM)
            size = sum(sizes)
        found[name] = (number, Parcel(name, size, digest))
    if not manifest:
        raise NotACrate(where=path, reason="its list of contents is missing")
    return _checked(path, manifest, marker, found)


def _measured(stream: Readable, sizes: list[int], told: Told) -> Iterator[bytes]:
    for piece in pieces_of(stream):
        sizes.append(len(piece))
        told(len(piece))
        yield piece


def _small_member(path: Path, name: str, stream: Readable) -> bytes:
    data = bytearray()
    for piece in pieces_of(stream):
        data += piece
        if len(data) > MANIFEST_BYTES_MAX:
            raise NotACrate(where=path, reason=f"{name} in it is too large")
    return bytes(data)


def _checked(path: Path, manifest: bytes, marker: bytes, found: dict[str, tuple[int, Parcel]]) -> Crate:
    form, taken, listed = _read_manifest(path, manifest)
    for name in found:
        if name != MANIFEST and form.parse(name) is None:
            raise NotACrate(where=path, reason=f"{display(name[:200])!r} in it is no blob of format {form.number}")
    places = {}
    for parcel in listed:
        number, lying = found.get(parcel.name, (-1, None))
        if lying != parcel:
            raise NotACrate(where=path, reason=f"{parcel.name} in it is missing or damaged")
        places[number] = parcel
    has_marker = any(parcel.name == MARKER for parcel in listed)
    if has_marker is form.overwrites:
        raise NotACrate(where=path, reason="its marker does not fit its format")
    return Crate(path, form, taken, marker if has_marker else b"", places)


def _read_manifest(path: Path, data: bytes) -> tuple[Format, float, list[Parcel]]:
    try:
        said = json.loads(data)
        if said["escale archive"] != VERSION:
            raise NotACrate(where=path, reason="it was made by a newer escale")
        form = FORMATS[said["relay format"]]
        parcels = [Parcel(str(one["name"]), int(one["size"]), str(one[ALGORITHM])) for one in said["blobs"]]
        taken = float(said["taken"])
    except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        raise NotACrate(where=path, reason="its list of contents is damaged") from error
    names = Counter(parcel.name for parcel in parcels)
    if any(rank(form, name) is None or count > 1 for name, count in names.items()):
        raise NotACrate(where=path, reason="its list of contents names what no relay holds")
    return form, taken, parcels


def _members(path: Path, workers: int) -> Iterator[tuple[int, str, Readable]]:
    with path.open("rb") as source:
        size_max = plain_max(path.stat().st_size)
        for number, member in enumerate(members(source, size_max, str(path), workers)):
            yield number, member.path, member.stream


def unpack(crate: Crate, store: BlobStore, present: set[str], workers: int, told: Told) -> None:
    """Write all parcels but the marker and those that are `present`, in the order of writing.

    Most crates are in that order; blobs that came while the relay was read lie behind, and cost one more reading of the
    crate for each kind.  Differs if the file is not what it was.
    """
    left = {parcel.name: rank(crate.form, parcel.name) or 0 for parcel in crate.parcels if parcel.name not in present}
    counts = Counter(left.values())
    while left:
        for parcel, stream in crate.contents(workers):
            if left and left.get(parcel.name) == min(counts):
                _unpack_one(store, parcel, stream, told)
                counts -= Counter([left.pop(parcel.name)])


def _unpack_one(store: BlobStore, parcel: Parcel, stream: Readable, told: Told) -> None:
    if parcel.size <= WHOLE_MAX:
        put_small(store, parcel, b"".join(pieces_of(stream)))
    else:
        put(store, parcel, pieces_of(stream))
    told(parcel.size)
