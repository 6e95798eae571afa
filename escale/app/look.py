"""Look: what the folder holds at the beginning of a pass, and what of it may be acted on.

One scan for all pages.  What is missing is told from what is merely not visible, from what has moved, and from a
deletion so large that the user has to be asked.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from ..events import Problem
from ..files.rules import Rules
from ..files.scan import Scan
from ..files.tree import Base, Entry, Kind, display, parents_of
from ..relay.client import Client, PageState
from ..relay.plan import Local, to_hash
from .conflicts import conflicts_in, note_conflicts
from .guard import Guard, HeldDeletion

Bases = dict[str, dict[str, Base]]
"""What was agreed on, by page and path."""


@dataclass(slots=True)
class Look:
    """The folder during one pass.

    `entries` by page and path; `untouchable`, `held`, `moved` and `now_ns` as in Local; `unseen`: beginnings of paths
    where the scan could not look; `has_unsettled`: whether files were left out because they had just been changed;
    `replaced`: by paths of files and links what was deleted so that they could be there, and does not go with them;
    `unfolded`: what was agreed on as a file or link and is a directory now.
    """

    now_ns: int = 0
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    untouchable: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    moved: frozenset[str] = frozenset()
    has_unsettled: bool = False
    replaced: dict[str, list[str]] = field(default_factory=dict)
    unfolded: frozenset[str] = frozenset()

    def is_deleted(self, base: Base) -> bool:
        """Whether what was agreed on and is not here was deleted, as far as one can see."""
        path = base.entry.path
        if base.entry.is_gone or path in self.untouchable or path.startswith(self.unseen):
            return False
        return not self.excludes(base.entry)

    def excludes(self, entry: Entry) -> bool:
        """Whether a rule keeps the entry out."""
        return self.rules.why_not(entry.path, entry.size, entry.kind) is not None

    def local(self, client: Client, state: PageState, bases: dict[str, Base]) -> Local:
        """The folder's side of a page, with every digest that its plans need."""
        entries = self.entries.setdefault(state.view.page, {})
        records = state.index.records
        away = {path: records[path].entry for path in records.keys() - entries.keys()}
        # A record that is gone does not say of what kind it was; what was agreed on does.
        known = (path for path in bases.keys() - entries.keys() if path not in away or away[path].is_gone)
        away |= {path: bases[path].entry for path in known}
        excluded = frozenset(path for path, entry in away.items() if self.excludes(entry)) | client.impossible.keys()
        unseen = frozenset(path for path in away if path.startswith(self.unseen))
        deletes = client.settings.deletes
        local = Local(entries, bases, self.untouchable | unseen, excluded, self.moved, deletes, self.now_ns, self.held)
        client.recognise(records, local)
        _hash(client, local, to_hash(local, records))
        return local


def look(client: Client, now: float) -> Look:
    """Scan the folder; LocalError if its root cannot be read."""
    scan = client.folder.scan()
    found = Look(round(now * 1e9), unseen=_unseen(scan), rules=scan.rules, has_unsettled=bool(scan.unsettled))
    impossible = _sort(client, scan.entries.values(), found)
    for trouble in scan.problems:
        client.skip(trouble.path, trouble.reason, trouble.message)
    for one, other in scan.clashes:
        message = f"differs from {display(one)} only in case or in how its letters are composed"
        entry = found.entries[client.relay.format.page_of(other)].get(other)
        client.tally.add_waiting(client.label([other]), "name", message, [entry] if entry else [])
    note_conflicts(client.tally, client.section, conflicts_in(scan.entries))
    found.untouchable = frozenset({*scan.unsettled, *impossible, *(trouble.path for trouble in scan.problems)})
    return found


