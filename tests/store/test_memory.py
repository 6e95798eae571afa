"""MemoryStore beyond the contract."""

from __future__ import annotations

from escale.store.blob import TEMPORARY
from escale.store.memory import MemoryStore


def test_blobs_are_stamped_by_the_given_clock() -> None:
    now = 1000.0
    store = MemoryStore(now=lambda: now)
    store.write_bytes("one", b"1")
    now = 2000.0
    store.create("two", b"2")
    assert [(blob.name, blob.mtime) for blob in store.list()] == [("one", 1000.0), ("two", 2000.0)]


def test_sweep_counts_by_the_given_clock() -> None:
    now = 1000.0
    store = MemoryStore(now=lambda: now)
    store.write_bytes(f"{TEMPORARY}old", b"")
    now = 1500.0
    store.write_bytes(f"{TEMPORARY}new", b"")
    now = 1600.0
    assert store.sweep(older_than_s=600) == 1
    assert list(store.blobs) == [f"{TEMPORARY}new"]


def test_stores_on_one_dictionary_share_a_relay() -> None:
    blobs: dict[str, tuple[bytes, float]] = {}
    one, two = MemoryStore(blobs=blobs), MemoryStore(blobs=blobs)
    one.write_bytes("name", b"content")
    assert two.read_bytes("name") == b"content"


def test_tag_is_that_of_the_content() -> None:
    store = MemoryStore()
    store.write_bytes("one", b"same")
    store.write_bytes("two", b"same")
    store.write_bytes("three", b"else")
    tags = {blob.name: blob.tag for blob in store.list()}
    assert tags["one"] == tags["two"] != tags["three"]
