"""Putting verified files and links into their places without ever destroying what the user has put there.

The plan was made from what a scan saw; by now the user may have saved again.  So each place is compared with what the
plan expects, what is new is put down only where there is nothing, and what is replaced is exchanged and looked at once
more (`escale.files.swap`).  A place that is not as expected is left alone: the next pass plans anew.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from .exchange import Spot, move
from .outcome import Installed, Outcome, attempt
from .site import Site, free_name
from .staging import Staged
from .swap import Arrival, swap
from .tree import Entry, Kind

__all__ = ["Installed", "Outcome", "install", "put_in_place", "remove_empty"]

HOLDS_MORE = "it holds files that are not synchronised"

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A staged file or link, as an arrival."""

    staged: Spot

    def put(self, spot: Spot) -> None:
        move(self.staged, spot)

    def take_back(self, spot: Spot) -> None:
        move(spot, self.staged)


def install(site: Site, staged: Staged, expected: Entry | None, aside: str | None) -> Installed:
    """One file or link, whose content is durable already; else as `put_in_place`.  OSError only if the disk is full."""

    def act() -> Installed:
        result = put_in_place(site, _Arrived(staged.spot), staged.entry, expected, aside)
        if result.outcome is Outcome.INSTALLED and staged.entry.is_file:
            site.learn(site.spot(staged.entry.path), staged.entry, staged.inode)
        return result

    return attempt(staged.entry, act)


def put_in_place(site: Site, arrival: Arrival, wanted: Entry, expected: Entry | None, aside: str | None) -> Installed:
    """Put the arrival where `wanted` belongs; OSError.

    `expected` is what the plan was made from, None for nothing.  `aside` is where to keep the version that is there, in
    the same directory, or None for the trash.
    """
    place = site.spot(wanted.path, make=True)
    before = place.status()
    if before is None:
        if expected is not None and not expected.is_gone:
            return Installed(wanted, Outcome.CHANGED, reason="it was deleted meanwhile")
        arrival.put(place)
        site.touched(wanted.path)
        return Installed(wanted, Outcome.INSTALLED)
    if refusal := site.refusal(wanted, expected, place, before):
        return refusal
    assert expected is not None, wanted.path
    if expected.kind is Kind.DIRECTORY and remove_empty(place):
        arrival.put(place)
        site.touched(wanted.path)
        return Installed(wanted, Outcome.INSTALLED)
    return _replace(site, arrival, wanted, expected, place, before, aside)


def _replace(
    site: Site, arrival: Arrival, wanted: Entry, expected: Entry, place: Spot, before: os.stat_result, aside: str | None
) -> Installed:
    """What is there is as expected, and no empty directory."""
    if aside is None and expected.kind is Kind.DIRECTORY:
        return Installed(wanted, Outcome.CHANGED, reason=HOLDS_MORE)
    keep, kept_as = (site.batch.spot(wanted.path), None) if aside is None else free_name(place, aside)
    if not swap(arrival, place, before, keep):
        return Installed(wanted, Outcome.CHANGED, reason="it was changed meanwhile")
    site.touched(wanted.path)
    if kept_as is None:
        site.kept(expected)
    return Installed(wanted, Outcome.INSTALLED, kept_as)


def remove_empty(place: Spot) -> bool:
    """Remove the directory if it is empty; whether it was."""
    try:
        os.rmdir(place.name, dir_fd=place.parent)
    except OSError as error:
        if error.errno in _NOT_EMPTY:
            return False
        raise
    return True
