"""Putting one thing in the place of another that is kept, with no moment in which either could be lost.

What arrives is first put where the old version is to be kept, then both are exchanged in one step.  Whatever the
exchange took away lies in the trash (or under its conflict name) from that very moment, also if it is something the
user saved an instant ago and also if we die now; the place of what arrives holds nothing but what arrives, so that it
may be swept after a crash without a look.

Where the file system cannot exchange, the old version is moved away first.  A crash then leaves a path that is missing
here and newer there: it is fetched.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol

from .exchange import Spot, exchange, move, take


class Arrival(Protocol):
    """Something new that can be put into a free place, and be taken back from there."""

    def put(self, spot: Spot) -> None:
        """FileExistsError if the place is not free."""
        ...

    def take_back(self, spot: Spot) -> None:
        """Undo `put`."""
        ...


def swap(arrival: Arrival, place: Spot, before: os.stat_result, keep: Spot) -> bool:
    """Put the arrival in the place of what had the status `before`, which goes to the free spot `keep`.

    False if something else lies there now: then that stays.  FileNotFoundError if it is gone.
    """
    arrival.put(keep)
    ours = keep.status()
    try:
        is_exchanged = exchange(keep, place)
    except OSError:
        arrival.take_back(keep)
        raise
    if not is_exchanged:
        arrival.take_back(keep)
        return _swap_in_steps(arrival, place, before, keep)
    if is_same(keep.status(), before):
        return True
    _swap_back(place, keep)
    if ours is not None and is_same(keep.status(), ours):
        arrival.take_back(keep)
    return False


def take_away(place: Spot, before: os.stat_result, keep: Spot) -> bool:
    """Move what had the status `before` to the free spot `keep`; False if something else lies there now, which stays.

    FileNotFoundError if it is gone.
    """
    take(place, keep)
    if is_same(keep.status(), before):
        return True
    # If the user has made yet another one, theirs is the newest, and this one stays where it is kept.
    with suppress(FileExistsError):
        move(keep, place)
    return False


def is_same(now: os.stat_result | None, before: os.stat_result) -> bool:
    """Whether it is the same thing, unchanged; without the ctime, which renaming changes."""
    return now is not None and (now.st_ino, now.st_size, now.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )


def _swap_in_steps(arrival: Arrival, place: Spot, before: os.stat_result, keep: Spot) -> bool:
    if not take_away(place, before, keep):
        return False
    arrival.put(place)
    return True


def _swap_back(place: Spot, keep: Spot) -> None:
    try:
        exchange(keep, place)
    except FileNotFoundError:  # The user deletes what we have just put there.
        with suppress(FileExistsError):
            move(keep, place)
