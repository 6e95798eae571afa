"""Heads: what each client did, signed by it, one record upon the other; restic ignores them.

A version that is gone without a record that it was forgotten was taken by a hand that may delete there; one that no
record names was put there by a hand that has the repository's key.  A client's records are numbered and each names the
one before by its digest, so none can be left out; and each client remembers how far the others were, so the end cannot
be left out either, but from a client that never looked.

    x-escale/heads/<client>-<number>   sealed with the repository's key: {"head": text, "signature": base64}
    client                             the first 16 hex digits of the SHA-256 of its public key
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..clock import Clock
from ..errors import Corrupt, LocalError, Missing, NoSuchRelay, PeerError
from ..store.blob import read_many
from .config import Config
from .machine import Machine
from .repository import Repository
from .snapshot import Snapshot

_DIRECTORY = "heads"
_DIGITS = 10
HEAD_BYTES_MAX = 16 << 20
"""A record may name every version that was forgotten at once."""

SAVED = "saved"
FORGOT = "forgot"
ADDS = "adds"
"""From here on this client only adds: it forgets nothing."""


@dataclass(frozen=True, slots=True)
class Head:
    """One record.  `previous`: the digest of the record before, "" for the first; `digest`: its own.

    `contents`: of each version that was saved, the digest of what restic leaves alone when it changes its tags.
    """

    client: str
    number: int
    previous: str
    time: float
    hostname: str
    event: str
    snapshots: tuple[str, ...]
    contents: tuple[str, ...]
    public: str
    digest: str = ""

    def encode(self, key: Ed25519PrivateKey) -> bytes:
        """Signed, in the clear."""
        fields = {name: getattr(self, name) for name in Head.__slots__ if name != "digest"}
        text = json.dumps(fields, separators=(",", ":"))
        signature = base64.b64encode(key.sign(_CONTEXT + text.encode())).decode()
        return json.dumps({"head": text, "signature": signature}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, clear: bytes, name: str, where: str) -> Head:
        """What `encode` wrote for this name; Corrupt if it is not, or was signed by another key."""
        try:
            envelope = json.loads(clear)
            text, signature = str(envelope["head"]).encode(), base64.b64decode(envelope["signature"], validate=True)
            found = json.loads(text)
            head = cls(
                client=str(found["client"]),
                number=int(found["number"]),
                previous=str(found["previous"]),
                time=float(found["time"]),
                hostname=str(found["hostname"]),
                event=str(found["event"]),
                snapshots=tuple(map(str, found["snapshots"])),
                contents=tuple(map(str, found["contents"])),
                public=str(found["public"]),
                digest=hashlib.sha256(clear).hexdigest(),
            )
            public = bytes.fromhex(head.public)
            Ed25519PublicKey.from_public_bytes(public).verify(signature, _CONTEXT + text)
        except (InvalidSignature, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not signed by the client that it names") from error
        if head.client != client_of(public) or _name(head.client, head.number) != name:
            raise Corrupt(where=where, reason="it is the record of another client, or of another place")
        return head


_CONTEXT = b"escale head 1\n"


def client_of(public: bytes) -> str:
    """A client's name, made of its public key."""
    return hashlib.sha256(public).hexdigest()[:16]


