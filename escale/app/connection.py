"""Connection: a section's client, made when the relay first answers, and the relay as the last listing showed it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import Clock
from ..errors import Corrupt, RelayInUse
from ..events import Problem, Reporter
from ..files.folder import Folder
from ..files.ledger import Ledger
from ..files.rules import Rules
from ..relay.client import WENT_BACK, Client, Settings, problem_event
from ..relay.format import Format, Role
from ..relay.format07 import Format07
from ..relay.format1 import MARKER, Format1
from ..relay.lock import PageLock, unique_name
from ..relay.marker import Marker, find, make
from ..relay.relay import IndexRelay, Survey
from ..relay.roster import Participant, Roster
from ..seal import Seal
from ..store.blob import BlobStore
from ..store.memory import MemoryStore
from .guard import DeletionLimit, Guard
from .link import Link
from .presence import Presence

SWEEP_EVERY_S = 3600.0
"""How often a client that runs for years looks for uploads that others left unfinished: one more listing an hour."""


SIGHTING_S_MAX = 400 * 86400.0
"""Longer than anything that is waited for: a lock, a sign of life of another client."""

EXPIRE_EVERY_S = 3600.0
"""How often the trash is looked through while nothing new comes into it."""


@dataclass(frozen=True, slots=True)
class TrashLimit:
    """How long the trash keeps what a sync replaced or deleted, and how many bytes; None for no limit.

    `deleted_at_once`: what was deleted elsewhere is kept until the next pass only.
    """

    keep_s: float | None = 30 * 86400.0
    size_max: int | None = 20 << 30
    deleted_at_once: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What a section is made of, free of configuration syntax.

    `seal` seals and its `fingerprint` is "" for a relay in clear; `levels` and `algorithm` are wishes that an
    existing format 1 relay overrules.  `certify(owner)` races the relay's exclusive creation.  `patience_s`: how
    long to wait for a lock within a pass.  `open_store(owner, look_only)` may make a local relay directory unless
    it is only for a look; what it uploads belongs to `owner`.  `pullers`: those that count by name, None for all on the
    roster; one that has given no sign of life for `stale_after_s` is told of, and not waited for if `releases_stale`.
    """

    section: str
    client: str
    root: Path
    rules: Rules
    settle_s: float
    ledger: Path
    format: str
    levels: int
    algorithm: str
    fingerprint: str
    seal: Seal
    settings: Settings
    patience_s: float
    open_store: Callable[[str, bool], BlobStore]
    certify: Callable[[str], bool]
    link: Link
    pullers: frozenset[str] | None = None
    stale_after_s: float = 7 * 86400.0
    releases_stale: bool = False
    max_delete: DeletionLimit = field(default_factory=DeletionLimit)
    trash: TrashLimit = field(default_factory=TrashLimit)


