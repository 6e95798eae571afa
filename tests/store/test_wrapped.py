"""Wrapper stores over the store in memory, with faults by hooks."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import BinaryIO

import pytest

from escale.errors import Missing, Refused, Unreachable
from escale.store.blob import BlobInfo, BlobStore, temporary_name
from escale.store.directory import DirectoryStore
from escale.store.memory import MemoryStore
from escale.store.wrapped import ATTEMPTS, CountingStore, RetryingStore, WrapperStore
from escale.testing.clock import SimClock
from escale.testing.contracts import BlobStoreContract, OpenStore, Stream, as_file
from escale.testing.faults import HookedStore


class Failing:
    """A hook that fails the first `times` calls of one verb."""

    def __init__(self, verb: str, times: int, error: Exception | None = None) -> None:
        self.verb = verb
        self.left = times
        self.calls = 0
        self.error = error or Unreachable(where="here", reason="it is dark")

    def __call__(self, verb: str, name: str) -> None:
        if verb == self.verb:
            self.calls += 1
            if self.left:
                self.left -= 1
                raise self.error


class Shared(HookedStore):
    """One that threads may share."""

    def __init__(self, failing: Failing) -> None:
        super().__init__(MemoryStore(), before=failing)

    def another(self) -> BlobStore:
        return copy(self)


VERBS: dict[str, Callable[[BlobStore], object]] = {
    "get": lambda store: store.read_bytes("name"),
    "put": lambda store: store.put("name", io.BytesIO(b"new")),
    "create": lambda store: store.create("other", b"unique"),
    "delete": lambda store: store.delete("name"),
    "list": lambda store: list(store.list()),
    "info": lambda store: store.info("name"),
    "get_range": lambda store: store.get_range("name", 1, 2),
    "list_below": lambda store: list(store.list_below()),
}


@pytest.fixture
def memory() -> MemoryStore:
    store = MemoryStore()
    store.write_bytes("name", b"content")
    return store


def retrying(inner: BlobStore, clock: SimClock | None = None) -> RetryingStore:
    return RetryingStore(inner, clock or SimClock(), random.Random(3))


class TestWrappersKeepTheContract(BlobStoreContract):
    # The store in memory keeps what it is given.
    test_large_blob_in_bounded_memory = None
    test_no_such_relay = None
    test_directories_of_no_relay = None
    test_temporary_names_are_hidden_and_swept = None

    @pytest.fixture
    def open_store(self) -> OpenStore:
        memory, clock = MemoryStore(), SimClock()
        return lambda: retrying(CountingStore(memory, clock))

    @pytest.fixture
    def store(self, open_store: OpenStore) -> BlobStore:
        return open_store()


class TestRetrying:
    def test_what_a_broken_upload_left_goes_when_it_has_succeeded(self, tmp_path: Path) -> None:
        owner = "0123456789abcdef"
        directory = DirectoryStore(tmp_path, owner)

        def breaks_off(verb: str, name: str) -> None:
            if verb == "put" and not list(tmp_path.iterdir()):
                (tmp_path / temporary_name(owner)).write_bytes(b"a par")
                raise Unreachable(where="here", reason="the line was cut")

        retrying(HookedStore(directory, breaks_off)).write_bytes("name", b"content")
        assert [path.name for path in tmp_path.iterdir()] == ["name"]

    @pytest.mark.parametrize("verb", VERBS)
    def test_tries_again_with_growing_waits(self, memory: MemoryStore, verb: str) -> None:
        failing, clock = Failing(verb, ATTEMPTS - 1), SimClock()
        VERBS[verb](retrying(HookedStore(memory, before=failing), clock))
        assert failing.calls == ATTEMPTS
        assert 3 < clock.monotonic() < 10

    @pytest.mark.parametrize("verb", VERBS)
    def test_gives_up(self, memory: MemoryStore, verb: str) -> None:
        failing = Failing(verb, 100)
        with pytest.raises(Unreachable):
            VERBS[verb](retrying(HookedStore(memory, before=failing)))
        assert failing.calls == ATTEMPTS

    @pytest.mark.parametrize("verb", VERBS)
    def test_what_will_not_change_is_not_asked_again(self, memory: MemoryStore, verb: str) -> None:
        failing = Failing(verb, 100, Refused(where="here", reason="no"))
        with pytest.raises(Refused):
            VERBS[verb](retrying(HookedStore(memory, before=failing)))
        assert failing.calls == 1

    @pytest.mark.parametrize("verb", VERBS)
    def test_tries_again_within_a_directory(self, memory: MemoryStore, verb: str) -> None:
        memory.within("data").write_bytes("name", b"content")
        failing, clock = Failing(verb, ATTEMPTS - 1), SimClock()
        VERBS[verb](retrying(HookedStore(memory, before=failing), clock).within("data"))
        assert failing.calls == ATTEMPTS

    def test_tries_again_for_another_thread(self) -> None:
        failing = Failing("get", ATTEMPTS - 1)
        store = retrying(Shared(failing))
        store.write_bytes("name", b"content")
        another = store.another()
        assert another is not None
        assert another.read_bytes("name") == b"content"
        assert failing.calls == ATTEMPTS
        assert another is not store

    def test_where_threads_cannot_share_there_is_no_other(self, memory: MemoryStore) -> None:
        assert retrying(memory).another() is None

    def test_some_are_read_again_if_one_of_them_breaks_off(self, memory: MemoryStore) -> None:
        memory.write_bytes("second", b"two")
        failing = Failing("get", 1)
        found = retrying(HookedStore(memory, before=failing)).read_some(["second", "nothing", "name"])
        assert [*found] == [b"two", None, b"content"]
        assert failing.calls == 4

    def test_put_is_rewound_to_where_it_began(self, memory: MemoryStore) -> None:
        source = io.BytesIO(b"skipped|sent")
        source.seek(8)
        # Failing afterwards: the first attempt has read the source to its end.
        assert retrying(HookedStore(memory, after=Failing("put", 1))).put("name", source) == 4
        assert memory.read_bytes("name") == b"sent"

    def test_put_that_cannot_be_rewound_is_tried_once(self, memory: MemoryStore) -> None:
        failing = Failing("put", 1)
        with pytest.raises(Unreachable):
            retrying(HookedStore(memory, before=failing)).put("name", as_file(Stream(10)))
        assert failing.calls == 1

    def test_lost_answer_to_a_creation(self, memory: MemoryStore) -> None:
        store = retrying(HookedStore(memory, after=Failing("create", 1)))
        assert store.create("lock", b"mine") is True
        assert store.create("lock", b"yours") is False

    def test_creation_lost_to_another_while_trying(self, memory: MemoryStore) -> None:
        memory.write_bytes("lock", b"theirs")
        assert retrying(HookedStore(memory, before=Failing("create", 2))).create("lock", b"mine") is False

    def test_listing_that_breaks_off_gives_nothing_twice(self, memory: MemoryStore) -> None:
        class Breaking(WrapperStore):
            has_failed = False

            def list(self, prefix: str = "") -> Iterator[BlobInfo]:
                for number, blob in enumerate(self.inner.list(prefix)):
                    if number and not self.has_failed:
                        self.has_failed = True
                        raise Unreachable(where="here", reason="it broke off")
                    yield blob

        memory.write_bytes("second", b"")
        assert [blob.name for blob in retrying(Breaking(memory)).list()] == ["name", "second"]


class Slow(WrapperStore):
    """A megabyte a second in both directions, a tenth of a second for everything else."""

    def __init__(self, inner: BlobStore, clock: SimClock) -> None:
        super().__init__(inner)
        self._clock = clock

    def put(self, name: str, source: BinaryIO) -> int:
        data = source.read()
        self._clock.advance(len(data) / 1e6)
        self.inner.write_bytes(name, data)
        return len(data)

    def get(self, name: str) -> BinaryIO:
        stream = self.inner.get(name)
        self._clock.advance(len(stream.read()) / 1e6)
        stream.seek(0)
        return stream

    def info(self, name: str) -> BlobInfo | None:
        self._clock.advance(0.1)
        return self.inner.info(name)


class TestCounting:
    def test_counts_and_times(self, memory: MemoryStore) -> None:
        clock = SimClock()
        store = CountingStore(Slow(memory, clock), clock)

        class Compressing(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                clock.advance(10)
                return super().read(size)

        store.put("name", Compressing(b"x" * 3_000_000))
        assert store.read_bytes("name") == b"x" * 3_000_000
        store.info("name")
        store.create("lock", b"12345")
        with pytest.raises(Missing):
            store.get("nothing")
        traffic = store.traffic
        assert dict(traffic.requests) == {"put": 1, "get": 2, "info": 1, "create": 1}
        assert (traffic.up.bytes, traffic.down.bytes) == (3_000_005, 3_000_000)
        assert traffic.up.source_s == 10
        assert traffic.up.rate == pytest.approx(1e6, rel=0.01)
        assert traffic.down.rate == pytest.approx(1e6, rel=0.01)
        assert traffic.other_s == pytest.approx(0.1)

    def test_directories_count_together(self, memory: MemoryStore) -> None:
        store = CountingStore(memory, SimClock())
        store.within("data").write_bytes("name", b"12345")
        store.within("keys").write_bytes("name", b"123")
        assert store.within("data").get_range("name", 1, 2) == b"23"
        assert len(list(store.list_below())) == 2
        assert dict(store.traffic.requests) == {"put": 2, "get_range": 1, "list_below": 1}
        assert (store.traffic.up.bytes, store.traffic.down.bytes) == (8, 2)

    def test_each_of_some_that_are_read_at_once_counts(self, memory: MemoryStore) -> None:
        clock = SimClock()
        store = CountingStore(Slow(memory, clock), clock)
        assert [*store.read_some(["name", "nothing"])] == [b"content", None]
        assert (store.traffic.requests["get"], store.traffic.down.bytes) == (2, 7)
        assert store.traffic.down.seconds == pytest.approx(7e-6)

    def test_little_tells_no_rate(self, memory: MemoryStore) -> None:
        clock = SimClock()
        store = CountingStore(Slow(memory, clock), clock)
        store.write_bytes("name", b"x" * 1000)
        assert store.traffic.up.rate is None

    def test_closing_the_stream_closes_the_download(self, memory: MemoryStore) -> None:
        opened: list[BinaryIO] = []

        class Watched(WrapperStore):
            def get(self, name: str) -> BinaryIO:
                opened.append(self.inner.get(name))
                return opened[-1]

        CountingStore(Watched(memory), SimClock()).get("name").close()
        assert opened[0].closed
