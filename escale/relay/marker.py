"""The marker of a format 1 relay: what all its clients must agree on, written once by the first.

Plain JSON, so that a client with another key, or none, can say in one sentence why it stays away.  Nothing in it is
trusted beyond that: a relay that lies about it can make clients stop, not make them accept or reveal anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from ..clock import Clock
from ..digest import hasher
from ..errors import Corrupt, Missing, RelayInUse, SecretError
from ..files.tree import display
from ..store.blob import BlobStore
from .format1 import MARKER, VERSION

MARKER_BYTES_MAX = 1 << 16
"""A marker has some two hundred bytes."""

SETTLE_S = 1.0
"""Where creation is not exclusive two first clients may both write a marker; after this long both read the same one."""


class WrongKey(SecretError):
    """the key of this machine does not open the relay: it is sealed with key {theirs}, here is {ours}"""

    code = "K210"
    advice = "Copy the key file from a machine that works; compare with: escale keygen --fingerprint. Nothing was sent."


class RelayMoved(RelayInUse):
    """the relay {where} has moved to {to}"""

    code = "R353"
    advice = (
        "Nothing was touched. If one of you has moved it, here: escalectl migrate SECTION {to}\n"
        "It says what to change in the configuration."
    )


@dataclass(frozen=True, slots=True)
class Moved:
    """What is left where a relay was: its id, and the address that it has now."""

    relay_id: str
    to: str

    def encode(self) -> bytes:
        """In the place of the marker; clients that do not know it take it for that of a newer escale, and stop."""
        return (json.dumps({"escale relay": "moved", "relay_id": self.relay_id, "to": self.to}) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Marker:
    """What all clients of a relay share.

    `relay_id`: 16 hex digits; `key`: fingerprint of the key, "" for a relay in clear; `levels`: directory components
    that make a page; `algorithm`: of all digests; `exclusion`: "create" or "listing", the strategy of all locks.
    """

    relay_id: str
    key: str
    levels: int
    algorithm: str
    exclusion: str

    def encode(self) -> bytes:
        """One line of JSON for people and programs."""
        return (json.dumps({"escale relay": VERSION, **asdict(self)}) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes, where: str) -> Marker:
        """Corrupt for anything else than a marker, RelayMoved, RelayInUse for one of a newer escale."""
        try:
            found = json.loads(data)
            version = found.pop("escale relay")
            if version == "moved":
                raise RelayMoved(where=where, to=display(str(found["to"])), relay_id=str(found["relay_id"]))
            if version != VERSION:
                raise RelayInUse(what=f"the relay {where} was made by a newer escale (format {version!r})")
            marker = cls(
                str(found["relay_id"]),
                str(found["key"]),
                int(found["levels"]),
                str(found["algorithm"]),
                str(found["exclusion"]),
            )
            hasher(marker.algorithm)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise Corrupt(where=f"{where}/{MARKER}", reason="it is not the marker of a relay") from error
        if marker.exclusion not in ("create", "listing") or not 0 <= marker.levels <= 64:
            raise Corrupt(where=f"{where}/{MARKER}", reason="it holds values that no client writes")
        return marker

    def must_fit(self, key: str, where: str) -> Marker:
        """Itself, if this client's key fingerprint (or "") is the relay's; WrongKey or SecretError otherwise."""
        if self.key == key:
            return self
        if not self.key:
            raise RelayInUse(what=f"the relay {where} is not encrypted, but this client has encryption = on")
        raise WrongKey(theirs=self.key, ours=key or "none (encryption is off)")


def find(store: BlobStore) -> Marker | None:
    """The relay's marker, None on a relay that has none yet."""
    try:
        return Marker.decode(store.read_bytes(MARKER, MARKER_BYTES_MAX), store.url)
    except Missing:
        return None


def make(store: BlobStore, wish: Marker, certify: Callable[[], bool], clock: Clock) -> Marker:
    """Write `wish` as the marker of a new relay, with the lock strategy that the relay deserves.

    That is "create" where the backend promises exclusive creation and the race of `certify` confirms it: a short race
    alone misses servers that are wrong only sometimes.  Returns the marker that is there afterwards, which may be
    another client's.
    """
    strategy = "create" if store.guarantees.exclusive_create and certify() else "listing"
    store.create(MARKER, replace(wish, exclusion=strategy).encode())
    if not store.guarantees.exclusive_create:
        clock.sleep(SETTLE_S)
    return Marker.decode(store.read_bytes(MARKER, MARKER_BYTES_MAX), store.url)
