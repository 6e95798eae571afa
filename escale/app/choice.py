"""Choosing former versions: which copy of each path is the one that was there at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .shelf import Copy


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in the history of a folder: a Unix time, or a batch of the trash; neither for the latest."""

    time: float | None = None
    batch: str | None = None


LATEST = Moment()


def choose(copies: Iterable[Copy], moment: Moment) -> list[Copy]:
    """One copy of each path: what the folder had under it at that moment, in the order of the paths.

    A copy was in the folder until its time; so it is the first one that was put away at the moment or later.  Where
    there is none, nothing was put away since, and the folder itself has what it had then.  A version that only another
    client had is the latest only where there is no other.
    """
    chosen: dict[str, Copy] = {}
    for copy in sorted(copies, key=lambda copy: (copy.was_here, copy.when, copy.place)):
        if moment.batch is not None:
            if copy.place == moment.batch:
                chosen[copy.path] = copy
        elif moment.time is None:
            chosen[copy.path] = copy
        elif copy.was_here and copy.when >= moment.time:
            chosen.setdefault(copy.path, copy)
    return [chosen[path] for path in sorted(chosen)]


@dataclass(frozen=True, slots=True)
class Shelved:
    """What was put away at one time: a day, or one batch."""

    name: str
    shelf: str
    batches: int
    files: int
    bytes: int


def summed(copies: Sequence[Copy], names: Sequence[str]) -> list[Shelved]:
    """The copies counted by the names given to them, one for each, and by shelf; the newest last."""
    groups: dict[tuple[str, str], list[Copy]] = {}
    for copy, name in zip(copies, names, strict=True):
        groups.setdefault((name, copy.shelf), []).append(copy)
    return [
        Shelved(name, shelf, len({one.when for one in group}), len(group), sum(one.size for one in group))
        for (name, shelf), group in sorted(groups.items())
    ]
