"""python -m benchmarks.backup_save REPOSITORY CACHE PATH: one run of saving by our library, for `benchmarks.backup`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from escale.backup.machine import Machine
from escale.backup.repository import NoRepository, Repository
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.store.directory import DirectoryStore

PASSWORD = "benchmark"


def main(place: str, cache: str, path: str) -> None:
    """`cache` is "-" for none."""
    clock, keep = SystemClock(), None if cache == "-" else Path(cache)

    def open_store() -> DirectoryStore:
        return DirectoryStore(place)

    try:
        repository = Repository.open(open_store, PASSWORD, keep)
    except NoRepository:
        Path(place).mkdir(exist_ok=True)
        repository = Repository.init(open_store, PASSWORD, keep, Machine.this(), clock.now())
    versions = [each for each in repository.snapshots() if isinstance(each, Snapshot)]
    parent = max(versions, key=lambda each: each.time_ns, default=None)
    with Writer(repository, os.cpu_count() or 2, 2) as writer:
        saved = Save(repository, writer, clock).run([path], parent=parent)
    print(saved.counts, writer.written.stored_bytes, saved.damaged, saved.unreadable)


if __name__ == "__main__":
    main(*sys.argv[1:])
