"""Carrying a relay as a whole: what is taken while others write, in which order, and archives in the worst hands."""

from __future__ import annotations

import bz2
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from escale.errors import Unreachable
from escale.relay import carry as carrying
from escale.relay import crate as crates
from escale.relay.carry import FORMATS, Differs, Occupied, Parcel, Restless, carry, put, rank, verify
from escale.relay.compression import compress
from escale.relay.crate import MANIFEST, NotACrate, Packing, open_crate, unpack
from escale.relay.format1 import MARKER, Format1
from escale.seal import Key, StreamSeal
from escale.store.memory import MemoryStore
from escale.store.wrapped import RetryingStore
from escale.testing.clock import SimClock
from escale.testing.faults import HookedStore
from tests.world import World

FORM = Format1()
KEY = Key(bytes(range(32)))


def nothing(count: int) -> None:
    """Told of bytes."""


@pytest.fixture(params=["clear", "sealed", "0.7"])
def world(request, tmp_path):
    """Alice has sent files that bob has, and more that lie there for him: every role but the lock is on the relay."""
    kinds = {"clear": {}, "sealed": {"seal": StreamSeal(KEY), "fingerprint": KEY.fingerprint}, "0.7": {"form": "0.7"}}
    world = World(tmp_path / "w", **kinds[request.param])
    alice, _ = world.machine("alice", compression="bz2", count=1), world.machine("bob", compression="bz2", count=1)
    alice.write("first.txt", "everybody has it " * 40)
    world.settle()
    alice.write("second.txt", "it lies there " * 400)
    alice.write("large.bin", random.Random(1).randbytes(1_500_000))
    alice.sync()
    world.close()
    return world


def form_of(world):
    return FORMATS[world.form]


def contents(blobs):
    return {name: data for name, (data, _) in blobs.items()}


def packed(world, path: Path, store=None, codec="bz2") -> list[Parcel]:
    store = store or MemoryStore(blobs=world.blobs)
    marker = store.read_bytes(MARKER) if MARKER in world.blobs else None
    packing = Packing(store, form_of(world), marker, 1.7e9, nothing)
    path.write_bytes(b"".join(compress(packing.pieces(), codec, 2)))
    return packing.parcels


def roles(form, names):
    return [form.parse(name).role.value for name in names]


def logged(store, words=("put", "create")):
    log = []
    return HookedStore(store, after=lambda verb, name: log.append(name) if verb in words else None), log


# -- archives of honest relays


@pytest.mark.parametrize("codec", ["bz2", "zstd", "none"])
def test_out_of_an_archive_comes_what_went_in(world, tmp_path, codec):
    path = tmp_path / "r.tar"
    parcels = packed(world, path, codec=codec)
    crate = open_crate(path, 2, nothing)
    target, log = logged(MemoryStore())
    unpack(crate, target, set(), 2, nothing)
    verify(target, crate.parcels, False, nothing)
    expected = contents(world.blobs)
    assert [parcel.name for parcel in crate.parcels] == [parcel.name for parcel in parcels if parcel.name != MARKER]
    assert {name: target.read_bytes(name) for name in log} == {n: d for n, d in expected.items() if n != MARKER}
    assert crate.marker == expected.get(MARKER, b"")
    assert crate.taken == 1.7e9


def test_any_tar_program_makes_a_relay_of_it(world, tmp_path):
    packed(world, tmp_path / "r.tar.bz2")
    with tarfile.open(tmp_path / "r.tar.bz2") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}
    found.pop(MANIFEST)
    assert found == contents(world.blobs)


def test_the_order_of_writing(world, tmp_path):
    """Data, roster, update indices, indices: a death after each of them leaves no name without its content."""
    packed(world, tmp_path / "r")
    target, log = logged(MemoryStore())
    unpack(open_crate(tmp_path / "r", 2, nothing), target, set(), 2, nothing)
    order = roles(form_of(world), log)
    expected = ["data", "update", "index"] if world.form == "0.7" else ["data", "client", "client", "update", "index"]
    assert order == expected
    again, log = logged(MemoryStore())
    carry(MemoryStore(blobs=world.blobs), again, form_of(world), nothing)
    assert roles(form_of(world), log) == expected


