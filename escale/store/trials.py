"""What a storage is put through before it is trusted as a relay: one function for each promise.

Asking twice in a row proves nothing: servers that let several clients win a race refuse the second one politely when
nobody hurries.  So every trial that is about exclusion or visibility lets several stores, each with a connection of its
own, act at the same moment, and an overwrite is really broken off half-way.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, BinaryIO, TypeVar, cast

from ..errors import Missing, StoreError, Unreachable
from ..stream import PIECE
from .blob import NAME_LENGTH_MAX, BlobStore
from .site import PREFIX, Finding, Site

Result = TypeVar("Result")

LAG_S_MAX = 30.0
"""How long we wait for a storage to show what was written; Amazon, before it became consistent, took seconds."""

LAG_STEP_S = 0.05
"""How often we look meanwhile."""

CLOCK_OFFSET_S_MAX = 120.0
"""Beyond it, people are misled by the times they see; nothing is lost, leases are counted in the relay's own time."""

OVERWRITES = 12
"""Enough to meet a torn read where the window is as long as an upload, which it is where there is one at all."""

READS_MAX = 2000
"""Of one reader during the overwrites: a limit for a server that answers errors at once."""


def try_answer_time(site: Site) -> Finding:
    """How long the smallest question takes; it also makes the connections of all stores."""
    name = site.name("nothing")
    site.together(lambda number, store: store.info(name))
    times = sorted(_seconds(site, partial(site.store.info, name)) for _ in range(7))
    figures = {"median_s": median(times), "worst_s": times[-1]}
    return Finding("answer time", True, f"a small question takes {median(times) * 1000:.0f} ms", figures)


def try_creation_race(site: Site, rounds: int) -> Finding:
    """Several create the same name at the same moment: exactly one may be told that it did."""
    several = nobody = liars = 0
    for number in range(rounds):
        name = site.name(f"race-{number}")
        contents = [f"{site.token} {racer}".encode() for racer in range(len(site.stores))]
        won = site.together(partial(_wins, name, contents))
        several += sum(won) > 1
        nobody += sum(won) == 0
        if sum(won) == 1:
            liars += site.store.read_bytes(name) != contents[won.index(True)]
            liars += site.stores[-1].create(name, b"too late")
    figures = {"rounds": rounds, "several": several, "nobody": nobody, "wrong_content": liars}
    ok = not (several or nobody or liars)
    racers = len(site.stores)
    words = f"of {racers} clients that create one name at once exactly one wins, {rounds} times of {rounds}"
    if not ok:
        words = (
            f"creating a name does not exclude: in {several + nobody + liars} of {rounds} races of {racers} clients "
        )
        words += "not exactly one won; pages are locked by claims and listings instead"
    return Finding("exclusive creation", ok, words, figures)


def try_announcement(site: Site, rounds: int) -> Finding:
    """Each writes a claim of its own and lists: of any two, at least one must see the other."""
    blind = 0
    for number in range(rounds):
        claims = [site.name(f"claim-{number}-{racer}") for racer in range(len(site.stores))]
        prefix = site.name(f"claim-{number}-")

        def announce(racer: int, store: BlobStore, claims: Sequence[str] = claims, prefix: str = prefix) -> set[str]:
            store.write_bytes(claims[racer], b"claim")
            return {blob.name for blob in store.list(prefix)}

        seen = site.together(announce)
        pairs = [(one, two) for two in range(len(claims)) for one in range(two)]
        blind += any(claims[one] not in seen[two] and claims[two] not in seen[one] for one, two in pairs)
        blind += any(claims[racer] not in seen[racer] for racer in range(len(claims)))
    words = "who writes a claim and then lists sees every claim that was there before"
    if blind:
        words = f"listings come too late for locks: in {blind} of {rounds} rounds two clients did not see each other"
    return Finding("claims by listing", not blind, words, {"rounds": rounds, "blind": blind})


def try_reading_back(site: Site) -> Finding:
    """What one wrote another reads."""
    writer, reader = site.stores[0], site.stores[-1]
    name = site.name("reading-back")
    lags = []
    for number in range(5):
        content = f"{site.token} {number}".encode()
        writer.write_bytes(name, content)
        lags.append(_lag(site, partial(_holds, reader, name, content)))
    return _lag_finding("read after write", "what was written can be read", lags)