def guard_deletions(client: Client, found: Look, bases: Bases, guard: Guard) -> None:
    """Find out what has moved, and hold deletions that are too many; those that were refused are fetched again."""
    refused = guard.refused()
    _forget(client, bases, refused)
    missing = missing_from(found, bases)
    found.moved = _moved(client, found, bases, missing)
    files = {path for path, entry in missing.items() if entry.is_file and entry.digest not in found.moved}
    agreed = sum(base.entry.is_file for page in bases.values() for base in page.values())
    held = guard.hold(files, agreed, client.clock.now())
    if held is not None:
        # Directories and links wait with the files, moved files and those that were approved do not.
        found.held = frozenset(held.paths).union(path for path, entry in missing.items() if not entry.is_file)
        _tell_held(client, held, missing)
    found.replaced = _replaced(client, refused.union(missing), refused | found.held)
    if not found.rules.carries_directories:
        # They are no entries then.
        found.unfolded |= {path for path in missing if client.folder.directory(path) is not None}


def unfolded(found: Look, bases: Bases) -> frozenset[str]:
    """Files and links that were agreed on and are directories now."""
    return frozenset(
        path
        for page, entries in found.entries.items()
        for path, entry in entries.items()
        if entry.kind is Kind.DIRECTORY and _is_leaf(bases.get(page, {}).get(path))
    )


def enclosed(client: Client, found: Look, page: str) -> dict[str, list[str]]:
    """What lies in a directory that took the place of a file of another page, by the path of the directory."""
    page_of = client.relay.format.page_of
    inside: dict[str, list[str]] = {}
    for path in found.entries.get(page, {}) if found.unfolded else ():
        for above in found.unfolded.intersection(parents_of(path)):
            if page_of(above) != page:
                inside.setdefault(above, []).append(path)
    return inside


def wait_for_directories(client: Client, found: Look, local: Local, page: str) -> None:
    """What lies in a directory that took the place of a file waits until the relay knows that the file went: whoever
    read of both would have to keep both, and put the file beside the directory."""
    waiting = []
    for above, paths in enclosed(client, found, page).items():
        if _is_leaf(client.base(above)):
            waiting += [local.entries[path] for path in paths]
    if waiting:
        local.untouchable |= {entry.path for entry in waiting}
        client.wait("queue", "goes when the relay knows of the directory in the place of a file", waiting)


def wait_for_deletions(client: Client, found: Look, local: Local) -> None:
    """A file in the place of a directory waits until the relay knows that what was in there is deleted: whoever read of
    both would have to keep both, and put the file beside the directory."""

    def is_told(path: str) -> bool:
        base = client.base(path)
        return base is not None and (base.entry.is_gone or base.is_implied)

    waiting = [
        local.entries[path]
        for path, below in found.replaced.items()
        if path in local.entries and not all(map(is_told, below))
    ]
    if waiting:
        local.untouchable |= {entry.path for entry in waiting}
        client.wait("queue", "goes when the deletion of what was in the directory in its place has gone", waiting)


def adopt_relay(client: Client, found: Look, bases: Bases, is_another: bool) -> None:
    """What is missing here was never deleted: it is fetched as if it had never been here.

    In another folder than the one that was agreed on, what differs is no edit of that either: both are kept.
    """
    _forget(client, bases, missing_from(found, bases))
    if is_another:
        _forget(client, bases, [path for page, known in bases.items() for path in _differing(found, page, known)])


def _is_leaf(base: Base | None) -> bool:
    """Whether a file or link was agreed on."""
    return base is not None and base.entry.kind in (Kind.FILE, Kind.LINK)


def _differing(found: Look, page: str, known: Mapping[str, Base]) -> list[str]:
    entries = found.entries.get(page, {})
    return [path for path, base in known.items() if path in entries and not entries[path].same_content(base.entry)]


def missing_from(found: Look, bases: Bases) -> dict[str, Entry]:
    """What was agreed on and was deleted here, as it was, by path."""
    return {
        path: agreed[path].entry
        for page, agreed in bases.items()
        for path in agreed.keys() - found.entries.get(page, {}).keys()
        if found.is_deleted(agreed[path])
    }


