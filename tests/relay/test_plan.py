"""The decision table of escale.relay.plan, a test per cell, and what modes and limits make of it."""

from __future__ import annotations

import pytest

from escale.files.tree import Base, Entry
from escale.relay.index import Record, State, Update
from escale.relay.plan import (
    MEMBER_OVERHEAD,
    Local,
    Mode,
    Verdict,
    is_complete,
    judge,
    missing_from,
    plan_pull,
    plan_push,
    to_hash,
)


def entry(content: str | None, path: str = "f", size: int = 10) -> Entry | None:
    return Entry(path, size, 0, 0o644, content) if content else None


def base(content: str | None, version: int = 1) -> Base | None:
    found = entry(content)
    return Base(found, version) if found else None


def record(
    content: str | None, state: State = State.FILE, version: int = 2, path: str = "f", ancestors: tuple[str, ...] = ()
) -> Record | None:
    found = entry(content, path)
    return Record(found, version, "alice", state, ancestors) if found else None


@pytest.mark.parametrize(
    ("remote", "local", "agreed", "verdict"),
    [
        (None, "L", None, Verdict.SEND),
        (None, "L", "B", Verdict.SEND),
        (None, None, None, Verdict.NOTHING),
        (None, None, "B", Verdict.NOTHING),
        ("X", "X", None, Verdict.SAME),
        ("X", "X", "X", Verdict.SAME),
        ("X", "X", "B", Verdict.SAME),
        ("R", None, None, Verdict.FETCH),
        ("R", None, "R", Verdict.FETCH),
        ("R", None, "B", Verdict.FETCH),
        ("R", "L", "L", Verdict.FETCH),
        ("R", "L", "R", Verdict.SEND),
        ("R", "L", "B", Verdict.CONFLICT),
        ("R", "L", None, Verdict.CONFLICT),
    ],
)
def test_judge(remote, local, agreed, verdict):
    assert judge(entry(local), base(agreed), record(remote)) is verdict


@pytest.mark.parametrize(
    ("version", "ancestors", "verdict"),
    [
        (4, ("L",), Verdict.FETCH),
        (5, ("X", "L"), Verdict.FETCH),
        (9, (), Verdict.FETCH),
        (4, ("X",), Verdict.CONFLICT),
        (5, ("X", "Y"), Verdict.CONFLICT),
        (3, ("L",), Verdict.CONFLICT),
        (2, ("L",), Verdict.SEND),
        (0, (), Verdict.FETCH),
    ],
)
def test_what_we_pushed_is_replaced_only_by_somebody_who_had_it(version, ancestors, verdict):
    remote = record("R", version=version, ancestors=ancestors)
    assert judge(entry("L"), base("L", version=3), remote) is verdict


@pytest.mark.parametrize(
    ("local", "agreed", "verdict"),
    [
        ("R", None, Verdict.SEND),
        ("R", "R", Verdict.SEND),
        ("L", "R", Verdict.SEND),
        ("L", "L", Verdict.NOTHING),
        ("L", "B", Verdict.NOTHING),
        ("L", None, Verdict.NOTHING),
        (None, None, Verdict.NOTHING),
        (None, "R", Verdict.NOTHING),
    ],
)
def test_judge_what_somebody_asked_for(local, agreed, verdict):
    assert judge(entry(local), base(agreed), record("R", State.WANTED)) is verdict


def test_an_entry_without_digest_is_never_equal():
    unread = Entry("f", 10, 0)
    assert judge(unread, Base(unread, 1), record("R")) is Verdict.CONFLICT


def local(entries: dict[str, str], bases: dict[str, str] | None = None, **rest) -> Local:
    return Local(
        {path: entry(content, path) for path, content in entries.items()},
        {path: Base(entry(content, path), 1) for path, content in (bases or {}).items()},
        **rest,
    )


def records(**contents: str) -> dict[str, Record]:
    return {path: record(content, path=path) for path, content in contents.items()}


def test_only_changed_files_that_the_relay_knows_are_hashed():
    side = Local({"known": Entry("known", 1, 0), "new": Entry("new", 1, 0), "cached": entry("C", "cached")}, {})
    assert to_hash(side, records(known="K", cached="C")) == ["known"]


