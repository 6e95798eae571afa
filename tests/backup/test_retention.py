"""Retention: what stays by rules that a user can say aloud; each machine's folders are counted by themselves."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from escale.backup.retention import FOREVER, Keep, kept
from escale.backup.snapshot import Snapshot

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)


def version(when: datetime, host: str = "anvil", paths: tuple[str, ...] = ("/home",)) -> Snapshot:
    name = hashlib.sha256(f"{when} {host} {paths}".encode()).hexdigest()
    return Snapshot("00" * 32, round(when.timestamp()) * 10**9, paths, host, id=name)


def days(count: int) -> list[Snapshot]:
    """One a day, the newest first."""
    return [version(NOON - timedelta(days=number)) for number in range(count)]


def stays(snapshots: list[Snapshot], keep: Keep) -> list[int]:
    """The places of those that stay."""
    reasons = kept(snapshots, keep)
    return [place for place, snapshot in enumerate(snapshots) if snapshot.id in reasons]


def test_the_last_ones():
    assert stays(days(10), Keep(last=3)) == [0, 1, 2]


def test_one_of_each_day_and_it_is_the_last_one():
    hours = [version(NOON - timedelta(hours=number)) for number in range(60)]
    assert stays(hours, Keep(daily=2)) == [0, 13]
    assert stays(hours, Keep(hourly=4)) == [0, 1, 2, 3]


def test_periods_without_a_version_do_not_count():
    sparse = [version(NOON - timedelta(days=number)) for number in (0, 1, 40, 400)]
    assert stays(sparse, Keep(daily=4)) == [0, 1, 2, 3]
    assert stays(sparse, Keep(monthly=2)) == [0, 2]
    assert stays(sparse, Keep(yearly=5)) == [0, 3]


def test_weeks_begin_on_monday_also_at_the_turn_of_the_year():
    sunday, monday = datetime(2027, 1, 3, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)
    thursday = datetime(2026, 12, 31, tzinfo=UTC)
    assert stays([version(monday), version(sunday), version(thursday)], Keep(weekly=5)) == [0, 1]


def test_within_counts_from_the_newest():
    """Not from now: a machine that was off for a year keeps what it has."""
    assert stays(days(10), Keep(within_s=3 * 86400.0)) == [0, 1, 2]


def test_rules_add_up_and_say_why():
    found = kept(days(400), Keep(last=1, daily=3, monthly=FOREVER))
    assert len(found) == 3 + 13
    assert found[days(1)[0].id] == ("last", "daily", "monthly")


def test_an_empty_rule_keeps_everything():
    assert len(kept(days(5), Keep())) == 5


def test_machines_and_folders_are_counted_by_themselves():
    snapshots = [
        version(NOON),
        version(NOON - timedelta(days=1)),
        version(NOON, "forge"),
        version(NOON, "anvil", ("/home", "/etc")),
        version(NOON - timedelta(days=2), "anvil", ("/etc", "/home")),
    ]
    assert stays(snapshots, Keep(last=1)) == [0, 2, 3]


@given(
    st.lists(st.integers(0, 20_000), unique=True, max_size=40),
    st.builds(Keep, *[st.integers(-1, 5) for _ in range(6)], within_s=st.sampled_from([0.0, 3600.0, 86400.0 * 40])),
)
def test_the_newest_stays_whatever_the_rule_and_more_rules_keep_more(hours, keep):
    snapshots = [version(NOON - timedelta(hours=number)) for number in hours]
    reasons = kept(snapshots, keep)
    if snapshots:
        newest = max(snapshots, key=lambda snapshot: snapshot.time_ns)
        assert newest.id in reasons or keep.is_empty
    more = Keep(keep.last, keep.hourly, FOREVER, keep.weekly, keep.monthly, keep.yearly, keep.within_s)
    assert keep.is_empty or reasons.keys() <= kept(snapshots, more).keys()


@given(st.lists(st.integers(0, 20_000), unique=True, min_size=1, max_size=40), st.integers(1, 6))
def test_forgetting_day_by_day_keeps_what_forgetting_at_once_does(hours, count):
    """What a rule keeps of the rest is what it keeps of all."""
    snapshots = [version(NOON - timedelta(hours=number)) for number in hours]
    keep = Keep(daily=count, weekly=count)
    once = kept(snapshots, keep)
    again = kept([snapshot for snapshot in snapshots if snapshot.id in once], keep)
    assert once.keys() == again.keys()
