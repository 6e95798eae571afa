"""Vision: the versions in a vault as people ask for them: at a time, by names and paths as they are typed.

In a version paths stand below "/", as they were on the machine that saved it; people mean them from where they are, or
from one of the folders that were saved.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..backup.machine import Machine
from ..backup.node import Node, NodeType
from ..backup.repository import Repository
from ..backup.snapshot import Snapshot
from ..backup.versions import LATEST, Found, Versions, choose
from ..errors import PeerError
from ..files.tree import parents_of
from .vault import Vault


@dataclass(frozen=True, slots=True)
class Sighting:
    """A path as it was in `version` and in those after it, until the next sighting; `node` is None where it was gone
    from then on."""

    version: Snapshot
    path: str
    node: Node | None


class Vision:
    """Looks into one repository; `roots`: more folders that people may mean paths in."""

    def __init__(self, vault: Vault, repository: Repository, roots: Sequence[str] = ()) -> None:
        self.vault = vault
        self.repository = repository
        self._versions = Versions(repository)
        self._is_fresh = False
        self._roots = tuple(root.strip("/") for root in roots)
        self.snapshots = self._versions.all()

    @property
    def damaged(self) -> list[PeerError]:
        """What could not be read so far."""
        return self._versions.damaged

    @property
    def _view(self) -> Versions:
        """Of a catalog that is brought up to date when the first directory is looked at: versions need none."""
        if not self._is_fresh:
            self._is_fresh = True
            self._versions.damaged += self.repository.refresh()
        return self._versions

    def at(self, wanted: str | None, time: float | None) -> Snapshot:
        """The version by id or "latest", or the last that was begun no later than `time`; NoVersion.

        Without an id it is one of our section on this machine, or of its folders on another one, if there are any:
        several may share a store.
        """
        at_ns = None if time is None else round(time * 1e9)
        candidates = self.snapshots if wanted not in (None, LATEST) else self._ours()
        return choose(candidates, wanted or LATEST, at_ns, self.vault.url)

    def _ours(self) -> list[Snapshot]:
        machine, paths = Machine.this(), sorted(map(str, self.vault.paths))
        here = [version for version in self.snapshots if self.vault.is_of_section(version, machine)]
        return here or [one for one in self.snapshots if sorted(one.paths) == paths] or self.snapshots

    def before(self, version: Snapshot) -> Snapshot | None:
        """The one before it of the same machine and paths."""
        group = self._group(version)
        place = group.index(version)
        return group[place - 1] if place else None

    def meant(self, version: Snapshot, word: str) -> list[Found]:
        """What somebody means by this path: "." are all the folders that were saved.  Corrupt if the way is damaged."""
        if word in (".", ""):
            return [found for path in version.paths if (found := self._view.at(version, path.strip("/")))]
        for path in self._candidates(version, word):
            found = self._view.at(version, path)
            if found is not None and found.path:
                return [found]
        return []

    def base(self, version: Snapshot) -> str:
        """What paths are told relative to: the folder that was saved, or what several of them have in common."""
        paths = [path for path in version.paths if path.startswith("/")]
        if not paths:
            return ""
        common = os.path.commonpath(paths).strip("/")
        if len(paths) == 1 and common:
            found = self._view.at(version, common)
            if found is not None and found.node.type is not NodeType.DIRECTORY:
                return os.path.dirname(common)
        return common

    def below(self, found: Iterable[Found]) -> Iterator[Found]:
        """These and everything in them, once each, and each directory before what is in it."""
        chosen = {one.path: one for one in found}
        for one in chosen.values():
            if one.path and any(above in chosen for above in ("", *parents_of(one.path))):
                continue
            yield one
            if one.node.type is NodeType.DIRECTORY and one.node.subtree:
                yield from self._view.walk(one.node.subtree, one.path)

    def inside(self, found: Found) -> list[Found]:
        """What is in a directory; Corrupt."""
        nodes = self._view.nodes(found.node.subtree) if found.node.subtree else []
        return [Found(f"{found.path}/{node.name}" if found.path else node.name, node) for node in nodes]

    def find(self, pattern: str) -> Iterator[Sighting]:
        """Each content of each path that may be meant by a name or pattern, in the order of versions."""
        words = {pattern.strip("/"), os.path.abspath(pattern).strip("/")}
        for group in self._groups():
            before = ""
            for version in group:
                for change in self._view.diff(before, version.tree):
                    node = change.after
                    if node is None or node.type is NodeType.DIRECTORY or change.sign == "U":
                        continue
                    if _is_called(change.path, node.name, pattern, words):
                        yield Sighting(version, change.path, node)
                before = version.tree

    def history(self, word: str) -> list[Sighting]:
        """Each content of one path, the oldest first."""
        found = []
        for group in self._groups():
            path = next((one.path for version in reversed(group) for one in self._quietly(version, word)), None)
            if path is not None:
                found += [Sighting(version, path, node) for version, node in self._view.history(group, path)]
        return sorted(found, key=lambda sighting: sighting.version.time_ns)

    def changes(self, before: Snapshot, after: Snapshot, word: str) -> Iterator[tuple[str, str, Node | None]]:
        """Sign, path, and the newer node, of what differs below a path ("." for all)."""
        paths = {one.path for version in (before, after) for one in self.meant(version, word)}
        for change in self._view.diff(before.tree, after.tree):
            if any(change.path == path or change.path.startswith(f"{path}/") for path in paths):
                yield change.sign, change.path, change.after or change.before

    def _quietly(self, version: Snapshot, word: str) -> list[Found]:
        try:
            return self.meant(version, word)
        except PeerError as error:
            self._view.damaged.append(error)
            return []

    def _candidates(self, version: Snapshot, word: str) -> list[str]:
        plain = word.rstrip("/").removeprefix("./")
        absolute = os.path.abspath(word).strip("/")
        if word.startswith("/"):
            return [absolute]
        roots = [*(path.strip("/") for path in version.paths), *self._roots]
        inside = [f"{root}/{plain}" if root else plain for root in roots]
        named = [root for root in roots if os.path.basename(root) == plain]
        return [*inside, absolute, *named, plain]

    def _groups(self) -> list[list[Snapshot]]:
        groups: dict[tuple[str, tuple[str, ...]], list[Snapshot]] = defaultdict(list)
        for version in self.snapshots:
            groups[version.hostname, tuple(sorted(version.paths))].append(version)
        return list(groups.values())

    def _group(self, version: Snapshot) -> list[Snapshot]:
        return next(group for group in self._groups() if version in group)


def _is_called(path: str, name: str, pattern: str, words: set[str]) -> bool:
    if "/" in pattern:
        return path in words or fnmatchcase(f"/{path}", pattern) or fnmatchcase(path, f"*/{pattern}")
    return name == pattern or fnmatchcase(name, pattern)
