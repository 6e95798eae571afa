"""What every BlobStore must do, as a class of tests that any test runner with fixtures can collect.

A backend's author writes a subclass and three fixtures (here for pytest):

    class TestMyStore(BlobStoreContract):
        @pytest.fixture
        def open_store(self): ...      # a callable: each call a new instance, all at one fresh, empty relay
        @pytest.fixture
        def store(self, open_store): return open_store()
        @pytest.fixture
        def no_relay(self): ...        # an instance whose directory or bucket does not exist

A test that a backend cannot have is set to None in the subclass, with the reason beside it.
"""

from __future__ import annotations

import hashlib
import io
import threading
import tracemalloc
from collections.abc import Sequence
from functools import partial

from ..errors import Missing, NoSuchRelay, Refused, Unreachable
from ..store.blob import READ_TOGETHER, TEMPORARY, BlobStore
from ..stream import PIECE
from .contracts_below import PARALLEL, DirectoriesContract
from .contracts_below import OpenStore as OpenStore
from .expectations import MIB as MIB
from .expectations import Background, SourceFailed, close, info
from .expectations import Stream as Stream
from .expectations import as_file as as_file
from .expectations import raised as raised
from .expectations import whole as whole

AWKWARD_NAMES = (
    "with spaces in it",
    " leading and trailing ",
    ".hidden",
    "..two dots",
    "-dash",
    "~tilde",
    "percent%20%41",
    "hash#fragment",
    "question?mark=1&two",
    "plus+plus",
    "semi;colon,comma",
    "quote'\"`",
    "brackets[1]{2}(3)",
    "star*",
    "equals=at@colon:",
    "d\u00e9j\u00e0 vu",
    "de\u0301compose\u0301",
    "\u65e5\u672c\u8a9e",
    "\U0001f4be disk",
    "n" * 200,
)