def _forget(client: Client, bases: Bases, paths: Iterable[str]) -> None:
    gone = [path for path in paths if path in bases.get(client.relay.format.page_of(path), {})]
    client.ledger.disagree(gone)
    for path in gone:
        del bases[client.relay.format.page_of(path)][path]


def _sort(client: Client, entries: Iterable[Entry], found: Look) -> set[str]:
    """The entries into their pages, as far as the relay's format carries them; paths that it cannot name."""
    form = client.relay.format
    impossible = set()
    for entry in entries:
        if entry.kind not in form.kinds:
            if entry.kind is Kind.LINK:
                client.skip(entry.path, "symlink", f"relay format {form.number} does not carry symbolic links")
            continue
        if problem := form.problem_with(entry):
            client.skip(entry.path, "name", problem, "L204")
            impossible.add(entry.path)
        found.entries.setdefault(form.page_of(entry.path), {})[entry.path] = entry
    return impossible


def _moved(client: Client, found: Look, bases: Bases, missing: Mapping[str, Entry]) -> frozenset[str]:
    """Digests of contents that left their paths and are here under other names, new ones or such as had another
    content before.  What is not as it was agreed on and has such a size is read to find out."""
    changed = {page: _changed(found, page, bases.get(page, {})) for page in found.entries}
    left = [entry for entry in missing.values() if entry.is_file]
    for page, paths in changed.items():
        known = bases.get(page, {})
        left += [known[path].entry for path in paths if path in known and known[path].entry.is_file]
    sizes = {entry.size for entry in left}
    again: dict[str, str | None] = {}
    for page, paths in changed.items():
        entries = found.entries[page]
        alike = [path for path in paths if entries[path].size in sizes]
        hashed, _ = client.folder.hash([path for path in alike if entries[path].digest is None])
        entries.update(hashed)
        again.update((path, entries[path].digest) for path in alike)
    lost = {entry.digest for entry in left if again.get(entry.path) != entry.digest}
    return frozenset(digest for digest in lost & set(again.values()) if digest is not None)


def _replaced(client: Client, deleted: Iterable[str], kept: Container[str]) -> dict[str, list[str]]:
    """Files and links in the place of a directory, with what was deleted in that and is on another page, or is `kept`
    on the relay for now."""
    page_of = client.relay.format.page_of
    replaced: dict[str, list[str]] = {}
    for path in deleted:
        for above in parents_of(path):
            entry = client.here(above)
            is_file = entry is not None and entry.kind is not Kind.DIRECTORY
            if is_file and (path in kept or page_of(above) != page_of(path)):
                replaced.setdefault(above, []).append(path)
    return replaced


def _changed(found: Look, page: str, known: Mapping[str, Base]) -> list[str]:
    """Files of a page that are not, or not for certain, as they were agreed on."""
    return [
        path
        for path, entry in found.entries[page].items()
        if entry.is_file
        and (entry.digest is None or (base := known.get(path)) is None or base.entry.digest != entry.digest)
        and path not in found.untouchable
    ]


def _tell_held(client: Client, held: HeldDeletion, missing: Mapping[str, Entry]) -> None:
    sentence = f"{len(held.paths)} of {held.agreed} files were deleted here; their deletion is held"
    command = f"escalectl approve {client.section}"
    client.tell(Problem(client.section, "L120", sentence, f"Look and decide: {command}", exit_code=5))
    client.tally.needs.append((sentence, command))
    client.tally.add_waiting(
        "", "held", "its deletion waits for escalectl approve", [missing[path] for path in held.paths]
    )


def _unseen(scan: Scan) -> tuple[str, ...]:
    """Beginnings of paths below directories that could not be read: nothing there may be taken for missing."""
    return () if scan.complete else tuple(f"{trouble.path}/" for trouble in scan.problems)


def _hash(client: Client, local: Local, paths: list[str]) -> None:
    if not paths:
        return
    hashed, troubles = client.folder.hash(paths)
    local.entries.update(hashed)
    for trouble in troubles:
        client.skip(trouble.path, trouble.reason, trouble.message)
    local.untouchable |= {trouble.path for trouble in troubles}