def test_pull_fetches_what_updates_offer_and_asks_for_the_rest():
    remote = records(here="H", offered="O", elsewhere="E", both="R")
    update = Update("0", "s", "alice", {path: remote[path] for path in ("offered", "both")})
    plan = plan_pull(local({"here": "H", "both": "L"}), remote, [update], Mode.SHARED)
    assert set(plan.fetch) == {"offered", "both"}
    assert plan.conflicts == {"both"}
    assert [one.path for one in plan.ask] == ["elsewhere"]
    assert [one.path for one in plan.agreed] == ["here"]


@pytest.mark.parametrize("side", [{"untouchable": frozenset({"f"})}, {"excluded": frozenset({"f"})}])
def test_pull_leaves_alone_what_must_not_be_touched(side):
    plan = plan_pull(local({}, **side), records(f="R"), [], Mode.SHARED)
    assert not plan.fetch and not plan.ask


def test_modes_take_away_directions():
    remote = records(f="R")
    update = Update("0", "s", "alice", remote)
    assert not plan_pull(local({}), remote, [update], Mode.UPLOAD).fetch
    assert set(plan_pull(local({}), remote, [update], Mode.CONSERVATIVE).fetch) == {"f"}
    kept = plan_pull(local({"f": "L"}, {"f": "L"}), remote, [update], Mode.CONSERVATIVE)
    assert not kept.fetch and set(kept.blocked) == {"f"}
    assert not plan_push(local({"f": "L"}, {"f": "R"}), remote, Mode.DOWNLOAD, 1 << 30, 1 << 30).entries
    stuck = plan_push(local({"f": "L"}), remote, Mode.UPLOAD, 1 << 30, 1 << 30)
    assert not stuck.entries and set(stuck.stuck) == {"f"}


def test_versions_grow_beyond_both_sides():
    remote = {"f": record("R", version=7)}
    assert plan_push(local({"f": "L"}, {"f": "R"}), remote, Mode.SHARED, 1 << 30, 1 << 30).versions == {"f": 8}


def sized(*sizes: int) -> Local:
    return Local({f"{at}": Entry(f"{at}", size, 0) for at, size in enumerate(sizes)}, {})


@pytest.mark.parametrize(
    ("sizes", "size_max", "room", "chosen"),
    [
        ((10, 10, 10), 1 << 30, 1 << 30, 3),
        ((10, 10, 10), 25 + 2 * MEMBER_OVERHEAD, 1 << 30, 2),
        ((5000, 10), 100, 1 << 30, 1),
        ((5000, 10), 1 << 30, 100, 0),
        ((5000, 10), 100, 6000, 0),
    ],
)
def test_an_update_is_limited_by_its_size_and_by_the_room(sizes, size_max, room, chosen):
    plan = plan_push(sized(*sizes), {}, Mode.SHARED, size_max, room)
    assert len(plan.entries) == chosen
    assert len(plan.entries) + len(plan.left) == len(sizes)


def consumed(*names: str) -> Update:
    return Update("0", "s", "alice", {}, frozenset(names))


@pytest.mark.parametrize(
    ("names", "pullers", "count", "complete"),
    [
        ((), {"alice"}, None, False),
        (("bob",), {"alice", "bob"}, None, True),
        (("bob",), {"alice", "bob", "carol"}, None, False),
        (("bob", "carol"), {"bob", "carol"}, None, True),
        (("bob",), {"alice", "bob", "carol"}, 1, True),
        (("bob",), {"bob"}, 2, False),
    ],
)
def test_when_an_update_may_leave(names, pullers, count, complete):
    assert is_complete(consumed(*names), frozenset(pullers), count) is complete


def test_records_are_written_to_the_index_before_their_update_goes():
    newer = record("N", version=2)
    update = Update("0", "s", "alice", {"f": newer})
    assert missing_from({}, update) == [newer]
    assert missing_from({"f": record("O", version=1)}, update) == [newer]
    assert missing_from({"f": record("N", State.WANTED, version=2)}, update) == []
