"""Taking out of the folder what others have deleted: into the trash, and nothing but what was expected."""

from __future__ import annotations

from .exchange import Spot
from .install import HOLDS_MORE, remove_empty
from .outcome import Installed, Outcome, attempt
from .site import Site
from .swap import take_away
from .tree import Entry, Kind


def remove(site: Site, entry: Entry) -> Installed:
    """What is expected to be there; that it is gone already is as good.  OSError only if the disk is full."""
    return attempt(entry, lambda: _remove(site, entry))


def _remove(site: Site, entry: Entry) -> Installed:
    place = _place(site, entry.path)
    before = place.status() if place else None
    if place is None or before is None:
        return Installed(entry, Outcome.INSTALLED)
    if not site.is_as(entry, place, before):
        return Installed(entry, Outcome.CHANGED, reason="it was changed meanwhile")
    if entry.kind is Kind.DIRECTORY:
        if not remove_empty(place):
            return Installed(entry, Outcome.CHANGED, reason=HOLDS_MORE)
        site.vanished(entry.path)
    elif take_away(place, before, site.batch.spot(entry.path)):
        site.kept(entry)
    else:
        return Installed(entry, Outcome.CHANGED, reason="it was changed meanwhile")
    site.touched(entry.path)
    return Installed(entry, Outcome.INSTALLED)


def _place(site: Site, path: str) -> Spot | None:
    """None if its directory is gone too, or something else by now."""
    try:
        return site.spot(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
