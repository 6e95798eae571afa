"""Forget: versions that no rule keeps are taken away; their bytes go later, by `prune`.

Deciding is pure, and asks for consent where much would go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import UserError
from .heads import Heads
from .objects import Kind
from .repository import Repository
from .retention import Keep, kept
from .snapshot import Snapshot

SHARE_MAX = 0.5
"""Of all versions of a machine's folders, and"""

FEW = 10
"""more than so many of them at once: a rule that was changed by mistake takes that, one day's work of a rule never."""


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


def plan_forget(snapshots: Iterable[Snapshot], keep: Keep) -> Forgetting:
    """Which of these versions go by these rules."""
    found = sorted(snapshots, key=lambda snapshot: (snapshot.time_ns, snapshot.id))
    reasons = kept(found, keep)
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
