"""Forget: versions that no rule keeps are taken away; their bytes go later, by `prune`.

Deciding is pure, and asks for consent where much would go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import UserError
from .heads import Head, Heads, first_hosts, unsigned
from .objects import Kind
from .repository import Repository
from .retention import Keep, kept
from .snapshot import Snapshot

SHARE_MAX = 0.5
"""Of all versions of a machine's folders, and"""

FEW = 10
"""more than so many of them at once: a rule that was changed by mistake takes that, one day's work of a rule never."""


CLOCKS_S = 600.0
"""A version bears the time at which its run began; so much later may that be than the store's time at the end of it."""

RUN_S = 86400.0
"""And so much earlier: only a first run takes longer.  What was copied to another store has the times of the copy, and
those mean nothing."""


class TooManyVersions(UserError):
    """{count} of {of} versions would go, and only {left} stay"""

    code = "B441"
    exit_code = 3
    advice = "Nothing was changed. If that is what you want:    escalectl backup prune SECTION --yes"


@dataclass(frozen=True, slots=True)
class Forgetting:
    """`kept`: ids of the versions that stay, and why; `gone`: those that go, the oldest first."""

    kept: Mapping[str, tuple[str, ...]]
    gone: tuple[Snapshot, ...]

    @property
    def is_much(self) -> bool:
        """Whether nobody should do this without having been asked."""
        return bool(self.gone) and (not self.kept or len(self.gone) > max(FEW, SHARE_MAX * self.count))

    @property
    def count(self) -> int:
        """Of all versions that were looked at."""
        return len(self.gone) + len(self.kept)


def trusted(repository: Repository, snapshots: Iterable[Snapshot], heads: Heads | None) -> dict[str, int]:
    """The versions that a client known here signed for its own machine, with the time at which the store received each,
    in nanoseconds; without those that say to be of quite another time.  `snapshots` as they were read last.

    Whoever has the repository's key can write a version of any machine and any day; but not when it is received.  Where
    nobody signs, or the store tells no times, that much is not known.
    """
    snapshots = [*snapshots]
    strange = {one.id for one in unsigned(_known(heads), snapshots)} if heads is not None else set()
    times = {}
    for snapshot in snapshots:
        mtime = repository.received.get(snapshot.id)
        time = snapshot.time_ns / 1e9 if mtime is None else mtime
        if snapshot.id not in strange and -CLOCKS_S <= time - snapshot.time_ns / 1e9 <= RUN_S:
            times[snapshot.id] = snapshot.time_ns if mtime is None else round(mtime * 1e9)
    return times


def _known(heads: Heads) -> list[Head]:
    found = heads.read()[0]
    first = first_hosts(found)
    return [
        head
        for head in found
        if head.client == heads.client or (heads.is_known(head.client) and first[head.client] == head.hostname)
    ]


def plan_forget(snapshots: Iterable[Snapshot], keep: Keep, trusted: Mapping[str, int] | None = None) -> Forgetting:
    """Which of these versions go by these rules; `trusted` as of `kept`."""
    found = sorted(snapshots, key=lambda snapshot: (snapshot.time_ns, snapshot.id))
    reasons = kept(found, keep, trusted)
    return Forgetting(reasons, tuple(snapshot for snapshot in found if snapshot.id not in reasons))


def forget(repository: Repository, plan: Forgetting, heads: Heads | None = None, *, is_approved: bool = False) -> None:
    """Carry it out; TooManyVersions if it takes much and nobody approved.

    That they were forgotten is signed before the first one goes, so that one that is gone without it was taken by
    somebody else.
    """
    if plan.is_much and not is_approved:
        raise TooManyVersions(count=len(plan.gone), of=plan.count, left=len(plan.kept))
    if plan.gone and heads is not None:
        heads.forgot([snapshot.id for snapshot in plan.gone])
    for snapshot in plan.gone:
        repository.objects.delete(Kind.SNAPSHOT, snapshot.id)
