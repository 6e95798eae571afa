"""Record: what this machine remembers of a backup section, between runs and for everybody who asks.

The versions themselves are in the store; this says when was what, without asking it.  Losing it costs nothing but a
look at the store.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import LocalError
from ..files.durable import sync

FEW = 20
"""Files: fewer than that come and go."""

SHRUNK = 0.5
"""Of the files of the version before: who deletes half of all files wants to be asked."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A trial of restoring: `time` in Unix seconds, and how much of how many versions; `failed` of the files were not
    what they should have been."""

    time: float
    files: int
    bytes: int
    versions: int
    failed: int


@dataclass(frozen=True, slots=True)
class Record:
    """`begun` and `ended`: Unix times of the last run that saved `version`; `versions`: how many there were then.

    `unread`: what that version lacks; `tidied`: when old versions were let go last.  `files`: how many are in it;
    `files_usual`: in the last one that did not suddenly have much less than the one before.  `repository`: the id of
    the repository, `key` the name of the key file that opened it, "" as long as none was seen.
    """

    repository: str = ""
    version: str = ""
    begun: float | None = None
    ended: float | None = None
    versions: int = 0
    unread: int = 0
    tidied: float | None = None
    files: int = 0
    files_usual: int = 0
    rehearsal: Rehearsal | None = None
    key: str = ""

    @property
    def has_shrunk(self) -> bool:
        """Whether the newest version has so much less than usual that a disk may have been missing."""
        return self.files_usual >= FEW and self.files < self.files_usual * SHRUNK

    @classmethod
    def read(cls, path: Path) -> Self:
        """What is remembered; nothing where there is no record, or one that cannot be understood."""
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            rehearsal = Rehearsal(**values.pop("rehearsal")) if values.get("rehearsal") else None
            return cls(**{**values, "rehearsal": rehearsal})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace what is remembered, durably; LocalError if the directory does not allow it."""
        temporary = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
            sync([os.fsencode(temporary)])
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise LocalError(path=path, reason=error.strerror or str(error)) from error
