"""What every BlobStore must do with parts of blobs and with directories: one half of the contract."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from ..errors import Missing, NoSuchRelay, Unreachable
from ..store.blob import TEMPORARY, BlobStore
from .expectations import MIB, Background, SourceFailed, Stream, as_file, close, info, raised, whole

OpenStore: TypeAlias = Callable[[], BlobStore]

ATTEMPTS = 20

PARALLEL = 4
"""Stores of one relay that are used at once."""

DIRECTORIES = 70
"""More than any store asks for together."""


class DirectoriesContract:
    """The promises of `get_range`, `within` and `list_below`, one test each."""

    def test_ranges(self, store: BlobStore) -> None:
        size = 3 * MIB + 17
        content = whole(Stream(size))
        store.write_bytes("name", content)
        for offset, length in (
            (0, 1),
            (0, size),
            (5, 100_000),
            (MIB - 3, 2 * MIB),
            (size - 10, 10),
            (size - 10, 1000),
            (size - 1, 5 * MIB),
            (size, 5),
            (size + 100, 5),
            (17, 0),
        ):
            assert store.get_range("name", offset, length) == content[offset : offset + length], (offset, length)
        assert store.read_bytes("name") == content

    def test_ranges_of_an_empty_blob(self, store: BlobStore) -> None:
        store.write_bytes("empty", b"")
        assert store.get_range("empty", 0, 10) == b""
        assert store.get_range("empty", 10, 10) == b""

    def test_range_of_nothing_is_missing(self, store: BlobStore) -> None:
        for offset, length in ((0, 10), (5, 10), (0, 0)):
            assert raised(Missing, partial(store.get_range, "nothing", offset, length)).name == "nothing"

    def test_ranges_between_other_verbs(self, store: BlobStore) -> None:
        content = whole(Stream(2 * MIB))
        store.write_bytes("name", content)
        with store.get("name") as stream:
            received = stream.read(1000)
            for number in range(12):
                offset = number * 100_000
                assert store.get_range("name", offset, 1000) == content[offset : offset + 1000]
                store.write_bytes("other", b"%d" % number)
                assert store.read_bytes("other") == b"%d" % number
            received += stream.read()
        assert received == content

    def test_directories_are_made_with_their_first_blob(self, store: BlobStore) -> None:
        for directory in ("keys", "data/ab", "data/ac", "x-escale/deeper/still", "with a space", "d\u00e9j\u00e0"):
            inner = store.within(directory)
            assert inner.put("name", io.BytesIO(directory.encode())) == len(directory.encode())
            assert inner.read_bytes("name") == directory.encode()
            assert inner.get_range("name", 1, 2) == directory.encode()[1:3]
            assert [blob.name for blob in inner.list()] == ["name"]
            assert inner.info("name") == next(iter(inner.list()))
            assert inner.info("nothing") is None
            inner.write_bytes("name", b"replaced")
            assert store.within(directory).read_bytes("name") == b"replaced"
            inner.delete("name")
            raised(Missing, partial(inner.get, "name"))
            assert found(inner) == []

    def test_within_a_directory_is_as_its_whole_path(self, store: BlobStore) -> None:
        store.within("data").within("ab").write_bytes("name", b"content")
        assert store.within("data/ab").read_bytes("name") == b"content"
        assert [blob.name for blob in store.within("data").within("ab").list()] == ["name"]

    def test_create_within_a_directory(self, store: BlobStore) -> None:
        inner = store.within("locks")
        assert inner.create("lock", b"mine") is True
        assert inner.create("lock", b"yours") is False
        assert inner.read_bytes("lock") == b"mine"

    def test_large_blob_in_a_new_directory(self, store: BlobStore) -> None:
        source = Stream(12 * MIB)
        inner = store.within("data/cd")
        assert inner.put("large", as_file(source)) == 12 * MIB
        content = inner.read_bytes("large")
        assert hashlib.sha256(content).digest() == source.digest.digest()
        assert inner.get_range("large", 10 * MIB, 3 * MIB) == content[10 * MIB :]

    def test_failing_source_in_a_new_directory(self, store: BlobStore) -> None:
        for fails_at in (0, 1, 5 * MIB):
            inner = store.within(f"data/{fails_at}")
            raised(SourceFailed, partial(inner.put, "name", as_file(Stream(12 * MIB, fails_at))))
            assert found(inner) == []
            raised(Missing, partial(inner.get, "name"))

    def test_directory_that_is_not_there(self, store: BlobStore) -> None:
        store.within("data/ab").write_bytes("name", b"content")
        for directory in ("nowhere", "data/ac", "nowhere/deeper"):
            inner = store.within(directory)
            assert raised(Missing, partial(inner.get, "name")).name == "name"
            raised(Missing, partial(inner.get_range, "name", 0, 10))
            assert inner.info("name") is None
            inner.delete("name")
            assert found(inner) == []
            with suppress(NoSuchRelay):
                assert list(inner.list_below()) == []
            with suppress(NoSuchRelay):
                assert inner.sweep(older_than_s=0) == 0

    def test_blobs_in_directories_are_not_in_those_above(self, store: BlobStore) -> None:
        store.write_bytes("top", b"1")
        store.within("data").write_bytes("middle", b"22")
        store.within("data/a").write_bytes("low", b"333")
        store.within("data/ab").write_bytes("other", b"4444")
        assert found(store) == ["top"]
        assert found(store.within("data")) == ["middle"]
        assert found(store.within("data/a")) == ["low"]
        assert found(store.within("data/ab")) == ["other"]
        assert [blob.name for blob in store.within("data").list("a")] == []
        assert [blob.name for blob in store.list("d")] == []
        assert store.info("data") is None
        assert store.within("data").info("a") is None

    def test_list_below(self, store: BlobStore) -> None:
        store.write_bytes("top", b"1")
        data = store.within("data")
        data.write_bytes("middle", b"22")
        for directory in ("a", "ab", "b"):
            data.within(directory).write_bytes("name", directory.encode())
            data.within(directory).write_bytes(f"{TEMPORARY}left", b"part of something")
        data.within("a/deeper").write_bytes("lowest", b"55555")
        store.within("database").write_bytes("other", b"666666")
        below = {blob.name: blob for blob in data.list_below()}
        assert sorted(below) == ["a/name", "ab/name", "b/name"]
        for directory in ("a", "ab", "b"):
            (blob,) = data.within(directory).list()
            seen = below[f"{directory}/name"]
            assert (seen.size, seen.mtime, seen.tag) == (blob.size, blob.mtime, blob.tag)
        assert sorted(blob.name for blob in store.list_below()) == ["data/middle", "database/other"]

    def test_list_below_of_many(self, store: BlobStore) -> None:
        names = {f"{number:03d}/{each}" for number in range(DIRECTORIES) for each in ("one", "two")}
        for name in names:
            directory, _, own = name.partition("/")
            store.within(directory).write_bytes(own, b"x")
        assert {blob.name for blob in store.list_below()} == names
        store.within("000").delete("one")
        assert {blob.name for blob in store.list_below()} == names - {"000/one"}

    def test_list_below_of_nothing(self, store: BlobStore) -> None:
        assert list(store.list_below()) == []

    def test_sweep_within_a_directory(self, store: BlobStore) -> None:
        inner = store.within("data/ab")
        inner.write_bytes(f"{TEMPORARY}left", b"part of something")
        inner.write_bytes("name", b"content")
        store.write_bytes(f"{TEMPORARY}above", b"part of something else")
        assert found(inner) == ["name"]
        assert inner.sweep(older_than_s=3600) == 0
        assert inner.sweep(older_than_s=0) == 1
        assert inner.sweep(older_than_s=0) == 0
        assert inner.read_bytes("name") == b"content"
        assert store.sweep(older_than_s=0) == 1

    def test_close_within_and_use_again(self, store: BlobStore) -> None:
        inner = store.within("data")
        inner.write_bytes("name", b"content")
        inner.close()
        store.write_bytes("other", b"content")
        store.close()
        assert inner.read_bytes("name") == b"content"
        store.close()
        assert found(inner) == ["name"]

    def test_impossible_directories_are_our_own_mistake(self, store: BlobStore) -> None:
        for directory in ("", "/", "/data", "data/", "data//ab", "..", "data/../keys", ".", "a\nb", "a\\b"):
            raised(ValueError, partial(store.within, directory))

    def test_instances_use_directories_at_once(self, open_store: OpenStore) -> None:
        start = threading.Barrier(PARALLEL)

        def work(number: int) -> None:
            with open_store() as store:
                list(store.list())
                start.wait(60)
                for round_number in range(8):
                    inner = store.within(f"data/{round_number:02x}")
                    persist(partial(inner.write_bytes, f"name-{number}", b"%d" % number * 1000))
                    assert inner.get_range(f"name-{number}", 10, 5) == b"%d" % number * 5
                assert f"07/name-{number}" in {blob.name for blob in store.within("data").list_below()}

        workers = [Background(partial(work, number)) for number in range(PARALLEL)]
        for worker in workers:
            worker.join()
        store = open_store()
        names = {f"{each:02x}/name-{number}" for each in range(8) for number in range(PARALLEL)}
        assert {blob.name for blob in store.within("data").list_below()} == names
        assert info(store.within("data/00"), "name-0").size == 1000
        close(store)

    def test_directories_of_no_relay(self, no_relay: BlobStore) -> None:
        inner = no_relay.within("data/ab")
        raised(NoSuchRelay, lambda: inner.write_bytes("name", b"content"))
        raised(NoSuchRelay, lambda: inner.put("name", as_file(Stream(12 * MIB))))
        raised(NoSuchRelay, lambda: inner.create("name", b"content"))
        raised(NoSuchRelay, lambda: inner.get("name"))
        raised(NoSuchRelay, lambda: inner.get_range("name", 0, 1))
        raised(NoSuchRelay, lambda: inner.info("name"))
        raised(NoSuchRelay, lambda: list(inner.list()))
        raised(NoSuchRelay, lambda: list(no_relay.list_below()))
        raised(NoSuchRelay, lambda: no_relay.get_range("name", 0, 1))
        raised(NoSuchRelay, lambda: list(no_relay.list()))


def persist(act: Callable[[], None]) -> None:
    """Try again what was Unreachable, as servers say while somebody else makes the same directory."""
    for _ in range(ATTEMPTS - 1):
        try:
            act()
        except Unreachable:
            continue
        return
    act()


def found(store: BlobStore) -> list[str]:
    """The names in a directory, of which there are none as long as it is not there."""
    try:
        return [blob.name for blob in store.list()]
    except NoSuchRelay:
        return []
