"""What happens during a pass, as values: the loop reports them, screens, logs and `--json` render them.

Each event knows its `type`, the word that `--json` prints; the field names are those of the JSON objects.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling about one section."""

    type: ClassVar[str] = "event"
    section: str

    def as_json(self) -> dict[str, Any]:
        """The JSON object: `type` first, then the fields that are set."""
        return {"type": self.type, **{key: value for key, value in asdict(self).items() if value is not None}}


@dataclass(frozen=True, slots=True)
class PassBegan(Event):
    """One look at the folder and the relay begins."""

    type: ClassVar[str] = "pass"
    time: float
    state: str = "begin"


@dataclass(frozen=True, slots=True)
class PassEnded(Event):
    """It is over; counts are of files, `seconds` of monotonic time."""

    type: ClassVar[str] = "pass"
    up_files: int
    up_bytes: int
    down_files: int
    down_bytes: int
    skipped: int
    conflicts: int
    waiting: int
    seconds: float
    state: str = "end"


@dataclass(frozen=True, slots=True)
class PageBegan(Event):
    """Files of one page start to travel; `direction` is "up" or "down"."""

    type: ClassVar[str] = "page"
    direction: str
    page: str
    files: int
    bytes: int
    state: str = "begin"


@dataclass(frozen=True, slots=True)
class PageEnded(Event):
    """They have arrived: on the relay ("up") or durably in the folder ("down")."""

    type: ClassVar[str] = "page"
    direction: str
    page: str
    files: int
    bytes: int
    wire_bytes: int
    seconds: float
    state: str = "end"


@dataclass(frozen=True, slots=True)
class PageFreed(Event):
    """All expected pullers have the update; its bytes left the relay."""

    type: ClassVar[str] = "freed"
    page: str
    bytes: int
    consumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """Bytes of user files done so far on a page; sent often, render it rarely.

    `direction` is also "save" or "restore"; then `page` is "", and `files` and `bytes` are None while nobody knows how
    many there are.  Or "check" or "prune", which go by steps: `page` is what is counted, "directories" or "packs".
    """

    type: ClassVar[str] = "progress"
    direction: str
    page: str
    files_done: int
    files: int | None
    bytes_done: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class VersionSaved(Event):
    """A version of what a backup section names is in its store, and proven to be.

    `bytes`: of all files; `bytes_stored`: what this version added to the store.
    """

    type: ClassVar[str] = "version"
    id: str
    files: int
    files_new: int
    files_changed: int
    bytes: int
    bytes_stored: int
    seconds: float


@dataclass(frozen=True, slots=True)
class VersionTried(Event):
    """What a version would be if it were saved now; nothing was.

    `bytes`: of all files; `bytes_new`: of what the store does not have yet, `bytes_stored` what that would take there.
    """

    type: ClassVar[str] = "trial"
    files: int
    files_new: int
    files_changed: int
    files_unchanged: int
    bytes: int
    bytes_new: int
    bytes_stored: int


@dataclass(frozen=True, slots=True)
class Item(Event):
    """One file travelled, or would with `--dry-run`; `action` is new, changed, deleted, or asked (for again)."""

    type: ClassVar[str] = "item"
    direction: str
    action: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """One file was left out of this pass; `reason` is one of the words of `escalectl pending`."""

    type: ClassVar[str] = "skip"
    path: str
    reason: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Conflicted(Event):
    """Two different edits; `kept` has the relay's version, `copy` the local one."""

    type: ClassVar[str] = "conflict"
    path: str
    kept: str
    copy: str


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """A page cannot be pushed yet; `reason` is peer, lock, quota, ...; `message` says for whom or what."""

    type: ClassVar[str] = "waiting"
    page: str
    reason: str
    files: int
    bytes: int
    message: str


@dataclass(frozen=True, slots=True)
class Problem(Event):
    """Something failed; the pass goes on or is tried again in `retry_s` seconds."""

    type: ClassVar[str] = "problem"
    code: str
    message: str
    advice: str = ""
    retry_s: float | None = None
    exit_code: int = 1


class Reporter(Protocol):
    """Whoever wants to know: called from the thread of the section, must return quickly and must not raise."""

    def __call__(self, event: Event, /) -> None: ...


def silent(event: Event) -> None:
    """The reporter of those who do not care."""
