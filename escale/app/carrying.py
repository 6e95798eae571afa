"""The relay of a section as a whole: into an archive, out of one, to another place.

Thin: what travels in which order, and why a death does no harm, is in escale.relay.carry.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..clock import Clock
from ..conf.secrets import Ask
from ..conf.settings import Config, Section
from ..errors import Missing, NoSuchRelay, RelayInUse, UserError
from ..events import Progress, Reporter
from ..files.durable import sync
from ..files.exchange import Spot, move
from ..files.ledger import Ledger
from ..files.trouble import local_error
from ..relay.carry import FORMATS, Parcel, carry, clear, expect_none, in_order, mark, read_back, verify
from ..relay.compression import compress
from ..relay.crate import Crate, Packing, open_crate, plain_max, unpack
from ..relay.format import Format, Role
from ..relay.format1 import MARKER
from ..relay.marker import MARKER_BYTES_MAX, Marker, Moved, RelayMoved
from ..store.blob import BlobStore, temporary_name
from ..store.remote import open_store
from ..store.wrapped import RetryingStore
from .build import ledger_path, relay_address, relay_fingerprint
from .connection import MarkerLost, OtherFormat

CODECS = {".bz2": "bz2", ".tbz2": "bz2", ".tbz": "bz2", ".zst": "zstd", ".tzst": "zstd", ".tar": "none"}
"""By the ending of the archive's name; bz2, which everybody can read, where it says nothing."""


class NothingThere(UserError):
    """there is nothing on the relay {where}"""

    code = "R354"


class FileExists(UserError):
    """{path} exists already"""

    code = "L160"
    advice = "Nothing was written. Give another name, or remove it yourself."


class LooksLikeABomb(UserError):
    """{path} would unpack to {times} times its size, and a restore refuses that"""

    code = "L161"
    advice = "Write it without compression: a name that ends in .tar"


class WentOn(RelayInUse):
    """the relay {where} has gone on since it was copied"""

    code = "R355"
    advice = "Nothing was removed. Stop all its clients, then migrate it to another, empty place."


@dataclass(frozen=True, slots=True)
class Depot:
    """The relay of a section, to be loaded and unloaded.

    `url`: as a configuration has it; `fingerprint` of its key; `ledger`: our memory of it here.
    """

    section: str
    url: str
    store: BlobStore
    form: Format
    fingerprint: str
    ledger: Path
    workers: int

    def marker(self) -> bytes | None:
        """The relay's marker, None in a format without.  NothingThere, MarkerLost, OtherFormat, RelayMoved, Corrupt."""
        names = [info.name for info in self.store.list()]
        self.expect_format(names)
        if self.form.overwrites:
            if not any(self.form.parse(name) for name in names):
                raise NothingThere(where=self.store.url)
            return None
        try:
            data = self.store.read_bytes(MARKER, MARKER_BYTES_MAX)
        except Missing:
            if any(self.form.parse(name) for name in names):
                raise MarkerLost(where=self.store.url) from None
            raise NothingThere(where=self.store.url) from None
        Marker.decode(data, self.store.url)
        return data

    def expect_format(self, names: list[str]) -> None:
        """OtherFormat if clients of the other format are at work here."""
        other = FORMATS["0.7" if self.form.number == "1" else "1"]
        met = next((name for name in names if other.parse(name)), None)
        if met is not None:
            raise OtherFormat(name=met, theirs=other.number, ours=self.form.number)

    def locked_pages(self) -> list[str]:
        """Pages that somebody is at work on."""
        places = (self.form.parse(info.name) for info in self.store.list())
        return sorted({place.page for place in places if place is not None and place.role is Role.LOCK})


def open_depot(
    config: Config,
    section: Section,
    environ: Mapping[str, str],
    clock: Clock,
    ask: Ask | None = None,
    may_make: bool = False,
) -> Depot:
    """Reads the section's secrets (SecretError), opens nothing yet.  May make a directory here where its parent is."""
    address = relay_address(section, environ, ask)
    place = Path(address.path)
    if may_make and address.scheme == "file" and not place.exists() and place.parent.is_dir():
        place.mkdir()
    store = RetryingStore(open_store(address), clock, random.Random(os.urandom(16)), section.max_retries + 1)
    fingerprint = relay_fingerprint(section, environ, ask)
    ledger = ledger_path(config.state_dir, section)
    return Depot(
        section.name,
        section.address.url,
        store,
        FORMATS[section.relay_format],
        fingerprint,
        ledger,
        os.cpu_count() or 1,
    )


