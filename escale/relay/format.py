"""Format: how pages are named and written down on a relay.  One model, two encodings.

`format1` is ours, `format07` is the original's, byte for byte.  A format knows names and bytes and nothing else: no
store, no clock, no decisions.  What differs between the two beyond spelling is stated here as plain facts.

Format 1 never overwrites: each generation of an index has a name of its own, a listing therefore tells all that
changed, and whoever writes a new generation deletes those he has merged into it.  Format 0.7 has one name per role and
overwrites it.  `generation` is 0 there.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..files.tree import Entry, Kind
from .index import Index, Update


class Role(enum.Enum):
    """What a blob of a relay is."""

    MARKER = "marker"
    CLIENT = "client"
    INDEX = "index"
    UPDATE = "update"
    DATA = "data"
    LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Place:
    """What a blob's name says: its role, and as far as the role has them page, stamp, generation and `unique` part."""

    role: Role
    page: str = ""
    stamp: str = ""
    generation: int = 0
    unique: str = ""


@dataclass(frozen=True, slots=True)
class LockText:
    """The content of a lock file.

    `owner`: client name, empty in damaged or oldest files.  `mode`: "r", "w" or "".  `nonce` tells one claim of an
    owner from the next, `lease_s` is how long the owner may hold it without a sign of life; both are extra lines that
    the original ignores.
    """

    owner: str
    mode: str
    nonce: str = ""
    lease_s: float = 0.0


class Format(ABC):
    """Names and bytes of one relay format.  Decoders raise Corrupt, whatever the bytes are."""

    number: ClassVar[str]
    """As the setting `relay format` spells it."""

    overwrites: ClassVar[bool]
    """Whether a role has one name that is written again and again (0.7)."""

    seals_indices: ClassVar[bool]
    """Whether encryption covers indices too, or the archives only (0.7)."""

    asks_by_removal: ClassVar[bool]
    """Whether a missing file is asked for by removing its record (0.7) or by the state WANTED."""

    levels: int
    """How many directory components make a page; 0 for one page."""

    reads_under_lock: ClassVar[bool]
    """Whether a puller must hold the page lock while it fetches, because others may delete what it reads (0.7)."""

    kinds: ClassVar[frozenset[Kind]]
    """What can have a record.  0.7 knows files only: there nothing but content travels, and always in an update."""

    budget_page: ClassVar[str]
    """A page without files; who holds its lock may measure and fill the rest of a quota.  In 0.7 there is none: ""."""

    @abstractmethod
    def parse(self, name: str) -> Place | None:
        """What the blob of this name is; None for a name that is none of this format's."""

    @abstractmethod
    def page_of(self, path: str) -> str:
        """The page of a path."""

    def label(self, path: str) -> str:
        """What to call the page of a path when talking to people; "" if there is only one page."""
        if not self.levels:
            return ""
        directories = path.split("/")[:-1][: self.levels]
        return "/".join(directories) if len(directories) == self.levels else "0"

    @abstractmethod
    def name(self, place: Place) -> str:
        """The inverse of `parse`."""

    @abstractmethod
    def new_stamp(self, now: float, newest: str, unique: str) -> str:
        """A stamp for an update begun at `now` (Unix seconds), greater than `newest` ("" if there was none)."""

    @abstractmethod
    def problem_with(self, entry: Entry) -> str | None:
        """Why this format cannot carry the entry, in words for the user, or None."""

    @abstractmethod
    def encode_index(self, index: Index) -> bytes: ...

    @abstractmethod
    def decode_index(self, page: str, data: bytes) -> Index: ...

    @abstractmethod
    def encode_update(self, update: Update) -> bytes: ...

    @abstractmethod
    def decode_update(self, page: str, stamp: str, data: bytes) -> Update: ...

    @abstractmethod
    def encode_lock(self, lock: LockText) -> bytes: ...

    @abstractmethod
    def decode_lock(self, data: bytes) -> LockText:
        """Never raises: what cannot be read is a lock without owner."""
