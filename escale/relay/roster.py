"""The roster of a format 1 relay: every client says that it takes part, so that updates wait for the pullers, and says
it again from time to time, so that the others notice when it is gone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from ..errors import Corrupt, Missing, PeerError
from .format1 import Format1
from .relay import Blob, IndexRelay

SIGN_OF_LIFE_S = 3600
"""How often a client renews its entry: one small request an hour."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One client as the roster knows it.

    `pulls`: updates wait for it; `incarnation` tells two of one name apart; `seen`: the Unix time, by its own clock, at
    which it last said so.  Others do not compare that time with theirs, they only look whether it changes.
    """

    name: str
    pulls: bool
    incarnation: str
    seen: int = 0

    @property
    def sign_of_life(self) -> str:
        """A name for this entry and no later one of the same client."""
        return f"client {self.name} at {self.seen}"

    def says_nothing_new(self, known: Participant) -> bool:
        """Whether the entry that is there will do."""
        is_fresh = 0 <= self.seen - known.seen < SIGN_OF_LIFE_S
        return is_fresh and replace(known, seen=self.seen) == self

    def encode(self) -> bytes:
        """JSON."""
        found = {"client": self.name, "pulls": self.pulls, "incarnation": self.incarnation, "seen": self.seen}
        return json.dumps(found).encode()

    @classmethod
    def decode(cls, data: bytes, where: str) -> Participant:
        """Corrupt for anything else."""
        try:
            found = json.loads(data)
            name = str(found["client"])
            # Half a surrogate pair, which JSON can spell, is no character and could not be said to anybody.
            name.encode()
            return cls(name, bool(found["pulls"]), str(found["incarnation"]), int(found.get("seen", 0)))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not an entry of the roster") from error


class Roster:
    """Reads each entry once and again when the listing shows it changed."""

    def __init__(self, relay: IndexRelay, form: Format1) -> None:
        self._relay = relay
        self._form = form
        self._known: dict[str, tuple[str, Participant]] = {}

    def refresh(self, blobs: tuple[Blob, ...]) -> list[PeerError]:
        """Take in what a survey shows; returns what could not be read."""
        problems = []
        present = {blob.info.name: blob for blob in blobs}
        self._known = {name: known for name, known in self._known.items() if name in present}
        for name, blob in present.items():
            known = self._known.get(name)
            if known and known[0] == blob.info.tag:
                continue
            try:
                found = Participant.decode(self._relay.read_blob(blob.place), name)
                self._known[name] = (blob.info.tag, found)
            except Missing:
                continue
            except PeerError as error:
                problems.append(error)
        return problems

    def find(self, client: str) -> Participant | None:
        """The entry of a client."""
        return next((one for _, one in self._known.values() if one.name == client), None)

    def enter(self, participant: Participant) -> None:
        """Write or replace one's own entry."""
        self._relay.write_blob(self._form.client_place(participant.name), participant.encode())

    @property
    def participants(self) -> list[Participant]:
        """All entries."""
        return [one for _, one in self._known.values()]

    def others(self, client: str) -> list[Participant]:
        """The entries of all pullers but this client, by name."""
        found = (one for _, one in self._known.values() if one.pulls and one.name != client)
        return sorted(found, key=lambda one: one.name)

    def forget(self, client: str) -> None:
        """Remove the entry of a client that has left for good."""
        self._relay.store.delete(self._form.name(self._form.client_place(client)))

    @property
    def pullers(self) -> frozenset[str]:
        """Names of all clients that updates wait for."""
        return frozenset(one.name for _, one in self._known.values() if one.pulls)
