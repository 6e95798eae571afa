"""PageLock: who may write to a page.  Politeness, not safety: with a lock that is always granted nothing is lost.

Two strategies, chosen once for a relay and written in its marker, because clients that use different ones do not see
each other:

* **create**: the lock file itself is created exclusively.  Exact on local directories, OpenSSH and S3.
* **listing**: everybody writes a claim of his own and looks; whoever sees another claim takes his back and tries again
  after a random wait.  Needs nothing but listings that show what was written before.

A lock goes stale when it has not changed for `lock timeout` *of our own observation* (and its owner's lease), so no
clock but ours is asked, and a clock that is an hour off breaks nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import Backoff, Clock
from ..errors import Missing
from .format import LockText, Place, Role
from .relay import IndexRelay, PageView

READ_BACK_WAIT_S = 0.5
"""On a store without exclusive creation an original client may overwrite us between its look and its put (0.7)."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else has the page: who, in which mode, seen first at which Unix time (by our clock)."""

    owner: str
    mode: str
    since: float


@dataclass(frozen=True, slots=True)
class Held:
    """The page is ours until `PageLock.release`."""

    name: str
    nonce: str


class PageLock:
    """Claims the pages of one relay for one client.

    `incarnation` begins every nonce of ours: a lock that carries it is a remnant of an earlier run of this very client,
    not of another machine that happens to bear the same name.  `sighting(name)` returns the Unix time at which this
    client first saw a lock of that name and nonce.
    """

    def __init__(
        self,
        relay: IndexRelay,
        client: str,
        incarnation: str,
        *,
        by_listing: bool,
        timeout_s: float,
        patience_s: float,
        clock: Clock,
        rng: random.Random,
        sighting: Callable[[str, float], float],
    ) -> None:
        self._relay = relay
        self._client = client
        self._incarnation = incarnation
        self._by_listing = by_listing
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._clock = clock
        self._rng = rng
        self._sighting = sighting

    def claim(self, page: str, mode: str, lease_s: float = 0.0) -> Held | Busy:
        """Take the page for writing ("w") or for consuming ("r"); waits up to the patience for a busy one."""
        deadline = self._clock.monotonic() + self._patience_s
        backoff = Backoff(self._rng, first=0.1, most=2.0)
        while True:
            outcome = self._attempt(page, mode, lease_s)
            if isinstance(outcome, Held) or self._clock.monotonic() >= deadline:
                return outcome
            self._clock.sleep(backoff.next_wait())

    def confirm(self, held: Held) -> bool:
        """Whether the page is still ours: asked before each write that others will act on."""
        found = self._read(held.name)
        return found is not None and found.nonce == held.nonce

    def release(self, held: Held) -> None:
        """Give the page back; somebody else's lock that replaced ours is left alone."""
        if self._by_listing or self.confirm(held):
            self._relay.store.delete(held.name)

    def is_mine(self, lock: LockText) -> bool:
        """Whether a lock was left by an earlier run of this client."""
        if lock.nonce:
            return lock.nonce.startswith(self._incarnation)
        return lock.owner == self._client

    def is_stale(self, name: str, lock: LockText) -> bool:
        """Whether nobody has touched this lock for so long that its owner must be gone."""
        age = self._clock.now() - self._sighting(f"{name}:{lock.owner}:{lock.nonce}", self._clock.now())
        return age >= max(self._timeout_s, lock.lease_s)

    def clear(self, view: PageView) -> Busy | None:
        """Remove remnants of ours and stale locks of others; the first lock that has to stay, if any.

        All are looked at, so that they grow old together and not one after the other.
        """
        found = [self._clear_one(blob.info.name) for blob in view.locks]
        return next((busy for busy in found if busy), None)

    def _attempt(self, page: str, mode: str, lease_s: float) -> Held | Busy:
        nonce = f"{self._incarnation}{unique_name(self._rng)}"
        text = self._relay.format.encode_lock(LockText(self._client, mode, nonce, lease_s))
        if self._by_listing and not self._relay.format.overwrites:
            return self._announce(page, nonce, text)
        return self._create(page, nonce, text)

    def _create(self, page: str, nonce: str, text: bytes) -> Held | Busy:
        name = self._relay.format.name(Place(Role.LOCK, page))
        held = Held(name, nonce)
        if not self._relay.create_lock(name, text):
            if busy := self._clear_one(name):
                return busy
            if not self._relay.create_lock(name, text):
                return self._busy(name)
        if self._by_listing:
            self._clock.sleep(READ_BACK_WAIT_S)
            if not self.confirm(held):
                return self._busy(name)
        return held

    def _announce(self, page: str, nonce: str, text: bytes) -> Held | Busy:
        name = self._relay.format.name(Place(Role.LOCK, page, unique=nonce[-16:]))
        self._relay.write_lock(name, text)
        for blob in self._relay.look(page).locks:
            if blob.info.name != name and (busy := self._clear_one(blob.info.name)):
                self._relay.store.delete(name)
                return busy
        return Held(name, nonce)

    def _clear_one(self, name: str) -> Busy | None:
        lock = self._read(name)
        if lock is None:
            return None
        if self.is_mine(lock) or self.is_stale(name, lock):
            self._relay.store.delete(name)
            return None
        return Busy(lock.owner, lock.mode, self._sighting(f"{name}:{lock.owner}:{lock.nonce}", self._clock.now()))

    def _busy(self, name: str) -> Busy:
        lock = self._read(name) or LockText("", "")
        return Busy(lock.owner, lock.mode, self._clock.now())

    def _read(self, name: str) -> LockText | None:
        try:
            return self._relay.format.decode_lock(self._relay.read_lock(name))
        except Missing:
            return None


def unique_name(rng: random.Random) -> str:
    """Sixteen hex digits from the client's own source of chance, so that the simulator can repeat them."""
    return f"{rng.getrandbits(64):016x}"
