"""Putting arrived versions into their places, and what the client remembers and tells of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from ..events import Item
from ..files.install import Installed, Outcome
from ..files.staging import Staged
from ..files.tree import Entry, Kind, parents_of
from .client import Client
from .index import Record
from .plan import Local

NAME_BYTES_MAX = 255

EXTENSION_BYTES_MAX = 100
"""What is longer is no extension: with the longest name of a client there would be no room for the rest."""


def install(
    client: Client, staged: Sequence[Staged], conflicts: Collection[str], local: Local, wanted: Mapping[str, Record]
) -> list[Entry]:
    """Verified files and links of these records; returns those that are in their places, durably and remembered."""
    paths = [one.entry.path for one in staged]
    expected, aside = _places(client, paths, conflicts, local)
    with _parents_intended(client, paths):
        results = client.folder.install(staged, expected, aside, by=_senders(wanted.values()))
        return settle(client, results, local, wanted)


def make(client: Client, wanted: Mapping[str, Record], conflicts: Collection[str], local: Local) -> list[Entry]:
    """Directories of these records, new or with new permissions; returns those that are there, likewise."""
    expected, aside = _places(client, wanted, conflicts, local)
    entries = [record.entry for record in wanted.values()]
    with _parents_intended(client, wanted):
        results = client.folder.make(entries, expected, aside, by=_senders(wanted.values()))
        return settle(client, results, local, wanted)


def _places(
    client: Client, paths: Collection[str], conflicts: Collection[str], local: Local
) -> tuple[dict[str, Entry | None], dict[str, str]]:
    """What the plan expects at each of the paths, and where to keep what is there if both are to survive.

    A directory is given a name to go to as well, for it may hold files that nobody else has.
    """
    expected = {path: local.entries.get(path) for path in paths}
    keep = [path for path, entry in expected.items() if path in conflicts or (entry and entry.kind is Kind.DIRECTORY)]
    return expected, {path: conflict_name(client, path) for path in keep}


def settle(client: Client, results: Sequence[Installed], local: Local, wanted: Mapping[str, Record]) -> list[Entry]:
    """Take note of what became of each path; returns the entries that are in their places."""
    done = []
    for result in results:
        path = result.entry.path
        if result.outcome is Outcome.INSTALLED:
            _note_installed(client, result, local)
            done.append(result.entry)
        elif result.outcome is Outcome.IMPOSSIBLE:
            refuse(client, path, result.reason, local)
        elif result.outcome is Outcome.CHANGED:
            client.skip(path, "changing", f"it changed here while the other version arrived: {result.reason}")
        else:
            client.skip(path, "error", result.reason, "L101")
    client.agree([wanted[entry.path] for entry in done], local, {entry.path: entry for entry in done})
    return done


def refuse(client: Client, path: str, reason: str, local: Local) -> None:
    """Nothing can have this path here: it is told, and neither fetched nor asked for."""
    client.impossible[path] = reason
    local.excluded |= {path}
    client.skip(path, "name", reason, "L204")


def conflict_name(client: Client, path: str) -> str:
    """`name.conflict-CLIENT-DATE-TIME.ext`, beside the file; UTC, so that all machines spell it alike."""
    directory, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    if len(extension.encode("utf-8", "surrogateescape")) > EXTENSION_BYTES_MAX:
        stem, extension = name, ""
    when = datetime.fromtimestamp(client.clock.now(), UTC).strftime("%Y%m%d-%H%M%S")
    middle = f".conflict-{client.name}-{when}"
    room = NAME_BYTES_MAX - len((middle + extension).encode("utf-8", "surrogateescape"))
    while len(stem.encode("utf-8", "surrogateescape")) > room:
        stem = stem[:-1]
    return os.path.join(directory, f"{stem}{middle}{extension}")


def _note_installed(client: Client, result: Installed, local: Local) -> None:
    path = result.entry.path
    before = local.entries.get(path)
    if result.kept_as:
        client.tell_conflict(path, result.kept_as)
        if before is not None:
            _note_moved(local, before, result.kept_as)
    local.entries[path] = result.entry
    _note_parents(client, path)
    client.tally.down_files += 1
    client.tally.down_bytes += result.entry.size
    client.tell(Item(client.section, "down", "changed" if before else "new", path, result.entry.size))


def _note_parents(client: Client, path: str) -> None:
    """Directories that were made on the way.  Whoever made them for himself has, or will have, a record of them."""
    for above in reversed(parents_of(path)):
        if Kind.DIRECTORY not in client.relay.format.kinds or client.here(above):
            return
        made = client.folder.directory(above)
        if made and client.folder.why_not(above, 0, Kind.DIRECTORY) is None:
            client.imply(_as_it_was(client, made))


@contextmanager
def _parents_intended(client: Client, paths: Iterable[str]) -> Iterator[None]:
    """Remember, durably, what may be made on the way to these: who dies in between must not take it for his own."""
    missing = {above for path in paths for above in parents_of(path) if client.here(above) is None}
    if not missing or Kind.DIRECTORY not in client.relay.format.kinds:
        yield
        return
    client.ledger.intend(missing)
    yield
    client.ledger.forget_intended(missing)


def note_intended(client: Client) -> None:
    """Directories that were made on the way by a pass that did not come to note them."""
    intended = client.ledger.intended()
    if not intended:
        return
    for path in sorted(intended):
        made = client.here(path)
        base = client.base(path)
        if made is not None and made.kind is Kind.DIRECTORY and (base is None or base.entry.is_gone):
            client.imply(_as_it_was(client, made))
    client.ledger.forget_intended(intended)


def _as_it_was(client: Client, made: Entry) -> Entry:
    """With the permissions of the directory that was there before: who has kept it for this file has them, too."""
    base = client.base(made.path)
    if base is None or base.entry.kind not in (Kind.DIRECTORY, Kind.GONE):
        return made
    return with_mode(client, made, base.recorded.mode)


def with_mode(client: Client, directory: Entry, mode: int) -> Entry:
    """A directory that is here, with these permissions as far as it can have them; 0 if nobody knows any."""
    if mode in (0, directory.mode):
        return directory
    (result,) = client.folder.make([replace(directory, mode=mode)], {directory.path: directory})
    return result.entry if result.outcome is Outcome.INSTALLED else directory


def _note_moved(local: Local, before: Entry, target: str) -> None:
    """What was put aside.  The files of a directory have other names now: the next scan finds them."""
    if before.kind is not Kind.DIRECTORY:
        local.entries[target] = replace(before, path=target)
        return
    inside = {path for path in {*local.entries, *local.bases} if path.startswith(f"{before.path}/")}
    local.untouchable |= inside
    for path in inside & local.entries.keys():
        del local.entries[path]


def _senders(records: Collection[Record]) -> dict[str, str]:
    return {record.path: record.client for record in records}
