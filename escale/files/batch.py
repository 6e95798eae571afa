"""The batch of one pass in the trash, while things are put into it."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from .directories import Directories
from .exchange import Spot
from .kept import Kept
from .tree import PRIVATE, Entry, parent_of

PLACE = f"{PRIVATE}/trash"

BATCHES_MAX = 1000
"""Batches of one pass: more of them would mean that one path was replaced a thousand times in it."""

_FORMAT = "%Y%m%d-%H%M%S-%f"
_FORMAT_LENGTH = len("20261121-140211-000123")


def batch_name(now: float) -> str:
    """The name of the batch that a pass at that time fills."""
    return datetime.fromtimestamp(now, UTC).strftime(_FORMAT)


def batch_time(name: str) -> float | None:
    """When the pass of that batch was, None for what is not the name of a batch."""
    try:
        return datetime.strptime(name[:_FORMAT_LENGTH], _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


class Batch:
    """A context manager; nothing is made before it is needed.

    `changed`: full paths of the directories whose content changed.  `kept`: what the ledger is to remember.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.changed: set[bytes] = set()
        self.kept: list[Kept] = []
        self._name = name
        # Only for us: what lies here may have come from directories that are closed to others.
        self._directories = Directories(root, 0o700)
        self._last = ("", "")
        self._is_made = False

    def spot(self, path: str) -> Spot:
        """A free place for what has this path; good until the next call."""
        if not self._is_made:
            self._directories.open(PLACE, make=True)
            self._is_made = True
        for number in range(1, BATCHES_MAX):
            batch = self._name if number == 1 else f"{self._name}-{number}"
            spot = self._spot_in(batch, path)
            if spot is not None:
                self._last = (batch, path)
                return spot
        raise FileExistsError(errno.EEXIST, "the trash has too many versions of it")

    def note(self, entry: Entry, when: float, cause: str, client: str) -> None:
        """What was expected to be put into the last place has been put there."""
        batch, path = self._last
        self.changed.add(self._directories.full(parent_of(f"{PLACE}/{batch}/{path}")))
        self.changed |= self._directories.changed
        self.kept.append(Kept(batch, path, when, cause, client, entry.size, entry.digest))

    def close(self) -> None:
        self._directories.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _spot_in(self, batch: str, path: str) -> Spot | None:
        """The place in this batch, or None if it has something there, or a file where a directory is needed."""
        try:
            spot = Spot.of(self._directories.open(parent_of(f"{PLACE}/{batch}/{path}"), make=True), path)
        except NotADirectoryError:
            return None
        return None if spot.status() is not None else spot
