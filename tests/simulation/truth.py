"""What must be true when all is quiet again, worked out from what the users did and from nothing else.

* **last words**: a content that a user wrote, and that no user who saw it has overwritten or deleted, is there.
* **one hand**: a path that only one user touched since everybody agreed is as he left it, gone included.
* **no inventions**: nothing is there that nobody wrote, under a name that nobody gave (conflict copies have the name of
  what they are a copy of in theirs).
* **no destruction**: what a pass takes out of a folder lies in its trash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .folders import Node, Tree

CONFLICT = ".conflict-"

_COPY = re.compile(r"\.conflict-[a-z]+-\d{8}-\d{6}( \d+)?")


Versions = set[tuple[str, bytes]]
"""Kinds and values of files and links, wherever they lie."""


class Untrue(AssertionError):
    """A promise was broken."""


@dataclass
class Truth:
    """What the users did.

    `written` and `ended` hold (kind, value) of files and links.  `touched`: since everybody agreed, by path and user,
    what he left there.  `renames`: old and new names of directories; what arrives at that moment may come under either.
    `forgets`: the relay lost its memory in between, so deletions may be undone and versions doubt.
    """

    written: Versions = field(default_factory=set)
    ended: Versions = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    touched: dict[str, dict[str, Node | None]] = field(default_factory=dict)
    renames: list[tuple[str, str]] = field(default_factory=list)
    forgets: bool = False

    def note(self, user: str, path: str, before: Node | None, after: Node | None) -> None:
        """A user changed what he saw at a path."""
        if before is not None and (after is None or before[:2] != after[:2]):
            self.ended.add(before[:2])
        if after is not None:
            self.written.add(after[:2])
            self.named.add(path)
        self.touched.setdefault(path, {})[user] = after

    def moved(self, user: str, source: str, target: str, before: Tree) -> None:
        """A user gave a path another name, with all in it: nothing that he moved has ended."""
        after = {target + path[len(source) :]: node for path, node in before.items()}
        self.renames.append((source, target))
        for path in before.keys() - after.keys():
            self.touched.setdefault(path, {})[user] = None
        for path, node in after.items():
            self.touched.setdefault(path, {})[user] = node
            self.named.add(path)

    def check(self, tree: Tree) -> None:
        """Untrue unless this is a folder that everybody may end with; then everybody agrees on it."""
        there = {node[:2] for node in tree.values()}
        lost = {one for one in self.written - self.ended - there if one[0] != "directory"}
        _must(not lost, f"lost: {lost}")
        invented = {one for one in there - self.written if one[0] != "directory"}
        _must(not invented, f"nobody wrote {invented}")
        strange = [path for path in tree if not self._is_named(path) and CONFLICT not in path]
        _must(not strange, f"nobody named {strange}")
        if not self.forgets:
            self._check_single_hands(tree)
        self.touched.clear()
        self.named |= tree.keys()
        self.renames.clear()
        self.forgets = False

    def check_pass(self, before: Versions, after: Tree, trash: Versions) -> None:
        """Untrue if a pass destroyed something of what was there before, or came while it ran."""
        destroyed = before - versions(after) - trash - self.ended
        _must(not destroyed, f"a pass destroyed {destroyed}")

    def _check_single_hands(self, tree: Tree) -> None:
        for path, hands in self.touched.items():
            if len(hands) == 1:
                ((user, node),) = hands.items()
                _must(
                    _is_same(tree.get(path), node)
                    or self._is_contested(path, user)
                    or self._came_with_permissions(path, user, tree.get(path)),
                    f"{path} should be {node}, as {user} left it, and is {tree.get(path)}",
                )

    def _is_named(self, path: str) -> bool:
        return any(name in self.named for name in self._names(path))

    def _is_contested(self, path: str, user: str) -> bool:
        """Whether somebody else touched what the path lies in, or what lies in it, before it was put aside or since."""
        return any(
            other.startswith((f"{name}/", f"{_original(name)}/"))
            or name.startswith(f"{other}/")
            or (name == other != path)
            for name in self._names(path)
            for other, hands in self.touched.items()
            if hands.keys() - {user}
        )

    def _came_with_permissions(self, path: str, user: str, now: Node | None) -> bool:
        """Whether the file was given its name while it was given the permissions that somebody else chose for it."""
        node = self.touched[path][user]
        is_content = now is not None and node is not None and now[:2] == node[:2]
        sources = [old for old, new in self.renames if new == path]
        return is_content and any(self.touched.get(old, {}).keys() - {user} for old in sources)

    def _names(self, path: str) -> list[str]:
        """The path, and what it was called before a directory above it had another name."""
        return [path] + [old + path[len(new) :] for old, new in self.renames if path.startswith(f"{new}/")]


def versions(tree: Tree) -> Versions:
    """What would be missed."""
    return {node[:2] for node in tree.values() if node.kind != "directory"}


def _original(path: str) -> str:
    """What a conflict copy is a copy of."""
    return _COPY.sub("", path)


def _is_same(now: Node | None, left: Node | None) -> bool:
    """Permissions of directories do not count: one sees them while a pass is not done, and who changes them does not
    touch what is in them."""
    if now is not None and left is not None and now.kind == left.kind == "directory":
        return True
    return now == left


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Untrue(what)
