"""Save: folders as they are now into a new version.

The version is written last, after everything it relies on was proven to be there: what turns out to be damaged is
stored again in the same run, from the files that it was made of.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from .. import __version__
from ..clock import Clock
from ..errors import EscaleError, Refused, SecretError, UserError
from .chunks import Chunker, chunker_of
from .doomed import GRACE_S
from .heads import Heads
from .machine import Machine
from .objects import Kind
from .progress import Report, silent
from .proof import Proof, ProofFailed, Withdrawn, whole
from .repository import Repository
from .snapshot import Snapshot
from .summary import Counts
from .walk import Excludes, Unread, Walk
from .writer import Writer

ROUNDS = 3
"""Over the disk, when what was to be relied on turns out to be damaged: the second stores it again, the third is for
damage that was found while doing so."""


class NothingToSave(UserError):
    """nothing was saved: there is no {path}"""

    code = "B401"
    advice = "Is the disk mounted? The versions that exist are untouched."


@dataclass(frozen=True, slots=True)
class Saved:
    """The version and what is to be said about it.

    `changed_meanwhile`: files that were being written while they were read, twice; `unreadable`: what the version
    lacks; `damaged`: what was found missing or damaged on the store.  What this version needs of that is stored again.
    """

    snapshot: Snapshot
    counts: Counts
    changed_meanwhile: tuple[str, ...] = ()
    unreadable: tuple[Unread, ...] = ()
    damaged: tuple[EscaleError, ...] = ()


class Save:
    """Saves into one repository.  `machine`: who saves, None for the one that runs us; `chunker`: None for that of the
    repository; `heads`: signs what was saved, None if nobody does.

    The caller holds a lock that is shared, and renews it.
    """

    def __init__(
        self,
        repository: Repository,
        writer: Writer,
        clock: Clock,
        machine: Machine | None = None,
        chunker: Chunker | None = None,
        proof: Proof | None = None,
        heads: Heads | None = None,
    ) -> None:
        self._repository = repository
        self._writer = writer
        self._clock = clock
        self._chunker = chunker
        self._machine = machine or Machine.this()
        self._proof = proof or Proof(repository, clock.now())
        self._heads = heads
        self._looked = self._moments()

    def run(
        self,
        paths: Sequence[str],
        excludes: Excludes | None = None,
        parent: Snapshot | None = None,
        report: Report = silent,
        tags: tuple[str, ...] = (),
    ) -> Saved:
        """Save the paths.  `excludes` is asked for each path, and whether it is a directory; `parent`: the version to
        compare with.  NothingToSave if one of the paths is not there, ProofFailed if the store does not keep what it is
        given."""
        begun_ns = round(self._clock.now() * 1e9)
        paths = sorted({os.path.abspath(path) for path in paths})
        for path in paths:
            if not os.path.lexists(path):
                raise NothingToSave(path=path)
        damaged = self._proof.look()
        walk, tree = self._proven(paths, excludes, parent, report, damaged)
        snapshot = self._written(self._snapshot(tree, begun_ns, paths, parent, tags, walk.counts))
        self._repository.catalog.note(whole(paths), tree)
        self._repository.remember_snapshot(snapshot)
        told = tuple(one for one in damaged if not isinstance(one, Withdrawn))
        return Saved(snapshot, walk.counts, tuple(walk.changed), tuple(walk.unread), told)

    def _proven(
        self,
        paths: Sequence[str],
        excludes: Excludes | None,
        parent: Snapshot | None,
        report: Report,
        damaged: list[EscaleError],
    ) -> tuple[Walk, str]:
        """Everything stored and seen to be there; what was not goes to `damaged`."""
        chunker = cache(lambda: self._chunker or chunker_of(self._repository, paths))
        news: list[EscaleError] = []
        for _ in range(ROUNDS):
            walk = Walk(self._repository, self._writer, chunker, self._proof, excludes, parent, report)
            tree = walk.run(paths)
            self._writer.flush()
            self._looked = self._moments()
            known = set(map(str, damaged))
            # What was known to be damaged when this round began was not relied on by it.
            found = [*walk.damaged, *self._proof.prove(self._writer.written.packs)]
            news = [error for error in found if str(error) not in known]
            if not news:
                return walk, tree
            damaged += news
        raise ProofFailed(where=self._repository.objects.url, reason="; ".join(map(str, news)))

    def _written(self, snapshot: Snapshot) -> Snapshot:
        """Stored and signed.  If that took so long that what it relies on may be gone, it is looked for again."""
        if self._heads is not None:
            self._heads.settle()
            self._heads.about_to_save(snapshot.tree)
        snapshot = self._repository.write_snapshot(snapshot)
        waited = max(abs(now - then) for now, then in zip(self._moments(), self._looked, strict=True))
        if waited > GRACE_S / 2 and (found := self._proof.prove(self._writer.written.packs)):
            self._withdraw(snapshot)
            raise ProofFailed(where=self._repository.objects.url, reason="; ".join(map(str, found)))
        if self._heads is not None:
            self._heads.saved(snapshot)
        return snapshot

    def _withdraw(self, snapshot: Snapshot) -> None:
        if self._heads is not None:
            # Where it cannot be removed it stays without a signature.
            self._heads.not_saved()
        with suppress(Refused, SecretError):
            self._repository.objects.delete(Kind.SNAPSHOT, snapshot.id)

    def _moments(self) -> tuple[float, float]:
        """By two clocks, one of which stands still while the machine sleeps, and the other one may be set."""
        return self._clock.now(), self._clock.monotonic()

    def _snapshot(
        self,
        tree: str,
        begun_ns: int,
        paths: Sequence[str],
        parent: Snapshot | None,
        tags: tuple[str, ...],
        counts: Counts,
    ) -> Snapshot:
        ended_ns = round(self._clock.now() * 1e9)
        return Snapshot(
            tree=tree,
            time_ns=begun_ns,
            paths=tuple(paths),
            hostname=self._machine.hostname,
            username=self._machine.username,
            uid=self._machine.uid,
            gid=self._machine.gid,
            tags=tags,
            parent=parent.id if parent else "",
            program_version=f"escale {__version__}",
            rest=(("summary", counts.summary(begun_ns, ended_ns, self._writer.written)),),
        )
