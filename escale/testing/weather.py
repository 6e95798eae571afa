"""A relay in bad weather: whatever a storage has been seen to do to its clients, drawn or enumerated by `Choices`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import BinaryIO

from ..errors import NoRelaySpace, Unreachable
from ..store.blob import TEMPORARY, BlobInfo, BlobStore
from ..stream import PIECE
from .choices import Choices
from .faults import HookedStore


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely each kind of trouble is, from 0 to 1, at each operation that it can befall.

    `fails`: nothing is done, and the client is told that the relay cannot be reached.  `loses_reply`: the same is said
    although it was done.  `tears`: an upload breaks off in its middle and leaves a temporary blob.  `is_stale`: a
    listing is that of the last time.  `delays`: what was put shows only after some more operations of anybody.
    `is_full`: the relay has no room for what is put.
    """

    fails: float = 0.0
    loses_reply: float = 0.0
    tears: float = 0.0
    is_stale: float = 0.0
    delays: float = 0.0
    is_full: float = 0.0


@dataclass(slots=True)
class Late:
    """Puts that nobody can see yet; one for all clients of a relay."""

    waiting: list[tuple[str, bytes]] = field(default_factory=list)
    left: int = 0

    def pass_by(self, inner: BlobStore) -> None:
        """Somebody did something: the time comes nearer."""
        if self.waiting:
            self.left -= 1
            if self.left <= 0:
                self.arrive(inner)

    def arrive(self, inner: BlobStore) -> None:
        """All that was late is there, in its order."""
        for name, data in self.waiting:
            directory, _, own = name.rpartition("/")
            (inner.within(directory) if directory else inner).write_bytes(own, data)
        self.waiting.clear()

    def forget(self, name: str) -> None:
        """It was deleted or replaced before anybody saw it."""
        self.waiting = [late for late in self.waiting if late[0] != name]


DELAYS = ("3", "12", "40")
"""Operations after which what is late arrives: within a push, within a pass, after some passes."""


class WeatherStore(HookedStore):
    """A client's view of a relay in bad weather; `calm()` ends it, but not what is `late` already."""

    def __init__(self, inner: BlobStore, choices: Choices, odds: Odds, late: Late | None = None) -> None:
        super().__init__(inner, self._gust, self._lull)
        self._choices = choices
        self._sky = _Sky(odds)
        self._late = late or Late()
        self._listings: dict[str, Sequence[BlobInfo]] = {}
        self._relay = inner
        self._above = ""

    def calm(self) -> None:
        """From now on everything works, here and in all directories."""
        self._sky.odds = Odds()

    def within(self, directory: str) -> WeatherStore:
        store = copy(self)
        store._inner = self._inner.within(directory)
        store.url = store._inner.url
        store._above = f"{self._above}{directory}/"
        store._before, store._after = store._gust, store._lull
        return store

    def put(self, name: str, source: BinaryIO) -> int:
        odds, happens = self._sky.odds, self._choices.happens
        if happens(odds.is_full):
            raise NoRelaySpace(where=self.url, reason="simulated")
        if happens(odds.tears):
            data = _whole(source)
            self._inner.write_bytes(f"{TEMPORARY}{name}", data[: len(data) // 2])
            raise self._unreachable("put", name)
        if not happens(odds.delays):
            self._late.forget(self._above + name)
            return super().put(name, source)
        data = _whole(source)
        self._gust("put", name)
        self._late.left = int(self._choices.choose(DELAYS))
        self._late.waiting.append((self._above + name, data))
        return len(data)

    def delete(self, name: str) -> None:
        super().delete(name)
        self._late.forget(self._above + name)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return self._seen(self._above + prefix, [*super().list(prefix)])

    def list_below(self) -> Iterator[BlobInfo]:
        return self._seen(f"{self._above}*/", [*super().list_below()])

    def _seen(self, listing: str, now: Sequence[BlobInfo]) -> Iterator[BlobInfo]:
        known = self._listings.get(listing)
        self._listings[listing] = now
        return iter(now if known is None or not self._choices.happens(self._sky.odds.is_stale) else known)

    def _gust(self, verb: str, name: str) -> None:
        self._late.pass_by(self._relay)
        if self._choices.happens(self._sky.odds.fails):
            raise self._unreachable(verb, name)

    def _lull(self, verb: str, name: str) -> None:
        if self._choices.happens(self._sky.odds.loses_reply):
            raise self._unreachable(verb, name)

    def _unreachable(self, verb: str, name: str) -> Unreachable:
        return Unreachable(where=self.url, reason=f"simulated at {verb} {self._above}{name}")


@dataclass(slots=True)
class _Sky:
    """The weather of now, over all directories."""

    odds: Odds


class TornStore(HookedStore):
    """Breaks the promise that a put is atomic: half of the bytes are there under the name when it fails."""

    def __init__(self, inner: BlobStore, tears: Callable[[str], bool]) -> None:
        super().__init__(inner)
        self._tears = tears

    def within(self, directory: str) -> TornStore:
        return TornStore(self._inner.within(directory), lambda name: self._tears(f"{directory}/{name}"))

    def put(self, name: str, source: BinaryIO) -> int:
        if not self._tears(name):
            return super().put(name, source)
        data = _whole(source)
        self._inner.write_bytes(name, data[: len(data) // 2])
        raise Unreachable(where=self.url, reason=f"simulated in the middle of {name}")


class Snapshots:
    """A relay that is wiped, or put back to what it was: the blobs of a MemoryStore, saved and restored."""

    def __init__(self, blobs: dict[str, tuple[bytes, float]]) -> None:
        self._blobs = blobs
        self._saved: dict[str, tuple[bytes, float]] = {}

    def save(self) -> None:
        """Somebody makes a backup."""
        self._saved = dict(self._blobs)

    def restore(self) -> None:
        """The backup comes back; without one the relay is empty."""
        self._blobs.clear()
        self._blobs.update(self._saved)

    def wipe(self) -> None:
        """All is gone."""
        self._blobs.clear()


def _whole(source: BinaryIO) -> bytes:
    return b"".join(iter(lambda: source.read(PIECE), b""))
