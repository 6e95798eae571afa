"""Retention: which versions stay, by rules a user can say aloud.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .snapshot import Snapshot

FOREVER = -1
"""As a count: one of each period, however many there are."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How many to keep: the `last` ones, and the last one of each of so many hours, days, weeks ... that have any.

    `within_s`: all that are younger than so many seconds before the newest.  A rule that keeps nothing at all keeps
    everything: nobody deletes all versions by an empty setting.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within_s: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no rule is there."""
        return self == Keep()


_PERIODS: tuple[tuple[str, Callable[[datetime], object]], ...] = (
    ("hourly", lambda when: (when.date(), when.hour)),
    ("daily", lambda when: when.date()),
    ("weekly", lambda when: when.isocalendar()[:2]),
    ("monthly", lambda when: (when.year, when.month)),
    ("yearly", lambda when: when.year),
)


def kept(
    snapshots: Iterable[Snapshot], keep: Keep, trusted: Mapping[str, int] | None = None
) -> Mapping[str, tuple[str, ...]]:
    """The versions that stay, by id, and why.  Each machine's set of paths is counted by itself, as restic counts.

    `trusted`: which versions are what they say to be, and the time in nanoseconds that counts for each; None for all,
    and what they say.  The others are counted by themselves: they cannot take the place of these.
    """
    groups: dict[tuple[str, tuple[str, ...], bool], list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        time_ns = snapshot.time_ns if trusted is None else trusted.get(snapshot.id)
        place = (snapshot.hostname, tuple(sorted(snapshot.paths)), time_ns is not None)
        groups[place].append(snapshot if time_ns is None else replace(snapshot, time_ns=time_ns))
    reasons: dict[str, tuple[str, ...]] = {}
    for group in groups.values():
        reasons |= _kept_of(sorted(group, key=lambda one: (one.time_ns, one.id), reverse=True), keep)
    return reasons


def _kept_of(newest_first: list[Snapshot], keep: Keep) -> dict[str, tuple[str, ...]]:
    if keep.is_empty:
        return {snapshot.id: ("no rule",) for snapshot in newest_first}
    left = {name: getattr(keep, name) for name, _ in _PERIODS}
    seen: dict[str, object] = {}
    reasons: dict[str, tuple[str, ...]] = {}
    for place, snapshot in enumerate(newest_first):
        why = ["last"] if place < keep.last or keep.last == FOREVER else []
        when = datetime.fromtimestamp(snapshot.time_ns // 10**9, UTC)
        for name, period in _PERIODS:
            if left[name] and seen.get(name) != period(when):
                seen[name] = period(when)
                left[name] -= 1
                why.append(name)
        if newest_first[0].time_ns - snapshot.time_ns < keep.within_s * 1e9:
            why.append("within")
        if why:
            reasons[snapshot.id] = tuple(why)
    return reasons
