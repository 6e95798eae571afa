"""Writer: what was flushed is there for others, each blob once; what dies leaves nothing listed that is not there."""

from __future__ import annotations

import hashlib
import random

import pytest

from escale.backup.index import IndexFile
from escale.backup.locks import locked
from escale.backup.objects import Kind
from escale.backup.pack import PACK_BYTES, BlobKind, read_contents
from escale.backup.writer import BATCH_BLOBS, INDEX_BLOBS, PACK_BLOBS, Writer
from escale.errors import NoRelaySpace, Unreachable
from escale.testing.faults import Crash

from .places import MACHINE, Place, dies_at


def blobs(count: int, size: int = 200) -> list[bytes]:
    return [random.Random(number).randbytes(size) for number in range(count)]


def test_what_was_flushed_is_there_for_others():
    place = Place()
    texts = [b"a text that compresses well " * 20, b"", b"x", *blobs(300)]
    with Writer(place.repository(), 2, 2) as writer:
        ids = [writer.add(BlobKind.DATA, text) for text in texts] + [writer.add(BlobKind.TREE, b"a tree")]
        writer.flush()
    other = place.repository()
    assert other.refresh() == []
    for blob_id, text in zip(ids, texts, strict=False):
        assert blob_id == hashlib.sha256(text).hexdigest()
        assert other.load_blob(BlobKind.DATA, bytes.fromhex(blob_id)) == text
    assert other.load_blob(BlobKind.TREE, bytes.fromhex(ids[-1])) == b"a tree"
    assert (writer.written.data_blobs, writer.written.tree_blobs) == (len(texts), 1)


def test_the_same_bytes_are_stored_once():
    place = Place()
    for _ in range(2):
        repository = place.repository()
        repository.refresh()
        with Writer(repository, 2, 2) as writer:
            for _ in range(3):
                for text in blobs(BATCH_BLOBS + 1):
                    writer.add(BlobKind.DATA, text)
                writer.flush()
    assert writer.written.data_blobs == 0
    assert len(place.names("index")) == 1


def test_data_and_trees_are_never_in_one_pack_and_neighbours_are_shuffled():
    place = Place()
    with Writer(place.repository(), 1, 1) as writer:
        ids = [writer.add(BlobKind.DATA, text) for text in blobs(400)]
        writer.add(BlobKind.TREE, b"a tree")
        writer.flush()
    repository = place.repository()
    repository.refresh()
    packs = [repository.catalog.blobs_of(pack) for pack in repository.catalog.packs()]
    assert all(len({blob.kind for blob in pack}) == 1 for pack in packs)
    orders = [[ids.index(blob.id.hex()) for blob in pack] for pack in packs if pack[0].kind is BlobKind.DATA]
    assert len(orders) == 4
    assert not any(order == [*range(order[0], order[0] + len(order))] for order in orders)


def test_packs_are_full_and_say_what_is_in_them():
    place = Place()
    with Writer(place.repository(), 2, 2) as writer:
        for number in range(40):
            writer.add(BlobKind.DATA, random.Random(number).randbytes(1 << 20))
        writer.flush()
    sizes = []
    repository = place.repository()
    repository.refresh()
    for pack in repository.catalog.packs():
        data = repository.objects.read(Kind.PACK, pack)
        assert writer.written.packs[pack] == len(data) == repository.catalog.pack_sizes()[pack]
        assert read_contents(data, place.master, pack) == repository.catalog.blobs_of(pack)
        sizes.append(len(data))
    assert max(sizes) <= PACK_BYTES + (1 << 20) + (1 << 10)
    assert len(sizes) <= 4 + 3


def test_an_index_is_written_before_it_is_too_long():
    place = Place()
    repository = place.repository()
    with Writer(repository, 2, 2) as writer:
        for number in range(INDEX_BLOBS * 2 + 1):
            writer.add(BlobKind.DATA, number.to_bytes(4, "big") * 250)
        writer.flush()
        for name in place.names("index"):
            clear = repository.read_unpacked(Kind.INDEX, name.partition("/")[2])
            assert len(clear) < 40 << 20
            assert IndexFile.decode(clear, name).packs
        assert repository.catalog.count() == INDEX_BLOBS * 2 + 1


