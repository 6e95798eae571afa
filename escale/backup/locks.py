"""Locks as restic writes them: who is at work in a repository, and whether alone.

A lock is a file; nothing prevents two exclusive ones but that each looks again after writing its own: both see the
other, and both may go.  It is renewed while the work lasts, so an old one belongs to the dead.  What a writer does is
safe without any lock; removing is not, so `exclusive` is for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ..clock import Clock
from ..errors import Corrupt, EscaleError, Missing, PeerError, Refused, SecretError, StoreError, UserError
from ..store.blob import BlobInfo
from .machine import Machine
from .moments import ns_of, text_of
from .objects import Kind
from .repository import Repository

STALE_S = 30 * 60.0
"""restic's own: after so long without renewal the owner is taken for dead."""

RENEW_S = 5 * 60.0
UNKNOWN_S = 24 * 3600.0
"""For so long restic may have been at work, which tells only when it renewed its lock."""

MARGIN_S = 60.0
"""Between two clocks, and between asking for a time and being told."""

LOOK_AGAIN_S = 0.2
"""restic's: how long a lock that was written at the same time needs to be seen, at the least."""


class RepositoryLocked(UserError):
    """the repository {where} is in use by {owner} since {since}"""

    code = "B440"
    exit_code = 11
    advice = "Try again when that is done. A lock whose owner died is removed by itself after half an hour."


class LockLost(UserError):
    """the work in {where} was broken off: somebody took our lock away, as if we were dead"""

    code = "B442"
    exit_code = 11
    advice = "Nothing is lost. Did this machine sleep? The next run goes on where this one ended."


@dataclass(frozen=True, slots=True)
class Claim:
    """What a lock file says; `time_ns` is that of its last renewal, by its owner's clock, `began_ns` that of the first,
    0 if restic wrote it, which does not tell."""

    time_ns: int
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0
    began_ns: int = 0

    def encode(self) -> bytes:
        """JSON as restic reads it."""
        fields = asdict(self)
        fields["time"] = text_of(fields.pop("time_ns"))
        fields["began"] = text_of(fields.pop("began_ns"))
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, clear: bytes, where: str) -> Self:
        """Corrupt for anything else."""
        try:
            found: dict[str, Any] = json.loads(clear)
            texts = (str(found.get("hostname", "")), str(found.get("username", "")))
            pid, uid, gid = (int(found.get(name, 0)) for name in ("pid", "uid", "gid"))
            began_ns = ns_of(found["began"]) if "began" in found else 0
            return cls(ns_of(found["time"]), bool(found.get("exclusive", False)), *texts, pid, uid, gid, began_ns)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not a lock") from error

    def is_stale(self, now_ns: int, machine: Machine) -> bool:
        """Whether its owner is dead: too old, or a process of this machine that is no more."""
        return now_ns - self.time_ns > STALE_S * 1e9 or machine.is_dead(self.hostname, self.pid)


class RepositoryLock:
    """A lock that we hold; `renew` is to be called every now and then, and does something every RENEW_S.

    `left`: why a file of it could not be removed, where that is forbidden; it goes stale.
    """

    def __init__(self, repository: Repository, claim: Claim, name: str, clock: Clock) -> None:
        self._repository = repository
        self._claim = claim
        self.name = name
        self.left: EscaleError | None = None
        self._clock = clock
        self._renewed = clock.monotonic()

    def renew(self) -> None:
        """Write it anew if it is time; the new one is there before the old one goes."""
        if self._clock.monotonic() - self._renewed < RENEW_S:
            return
        self._claim = replace(self._claim, time_ns=_now_ns(self._clock))
        before, self.name = self.name, self._repository.write_unpacked(Kind.LOCK, self._claim.encode())
        self._renewed = self._clock.monotonic()
        self._remove(before)

    def must_hold(self) -> None:
        """LockLost if others may take it for ours no more: before each thing that only somebody alone may do."""
        # Time passes on one of these clocks only while the machine sleeps.
        waited = max(abs(self._clock.now() - self._claim.time_ns / 1e9), self._clock.monotonic() - self._renewed)
        if waited > STALE_S or self._repository.objects.info(Kind.LOCK, self.name) is None:
            raise LockLost(where=self._repository.objects.url)
        self.renew()

    def store_now(self) -> float:
        """The time by the store's clock when this lock was written; by ours where the store does not tell."""
        info = self._repository.objects.info(Kind.LOCK, self.name)
        return self._clock.now() if info is None or info.mtime is None else info.mtime

    def release(self) -> None:
        """Take it away; if the store does not answer it goes stale."""
        with suppress(StoreError):
            self._remove(self.name)

    def _remove(self, name: str) -> None:
        try:
            self._repository.objects.delete(Kind.LOCK, name)
        except (Refused, SecretError) as error:
            self.left = error


