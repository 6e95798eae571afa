"""What became of one path that a pass wanted to change."""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable
from dataclasses import dataclass

from .tree import Entry
from .trouble import explanation, is_disk_full

REFUSED_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""How file systems refuse a name they cannot store."""


class Outcome(enum.Enum):
    """What became of one path."""

    INSTALLED = "installed"
    """It is as the entry says."""

    CHANGED = "changed"
    """The place is not as the plan expects; it was left as it is."""

    BLOCKED = "blocked"
    """Something else is in the way, or the system refused."""

    IMPOSSIBLE = "impossible"
    """The file system cannot store that name, or takes it for another one."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The outcome for one path.

    `entry` is what was wanted, with the permissions that could be given.  `kept_as` is the path that the user's own
    version has now, if it was put aside; `reason` says in words why the path is not as wanted.
    """

    entry: Entry
    outcome: Outcome
    kept_as: str | None = None
    reason: str = ""


def attempt(entry: Entry, act: Callable[[], Installed]) -> Installed:
    """What the act gives, or the outcome that its OSError means; a full disk is a matter of the whole folder."""
    try:
        return act()
    except FileNotFoundError:
        return Installed(entry, Outcome.CHANGED, reason="it was deleted meanwhile")
    except FileExistsError:
        return Installed(entry, Outcome.CHANGED, reason="something was made there meanwhile")
    except OSError as error:
        if is_disk_full(error):
            raise
        outcome = Outcome.IMPOSSIBLE if error.errno in REFUSED_NAMES else Outcome.BLOCKED
        return Installed(entry, outcome, reason=explanation(error))
