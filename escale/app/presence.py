"""Presence: the proof that the folder is the folder, and not the empty place where its disk is mounted.

A marker lies in the folder's private directory from the first pass on, and says something else in each folder.  When it
is missing, or another one, the section stops: what is not there was not deleted by anybody.  A client that was away for
longer than deletions are remembered stops likewise, because it would bring back what the others have deleted.  Both go
on when the user has said what is right (adopt).
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import LocalError
from ..files.folder import Folder
from ..files.ledger import Ledger

ADOPT_RELAY = "relay"
"""The relay is right: what is missing here is fetched, what the relay has forgotten goes to the trash."""

ADOPT_LOCAL = "local"
"""The folder is right as it is: what is missing was deleted."""

IN_STEP_EVERY_S = 3600.0
"""How exactly the time of the last pass is remembered: a write to the ledger for each would cost more than it tells."""


class FolderGone(LocalError):
    """the folder {path} was there before and is gone"""

    code = "L110"
    exit_code = 5
    advice = "If its disk is not mounted, mount it. Until then nothing is sent, received or deleted."


class MarkerGone(LocalError):
    """the folder {path} has lost its marker, .escale/folder"""

    code = "L110"
    exit_code = 5
    advice = (
        "If its disk is not mounted, mount it; escale goes on by itself. If it is a new disk or you have emptied the"
        " folder: escalectl sync SECTION --adopt relay (fetches what is missing), or --adopt local (what is missing was"
        " deleted). Until then nothing is sent, received or deleted."
    )


class MarkerChanged(MarkerGone):
    """the folder {path} has the marker of another one, .escale/folder"""


class AwayTooLong(LocalError):
    """the folder {path} was last in step {days} days ago, longer than deletions are remembered ({memory} days)"""

    code = "L116"
    exit_code = 5
    advice = (
        "It may hold files that the others have deleted. escalectl sync SECTION --adopt relay: those go to the trash;"
        " --adopt local: they are sent again. Files that were edited here are kept in any case."
    )


class Presence:
    """Looks for the marker before and after each scan; remembers the time of the last pass."""

    def __init__(self, folder: Folder, ledger: Ledger, unique: Callable[[], str]) -> None:
        self._folder = folder
        self._ledger = ledger
        self._unique = unique

    @property
    def adopting(self) -> str | None:
        """ADOPT_RELAY or ADOPT_LOCAL while the user's word waits for the end of a pass."""
        return self._ledger.meta("adopt")

    @property
    def is_another(self) -> bool:
        """Whether this is not the folder that was agreed on, as its marker says."""
        return self._folder.identity() != self._ledger.meta("folder")

    def begin(self) -> None:
        """Make folder and marker at the first start, and where the user has said what is right.

        Each marker is one of its own.  Who dies before the ledger knows it, and starts again while the disk is away,
        marks the empty place; when the disk is back they are told apart.
        """
        known = self._ledger.meta("folder")
        may_make = self.adopting is not None or (known is None and not self._ledger.bases())
        if not self._folder.exists():
            if not may_make:
                raise FolderGone(path=self._folder.root)
            self._folder.make_root()
        if known is not None and not self.adopting:
            return
        if may_make and not self._folder.is_marked():
            self._folder.mark(self._unique())
        found = self._folder.identity()
        if found is not None and not self.adopting:
            self._ledger.set_meta("folder", found)

    def check(self, now: float, memory_s: float) -> None:
        """FolderGone, MarkerGone, MarkerChanged, AwayTooLong; `memory_s`: how long deletions are remembered."""
        if self.adopting:
            self.begin()
        if not self._folder.exists():
            raise FolderGone(path=self._folder.root)
        if not self._folder.is_marked():
            raise MarkerGone(path=self._folder.root)
        if self.is_another and not self.adopting:
            raise MarkerChanged(path=self._folder.root)
        last = self._ledger.meta("in step")
        if last is not None and now - float(last) > memory_s and not self.adopting:
            days, memory = round((now - float(last)) / 86400), round(memory_s / 86400)
            raise AwayTooLong(path=self._folder.root, days=days, memory=memory)

    def passed(self, now: float, adopted: str | None) -> None:
        """A pass has ended well; `adopted`: the word of the user that it has carried out."""
        last = self._ledger.meta("in step")
        if last is None or abs(now - float(last)) >= IN_STEP_EVERY_S:
            self._ledger.set_meta("in step", repr(now))
        if adopted is not None and adopted == self.adopting:
            self._ledger.set_meta("folder", self._folder.identity())
            self._ledger.set_meta("adopt", None)