@contextmanager
def locked(repository: Repository, machine: Machine, clock: Clock, *, exclusive: bool) -> Iterator[RepositoryLock]:
    """Hold a lock; RepositoryLocked if somebody else's forbids it.  Stale ones are removed."""
    _look(repository, machine, clock, exclusive, ours="")
    claim = Claim(_now_ns(clock), exclusive, **asdict(machine), began_ns=_now_ns(clock))
    held = RepositoryLock(repository, claim, repository.write_unpacked(Kind.LOCK, claim.encode()), clock)
    try:
        clock.sleep(LOOK_AGAIN_S)
        _look(repository, machine, clock, exclusive, ours=held.name)
        yield held
    finally:
        held.release()


def others_since(repository: Repository, machine: Machine, clock: Clock, ours: RepositoryLock) -> float:
    """Since when, by the store's clock, others have been at work; the time of our own lock if there are none."""
    listed = [*repository.objects.list(Kind.LOCK)]
    own = next((blob.mtime for blob in listed if blob.name == ours.name), None)
    since = clock.now() if own is None else own
    for blob, claim in _claims(repository, listed, ours.name):
        if claim is None or claim.is_stale(_now_ns(clock), machine):
            continue
        # The store's clock was read by whoever renewed the lock, as was his own.
        ahead = 0.0 if blob.mtime is None else blob.mtime - claim.time_ns / 1e9
        began = claim.began_ns / 1e9 if claim.began_ns else claim.time_ns / 1e9 - UNKNOWN_S
        since = min(since, began + ahead - MARGIN_S)
    return since


def _look(repository: Repository, machine: Machine, clock: Clock, exclusive: bool, ours: str) -> None:
    for blob, claim in _claims(repository, [*repository.objects.list(Kind.LOCK)], ours):
        if claim is None:
            # Nobody can tell whose it is; by its age it may still be somebody's.
            if _is_old(blob, clock):
                _remove_stale(repository, blob.name)
        elif claim.is_stale(_now_ns(clock), machine) or (_is_ahead(claim, clock) and _is_old(blob, clock)):
            _remove_stale(repository, blob.name)
        elif exclusive or claim.exclusive:
            owner = f"{claim.username}@{claim.hostname} (process {claim.pid})"
            raise RepositoryLocked(where=repository.objects.url, owner=owner, since=text_of(claim.time_ns))


def _is_old(blob: BlobInfo, clock: Clock) -> bool:
    """By the time at which the store received it."""
    return blob.mtime is not None and clock.now() - blob.mtime > STALE_S


def _is_ahead(claim: Claim, clock: Clock) -> bool:
    """A lock that says it is of next year would keep everybody out until then."""
    return claim.time_ns / 1e9 - clock.now() > STALE_S


def _remove_stale(repository: Repository, name: str) -> None:
    # Who only adds leaves it to others; it keeps nobody out.
    with suppress(Refused, SecretError):
        repository.objects.delete(Kind.LOCK, name)


def _claims(repository: Repository, listed: Iterable[BlobInfo], ours: str) -> Iterator[tuple[BlobInfo, Claim | None]]:
    """The locks that were listed, but ours, with what they say; None for what does not open, or says something else."""
    for blob in listed:
        if blob.name == ours:
            continue
        try:
            clear = repository.read_unpacked(Kind.LOCK, blob.name)
            yield blob, Claim.decode(clear, repository.objects.where(Kind.LOCK, blob.name))
        except Missing:
            continue
        except PeerError:
            yield blob, None


def _now_ns(clock: Clock) -> int:
    return round(clock.now() * 1e9)