def test_what_is_present_is_not_written_again(world, tmp_path):
    packed(world, tmp_path / "r")
    crate = open_crate(tmp_path / "r", 2, nothing)
    first, *rest = [parcel.name for parcel in crate.parcels]
    target, log = logged(MemoryStore())
    unpack(crate, target, {first}, 2, nothing)
    assert sorted(log) == sorted(rest)


# -- relays that change while they are read


class Busy(HookedStore):
    """Somebody works on the relay: he does the next thing after each so many operations of ours."""

    def __init__(self, blobs, deeds, every=1):
        self.deeds = list(deeds)
        self.count = 0

        def after(verb, name):
            self.count += 1
            if self.deeds and self.count % every == 0:
                self.deeds.pop(0)(blobs)

        super().__init__(MemoryStore(blobs=blobs), after=after)


def push(number):
    """One push by somebody else, operation by operation, that replaces the index before."""
    stamp = f"{number:020d}-{'a' * 16}"
    index = f"0.index.{number:010d}-{'b' * 16}"
    old = f"0.index.{number - 1:010d}-{'b' * 16}"

    def write(name):
        return lambda blobs: blobs.__setitem__(name, (name.encode() * 3, float(number)))

    deeds = [write(f"0.data.{stamp}"), write(f"0.update.{stamp}.0000000000-{'c' * 16}"), write(index)]
    return [*deeds, lambda blobs: blobs.pop(old, None)]


def consume(number):
    """The last puller takes an update away: its index, then its data."""
    stamp = f"{number:020d}-{'a' * 16}"
    names = (f"0.update.{stamp}.0000000000-{'c' * 16}", f"0.data.{stamp}")
    return [lambda blobs, name=name: blobs.pop(name, None) for name in names]


def states(start, deeds):
    """The relay after each deed."""
    blobs, found = dict(start), []
    found.append(contents(blobs))
    for deed in deeds:
        deed(blobs)
        found.append(contents(blobs))
    return found


DEEDS = [*push(2), *push(3), *consume(2), *push(4), *consume(3)]


def start():
    blobs = {MARKER: (b"marker", 0.0)}
    for deed in push(1):
        deed(blobs)
    return blobs


@pytest.mark.parametrize("every", range(1, 8))
def test_what_was_taken_is_the_relay_as_it_was_at_one_moment(tmp_path, every):
    """GIVEN a client at work WHEN the relay is packed, or carried, THEN the result is one state that it really had."""
    possible = states(start(), DEEDS)
    blobs = start()
    packing = Packing(Busy(blobs, DEEDS, every), FORM, b"marker", 0.0, nothing)
    (tmp_path / "r").write_bytes(b"".join(compress(packing.pieces(), "none", 1)))
    crate = open_crate(tmp_path / "r", 1, nothing)
    unpacked = MemoryStore()
    unpack(crate, unpacked, set(), 1, nothing)
    assert contents(unpacked.blobs) | {MARKER: b"marker"} in possible
    target = MemoryStore()
    carry(Busy(start(), DEEDS, every), target, FORM, nothing)
    assert contents(target.blobs) | {MARKER: b"marker"} in possible