def try_listing(site: Site) -> Finding:
    """What one wrote another finds in the listing."""
    writer, reader = site.stores[0], site.stores[-1]
    lags = []
    for number in range(5):
        name = site.name(f"listing-{number}")
        writer.write_bytes(name, b"x" * number)
        lags.append(_lag(site, partial(_lists, reader, name, number)))
    return _lag_finding("list after write", "what was written is listed", lags)


def try_deletion(site: Site) -> Finding:
    """What one deleted is gone for another."""
    writer, reader = site.stores[0], site.stores[-1]
    lags = []
    for number in range(5):
        name = site.name(f"deletion-{number}")
        writer.write_bytes(name, b"x")
        _lag(site, partial(_lists, reader, name, 1))
        writer.delete(name)
        lags.append(_lag(site, partial(_lists, reader, name, None)))
    return _lag_finding("list after delete", "what was deleted is no longer listed", lags)


def try_overwriting(site: Site) -> Finding:
    """Readers during an overwrite get the old bytes or the new ones."""
    name = site.name("overwriting")
    contents = [bytes([65 + number]) * (site.size // 4 + 1000 * number) for number in range(3)]
    site.store.write_bytes(name, contents[0])
    readers = [_Reader(store, name, contents) for store in site.stores[1:4]]

    def overwrite() -> None:
        try:
            for number in range(OVERWRITES):
                site.store.write_bytes(name, contents[(number + 1) % 3])
        finally:
            for reader in readers:
                reader.is_over = True

    site.run_together([overwrite, *(reader.read for reader in readers)])
    reads, torn, absent = (sum(getattr(reader, count) for reader in readers) for count in ("reads", "torn", "absent"))
    words = "who reads during an overwrite gets the old content or the new one"
    if torn:
        words = f"{torn} of {reads} reads during an overwrite returned a part or a mixture"
    elif absent:
        words = f"{absent} of {reads} reads during an overwrite found nothing"
    return Finding("whole reads", not torn and not absent, words, {"reads": reads, "torn": torn, "absent": absent})


def try_interruption(site: Site) -> Finding:
    """An upload that is broken off half-way changes nothing that can be seen."""
    old, new = site.name("interrupted"), site.name("never-finished")
    content = f"{site.token} old".encode()
    site.store.write_bytes(old, content)
    for name in (old, new):
        with suppress(_Interrupted):
            site.store.put(name, cast(BinaryIO, _Breaking(site.rng.randbytes(site.size))))
    witness = site.stores[-1]
    kept, hidden = _holds(witness, old, content), _lists(witness, new, None)
    words = "an upload that breaks off leaves the old content and shows nothing of the new one"
    if not kept:
        words = "an upload that breaks off destroys the content it was to replace"
    elif not hidden:
        words = "a part of an upload that breaks off is visible"
    return Finding("broken uploads", kept and hidden, words, {"old_kept": kept, "part_hidden": hidden})


def try_clock(site: Site) -> Finding:
    """How far the relay's clock is from ours, and how finely it tells times."""
    name = site.name("clock")
    before = site.clock.now()
    site.store.write_bytes(name, b"what time is it?")
    middle = (before + site.clock.now()) / 2
    times = [_mtime(site, name)]
    for _ in range(4):
        site.store.write_bytes(name, b"and now?")
        times.append(_mtime(site, name))
    if times[0] is None:
        return Finding("clock", True, "the relay does not tell when a blob was written")
    is_coarse = all(time is not None and time == int(time) for time in times)
    offset = times[0] + (0.5 if is_coarse else 0.0) - middle
    ok = abs(offset) <= CLOCK_OFFSET_S_MAX
    words = "the clocks of the relay and of this machine agree"
    if abs(offset) > 2:
        words = f"the clock of the relay is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the one here"
    return Finding("clock", ok, words, {"offset_s": offset, "granularity_s": 1.0 if is_coarse else 0.001})


AWKWARD = {
    "dot files": ".escale-probe-{}",
    "spaces": "escale-probe- {} ",
    "punctuation": "escale-probe-{}%41;a?b#c+d&e",
    "letters of all languages": "escale-probe-{}-d\u00e9j\u00e0-\u65e5\u672c",
}
"""Kinds of names that some storage hides, changes or confuses."""


def try_names(site: Site) -> Iterator[Finding]:
    """Names come back exactly as they were given."""
    for kind, pattern in AWKWARD.items():
        yield _name_finding(site, kind, [pattern.format(site.token)])
    yield _name_finding(site, "long names", [f"{PREFIX}{site.token}".ljust(NAME_LENGTH_MAX, "n")])
    yield _name_finding(site, "upper and lower case", [site.name("case-Aa"), site.name("case-aA")])


def try_speed(site: Site) -> Finding:
    """Bytes per second up and down, of bytes that do not compress."""
    name, data = site.name("speed"), site.rng.randbytes(site.size)
    up_s = _seconds(site, partial(site.store.write_bytes, name, data))
    down_s = _seconds(site, partial(site.store.read_bytes, name))
    ok = site.store.read_bytes(name) == data
    up, down = (len(data) / max(seconds, 1e-6) for seconds in (up_s, down_s))
    words = f"{up / 1e6:.1f} MB/s up, {down / 1e6:.1f} MB/s down"
    if not ok:
        words = "what was uploaded comes back changed"
    return Finding("speed", ok, words, {"up_bytes_per_s": up, "down_bytes_per_s": down})


@dataclass(slots=True)
class _Reader:
    """Reads one blob again and again until told that it is over, and once at least; judges what it gets."""

    store: BlobStore
    name: str
    contents: Sequence[bytes]
    is_over: bool = False
    reads: int = 0
    torn: int = 0
    absent: int = 0

    def read(self) -> None:
        while self.reads < READS_MAX and not (self.is_over and self.reads):
            self.reads += 1
            # A read that is cut short and says so does no harm.
            with suppress(Unreachable):
                try:
                    self.torn += self.store.read_bytes(self.name) not in self.contents
                except Missing:
                    self.absent += 1


class _Interrupted(Exception):
    """The source was told to fail."""


class _Breaking(io.BytesIO):
    """Gives half of its bytes, then fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= len(self.getbuffer()) // 2:
            raise _Interrupted
        return super().read(min(PIECE, PIECE if size is None or size < 0 else size))

    def seekable(self) -> bool:
        return False


def _wins(name: str, contents: Sequence[bytes], racer: int, store: BlobStore) -> bool:
    """Whether the store says so; a server that fails under the onrush does not."""
    with suppress(Unreachable):
        return store.create(name, contents[racer])
    return False


def _name_finding(site: Site, kind: str, names: Sequence[str]) -> Finding:
    site.used.update(names)
    try:
        for name in names:
            site.store.write_bytes(name, name.encode())
        kept = all(_holds(site.store, name, name.encode()) for name in names)
        shown = all(_lists(site.store, name, len(name.encode())) for name in names)
    except StoreError as error:
        if isinstance(error, Unreachable):
            raise
        return Finding(kind, False, f"{kind} are refused: {error}")
    words = f"{kind}: names come back as they were given"
    if not kept:
        words = f"{kind} are not kept apart or not found again"
    elif not shown:
        words = f"{kind} are hidden from listings, or listed under another name"
    return Finding(kind, kept and shown, words)


def _lag_finding(name: str, claim: str, lags: Sequence[float | None]) -> Finding:
    late = [lag for lag in lags if lag is None]
    lag_s = max((lag for lag in lags if lag is not None), default=LAG_S_MAX)
    if late:
        return Finding(name, False, f"{claim} only after more than {LAG_S_MAX:.0f} s, if ever", {"lag_s": LAG_S_MAX})
    when = f"after {lag_s:.1f} s" if lag_s else "at once"
    return Finding(name, not lag_s, f"{claim} {when}", {"lag_s": lag_s})


def _lag(site: Site, is_visible: Callable[[], bool]) -> float | None:
    """Seconds until it is; 0 if the first look shows it, None if no look does."""
    began = site.clock.monotonic()
    lag_s = 0.0
    while not is_visible():
        lag_s = site.clock.monotonic() - began
        if lag_s > LAG_S_MAX:
            return None
        site.clock.sleep(LAG_STEP_S)
    return lag_s


def _holds(store: BlobStore, name: str, content: bytes) -> bool:
    try:
        return store.read_bytes(name) == content
    except Missing:
        return False


def _lists(store: BlobStore, name: str, size: int | None) -> bool:
    """Whether the listing shows the blob with that size; with None, whether it does not show it."""
    return next((blob.size for blob in store.list(name) if blob.name == name), None) == size


def _mtime(site: Site, name: str) -> float | None:
    blob = site.store.info(name)
    return blob.mtime if blob is not None else None


def _seconds(site: Site, act: Callable[[], Any]) -> float:
    began = site.clock.monotonic()
    act()
    return site.clock.monotonic() - began
