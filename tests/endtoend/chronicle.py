"""Chronicle: what the users did, as far as they can know it, and what must therefore be true in the end.

Three promises, in terms of users only:

* **No last word is lost.**  A content is superseded when a user, in a folder where he saw it, wrote over it or deleted
  it.  Every other content that was ever written exists on all machines, perhaps in a conflict copy.
* **What only one has touched is as he left it**, everywhere: content, kind, target, mode, or gone.  This holds whatever
  befell the passes, because nobody disagreed.  Nothing that nobody touched has changed.
* **Nothing is made up.**  Every path was made by a user, or is a conflict copy of one that two of them touched.

"Touched" is counted over the whole history, so it is a sound measure of disagreement, and a coarse one.
"""

from __future__ import annotations

import re
from collections import defaultdict

from .trees import Node, Tree

CONFLICT = re.compile(r"( [0-9]+)?\.conflict-[^/]*-[0-9]{8}-[0-9]{6}( [0-9]+)?")


class Chronicle:
    """What happened to each path and to each content since all folders were equal to `beginning`."""

    def __init__(self, beginning: Tree) -> None:
        self.last: dict[str, Node | None] = dict(beginning)
        self.written = {node.content for node in beginning.values() if node.kind == "file"}
        self._superseded: set[bytes] = set()
        self._touched: dict[str, set[str]] = defaultdict(set)
        self._kinds: dict[str, set[str]] = defaultdict(set)
        for path, node in beginning.items():
            self._kinds[path].add(node.kind)

    def touched(self, user: str, path: str, node: Node | None) -> None:
        """The user has made the path what it is now; None for nothing."""
        self._touched[path].add(user)
        self.last[path] = node
        if node is not None:
            self._kinds[path].add(node.kind)
            if node.kind == "file":
                self.written.add(node.content)

    def superseded(self, *nodes: Node | None) -> None:
        """A user saw this and has replaced or deleted it."""
        self._superseded |= {node.content for node in nodes if node is not None and node.kind == "file"}

    def complaints(self, end: Tree) -> list[str]:
        """Which promises are not kept by what all folders hold in the end."""
        there = {node.content for node in end.values() if node.kind == "file"}
        lost = [f"lost: {content[:60]!r}" for content in sorted(self.written - self._superseded - there)]
        changed = [
            f"{path!r}, touched by {sorted(self._touched[path]) or 'nobody'}: {end.get(path)} instead of {node}"
            for path, node in sorted(self.last.items())
            if self._is_certain(path) and end.get(path) != node
        ]
        invented = [f"nobody made {path!r}" for path in sorted(end) if not self._has_reason(path)]
        return [*lost, *changed, *invented]

    def _is_certain(self, path: str) -> bool:
        """At most one user had to do with it, and with what decides whether it can be there."""
        mine = self._touched[path]
        if len(mine) > 1 or any(self._kinds[above] - {"directory"} for above in _above(path)):
            return False
        below = [touching for other, touching in self._touched.items() if other.startswith(f"{path}/")]
        return all(touching <= mine for touching in below)

    def _has_reason(self, path: str) -> bool:
        if path in self.last:
            return True
        # A conflict may be about the path itself, about what stands above it, or about a directory and what is below.
        original = CONFLICT.sub("", path)
        near = {original, *_above(original)}
        touching = [
            users for other, users in self._touched.items() if other in near or other.startswith(f"{original}/")
        ]
        return len(set().union(*touching)) > 1


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