class Connection:
    """Opens lazily and stays open; used by one thread."""

    def __init__(self, parts: Parts, clock: Clock, rng: random.Random) -> None:
        self._parts = parts
        self._clock = clock
        self._rng = rng
        self._store: BlobStore | None = None
        self._ledger: Ledger | None = None
        self._client: Client | None = None
        self._roster: Roster | None = None
        self._marker: Marker | None = None
        self._marker_tag: str | None = None
        self._presence: Presence | None = None
        self._swept_at = 0.0
        self._expired_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the relay has answered once."""
        return self._client is not None

    @property
    def settle_s(self) -> float:
        """How long a file must have been left alone before it is sent."""
        return self._parts.settle_s

    @property
    def pullers(self) -> frozenset[str]:
        """The pullers that updates wait for; empty where nobody is named and the format keeps no roster."""
        named = self._parts.pullers
        counted = named if named is not None else self._roster.pullers if self._roster else frozenset()
        return counted - frozenset(self.stale) if self._parts.releases_stale else counted

    @property
    def stale(self) -> dict[str, float]:
        """Pullers of the roster that have given no sign of life for too long, and named ones that have not come: since
        how many seconds, by our clock."""
        if self._roster is None or self._ledger is None:
            return {}
        now = self._clock.now()
        signs = {one.name: one.sign_of_life for one in self._roster.others(self._parts.client)}
        known = {one.name for one in self._roster.participants}
        never_came = (self._parts.pullers or frozenset()) - known - {self._parts.client}
        signs |= {name: f"client {name} has not come" for name in never_came}
        silent = {name: now - self._ledger.sighting(sign, now) for name, sign in signs.items()}
        return {name: age for name, age in silent.items() if age >= self._parts.stale_after_s}

    def open(self, report: Reporter) -> Client:
        """The client; on first use the relay's marker is read, or made, and the folder and the ledger are opened."""
        if self._client is None:
            client = self._make(self._relay(report), report)
            self._presence = Presence(client.folder, client.ledger, client.unique)
            self._presence.begin()
            client.folder.sweep()
            self.sweep(client)
            self._client = client
        return self._client

    @property
    def presence(self) -> Presence:
        """The proof that the folder is there."""
        assert self._presence is not None, "opened"
        return self._presence

    def guard(self) -> Guard:
        """Who judges mass deletions."""
        assert self._client is not None, "opened"
        return Guard(self._client.ledger, self._parts.max_delete)

    def expire_trash(self, has_grown: bool) -> None:
        """Let go of what the trash has kept for long enough."""
        assert self._client is not None, "opened"
        now = self._clock.monotonic()
        if has_grown or self._expired_at is None or now - self._expired_at >= EXPIRE_EVERY_S:
            limit = self._parts.trash
            self._client.folder.trash.expire(limit.keep_s, limit.size_max, limit.deleted_at_once)
            self._expired_at = now

    def look_only(self, report: Reporter) -> Client:
        """A client for plans only: nothing is made on the relay, not even its marker."""
        if self._client is None:
            self._client = self._make(self._relay(report, look_only=True), report, look_only=True)
        return self._client

    def listing(self) -> Survey:
        """One listing of the relay."""
        assert self._client is not None
        return self._client.relay.survey()

    def survey(self) -> Survey | None:
        """One listing, and with it the roster: ours is entered when it is not there.

        None if the relay's marker is not what it was: then the connection is as if it had never been open.
        """
        assert self._client is not None
        if self._clock.monotonic() - self._swept_at > SWEEP_EVERY_S:
            self.sweep(self._client)
        survey = self._client.relay.survey()
        self._refuse_foreign(survey.foreign)
        if self._marker is not None and not self._is_marked(survey):
            self._client = self._roster = self._presence = None
            return None
        if self._roster is not None:
            for problem in self._roster.refresh(survey.clients):
                self._client.tell(problem_event(self._parts.section, problem))
            self._enter(self._client, self._roster)
            self._client.present = self._roster.pullers - frozenset(self.stale)
        return survey

    def _is_marked(self, survey: Survey) -> bool:
        """Whether the marker is still the one that was there when the relay was opened."""
        tag = "" if survey.marker is None else survey.marker.info.tag
        self._marker_tag = tag if self._marker_tag is None else self._marker_tag
        return tag == self._marker_tag

    def sweep(self, client: Client) -> None:
        """Remove what interrupted uploads have left on the relay; not while one of ours is under way."""
        client.relay.store.sweep(client.settings.lock_timeout_s)
        client.ledger.forget_sightings(self._clock.now() - SIGHTING_S_MAX)
        self._swept_at = self._clock.monotonic()

    def sweep_soon(self) -> None:
        """The line was cut: what an upload has left is removed when the relay answers again."""
        self._swept_at = -math.inf

    def close(self) -> None:
        """Let go of the store's connections and of the ledger."""
        if self._ledger is not None:
            self._parts.link.remember(self._ledger)
        for part in (self._store, self._ledger):
            if part is not None:
                part.close()
        self._store = self._ledger = self._client = self._roster = self._presence = None

    # -- making

    def _relay(self, report: Reporter, look_only: bool = False) -> IndexRelay:
        """The relay of this section in its format.  A new format 1 relay is made, or for a look a stand-in for it."""
        owner = self._incarnation(self._opened_ledger(report))
        if self._store is None:
            self._store = self._parts.open_store(owner, look_only)
        store, parts = self._store, self._parts
        if parts.format == "0.7":
            return self._over(store, None)
        ledger = self._opened_ledger(report)
        marker = find(store) if look_only else self._kept_marker(store, ledger, report)
        if marker is None:
            names = tuple(blob.name for blob in store.list())
            self._refuse_foreign(names)
            if look_only:
                return self._over(MemoryStore(), None)
            if _holds_pages(store):
                raise MarkerLost(where=store.url)
            wish = Marker(unique_name(self._rng), parts.fingerprint, parts.levels, parts.algorithm, "listing")
            marker = make(store, wish, lambda: parts.certify(owner), self._clock)
        if not look_only:
            self._notice_other_relay(marker, ledger, report)
        return self._over(store, marker.must_fit(parts.fingerprint, store.url))

    def _kept_marker(self, store: BlobStore, ledger: Ledger, report: Reporter) -> Marker | None:
        """The relay's marker.  Where it is not what it was, or is gone although the rest is there, it is written again:
        nobody ever changes it, and a client that knows the relay need not believe another word about it."""
        text = ledger.meta("marker")
        known = None if text is None else Marker.decode(text.encode(), store.url)
        try:
            found = find(store)
        except Corrupt:
            if known is None:
                raise
            found = None
            is_damaged = True
        else:
            is_damaged = found is not None and known is not None and found.relay_id == known.relay_id
        if known is None or found == known or not (is_damaged or (found is None and _holds_pages(store))):
            return found
        if is_damaged:
            store.write_bytes(MARKER, known.encode())
        elif not store.create(MARKER, known.encode()):
            return find(store)  # Somebody was faster: another who knows it, or one who fills a wiped relay anew.
        message = "the marker of the relay was lost or changed; it is written again as it was"
        report(Problem(self._parts.section, "P431", message, WENT_BACK, exit_code=3))
        return known

    def _notice_other_relay(self, marker: Marker, ledger: Ledger, report: Reporter) -> None:
        """A relay that was wiped is made anew by the first who comes, under another identity."""
        before = ledger.meta("relay")
        if before is not None and before != marker.relay_id:
            message = "the relay was wiped or replaced since the last pass; it is filled again"
            report(Problem(self._parts.section, "P430", message, WENT_BACK, exit_code=3))
        if before != marker.relay_id:
            ledger.set_meta("relay", marker.relay_id)
        if ledger.meta("marker") != marker.encode().decode():
            ledger.set_meta("marker", marker.encode().decode())

    def _over(self, store: BlobStore, marker: Marker | None) -> IndexRelay:
        parts = self._parts
        self._marker = marker
        self._marker_tag = None
        if parts.format == "0.7":
            return IndexRelay(store, Format07(parts.levels, parts.algorithm), parts.seal)
        form = Format1(marker.levels if marker else parts.levels, parts.seal.name_key)
        return IndexRelay(store, form, parts.seal, marker.relay_id if marker else "")

    def _make(self, relay: IndexRelay, report: Reporter, look_only: bool = False) -> Client:
        parts = self._parts
        ledger = self._opened_ledger(report)
        algorithm = self._marker.algorithm if self._marker else parts.algorithm
        folder = Folder(parts.root, parts.rules, ledger, self._clock, algorithm, parts.settle_s)
        incarnation = self._incarnation(ledger)
        if isinstance(relay.format, Format1):
            self._roster = Roster(relay, relay.format)
        lock = PageLock(
            relay,
            parts.client,
            incarnation,
            by_listing=self._locks_by_listing(relay),
            timeout_s=parts.settings.lock_timeout_s,
            patience_s=parts.patience_s,
            clock=self._clock,
            rng=self._rng,
            sighting=ledger.sighting,
        )
        return Client(
            parts.section,
            parts.client,
            incarnation,
            relay,
            folder,
            ledger,
            lock,
            self._clock,
            self._rng,
            report,
            parts.settings,
            lambda entries: parts.link.codec(folder, ledger, entries),
            offered=ledger.offered(),
            looks_only=look_only,
        )

    def _opened_ledger(self, report: Reporter) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger(self._parts.ledger)
            if self._ledger.damaged:
                message = f"the ledger was damaged and lies aside as {self._ledger.damaged}; a new one is begun"
                report(Problem(self._parts.section, "L150", message, exit_code=3))
        return self._ledger

    def _locks_by_listing(self, relay: IndexRelay) -> bool:
        if self._marker is not None:
            return self._marker.exclusion == "listing"
        return not relay.store.guarantees.exclusive_create

    def _incarnation(self, ledger: Ledger) -> str:
        known = ledger.meta("incarnation")
        if known is None:
            known = unique_name(self._rng)
            ledger.set_meta("incarnation", known)
        return known

    # -- the others

    def _enter(self, client: Client, roster: Roster) -> None:
        me = Participant(client.name, client.settings.mode.pulls, client.incarnation, int(self._clock.now()))
        known = roster.find(client.name)
        if known is not None and me.says_nothing_new(known):
            return
        if known is not None and known.incarnation != me.incarnation:
            message = f"another machine used the client name {client.name!r} on this relay, or this one was set up anew"
            client.tell(Problem(self._parts.section, "P401", message, "Give each machine its own: client name = ..."))
        roster.enter(me)
        survey = client.relay.survey()
        for problem in roster.refresh(survey.clients):
            client.tell(problem_event(self._parts.section, problem))

    def _refuse_foreign(self, names: tuple[str, ...]) -> None:
        """Say so and touch nothing when clients of the other format use the directory."""
        other: Format = Format1() if self._parts.format == "0.7" else Format07()
        met = next((name for name in names if other.parse(name)), None)
        if met is not None:
            raise OtherFormat(name=met, theirs=other.number, ours=self._parts.format)


def _holds_pages(store: BlobStore) -> bool:
    """Whether clients of format 1 have been at work here."""
    places = (Format1().parse(blob.name) for blob in store.list())
    return any(place is not None and place.role in (Role.INDEX, Role.UPDATE) for place in places)


class MarkerLost(RelayInUse):
    """the relay {where} holds pages of escale, but its marker (escale.relay) is gone"""

    code = "R341"
    advice = "Nothing was touched. Start a client that has been here before: it writes the marker again."


class OtherFormat(RelayInUse):
    """this relay is used in format {theirs} (it holds {name}), but this client speaks format {ours}"""

    advice = "Nothing was touched. Write: relay format = {theirs}, or use another directory."