@pytest.mark.parametrize("size", [1_100_000, 1_300_000])
def test_a_large_blob_that_is_replaced_while_it_is_read_is_taken_again(tmp_path, size):
    """GIVEN an index of format 0.7 that is overwritten between listing and reading THEN the later one is packed."""
    blobs = {".0.index": (bytes(1_200_000), 0.0)}
    later = random.Random(1).randbytes(size)
    store = Busy(blobs, [lambda blobs: blobs.__setitem__(".0.index", (later, 1.0))])
    packing = Packing(store, FORMATS["0.7"], None, 0.0, nothing)
    (tmp_path / "r").write_bytes(b"".join(compress(packing.pieces(), "bz2", 1)))
    target = MemoryStore()
    unpack(open_crate(tmp_path / "r", 1, nothing), target, set(), 1, nothing)
    assert contents(target.blobs) == {".0.index": later}


def test_a_relay_that_never_holds_still_is_told():
    def rewrite(blobs):
        (old,) = [name for name in blobs if ".index." in name]
        number = FORM.parse(old).generation + 1
        del blobs[old]
        blobs[f"0.index.{number:010d}-{'b' * 16}"] = (b"", 0.0)

    endless = [rewrite] * 1000
    with pytest.raises(Restless):
        carry(Busy(start(), endless), MemoryStore(), FORM, nothing)


def test_blobs_that_came_late_are_written_in_order_all_the_same(tmp_path):
    packing = Packing(Busy(start(), DEEDS, 2), FORM, b"marker", 0.0, nothing)
    (tmp_path / "r").write_bytes(b"".join(compress(packing.pieces(), "none", 1)))
    crate = open_crate(tmp_path / "r", 1, nothing)
    target, log = logged(MemoryStore())
    unpack(crate, target, set(), 1, nothing)
    ranks = [rank(FORM, name) for name in log]
    assert ranks == sorted(ranks)
    lying = [rank(FORM, parcel.name) for _, parcel in sorted(crate.places.items()) if parcel.name != MARKER]
    assert lying != sorted(lying), "the history had nothing late in it"


# -- other places


def test_nothing_is_carried_to_where_something_else_lies():
    target = MemoryStore(blobs={"precious.txt": (b"", 0.0)})
    with pytest.raises(Occupied, match=r"precious\.txt"):
        carry(MemoryStore(blobs=start()), target, FORM, nothing)
    assert list(target.blobs) == ["precious.txt"]


def test_what_an_earlier_attempt_left_is_used_where_it_is_whole():
    blobs = start()
    data, update, index = sorted((name for name in blobs if name != MARKER), key=lambda name: rank(FORM, name))
    lying = {data: blobs[data], update: (b"x" * len(blobs[update][0]), 0.0), index: (b"short", 0.0)}
    target, log = logged(MemoryStore(blobs=lying))
    carry(MemoryStore(blobs=blobs), target, FORM, nothing)
    assert log == [update, index]
    assert contents(lying) == {name: data for name, data in contents(blobs).items() if name != MARKER}


def test_an_upload_that_broke_is_tried_again_from_its_beginning():
    """GIVEN a target that fails twice half-way WHEN a blob is carried THEN it is read again, and is whole."""
    blobs = {f"0.data.{1:020d}-{'a' * 16}": (bytes(range(256)) * 5000, 0.0)}
    left = [2]

    class Weak(MemoryStore):
        def put(self, name, source):
            if left[0]:
                left[0] -= 1
                source.read(100_000)
                raise Unreachable(where="there", reason="cut")
            return super().put(name, source)

    target = Weak()
    (parcel,) = carry(MemoryStore(blobs=blobs), RetryingStore(target, SimClock(), random.Random(1)), FORM, nothing)
    assert contents(target.blobs) == contents(blobs)
    verify(target, [parcel], False, nothing)


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone", "a stranger"])
def test_what_reads_back_otherwise_is_told(harm):
    target = MemoryStore()
    parcels = carry(MemoryStore(blobs=start()), target, FORM, nothing)
    name = parcels[0].name
    data = target.blobs[name][0]
    damaged = {"flipped": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1]}
    if harm == "gone":
        target.delete(name)
    elif harm == "a stranger":
        target.write_bytes("client." + "0" * 16, b"")
    else:
        target.write_bytes(name, damaged[harm])
    with pytest.raises(Occupied if harm == "a stranger" else Differs):
        verify(target, parcels, False, nothing)
    if harm == "flipped":
        verify(target, parcels, True, nothing)


