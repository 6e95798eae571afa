"""Save: folders as they are now into a new version.

The version is written last, after everything it relies on was proven to be there: what turns out to be damaged is
stored again in the same run, from the files that it was made of.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from ..clock import Clock
from ..errors import EscaleError, UserError
from .chunks import Chunker, chunker_of
from .machine import Machine
from .progress import Report, silent
from .proof import WHOLE, Proof, ProofFailed
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
    repository."""

    def __init__(
        self,
        repository: Repository,
        writer: Writer,
        clock: Clock,
        machine: Machine | None = None,
        chunker: Chunker | None = None,
        proof: Proof | None = None,
    ) -> None:
        self._repository = repository
        self._writer = writer
        self._clock = clock
        self._chunker = chunker
        self._machine = machine or Machine.this()
        self._proof = proof or Proof(repository)

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
        snapshot = self._repository.write_snapshot(self._snapshot(tree, begun_ns, paths, parent, tags, walk.counts))
        self._repository.catalog.note(WHOLE, tree)
        return Saved(snapshot, walk.counts, tuple(walk.changed), tuple(walk.unread), tuple(damaged))

    def _proven(
        self,
        paths: Sequence[str],
        excludes: Excludes | None,
        parent: Snapshot | None,
        report: Report,
        damaged: list[EscaleError],
    ) -> tuple[Walk, str]:
        """Everything stored and seen to be there; what was not goes to `damaged`."""
        chunker = self._chunker or chunker_of(self._repository, paths)
        found: list[EscaleError] = []
        for _ in range(ROUNDS):
            walk = Walk(self._repository, self._writer, chunker, self._proof, excludes, parent, report)
            tree = walk.run(paths)
            self._writer.flush()
            found = [*walk.damaged, *self._proof.prove(self._writer.written.packs)]
            if not found:
                return walk, tree
            damaged += found
        raise ProofFailed(where=self._repository.objects.url, reason="; ".join(map(str, found)))

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