def test_what_is_known_to_be_missing_is_stored_again():
    place = Place()
    with Writer(place.repository(), 2, 2) as writer:
        blob_id = writer.add(BlobKind.DATA, b"precious" * 50)
        writer.flush()
    (pack,) = writer.written.packs
    repository = place.repository()
    repository.refresh()
    repository.missing.add(pack)
    place.damage(f"data/{pack[:2]}/{pack}", "gone")
    with Writer(repository, 2, 2) as writer:
        assert not writer.has(BlobKind.DATA, bytes.fromhex(blob_id))
        writer.add(BlobKind.DATA, b"precious" * 50)
        writer.flush()
        assert writer.has(BlobKind.DATA, bytes.fromhex(blob_id))
    assert repository.load_blob(BlobKind.DATA, bytes.fromhex(blob_id)) == b"precious" * 50


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(8))
def test_death_at_any_change_leaves_nothing_listed_that_is_not_there(when, nth):
    place = Place()
    setattr(place, when, dies_at(nth))
    with Writer(place.repository(), 2, 2) as writer:
        try:
            for text in blobs(300):
                writer.add(BlobKind.DATA, text)
            writer.add(BlobKind.TREE, b"a tree")
            writer.flush()
            died = False
        except Crash:
            died = True
    setattr(place, when, lambda verb, name: None)
    assert died == (nth < 6)
    repository = place.repository()
    assert repository.refresh() == []
    for pack in repository.catalog.packs():
        assert repository.objects.info(Kind.PACK, pack).size == repository.catalog.pack_sizes()[pack]
    assert died or repository.catalog.count() == 301


@pytest.mark.parametrize("error", [NoRelaySpace, Unreachable])
def test_what_fails_in_a_thread_is_raised_by_the_next_call_and_stays(error):
    place = Place()

    def fail(verb: str, name: str) -> None:
        raise error(where="memory:", reason="on purpose")

    with Writer(place.repository(), 2, 2) as writer:
        writer.add(BlobKind.DATA, b"some text")
        place.before = fail
        for _ in range(2):
            with pytest.raises(error):
                writer.flush()


def test_a_writer_goes_on_after_a_flush():
    place = Place()
    with Writer(place.repository(), 2, 2) as writer:
        for text in blobs(5):
            writer.add(BlobKind.DATA, text)
            writer.flush()
    repository = place.repository()
    repository.refresh()
    assert repository.catalog.count() == 5


def test_packs_of_tiny_blobs_end_before_they_are_full():
    place = Place()
    repository = place.repository()
    with Writer(repository, 2, 2) as writer:
        for number in range(5 * PACK_BLOBS):
            writer.add(BlobKind.DATA, number.to_bytes(4, "big"))
        writer.flush()
    counts = [len(repository.catalog.blobs_of(pack)) for pack in repository.catalog.packs()]
    assert sum(counts) == 5 * PACK_BLOBS
    assert max(counts) == PACK_BLOBS


def test_what_takes_long_is_found_by_others_meanwhile():
    """GIVEN a slow connection WHEN ten minutes have gone THEN what is stored by then is listed."""
    place = Place()
    with Writer(place.repository(), 1, 1, clock=place.clock) as writer:
        for number in range(6):
            for part in range(17):
                writer.add(BlobKind.DATA, random.Random(100 * number + part).randbytes(1 << 20))
            writer._work.wait()
            place.clock.advance(200.0)
    assert len(place.names("index")) == 1
    assert place.repository().refresh() == []


# --- no room for all


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_ours", [True, False])
def test_packs_that_no_index_lists_make_room_again_unless_others_may_have_listed_them(when, is_ours):
    """`after`: the index had its name already when the store said that it has no room."""
    place = Place()
    repository = place.repository()

    def refuse(verb: str, name: str) -> None:
        if verb == "put" and name.startswith("index/"):
            raise NoRelaySpace(where=name, reason="on purpose")

    with (
        pytest.raises(NoRelaySpace),
        locked(repository, MACHINE, place.clock, exclusive=False) as lock,
        Writer(repository, 2, 2) as writer,
    ):
        writer.add(BlobKind.DATA, b"listed before")
        writer.flush()
        listed = {*place.names("data"), *place.names("index")}
        setattr(place, when, refuse)
        with writer.giving_room_back(lock):
            for text in blobs(300):
                writer.add(BlobKind.DATA, text)
            if not is_ours:
                repository.objects.delete(Kind.LOCK, lock.name)
            writer.flush()
    assert set(place.names("index")) <= listed
    assert (set(place.names("data")) <= listed) is is_ours
