"""Snapshots: restic's are read and ours are restic's; what other programs wrote is kept."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.errors import Corrupt

from . import golden

IDS = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PATHS = st.binary(max_size=12).map(os.fsdecode)
SNAPSHOTS = st.builds(
    Snapshot,
    tree=IDS,
    time_ns=st.integers(-(10**18), 10**19),
    paths=st.lists(PATHS, max_size=3).map(tuple),
    hostname=TEXTS,
    username=TEXTS,
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    excludes=st.lists(TEXTS, max_size=2).map(tuple),
    tags=st.lists(TEXTS, max_size=2).map(tuple),
    parent=st.just("") | IDS,
    program_version=TEXTS,
    rest=st.just(()) | st.just((("original", "ab" * 32), ("summary", {"files_new": 3}))),
    id=IDS,
)
GOOD = {"tree": "ab" * 32, "time": "2026-11-01T12:34:56Z", "paths": ["/home"], "hostname": "anvil"}


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_snapshots(name):
    (found,) = Versions(golden.opened(golden.HERE / name)).all()
    assert (found.paths, found.hostname, found.tags) == (("/tmp/golden/src",), "anvil", ("golden", "two"))
    assert found.time_ns // 10**9 == 1_793_536_496
    assert found.username == ("alice" if name == "escale-1" else "root")
    assert found.excludes == (() if name == "escale-1" else ("*.tmp",))
    assert found.parent == ""
    assert found.id == golden.one_of(name, "snapshots").name and found.id.startswith(found.short)
    summary = dict(found.rest).get("summary", {})
    assert name == "restic-0.14.0" or summary["total_bytes_processed"] == 1101


@given(SNAPSHOTS)
def test_what_is_written_can_be_read(snapshot):
    assert Snapshot.decode(snapshot.encode(), snapshot.id, "here") == snapshot


def test_what_we_do_not_know_is_kept():
    text = json.dumps(GOOD | {"original": "cd" * 32, "later": [1, {"a": None}]}).encode()
    again = json.loads(Snapshot.decode(text, "x", "here").encode())
    assert (again["original"], again["later"]) == ("cd" * 32, [1, {"a": None}])


def test_what_restic_leaves_out_is_nothing():
    text = json.dumps(GOOD | {"tags": None, "excludes": None, "parent": None}).encode()
    found = Snapshot.decode(text, "x", "here")
    assert (found.tags, found.excludes, found.parent, found.uid) == ((), (), "", 0)
    assert json.loads(found.encode()) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"tree": None},
        {"tree": "ab"},
        {"tree": 5},
        {"tree": "../../etc"},
        {"parent": "x"},
        {"parent": 5},
        {"time": "yesterday"},
        {"time": 5},
        {"paths": 5},
        {"paths": [5]},
        {"tags": [None]},
        {"uid": "root"},
        {"uid": 1e999},
        {"gid": []},
    ],
    ids=str,
)
def test_what_is_no_version(change):
    with pytest.raises(Corrupt):
        Snapshot.decode(json.dumps(GOOD | change).encode(), "x", "here")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"5", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_json(text):
    with pytest.raises(Corrupt):
        Snapshot.decode(text, "x", "here")
