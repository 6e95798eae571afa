"""Making directories, and changing permissions of what is there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace

from .exchange import Spot
from .install import put_in_place
from .outcome import Installed, Outcome, attempt
from .site import Site
from .tree import Entry, Kind


@dataclass(frozen=True, slots=True)
class _New:
    """A new directory, as an arrival."""

    mode: int

    def put(self, spot: Spot) -> None:
        # Who dies before the next step leaves what the user would have made himself.
        os.mkdir(spot.name, self.mode, dir_fd=spot.parent)
        _set_mode(spot, self.mode)

    def take_back(self, spot: Spot) -> None:
        os.rmdir(spot.name, dir_fd=spot.parent)


def make(site: Site, entry: Entry, expected: Entry | None, aside: str | None) -> Installed:
    """One directory: a new one, or the permissions of one that is there; else as `put_in_place`."""
    wanted = replace(entry, mode=possible_mode(entry))

    def act() -> Installed:
        place = site.spot(wanted.path, make=True)
        status = place.status()
        if status is None or not stat.S_ISDIR(status.st_mode):
            result = put_in_place(site, _New(wanted.mode), wanted, expected, aside)
            return replace(result, entry=_as_made(site, wanted)) if result.outcome is Outcome.INSTALLED else result
        if refusal := site.other_name(wanted, expected, place):
            return refusal
        if status.st_mode & 0o777 != wanted.mode:
            _set_mode(place, wanted.mode)
            site.changed_itself(wanted.path)
        return Installed(_as_made(site, wanted), Outcome.INSTALLED)

    return attempt(wanted, act)


def change_mode(site: Site, entry: Entry, expected: Entry) -> Installed:
    """The permissions of one file or directory whose content is as it should be."""
    wanted = replace(expected, mode=possible_mode(entry))

    def act() -> Installed:
        place = site.spot(wanted.path)
        status = place.status()
        if status is None:
            return Installed(wanted, Outcome.CHANGED, reason="it was deleted meanwhile")
        if not site.is_as(expected, place, status):
            return Installed(wanted, Outcome.CHANGED, reason="it was changed meanwhile")
        if wanted.kind is not Kind.LINK:
            _set_mode(place, wanted.mode)
            site.changed_itself(wanted.path)
        if wanted.is_file and wanted.digest is not None:
            site.learn(place, wanted, status.st_ino)
        return Installed(_as_made(site, wanted), Outcome.INSTALLED)

    return attempt(wanted, act)


def possible_mode(entry: Entry) -> int:
    """The permissions we give: never such that we could not read a file, or not look into a directory and change it."""
    least = stat.S_IRWXU if entry.kind is Kind.DIRECTORY else stat.S_IRUSR
    return entry.mode & 0o777 | least


def _as_made(site: Site, wanted: Entry) -> Entry:
    """With the permissions that the file system has made of those that were wanted."""
    status = site.spot(wanted.path).status()
    return wanted if status is None or wanted.kind is Kind.LINK else replace(wanted, mode=status.st_mode & 0o777)


def _set_mode(spot: Spot, mode: int) -> None:
    """Of a file or directory; set-user-id and the like, if it has them, stay as they are on directories only."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(spot.name, flags, dir_fd=spot.parent)
    try:
        now = os.fstat(descriptor).st_mode
        special = now & (stat.S_ISGID | stat.S_ISVTX) if stat.S_ISDIR(now) else 0
        os.fchmod(descriptor, mode | special)
    finally:
        os.close(descriptor)