def test_an_archive_that_changes_under_our_hands_stores_no_wrong_blob():
    target = MemoryStore()
    with pytest.raises(Differs):
        put(target, Parcel("0.index.0000000001-" + "0" * 16, 4, "00" * 32), [b"evil"])
    assert not target.blobs


# -- archives in the worst hands


def tar_of(*members, tail=bytes(1024)):
    """A tar of (name or TarInfo, data)."""
    out = io.BytesIO()
    for name, data in members:
        info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
        if info.isreg():
            info.size = len(data)
        out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512))
    return out.getvalue() + tail


def link(kind, name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def honest(tmp_path, form="1"):
    """The members of an honest archive, by name."""
    packing = Packing(MemoryStore(blobs=start()), FORM, b"marker", 0.0, nothing)
    raw = b"".join(packing.pieces())
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        return raw, [(member.name, archive.extractfile(member).read()) for member in archive]


def changed(members, **changes):
    """The same with another manifest."""
    *blobs, (name, manifest) = members
    return [*blobs, (name, json.dumps(json.loads(manifest) | changes).encode())]


INDEX = "0.index.0000000009-" + "9" * 16

HOSTILE = {
    "no members": lambda raw, good: tar_of(),
    "no manifest": lambda raw, good: tar_of(*good[:-1]),
    "no tar": lambda raw, good: b"something else " * 100,
    "empty": lambda raw, good: b"",
    "no end": lambda raw, good: raw[:-1024],
    "more after the end": lambda raw, good: raw + b"more",
    "a path that leaves": lambda raw, good: tar_of(("../escape", b"x"), *good),
    "an absolute path": lambda raw, good: tar_of(("/tmp/escape", b"x"), *good),
    "a directory in the name": lambda raw, good: tar_of((f"d/{INDEX}", b"x"), *good),
    "a symbolic link": lambda raw, good: tar_of((link(tarfile.SYMTYPE, INDEX, "/etc/passwd"), b""), *good),
    "a hard link": lambda raw, good: tar_of((link(tarfile.LNKTYPE, INDEX, "/etc/passwd"), b""), *good),
    "a device": lambda raw, good: tar_of((link(tarfile.CHRTYPE, INDEX, ""), b""), *good),
    "a pipe": lambda raw, good: tar_of((link(tarfile.FIFOTYPE, INDEX, ""), b""), *good),
    "a name of nobody": lambda raw, good: tar_of(("evil.sh", b"x"), *good),
    "a name of the other format": lambda raw, good: tar_of((".0.index", b"x"), *good),
    "a blob is missing": lambda raw, good: tar_of(*good[1:]),
    "a blob is another": lambda raw, good: tar_of((good[0][0], b"other"), *good[1:]),
    "a blob comes again, otherwise": lambda raw, good: tar_of(*good[:-1], (good[0][0], b"other"), good[-1]),
    "two blobs exchanged": lambda raw, good: tar_of((good[0][0], good[1][1]), (good[1][0], good[0][1]), *good[2:]),
    "something after the manifest": lambda raw, good: tar_of(*good, (INDEX, b"x")),
    "two manifests": lambda raw, good: tar_of(*good, good[-1]),
    "a manifest that is no JSON": lambda raw, good: tar_of(*good[:-1], (MANIFEST, b"{")),
    "a manifest that is a list": lambda raw, good: tar_of(*good[:-1], (MANIFEST, b"[]")),
    "a deep manifest": lambda raw, good: tar_of(*good[:-1], (MANIFEST, b"[" * 100_000)),
    "a manifest of a newer escale": lambda raw, good: tar_of(*changed(good, **{"escale archive": 2})),
    "a format of nobody": lambda raw, good: tar_of(*changed(good, **{"relay format": "2"})),
    "the other format": lambda raw, good: tar_of(*changed(good, **{"relay format": "0.7"})),
    "endless time": lambda raw, good: tar_of(*changed(good, taken="inf" + "9" * 400)),
    "blobs that are no list": lambda raw, good: tar_of(*changed(good, blobs={"name": 1})),
    "nothing in the manifest": lambda raw, good: tar_of(*changed(good, blobs=[])),
    "a lock in the manifest": lambda raw, good: tar_of(
        ("0.lock", b""), *changed(good, blobs=[{"name": "0.lock", "size": 0, "sha256": ""}])
    ),
    "a blob twice in the manifest": lambda raw, good: tar_of(
        *changed(good, blobs=json.loads(good[-1][1])["blobs"] * 2)
    ),
    "no marker": lambda raw, good: tar_of(*[one for one in good if one[0] != MARKER]),
    "no marker, and the manifest knows": lambda raw, good: tar_of(
        *changed(good, blobs=[one for one in json.loads(good[-1][1])["blobs"] if one["name"] != MARKER])
    ),
    "a huge header": lambda raw, good: tar_of(("x" * 60_000, b""), *good),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("codec", ["none", "bz2", "zstd"])
def test_hostile_archives_are_refused_before_anything_is_written(tmp_path, make, codec):
    path = tmp_path / "r"
    path.write_bytes(b"".join(compress([make(*honest(tmp_path))], codec, 1)))
    with pytest.raises(NotACrate) as caught:
        open_crate(path, 1, nothing)
    assert "Nothing was written" in caught.value.next_step


def test_an_archive_that_was_cut_anywhere_is_refused(tmp_path):
    raw, _ = honest(tmp_path)
    packed = bz2.compress(raw)
    path = tmp_path / "r"
    for data in (raw, packed):
        for size in {*range(0, len(data), max(1, len(data) // 150)), len(data) - 1}:
            path.write_bytes(data[:size])
            with pytest.raises(NotACrate):
                open_crate(path, 1, nothing)


def test_a_flipped_bit_is_refused_or_harmless(tmp_path):
    """GIVEN an archive with one bit flipped, each byte in turn, THEN it is refused, or all blobs in it are right."""
    raw, good = honest(tmp_path)
    expected = dict(good[:-1])
    path = tmp_path / "r"
    refused = 0
    for data in (raw, bz2.compress(raw)):
        for at in range(0, len(data), 3):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            try:
                crate = open_crate(path, 1, nothing)
            except NotACrate:
                refused += 1
                continue
            target = MemoryStore()
            unpack(crate, target, set(), 1, nothing)
            assert contents(target.blobs) | {MARKER: crate.marker} == expected
    assert refused > 500


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    """What unpacks to a thousand times its size, and much, is not read to its end."""
    monkeypatch.setattr(crates, "FREE_BYTES", 1 << 20)
    path = tmp_path / "r"
    path.write_bytes(bz2.compress(tar_of((INDEX, bytes(200 << 20)))))
    assert path.stat().st_size < 10_000
    seen = []
    with pytest.raises(NotACrate, match="more than"):
        open_crate(path, 1, seen.append)
    assert sum(seen) < 20 << 20


def test_a_manifest_that_fills_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(crates, "MANIFEST_BYTES_MAX", 1 << 20)
    path = tmp_path / "r"
    path.write_bytes(bz2.compress(tar_of((MANIFEST, b" " * (3 << 20)))))
    with pytest.raises(NotACrate, match="too large"):
        open_crate(path, 1, nothing)


def test_names_in_messages_are_few(monkeypatch):
    with pytest.raises(Occupied, match="a0, a1, a2, a3, a4 and 15 more"):
        carrying.expect_none(MemoryStore(), [f"a{number}" for number in range(10)] + [f"b{n}" for n in range(10)])