class Meter:
    """Bytes carried, told as progress."""

    def __init__(self, section: str, direction: str, report: Reporter) -> None:
        self._section = section
        self._direction = direction
        self._report = report
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._report(Progress(self._section, self._direction, "", 0, None, self._done, None))


@dataclass(frozen=True, slots=True)
class Carried:
    """What was carried; `locked`: pages that somebody was at work on, `foreign`: how many blobs are not ours."""

    parcels: list[Parcel]
    locked: list[str]
    foreign: int

    @property
    def size(self) -> int:
        """Bytes on the relay."""
        return sum(parcel.size for parcel in self.parcels)


# -- into an archive


def archive_relay(depot: Depot, path: Path, clock: Clock, report: Reporter) -> Carried:
    """Everything into a new archive, durable when this returns; its place is taken only then.  FileExists, LocalError.

    The file can be read by its owner only: it holds what the relay holds.
    """
    if os.path.lexists(path):
        raise FileExists(path=path)
    packing = Packing(depot.store, depot.form, depot.marker(), clock.now(), Meter(depot.section, "save", report))
    temporary = path.with_name(temporary_name(""))
    try:
        with _local_errors(path):
            size = _write(temporary, packing, CODECS.get(path.suffix, "bz2"), depot.workers)
        plain = sum(parcel.size for parcel in packing.parcels)
        if plain > plain_max(size) // 2:
            raise LooksLikeABomb(path=path, times=plain // size)
        with _local_errors(path):
            _take_place(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    names = [info.name for info in depot.store.list()]
    return Carried(packing.parcels, depot.locked_pages(), sum(depot.form.parse(name) is None for name in names))


def _write(temporary: Path, packing: Packing, codec: str, workers: int) -> int:
    """The bytes written.  What the relay raises comes through as it is."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        pieces = compress(packing.pieces(), codec, workers)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _take_place(temporary: Path, path: Path) -> None:
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        move(Spot(parent, os.fsencode(temporary.name)), Spot(parent, os.fsencode(path.name)))
        os.fsync(parent)
    except FileExistsError:
        raise FileExists(path=path) from None
    finally:
        os.close(parent)


class _local_errors:
    """What the system says about a file, in our words."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise local_error(str(self._path), error) from error


# -- out of an archive


def look_into(path: Path, depot: Depot, report: Reporter) -> Crate:
    """The archive, looked through to its end, and fit for this relay.  NotACrate, OtherFormat, WrongKey."""
    with _local_errors(path):
        crate = open_crate(path, depot.workers, Meter(depot.section, "check", report))
    if crate.form is not depot.form:
        raise OtherFormat(name=str(path), theirs=crate.form.number, ours=depot.form.number)
    if crate.marker:
        Marker.decode(crate.marker, str(path)).must_fit(depot.fingerprint, str(path))
    return crate


def restore_relay(crate: Crate, depot: Depot, is_fast: bool, report: Reporter) -> None:
    """All of it onto an empty relay, or one with what an earlier attempt has put there; read back before it is marked.

    Occupied if anything else lies there, Differs.
    """
    lying = {info.name: info.size for info in depot.store.list()}
    parcels = {parcel.name: parcel for parcel in crate.parcels}
    expect_none(
        depot.store, [name for name, size in lying.items() if name not in parcels or parcels[name].size != size]
    )
    present = {name for name in lying if read_back(depot.store, name) == parcels[name].digest}
    expect_none(depot.store, lying.keys() - present)
    with _local_errors(crate.path):
        unpack(crate, depot.store, present, depot.workers, Meter(depot.section, "restore", report))
    verify(depot.store, crate.parcels, is_fast, Meter(depot.section, "check", report))
    if crate.marker:
        mark(depot.store, crate.marker)


# -- to another place


@dataclass(frozen=True, slots=True)
class Migrated(Carried):
    """`was_there`: an earlier run has carried everything already, and nothing was carried now; then `only_here` is how
    many blobs of the old place the new one does not have."""

    was_there: bool = False
    only_here: int = 0


def migrate_relay(source: Depot, target: Depot, is_fast: bool, report: Reporter) -> Migrated:
    """Everything to an empty place, read back, then marked.  Where that was done before, nothing is done.

    Occupied, Differs, Restless, WrongKey if the other section has another key.
    """
    try:
        marker = source.marker()
        relay_id = "" if marker is None else Marker.decode(marker, source.store.url).relay_id
    except RelayMoved as moved:
        if _relay_id(target) == moved.relay_id:
            return Migrated([], [], 0, was_there=True)
        raise
    if marker is not None:
        Marker.decode(marker, source.store.url).must_fit(target.fingerprint, target.store.url)
    if relay_id == _relay_id(target) if relay_id else _has_all(source, target):
        there = {info.name for info in target.store.list()}
        names = in_order(source.form, [info.name for info in source.store.list()])
        return Migrated([], [], 0, was_there=True, only_here=len(set(names) - there))
    target.expect_format([info.name for info in target.store.list()])
    parcels = carry(source.store, target.store, source.form, Meter(source.section, "up", report))
    verify(target.store, parcels, is_fast, Meter(source.section, "check", report))
    if marker is not None:
        mark(target.store, marker)
    foreign = sum(source.form.parse(info.name) is None for info in source.store.list())
    return Migrated(parcels, source.locked_pages(), foreign)


def _relay_id(depot: Depot) -> str:
    """The id of the relay that is whole here, "" for none."""
    try:
        return Marker.decode(depot.store.read_bytes(MARKER, MARKER_BYTES_MAX), depot.store.url).relay_id
    except (Missing, NoSuchRelay):
        return ""


def _has_all(source: Depot, target: Depot) -> bool:
    """Whether each blob of a relay without marker lies in the other place, too: then it was carried, and some of it may
    have been removed since."""
    names = in_order(source.form, [info.name for info in source.store.list()])
    there = {info.name for info in target.store.list()}
    return there.issuperset(names) and all(
        read_back(source.store, name) == read_back(target.store, name) for name in names
    )


def empty_relay(source: Depot, target: Depot) -> list[str]:
    """Remove from the old place what lies in the new one; returns what is none of the relay's, and stays.

    First the marker becomes a note of the new address: whoever has not heard of it stops there, and touches nothing.
    WentOn if there is anything that did not travel.
    """
    names = [info.name for info in source.store.list()]
    travels = set(in_order(source.form, names)) - {MARKER}
    if not source.form.overwrites:
        _leave_note(source, target, travels)
    elif any(read_back(source.store, name) != read_back(target.store, name) for name in travels):
        raise WentOn(where=source.store.url)
    clear(source.store, source.form, travels)
    return sorted(set(names) - travels - {MARKER})


def _leave_note(source: Depot, target: Depot, travels: set[str]) -> None:
    """Blobs that are written once need not be read: nobody else's bear their names."""
    try:
        marker = Marker.decode(source.store.read_bytes(MARKER, MARKER_BYTES_MAX), source.store.url)
    except RelayMoved:
        return
    if travels - {info.name for info in target.store.list()}:
        raise WentOn(where=source.store.url)
    source.store.write_bytes(MARKER, Moved(marker.relay_id, target.url).encode())


def take_memory_along(source: Depot, target: Depot) -> bool:
    """What this machine remembers of the relay holds for its new place, too; whether there was anything to take."""
    if not source.ledger.exists() or target.ledger.exists():
        return False
    Ledger(source.ledger).close()  # What its journal holds goes into the file.
    temporary = target.ledger.with_name(temporary_name(""))
    with _local_errors(target.ledger):
        shutil.copy2(source.ledger, temporary)
        sync([os.fsencode(temporary)])
        os.rename(temporary, target.ledger)
        sync([os.fsencode(target.ledger.parent)])
    return True
