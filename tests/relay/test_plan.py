"""The decision table of escale.relay.plan, a test per cell, and what modes and limits make of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from escale.files.tree import Base, Entry, Kind
from escale.relay.budget import MEMBER_OVERHEAD, Room
from escale.relay.index import ANCESTORS_MAX, Record, State, Update, brief
from escale.relay.limit import UploadLimit
from escale.relay.plan import (
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

KINDS = {"dir": Entry.directory("f"), "link": Entry.link("f", "there"), "gone": Entry.gone("f")}


def entry(content: str | None, path: str = "f", size: int = 10) -> Entry | None:
    """A file of this content; or a directory, a link, or nothing any more; None for what never was."""
    if content in KINDS:
        return replace(KINDS[content], path=path)
    return Entry(path, size, 0, 0o644, content) if content else None


def base(content: str | None, version: int = 1) -> Base | None:
    found = entry(content)
    return Base(found, version) if found else None


def record(
    content: str | None,
    state: State = State.CURRENT,
    version: int = 2,
    path: str = "f",
    ancestors: tuple[str, ...] = (),
) -> Record | None:
    found = entry(content, path)
    return Record(found, version, "alice", state, ancestors) if found else None


def descendant(content: str, *ancestors: str, version: int = 2) -> Record:
    """A record made by somebody who had these versions."""
    return Record(entry(content), version, "alice", ancestors=tuple(brief(entry(one)) for one in ancestors))


CELLS = [
    # remote, local, base, verdict: the lines of the table, from its top
    (None, None, None, Verdict.NOTHING),
    (None, "L", None, Verdict.SEND),
    (None, "L", "B", Verdict.SEND),
    (None, "L", "L", Verdict.SEND),
    (None, "L", "gone", Verdict.SEND),
    (None, "gone", "B", Verdict.SEND),
    (None, "gone", "gone", Verdict.NOTHING),
    ("R", None, None, Verdict.FETCH),
    ("dir", None, None, Verdict.FETCH),
    ("link", None, None, Verdict.FETCH),
    ("gone", None, None, Verdict.SAME),
    ("R", "R", None, Verdict.SAME),
    ("R", "R", "R", Verdict.SAME),
    ("R", "R", "B", Verdict.SAME),
    ("R", "R", "gone", Verdict.SAME),
    ("dir", "dir", None, Verdict.SAME),
    ("link", "link", "B", Verdict.SAME),
    ("gone", "gone", "B", Verdict.SAME),
    ("gone", "gone", "gone", Verdict.SAME),
    ("R", "L", "R", Verdict.SEND),
    ("R", "gone", "R", Verdict.SEND),
    ("R", "dir", "R", Verdict.SEND),
    ("gone", "L", "gone", Verdict.SEND),
    ("dir", "L", "dir", Verdict.SEND),
    ("R", "L", "L", Verdict.FETCH),
    ("R", "dir", "dir", Verdict.FETCH),
    ("R", "gone", "gone", Verdict.FETCH),
    ("gone", "L", "L", Verdict.FETCH),
    ("gone", "dir", "dir", Verdict.FETCH),
    ("gone", "L", "B", Verdict.SEND),
    ("gone", "L", None, Verdict.SEND),
    ("R", "gone", "B", Verdict.FETCH),
    ("R", "L", "B", Verdict.CONFLICT),
    ("R", "L", None, Verdict.CONFLICT),
    ("R", "L", "gone", Verdict.CONFLICT),
    ("R", "dir", None, Verdict.CONFLICT),
    ("dir", "L", None, Verdict.CONFLICT),
    ("link", "L", "B", Verdict.CONFLICT),
]


@pytest.mark.parametrize(("remote", "local", "agreed", "verdict"), CELLS)
def test_judge(remote, local, agreed, verdict):
    """Every cell, with a remote version that descends from what was agreed on."""
    there = descendant(remote, agreed) if remote and agreed else record(remote)
    assert judge(entry(local), base(agreed), there) is verdict


def test_what_was_deleted_elsewhere_goes_on_a_machine_that_joins_again():
    assert judge(entry("L"), None, descendant("gone", "L", "older")) is Verdict.FETCH
    assert judge(entry("edited"), None, descendant("gone", "L", "older")) is Verdict.SEND


@pytest.mark.parametrize(
    ("local", "agreed", "remote"),
    [
        ("L", "L", "R"),
        ("gone", "gone", "R"),
        ("L", "L", "gone"),
        ("edited", "L", "R"),
        ("gone", "L", "R"),
        ("gone", "L", "gone"),
        ("R", "L", "R"),
        ("L", "L", "L"),
    ],
)
def test_a_relay_that_went_back_is_told_what_it_has_lost(local, agreed, remote):
    assert judge(entry(local), base(agreed, 5), record(remote, version=4)) is Verdict.SEND


@pytest.mark.parametrize(
    ("version", "ancestors", "verdict"),
    [
        (4, ("L",), Verdict.FETCH),
        (5, ("X", "L"), Verdict.FETCH),
        (12, ("X",) * ANCESTORS_MAX, Verdict.FETCH),
        (9, (), Verdict.CONFLICT),
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


@pytest.mark.parametrize("there", ["gone", "R"])
def test_who_repeats_a_content_gives_way_to_who_replaced_it_at_the_same_time(there):
    answer = record("L", version=3, ancestors=("L", "older"))
    other = record(there, version=3, ancestors=("L", "older"))
    assert max(answer, other, key=Record.precedence) is other
    assert judge(entry("L"), answer.base(), other) is Verdict.FETCH
    edit = record("L", version=3, ancestors=("older",))
    assert judge(entry("L"), edit.base(), other) is not Verdict.FETCH


def test_a_deletion_that_did_not_know_the_edit_loses_against_it():
    assert judge(entry("L"), base("L", 2), descendant("gone", "B")) is Verdict.SEND
    assert judge(entry("gone"), base("gone", 2), descendant("R", "B")) is Verdict.FETCH


@pytest.mark.parametrize(
    ("here", "agreed", "wished", "there", "verdict"),
    [
        (0o600, 0o644, None, (2, 0o644), Verdict.SEND),
        (0o644, 0o644, None, (3, 0o600), Verdict.FETCH),
        (0o755, 0o644, None, (3, 0o600), Verdict.FETCH),
        (0o755, 0o755, 0o600, (2, 0o600), Verdict.SAME),
        (0o755, 0o755, 0o600, (2, 0o640), Verdict.FETCH),
        (0o644, 0o644, None, (2, 0o600), Verdict.FETCH),
        (0o640, 0o644, None, (2, 0o600), Verdict.SEND),
        (0o600, 0o600, None, (1, 0o644), Verdict.SEND),
        (0o600, None, None, (2, 0o644), Verdict.FETCH),
        (0o600, 0o644, None, (3, 0o644), Verdict.SEND),
    ],
    ids=[
        "here",
        "there",
        "both",
        "a file system without them",
        "the same, of another of its version",
        "another of its version",
        "another of its version, and here since",
        "relay went back",
        "never met",
        "here, newer there",
    ],
)
def test_permissions_travel_without_content_and_never_conflict(here, agreed, wished, there, verdict):
    version, mode = there
    known = None if agreed is None else Base(Entry("f", 10, 0, agreed, "X"), 2, wished=wished)
    remote = Record(Entry("f", 10, 0, mode, "X"), version, "alice")
    assert judge(Entry("f", 10, 0, here, "X"), known, remote) is verdict


@pytest.mark.parametrize(
    ("local", "agreed", "verdict"),
    [
        ("R", None, Verdict.SEND),
        ("R", "R", Verdict.SEND),
        ("L", "R", Verdict.SEND),
        ("gone", "R", Verdict.SEND),
        ("L", "L", Verdict.NOTHING),
        ("L", "B", Verdict.SEND),
        ("L", None, Verdict.SEND),
        ("gone", "gone", Verdict.NOTHING),
        ("gone", "B", Verdict.NOTHING),
        (None, None, Verdict.NOTHING),
    ],
)
def test_judge_what_somebody_asked_for(local, agreed, verdict):
    assert judge(entry(local), base(agreed, 1), record("R", State.WANTED)) is verdict


@pytest.mark.parametrize("local", ["L", "gone", "R", "other"])
@pytest.mark.parametrize("agreed", ["L", "gone", "R"])
def test_a_wish_for_what_lost_a_race_is_outrun_by_who_agreed_on_the_other(local, agreed):
    """It may be a wish that nobody can answer: who had that content took ours and gave his another name."""
    assert judge(entry(local), base(agreed, 2), record("R", State.WANTED)) is Verdict.SEND


@pytest.mark.parametrize(
    ("ancestors", "version", "verdict"),
    [
        (("gone", "X"), 3, Verdict.FETCH),
        (("Y", "X"), 3, Verdict.FETCH),
        (("X", "Y"), 3, Verdict.SEND),
        (("Y",), 1, Verdict.SEND),
    ],
    ids=["made again", "edited and edited back", "other permissions", "as agreed"],
)
def test_what_came_back_since_it_was_agreed_on_is_an_edit_that_beats_a_deletion(ancestors, version, verdict):
    """Who died after he deleted it here, and before he noted that, must not delete what was made there since."""
    assert judge(entry("gone"), base("X", 1), descendant("X", *ancestors, version=version)) is verdict
    assert judge(entry("L"), base("X", 1), descendant("X", *ancestors, version=version)) is Verdict.SEND


@pytest.mark.parametrize(
    ("local", "verdict"),
    [("Y", Verdict.FETCH), ("X", Verdict.FETCH), ("W", Verdict.CONFLICT), ("L", Verdict.CONFLICT)],
    ids=["arrived, but was not noted", "as agreed", "an older one on purpose", "an edit"],
)
@pytest.mark.parametrize("remote", ["Z", "gone"])
def test_what_arrived_before_a_death_is_no_edit(local, verdict, remote):
    """GIVEN a base X, before which there was W WHEN the relay went on to Y, and from there to something else THEN Y in
    our place is what the relay had, and loses nothing."""
    known = Base(entry("X"), 2, (brief(entry("W")),))
    there = descendant(remote, "Y", "X", "W", version=6)
    beaten = verdict if remote == "Z" or verdict is Verdict.FETCH else Verdict.SEND
    assert judge(entry(local), known, there) is beaten


@pytest.mark.parametrize(
    ("mode", "remote", "verdict"),
    [
        (0o755, None, Verdict.NOTHING),
        (0o700, None, Verdict.SEND),
        (None, None, Verdict.NOTHING),
        (0o755, descendant("gone"), Verdict.NOTHING),
        (0o755, descendant("gone", "dir"), Verdict.NOTHING),
        (0o755, descendant("gone", "X"), Verdict.NOTHING),
        (0o755, Record(Entry("f", 0, 0, 0o700, kind=Kind.GONE), 2, "alice"), Verdict.FETCH),
        (0o700, descendant("gone", "X"), Verdict.SEND),
        (0o755, descendant("dir"), Verdict.SAME),
    ],
)
def test_judge_a_directory_that_is_here_only_for_a_file(mode, remote, verdict):
    known = Base(Entry.directory("f", 0o755), 0)
    local = Entry.gone("f") if mode is None else Entry.directory("f", mode)
    assert judge(local, known, remote) is verdict


VERSIONS = (None, "X", "Y", "Z", "dir", "gone")


@pytest.mark.parametrize("remote", VERSIONS)
def test_no_cell_takes_away_what_only_this_machine_has(remote):
    """Whatever the combination: content that the remote version does not come from is never given up silently."""
    for local, agreed, number, parents in itertools.product(VERSIONS, VERSIONS, (1, 2, 3), ((), ("X",), ("Y", "X"))):
        mine, known = entry(local), base(agreed, 2)
        there = descendant(remote, *parents, version=number) if remote else None
        verdict = judge(mine, known, there)
        if local in (None, "gone", remote) or verdict is not Verdict.FETCH:
            continue
        assert local in parents, (local, agreed, remote, number, parents)


def test_two_machines_that_have_raced_do_not_both_wait_for_the_other():
    """Whatever two machines made of a common version at once: an edit beats a deletion, two edits survive."""
    for one, other in itertools.product(("X", "Y", "dir", "gone"), repeat=2):
        mine, theirs = descendant(one, "B"), descendant(other, "B")
        current = max(mine, theirs, key=Record.precedence)
        for record_, content in ((mine, one), (theirs, other)):
            verdict = judge(entry(content), record_.base(), current)
            if entry(content).same_content(current.entry):
                assert verdict is Verdict.SAME
            elif content == "gone":
                assert verdict is Verdict.FETCH
            else:
                assert verdict in (Verdict.CONFLICT, Verdict.SEND), (one, other)


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


def test_only_touched_files_that_the_relay_knows_or_knew_are_hashed():
    side = Local({"known": Entry("known", 1, 0), "new": Entry("new", 1, 0), "cached": entry("C", "cached")}, {})
    assert to_hash(side, records(known="K", cached="C")) == ["known"]
    side.entries["forgotten"] = Entry("forgotten", 1, 0)
    side.bases["forgotten"] = Base(entry("F", "forgotten"), 1)
    assert to_hash(side, records(known="K", cached="C")) == ["known", "forgotten"]


def test_pull_fetches_what_updates_offer_and_asks_for_the_rest():
    remote = records(here="H", offered="O", elsewhere="E", both="R")
    update = Update("0", "s", "alice", {path: remote[path] for path in ("offered", "both")})
    plan = plan_pull(local({"here": "H", "both": "L"}), remote, [update], Mode.SHARED)
    assert set(plan.fetch) == {"offered", "both"}
    assert plan.conflicts == {"both"}
    assert [one.path for one in plan.absent] == ["elsewhere"]
    assert [one.path for one in plan.agreed] == ["here"]


@pytest.mark.parametrize("side", [{"untouchable": frozenset({"f"})}, {"excluded": frozenset({"f"})}])
def test_pull_leaves_alone_what_must_not_be_touched(side):
    plan = plan_pull(local({}, **side), records(f="R"), [], Mode.SHARED)
    assert not plan.fetch and not plan.absent


def test_modes_take_away_directions():
    remote = records(f="R")
    update = Update("0", "s", "alice", remote)
    assert not plan_pull(local({}), remote, [update], Mode.UPLOAD).fetch
    assert set(plan_pull(local({}), remote, [update], Mode.CONSERVATIVE).fetch) == {"f"}
    kept = plan_pull(local({"f": "L"}, {"f": "L"}), remote, [update], Mode.CONSERVATIVE)
    assert not kept.fetch and set(kept.blocked) == {"f"}
    assert not plan_push(local({"f": "L"}, {"f": "R"}), remote, "bob", Mode.DOWNLOAD, UploadLimit(), Room()).entries
    stuck = plan_push(local({"f": "L"}), remote, "bob", Mode.UPLOAD, UploadLimit(), Room())
    assert not stuck.entries and set(stuck.stuck) == {"f"}


def test_versions_grow_beyond_both_sides():
    remote = {"f": record("R", version=7)}
    plan = plan_push(local({"f": "L"}, {"f": "R"}), remote, "bob", Mode.SHARED, UploadLimit(), Room())
    assert plan.records["f"].version == 8


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
    plan = plan_push(sized(*sizes), {}, "bob", Mode.SHARED, UploadLimit(size_max), Room(room))
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
    assert is_complete(consumed(*names), frozenset(pullers), count, frozenset()) is complete


def test_records_are_written_to_the_index_before_their_update_goes():
    newer = record("N", version=2)
    update = Update("0", "s", "alice", {"f": newer})
    assert missing_from({}, update) == [newer]
    assert missing_from({"f": record("O", version=1)}, update) == [newer]
    assert missing_from({"f": record("N", State.WANTED, version=2)}, update) == []


def test_an_update_waits_for_who_asked_and_is_there():
    update = Update("0", "s", "alice", {}, frozenset({"bob"}), asked=frozenset({"dave", "alice"}))
    counted = frozenset({"alice", "bob"})
    assert not is_complete(update, counted, None, frozenset({"dave"}))
    assert not is_complete(update, counted, 1, frozenset({"dave"}))
    assert is_complete(update, counted, None, frozenset())
    assert is_complete(update.consumed_by("dave"), counted, None, frozenset({"dave"}))


def test_a_content_that_came_back_is_another_version_than_the_one_that_went():
    """L, then X, then L again here; meanwhile somebody who had seen the first two only wrote Y."""
    mine, gone, ancestors = entry("L"), brief(entry("X")), (brief(entry("X")), brief(entry("L")))
    agreed = Base(mine, 3, ancestors)
    unseen = Record(entry("Y"), 4, "ben", ancestors=(gone, brief(mine)))
    seen = Record(entry("Y"), 4, "ben", ancestors=(brief(mine), gone))
    assert judge(mine, agreed, unseen) is Verdict.CONFLICT
    assert judge(mine, agreed, seen) is Verdict.FETCH


@pytest.mark.parametrize(("before", "modes"), [("dir", (0o711, 0o755)), ("L", (0, 0))])
def test_what_is_gone_keeps_the_permissions_of_a_directory(before, modes):
    """Those that the relay knows, and else those that were agreed on; what a file had is nobody's business any more."""
    mine = Local({}, {"f": base(before, 2)}, deletes=True)
    known = {"f": Record(replace(entry(before), mode=0o711), 2, "alice")}
    plans = [plan_push(mine, remote, "bob", Mode.SHARED, UploadLimit(), Room()) for remote in (known, {})]
    assert tuple(note.entry.mode for plan in plans for note in plan.notes) == modes