@dataclass(slots=True)
class Memory:
    """What a client keeps for itself: its private key, and how far each client was seen to be (number, digest).

    `pending`: the tree of a version that it was about to write, or "": a crash may have come before its record.
    `adds`: whether it has signed that it only adds.
    """

    seed: bytes
    pending: str = ""
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    adds: bool = False

    @classmethod
    def load(cls, path: Path) -> Memory:
        """From the file, or with a new key if there is none; LocalError if it is damaged."""
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            seen = {str(client): (int(number), str(digest)) for client, (number, digest) in found["seen"].items()}
            return cls(bytes.fromhex(found["seed"]), str(found["pending"]), seen, bool(found.get("adds", False)))
        except FileNotFoundError:
            return cls(os.urandom(32))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LocalError(path=str(path), reason=f"it does not hold the key of this client: {error}") from error

    def save(self, path: Path) -> None:
        """Durably, for our eyes only."""
        kept = {"seed": self.seed.hex(), "pending": self.pending, "seen": self.seen, "adds": self.adds}
        text = json.dumps(kept).encode()
        temporary = path.with_name(f"{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError as error:
            raise LocalError(path=str(path), reason=error.strerror or str(error)) from error


def memory_path(state: Path, config: Config) -> Path:
    """Where a client keeps what it knows of a repository."""
    return state / f"{config.id[:16]}.heads"


class Heads:
    """The records in a repository, and the memory of the client that we are.

    `adds`: we only add, and say so in a record before all others.  A key that has said so signs nothing else ever: who
    may delete again is another client.
    """

    def __init__(
        self, repository: Repository, machine: Machine, clock: Clock, state: Path, *, adds: bool = False
    ) -> None:
        self._repository = repository
        self._store = repository.objects.extra(_DIRECTORY)
        self._machine = machine
        self._clock = clock
        self._path = memory_path(state, repository.config)
        self.memory = Memory.load(self._path)
        self._adds = adds
        if self.memory.adds and not adds:
            self.memory = Memory(os.urandom(32), self.memory.pending, self.memory.seen)
        self._key = Ed25519PrivateKey.from_private_bytes(self.memory.seed)
        self._public = self._key.public_key().public_bytes_raw()
        self.client = client_of(self._public)

    def about_to_save(self, tree: str) -> None:
        """A version of this tree is written next; if we die before `saved`, the next `saved` tells of it, too."""
        self.memory.pending = tree
        self.remember()

    def saved(self, snapshot: Snapshot) -> Head:
        """A version was written by us."""
        head = self._sign(SAVED, [snapshot.id], [content_of(snapshot)])
        self.memory.pending = ""
        self.remember()
        return head

    def not_saved(self) -> None:
        """The version that was about to be written is none after all; nobody is to sign it later."""
        self.memory.pending = ""
        self.remember()

    def forgot(self, snapshots: Sequence[str]) -> Head:
        """Versions are about to be deleted by us."""
        return self._sign(FORGOT, snapshots)

    def settle(self) -> None:
        """Sign the version that we wrote just before we died, if we did."""
        if not self.memory.pending:
            return
        snapshots = [one for one in self._repository.snapshots() if isinstance(one, Snapshot)]
        ours = [one for one in snapshots if (one.tree, one.hostname) == (self.memory.pending, self._machine.hostname)]
        for snapshot in unsigned(self.read()[0], ours):
            self.saved(snapshot)

    def read(self) -> tuple[list[Head], list[PeerError]]:
        """All records, each client's in its order; and those that cannot be read."""
        heads, damaged = [], []
        for name, sealed in read_many(self._store, self._names(), HEAD_BYTES_MAX):
            if sealed is None:
                continue
            try:
                heads.append(self._opened(name, sealed))
            except PeerError as error:
                damaged.append(error)
        return heads, damaged

    def is_known(self, client: str) -> bool:
        """Whether it is us, or was there when this machine looked last."""
        return client == self.client or client in self.memory.seen

    def remember(self, heads: Iterable[Head] = ()) -> None:
        """How far everybody is, never less than before; durably."""
        for head in heads:
            if head.number > self.memory.seen.get(head.client, (0, ""))[0]:
                self.memory.seen[head.client] = (head.number, head.digest)
        self.memory.save(self._path)

    def _sign(self, event: str, snapshots: Sequence[str], contents: Sequence[str] = ()) -> Head:
        if self._adds and not self.memory.adds and event != ADDS:
            self._sign(ADDS, [])
            self.memory.adds = True
            self.remember()
        number, previous = self._last()
        while True:
            number += 1
            name, now = _name(self.client, number), self._clock.now()
            host, public = self._machine.hostname, self._public.hex()
            what = (event, tuple(snapshots), tuple(contents))
            head = Head(self.client, number, previous, now, host, *what, public)
            clear = head.encode(self._key)
            if self._store.create(name, self._repository.master.seal(clear)):
                self.memory.seen[self.client] = (number, hashlib.sha256(clear).hexdigest())
                self.remember()
                return head
            # Another process with the same key was faster.
            previous = self._digest_of(name)

    def _last(self) -> tuple[int, str]:
        """Number and digest of our last record, by the store or by memory, whichever knows more."""
        number, digest = self.memory.seen.get(self.client, (0, ""))
        ours = [name for name in self._names() if name.startswith(f"{self.client}-")]
        if ours and int(ours[-1].rpartition("-")[2]) > number:
            return int(ours[-1].rpartition("-")[2]), self._digest_of(ours[-1])
        return number, digest

    def _digest_of(self, name: str) -> str:
        try:
            return self._opened(name, self._store.read_bytes(name, HEAD_BYTES_MAX)).digest
        except (PeerError, Missing):
            # Damaged: what follows it is a chain of its own, and said to be so.
            return ""

    def _opened(self, name: str, sealed: bytes) -> Head:
        where = f"{self._store.url}/{name}"
        return Head.decode(self._repository.master.open(sealed, where), name, where)

    def _names(self) -> list[str]:
        try:
            return sorted(blob.name for blob in self._store.list() if _is_name(blob.name))
        except NoSuchRelay:
            return []


def unsigned(heads: Iterable[Head], snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """The versions that no client of their host signed, neither as they are nor before restic changed their tags."""
    of_host: dict[str, list[Head]] = defaultdict(list)
    for head in heads:
        of_host[head.hostname].append(head)
    saved = {host: saved_in(signed) for host, signed in of_host.items()}
    return [one for one in snapshots if not _is_signed(one, saved.get(one.hostname, {}))]


def _is_signed(snapshot: Snapshot, saved: Mapping[str, str]) -> bool:
    return snapshot.id in saved or is_tagged_anew(snapshot, saved)


def first_hosts(heads: Iterable[Head]) -> dict[str, str]:
    """The name of the machine of each client when it signed first, which it cannot change."""
    return {head.client: head.hostname for head in sorted(heads, key=lambda head: -head.number)}


def saved_in(heads: Iterable[Head]) -> dict[str, str]:
    """The versions that clients saved, by id, with the digests of their contents."""
    return {
        snapshot: content
        for head in heads
        if head.event == SAVED
        for snapshot, content in zip(head.snapshots, head.contents, strict=False)
    }


def is_tagged_anew(snapshot: Snapshot, saved: Mapping[str, str]) -> bool:
    """Whether it is a version that was signed, but for its tags; it says which one, which anybody can."""
    return saved.get(original(snapshot)) == content_of(snapshot)


def original(snapshot: Snapshot) -> str:
    """The id that a version says to have had before restic changed its tags, or ""."""
    return str(dict(snapshot.rest).get("original") or "")


def content_of(snapshot: Snapshot) -> str:
    """The digest of everything that restic leaves alone when it changes the tags of a version."""
    fields = (snapshot.tree, snapshot.time_ns, snapshot.paths, snapshot.hostname, snapshot.username)
    return hashlib.sha256(json.dumps(fields).encode("utf-8", "backslashreplace")).hexdigest()


def _name(client: str, number: int) -> str:
    return f"{client}-{number:0{_DIGITS}d}"


def _is_name(name: str) -> bool:
    client, _, number = name.partition("-")
    return len(client) == 16 and len(number) == _DIGITS and number.isdecimal() and number.isascii()