class BlobStoreContract(DirectoriesContract):
    """The promises of `BlobStore`, one test each."""

    memory_max = 16 * MIB
    """Bytes that moving a blob of 20 MiB may allocate at most."""

    moves_in_steps = False
    """Whether the server removes the target of a move first, and asks for a length before it opens the file.

    For an instant a blob is then absent or forbidden, or the new one is cut to the length of the old one; never mixed.
    """

    def test_put_then_get(self, store: BlobStore) -> None:
        assert store.put("name", io.BytesIO(b"content")) == 7
        assert store.read_bytes("name") == b"content"

    def test_put_replaces_longer_content(self, store: BlobStore) -> None:
        store.write_bytes("name", b"a long first content")
        store.write_bytes("name", b"short")
        assert store.read_bytes("name") == b"short"
        assert [blob.size for blob in store.list()] == [5]

    def test_empty_blob(self, store: BlobStore) -> None:
        assert store.put("empty", io.BytesIO(b"")) == 0
        assert store.read_bytes("empty") == b""
        assert [(blob.name, blob.size) for blob in store.list()] == [("empty", 0)]

    def test_get_of_nothing_is_missing(self, store: BlobStore) -> None:
        missing = raised(Missing, lambda: store.get("nothing"))
        assert missing.name == "nothing"

    def test_some_are_read_at_once_in_the_order_of_their_names(self, store: BlobStore) -> None:
        blobs = {f"blob {number}": bytes([number]) * (number * 40_000) for number in range(READ_TOGETHER)}
        for name, data in blobs.items():
            store.write_bytes(name, data)
        names = sorted(blobs, reverse=True)
        assert [*store.read_some(names)] == [blobs[name] for name in names]
        assert [*store.read_some(["nothing", names[0], "nobody", names[-1]])] == [None, blobs[names[0]], None, b""]
        assert [*store.read_some([])] == []
        assert raised(Refused, lambda: store.read_some(names, 100_000))
        assert [*store.within("no directory").read_some(["nothing"])] == [None]

    def test_delete(self, store: BlobStore) -> None:
        store.write_bytes("name", b"content")
        store.delete("name")
        assert store.info("name") is None
        assert list(store.list()) == []
        raised(Missing, lambda: store.get("name"))

    def test_delete_of_nothing_is_fine(self, store: BlobStore) -> None:
        store.delete("nothing")

    def test_list_begins_with_prefix_in_order_of_names(self, store: BlobStore) -> None:
        names = ["b", "a-2", "a-10", "a", "B", "\u00e9", "_", "a.c", "a-"]
        for name in names:
            store.write_bytes(name, name.encode())
        assert [blob.name for blob in store.list()] == sorted(names)
        assert [blob.name for blob in store.list("a-")] == ["a-", "a-10", "a-2"]
        assert list(store.list("zzz")) == []

    def test_list_of_many(self, store: BlobStore) -> None:
        names = sorted(f"many-{number:04d}" for number in range(120))
        for name in names:
            store.write_bytes(name, b"x")
        assert [blob.name for blob in store.list("many-")] == names

    def test_list_tells_sizes_and_times(self, store: BlobStore) -> None:
        store.write_bytes("name", b"12345")
        (blob,) = store.list()
        assert (blob.name, blob.size) == ("name", 5)
        assert (blob.mtime is not None) == store.guarantees.reports_mtime

    def test_info_agrees_with_list(self, store: BlobStore) -> None:
        store.write_bytes("name", b"12345")
        store.write_bytes("name-longer", b"1")
        assert store.info("name") == next(iter(store.list("name")))
        assert store.info("nam") is None

    def test_tag_changes_with_the_content(self, store: BlobStore) -> None:
        store.write_bytes("name", b"one")
        before = info(store, "name").tag
        assert before == info(store, "name").tag
        store.write_bytes("name", b"three")
        assert before != info(store, "name").tag

    def test_create_takes_a_free_name_only(self, store: BlobStore) -> None:
        assert store.create("lock", b"mine") is True
        assert store.create("lock", b"yours") is False
        assert store.read_bytes("lock") == b"mine"
        store.delete("lock")
        assert store.create("lock", b"yours") is True
        assert store.read_bytes("lock") == b"yours"

    def test_awkward_names(self, store: BlobStore) -> None:
        for name in AWKWARD_NAMES:
            store.write_bytes(name, name.encode())
        assert [blob.name for blob in store.list()] == sorted(AWKWARD_NAMES)
        for name in AWKWARD_NAMES:
            assert store.read_bytes(name) == name.encode(), name
            assert info(store, name).size == len(name.encode()), name
            store.delete(name)
        assert list(store.list()) == []

    def test_impossible_names_are_our_own_mistake(self, store: BlobStore) -> None:
        for name in ("", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "\u00e9" * 101):
            raised(ValueError, partial(store.get, name))
            raised(ValueError, partial(store.write_bytes, name, b""))
            raised(ValueError, partial(store.create, name, b""))
            raised(ValueError, partial(store.delete, name))
            raised(ValueError, partial(store.info, name))

    def test_large_blob_in_bounded_memory(self, store: BlobStore) -> None:
        source = Stream(20 * MIB)
        tracemalloc.start()
        try:
            assert store.put("large", as_file(source)) == 20 * MIB
            received = hashlib.sha256()
            with store.get("large") as stream:
                while piece := stream.read(PIECE):
                    received.update(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert received.digest() == source.digest.digest()
        assert info(store, "large").size == 20 * MIB
        assert peak < self.memory_max, f"{peak / MIB:.1f} MiB"

    def test_small_reads_and_the_end(self, store: BlobStore) -> None:
        store.put("name", as_file(Stream(300_001)))
        with store.get("name") as stream:
            pieces = [stream.read(1), stream.read(2)]
            while piece := stream.read(70_000):
                assert len(piece) <= 70_000
                pieces.append(piece)
            assert stream.read(10) == b""
        assert b"".join(pieces) == whole(Stream(300_001))

    def test_failing_source_leaves_the_old_content(self, store: BlobStore) -> None:
        store.write_bytes("name", b"old")
        for fails_at in (0, 1, 5 * MIB):
            source = Stream(20 * MIB, fails_at)
            raised(SourceFailed, partial(store.put, "name", as_file(source)))
        raised(SourceFailed, lambda: store.put("new", as_file(Stream(MIB, 1))))
        assert store.read_bytes("name") == b"old"
        assert [blob.name for blob in store.list()] == ["name"]

    def test_stream_left_half_way(self, store: BlobStore) -> None:
        store.put("large", as_file(Stream(10 * MIB)))
        for _ in range(3):
            with store.get("large") as stream:
                assert len(stream.read(1000)) > 0
            store.write_bytes("small", b"still works")
            assert store.read_bytes("small") == b"still works"

    def test_other_verbs_while_a_stream_is_open(self, store: BlobStore) -> None:
        source = Stream(10 * MIB)
        store.put("large", as_file(source))
        received = hashlib.sha256()
        with store.get("large") as stream:
            received.update(stream.read(1000))
            store.write_bytes("small", b"between")
            assert store.read_bytes("small") == b"between"
            assert [blob.name for blob in store.list()] == ["large", "small"]
            assert store.info("nothing") is None
            while piece := stream.read(PIECE):
                received.update(piece)
        assert received.digest() == source.digest.digest()

    def test_temporary_names_are_hidden_and_swept(self, store: BlobStore) -> None:
        # An interrupted upload leaves exactly such a blob.
        store.write_bytes(f"{TEMPORARY}left", b"part of something")
        store.write_bytes("name", b"content")
        assert [blob.name for blob in store.list()] == ["name"]
        assert store.sweep(older_than_s=3600) == 0
        assert store.sweep(older_than_s=0) == 1
        assert store.sweep(older_than_s=0) == 0
        raised(Missing, lambda: store.get(f"{TEMPORARY}left"))
        assert store.read_bytes("name") == b"content"

    def test_instances_see_each_other_at_once(self, open_store: OpenStore) -> None:
        one, two = open_store(), open_store()
        assert list(one.list()) == list(two.list()) == []
        for content in (b"first", b"second content", b"3"):
            one.write_bytes("name", content)
            assert two.read_bytes("name") == content
            assert info(two, "name").size == len(content)
            assert [blob.size for blob in two.list()] == [len(content)]
        two.delete("name")
        assert one.info("name") is None
        assert list(one.list()) == []
        assert two.create("name", b"two") is True
        assert one.create("name", b"one") is False
        close(one, two)

    def test_close_and_use_again(self, store: BlobStore) -> None:
        store.write_bytes("name", b"content")
        store.close()
        store.close()
        assert store.read_bytes("name") == b"content"
        store.close()
        assert [blob.name for blob in store.list()] == ["name"]

    def test_threads_use_one_another_and_close_it(self, open_store: OpenStore) -> None:
        first = open_store()
        first.write_bytes("first", b"content")

        def work(number: int) -> None:
            store = first.another() or open_store()
            for round_number in range(4):
                name = f"name-{number}-{round_number}"
                store.write_bytes(name, name.encode())
                assert store.read_some([name, "absent"]) == [name.encode(), None]
                store.close()

        workers = [Background(partial(work, number)) for number in range(PARALLEL)]
        for worker in workers:
            assert first.read_bytes("first") == b"content"
            worker.join()
        last = first.another() or open_store()
        first.close()
        assert len([*last.list("name-")]) == 4 * PARALLEL
        close(last)

    def test_readers_see_whole_blobs_during_overwrites(self, open_store: OpenStore) -> None:
        contents = [bytes([number]) * (400_000 + 50_000 * number) for number in range(4)]
        open_store().write_bytes("name", contents[0])
        is_over = threading.Event()

        def is_cut(data: bytes) -> bool:
            return len(data) in map(len, contents) and any(content.startswith(data) for content in contents)

        def write() -> None:
            with open_store() as store:
                for round_number in range(24):
                    store.write_bytes("name", contents[round_number % 4])

        def read() -> None:
            whole = 0
            with open_store() as store:
                while not is_over.is_set() or whole == 0:
                    # Cut short and said so is allowed; torn or absent is not.
                    try:
                        data = store.read_bytes("name")
                        assert data in contents or (self.moves_in_steps and is_cut(data))
                        whole += 1
                    except Unreachable:
                        continue
                    except (Missing, Refused):
                        if not self.moves_in_steps:
                            raise

        readers = [Background(read) for _ in range(2)]
        try:
            Background(write).join()
        finally:
            is_over.set()
        for reader in readers:
            reader.join()

    def test_create_race_has_one_winner(self, open_store: OpenStore) -> None:
        stores = [open_store() for _ in range(8)]
        for round_number in range(6):
            name = f"lock-{round_number}"
            winners = race_to_create(stores, name)
            content = stores[0].read_bytes(name)
            assert content in winners
            if stores[0].guarantees.exclusive_create:
                assert winners == [content]
        close(*stores)

    def test_no_such_relay(self, no_relay: BlobStore) -> None:
        raised(NoSuchRelay, lambda: list(no_relay.list()))
        raised(NoSuchRelay, lambda: no_relay.get("name"))
        raised(NoSuchRelay, lambda: no_relay.read_some(["name"]))
        raised(NoSuchRelay, lambda: no_relay.write_bytes("name", b"content"))
        raised(NoSuchRelay, lambda: no_relay.create("name", b"content"))
        raised(NoSuchRelay, lambda: no_relay.info("name"))


def race_to_create(stores: Sequence[BlobStore], name: str) -> list[bytes]:
    """Let all create one name at the same moment; the contents of those who were told that they did."""
    start = threading.Barrier(len(stores))
    winners: list[bytes] = []

    def race(store: BlobStore, content: bytes) -> None:
        # Connections are made before the start, or the race would be one of log-ins.
        store.info(name)
        start.wait(60)
        if store.create(name, content):
            winners.append(content)

    racers = [Background(partial(race, store, b"owner %d" % number)) for number, store in enumerate(stores)]
    for racer in racers:
        racer.join()
    return winners
