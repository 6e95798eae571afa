"""What is known about a running escale, as values: per section, per file that waits, and the status file.

The status file is what is left to read when no process answers.  It is replaced as a whole, and it carries the time of
its own writing, so that a reader can say how old it is instead of showing yesterday's state as today's.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ..errors import LocalError

SCHEMA = 1
"""Grows when a field of the JSON form changes its meaning; new fields do not count."""


class SectionState(enum.StrEnum):
    """One word for a section; the value is what the user reads."""

    STARTING = "starting"
    IN_STEP = "in step"
    SENDING = "sending"
    RECEIVING = "receiving"
    WAITING = "waiting"
    HELD = "held"
    ERROR = "error"
    OFF = "off"

    @property
    def short(self) -> str:
        """The word for prompts and status bars."""
        return _SHORT.get(self, self.value)


_SHORT = {SectionState.IN_STEP: "ok", SectionState.WAITING: "late"}


class Reason(enum.StrEnum):
    """Why a file is not there yet; the words are fixed, scripts rely on them."""

    QUEUE = "queue"
    CHANGING = "changing"
    QUOTA = "quota"
    PEER = "peer"
    LOCK = "lock"
    RELAY = "relay"
    NAME = "name"
    BIG = "big"
    PERMISSION = "permission"
    ERROR = "error"
    HELD = "held"
    CONFLICT = "conflict"
    EXCLUDED = "excluded"

    @property
    def meaning(self) -> str:
        """The word in a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Reason.QUEUE: "goes with the next pass",
    Reason.CHANGING: "is still being written",
    Reason.QUOTA: "the relay has no room until others have received what lies there",
    Reason.PEER: "its page was not yet received by everybody",
    Reason.LOCK: "another client holds the lock of its page",
    Reason.RELAY: "the relay cannot be reached",
    Reason.NAME: "its name is impossible or collides on another machine",
    Reason.BIG: "is larger than allowed",
    Reason.PERMISSION: "cannot be read or written here",
    Reason.ERROR: "the last attempt failed",
    Reason.HELD: "was deleted here, and waits for escalectl approve",
    Reason.CONFLICT: "a conflict copy that nobody has settled",
    Reason.EXCLUDED: "a rule leaves it out",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much waits: a number of files and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Need:
    """Something only the user can do, and what to type for it."""

    sentence: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """What a backup section has: how many versions are in its store, and Unix times: of the newest version, of the next
    run, and of the last rehearsal; None where there is none."""

    versions: int = 0
    newest: float | None = None
    next_run: float | None = None
    rehearsed: float | None = None


@dataclass(frozen=True, slots=True)
class SectionStatus:
    """One section at one moment; "starting" until the pass that was asked for last has ended.

    `relay_used` and `relay_quota` in bytes, None where unknown or unlimited.  `last_pass`: Unix time at which the last
    complete pass ended, None before the first.  `received_by` and `awaited` name the pullers who have, and who have
    not, the updates that lie on the relay.  `backup` is None for a section that
    keeps a folder in step.
    """

    section: str
    state: SectionState = SectionState.STARTING
    to_send: Amount = Amount()
    to_receive: Amount = Amount()
    relay_used: int | None = None
    relay_quota: int | None = None
    last_pass: float | None = None
    received_by: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    backup: BackupStatus | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `asdict`; KeyError, TypeError or ValueError for something else."""
        return cls(
            **{
                **values,
                "state": SectionState(values["state"]),
                "to_send": Amount(**values["to_send"]),
                "to_receive": Amount(**values["to_receive"]),
                "received_by": tuple(values["received_by"]),
                "awaited": tuple(values["awaited"]),
                "needs": tuple(Need(**need) for need in values["needs"]),
                "backup": BackupStatus(**values["backup"]) if values.get("backup") else None,
            }
        )


@dataclass(frozen=True, slots=True)
class PendingFile:
    """One file that is not where it should be.

    `since`: Unix time from which this reason has held, None if unknown.  `size` in bytes.  `message` says for whom or
    what it waits.
    """

    path: str
    page: str
    reason: Reason
    since: float | None
    size: int
    message: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `asdict`; KeyError, TypeError or ValueError for something else."""
        return cls(**{**values, "reason": Reason(values["reason"])})


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass has done; counts are of files, `problems` of failed steps.

    `exit_code` is what `--once` would end with for this section alone.  `settles_in_s`: after so many seconds files
    that were left out because they had just been changed can be sent; 0 if there are none.
    """

    up_files: int = 0
    down_files: int = 0
    skipped: int = 0
    conflicts: int = 0
    waiting: int = 0
    problems: int = 0
    exit_code: int = 0
    settles_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The whole process: who it is, since when, and its sections.  `time` and `started` are Unix times."""

    version: str
    config: str
    host: str
    pid: int
    time: float
    started: float
    refresh_s: float
    sections: tuple[SectionStatus, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The JSON object, `schema` first."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """From `as_json`; ValueError if it is not one of ours."""
        try:
            if values["schema"] != SCHEMA:
                raise ValueError(f"schema {values['schema']} is not known here")
            rest = {key: value for key, value in values.items() if key != "schema"}
            sections = tuple(SectionStatus.from_json(section) for section in values["sections"])
            return cls(**{**rest, "sections": sections, "problems": tuple(values["problems"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a status of escale: {error}") from error


def write_status(path: Path, status: ServiceStatus) -> None:
    """Replace the status file at once; LocalError if the directory does not allow it."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(json.dumps(status.as_json(), indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise LocalError(path=path, reason=error.strerror or str(error)) from error


def read_status(path: Path) -> ServiceStatus | None:
    """The last state that was written, or None if there is none or it cannot be understood."""
    try:
        return ServiceStatus.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
