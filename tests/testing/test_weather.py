"""Stores that misbehave as real ones have been seen to."""

from __future__ import annotations

import io

import pytest

from escale.errors import Missing, NoRelaySpace, Unreachable
from escale.store.memory import MemoryStore
from escale.testing.choices import Choices, depth_first
from escale.testing.weather import Late, Odds, Snapshots, TornStore, WeatherStore

ALWAYS = 1.0


class Sure(Choices):
    """What can happen does."""

    def happens(self, odds: float) -> bool:
        return odds == ALWAYS


def test_a_failed_call_did_nothing_and_a_lost_reply_did_all():
    inner = MemoryStore()
    with pytest.raises(Unreachable):
        WeatherStore(inner, Sure(), Odds(fails=ALWAYS)).write_bytes("a", b"x")
    assert inner.blobs == {}
    with pytest.raises(Unreachable):
        WeatherStore(inner, Sure(), Odds(loses_reply=ALWAYS)).write_bytes("a", b"x")
    assert inner.read_bytes("a") == b"x"


def test_a_torn_upload_leaves_a_temporary_blob_that_is_swept():
    inner = MemoryStore()
    with pytest.raises(Unreachable):
        WeatherStore(inner, Sure(), Odds(tears=ALWAYS)).write_bytes("a", b"four")
    assert [data for data, _ in inner.blobs.values()] == [b"fo"]
    assert [*inner.list()] == []
    assert WeatherStore(inner, Sure(), Odds()).sweep(0) == 1


def test_a_stale_listing_is_that_of_the_last_time():
    inner = MemoryStore()
    store = WeatherStore(inner, Sure(), Odds(is_stale=ALWAYS))
    assert [*store.list()] == []
    inner.write_bytes("a", b"x")
    assert [*store.list()] == []
    assert [blob.name for blob in store.list()] == ["a"]
    store.calm()
    inner.write_bytes("b", b"x")
    assert [blob.name for blob in store.list()] == ["a", "b"]


def test_what_is_late_shows_after_some_operations_of_anybody():
    inner, late = MemoryStore(), Late()
    writer, reader = (WeatherStore(inner, Sure(), odds, late) for odds in (Odds(delays=ALWAYS), Odds()))
    writer.write_bytes("a", b"x")
    with pytest.raises(Missing):
        reader.get("a")
    assert [*writer.list()] == []
    assert reader.read_bytes("a") == b"x"


def test_what_is_late_and_was_deleted_never_shows():
    inner, late = MemoryStore(), Late()
    store = WeatherStore(inner, Sure(), Odds(delays=ALWAYS), late)
    store.write_bytes("a", b"x")
    store.delete("a")
    late.arrive(inner)
    assert inner.blobs == {}


def test_a_directory_has_the_weather_of_its_relay():
    inner, late = MemoryStore(), Late()
    store = WeatherStore(inner, Sure(), Odds(delays=ALWAYS), late)
    data = store.within("data")
    data.write_bytes("a", b"x")
    assert [*data.list()] == [] and inner.blobs == {}
    late.arrive(inner)
    assert inner.within("data").read_bytes("a") == b"x"
    store.calm()
    data.write_bytes("b", b"x")
    assert inner.within("data").read_bytes("b") == b"x"


def test_a_listing_of_directories_is_stale_too():
    inner = MemoryStore()
    store = WeatherStore(inner, Sure(), Odds(is_stale=ALWAYS))
    assert [*store.within("data").list_below()] == []
    inner.within("data/ab").write_bytes("a", b"x")
    assert [*store.within("data").list_below()] == []
    assert [blob.name for blob in store.within("data").list_below()] == ["ab/a"]


def test_failures_name_the_place():
    with pytest.raises(Unreachable, match="put data/a"):
        WeatherStore(MemoryStore(), Sure(), Odds(fails=ALWAYS)).within("data").write_bytes("a", b"x")


def test_a_full_relay_says_so():
    with pytest.raises(NoRelaySpace):
        WeatherStore(MemoryStore(), Sure(), Odds(is_full=ALWAYS)).write_bytes("a", b"x")


def test_all_troubles_of_one_call_are_enumerated():
    ends = []
    for choices in depth_first():
        inner = MemoryStore()
        try:
            WeatherStore(inner, choices, Odds(fails=0.5, loses_reply=0.5, is_full=0.5)).put("a", io.BytesIO(b"x"))
            ends.append((None, "a" in inner.blobs))
        except (Unreachable, NoRelaySpace) as error:
            ends.append((type(error), "a" in inner.blobs))
    assert ends == [(None, True), (Unreachable, True), (Unreachable, False), (NoRelaySpace, False)]


def test_a_torn_store_shows_half():
    inner = MemoryStore()
    store = TornStore(inner, lambda name: name == "a")
    store.write_bytes("b", b"four")
    with pytest.raises(Unreachable):
        store.write_bytes("a", b"four")
    assert (inner.read_bytes("a"), inner.read_bytes("b")) == (b"fo", b"four")


def test_a_relay_goes_back_and_is_wiped():
    inner = MemoryStore()
    snapshots = Snapshots(inner.blobs)
    inner.write_bytes("a", b"x")
    snapshots.save()
    inner.write_bytes("b", b"x")
    snapshots.restore()
    assert [*inner.blobs] == ["a"]
    snapshots.wipe()
    assert inner.blobs == {}
