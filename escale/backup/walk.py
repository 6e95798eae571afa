"""Walk: one pass over the disk beside one over the version before, from the root down, trees stored bottom-up.

Files whose status is that of the former version are not opened, directories in which nothing changed are not encoded
again.  Only the directories on the way from the root to where we are take memory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EscaleError, Missing, PeerError
from .chunks import Chunker
from .former import TreeText, is_same_time
from .node import Node
from .pack import BlobKind
from .progress import Progress, Report
from .proof import Proof, whole
from .repository import Repository
from .snapshot import Snapshot
from .source import DIRECTORY_FLAGS, PASSAGE_FLAGS, Look, SourceFile, is_same_state
from .summary import Counts
from .tree import encode_node
from .trees import ALL_BYTES, Trees
from .writer import Sink

ATTEMPTS = 2
"""At a file that changes while it is read; then it is stored as it was read last, and named."""

TICK_NS = 2 * 10**9
"""File systems may count time in steps as long as this: a file that was changed so shortly before the former version
was begun could have been changed once more without its times telling."""

OPEN_MAX = 64
"""Directories that are open at a time; those above are opened again on the way back."""

LINKED_MAX = 20_000
"""Files with several names that are remembered, so that they are read once; of more the oldest are forgotten."""

REPORT_BYTES = 4 << 20

_QUOTED_ID = re.compile(r'"([0-9a-f]{64})"')

Excludes = Callable[[str, bool], bool]


@dataclass(frozen=True, slots=True)
class Unread:
    """A path that is not in the version, and why."""

    path: str
    reason: str


Passages = dict[str, Any]
"""The names on the way from the root to what is saved; what is saved itself has none below it."""


def passages(paths: Sequence[str]) -> Passages:
    """Of absolute paths; one that lies below another one adds nothing."""
    top: Passages = {}
    for path in sorted(paths, key=len):
        here = top
        for name in filter(None, path.split("/")):
            if name in here and not here[name]:
                break
            here = here.setdefault(name, {})
    return top


@dataclass(slots=True)
class _Directory:
    """One that is being looked at.  `node`: None if it is as `former` says, apart from what is in it.  `known`:
    of the blobs in its former tree, those that need not be stored; None until somebody asks."""

    descriptor: int
    path: str
    name: str
    status: os.stat_result
    names: Iterator[str]
    tree: TreeText
    node: Node | None
    former: dict[str, Any] | None
    passages: Passages
    known: frozenset[str] | None


class Walk:
    """One pass; `counts`, `changed`, `unread` and `damaged` tell afterwards what it met.

    `chunker` is called as soon as there is something to cut: where nothing has changed nobody asks the store for it.
    """

    def __init__(
        self,
        repository: Repository,
        writer: Sink,
        chunker: Callable[[], Chunker],
        proof: Proof,
        excludes: Excludes | None,
        parent: Snapshot | None,
        report: Report,
    ) -> None:
        self.counts = Counts()
        self.changed: list[str] = []
        self.unread: list[Unread] = []
        self.damaged: list[EscaleError] = []
        self._trees = Trees(repository, ALL_BYTES)
        self._writer = writer
        self._chunker = chunker
        self._proof = proof
        self._excludes = excludes
        self._parent = parent
        self._report = report
        self._look = Look()
        self._linked: dict[tuple[int, int], tuple[os.stat_result, tuple[str, ...], int]] = {}
        self._settled_ns = parent.time_ns - TICK_NS if parent else 0
        # Everything below this tree was known when it was saved, and nothing has gone since: no need to ask for each.
        is_whole = parent is not None and repository.catalog.noted(whole(parent.paths)) == parent.tree
        self._trusts = is_whole and not repository.missing
        self._known = dict(parent.rest).get("summary") or {} if parent else {}

    def run(self, paths: Sequence[str]) -> str:
        """Save the absolute paths; the id of the tree above them."""
        stack = [self._top(passages(paths))]
        try:
            while True:
                here = stack[-1]
                below = self._next_below(here)
                if below is not None:
                    self._let_go(stack)
                    stack.append(below)
                    continue
                tree = self._finish(here)
                if len(stack) == 1:
                    return tree
                above = stack[-2]
                self._take_up(above, here)
                self._close(stack.pop())
                self._place(above, here, tree)
        finally:
            for directory in stack:
                self._close(directory)

    # --- directories

    def _top(self, ways: Passages) -> _Directory:
        descriptor = os.open("/", PASSAGE_FLAGS if ways else DIRECTORY_FLAGS)
        former = {"subtree": self._parent.tree} if self._parent else None
        names = iter(_sorted(ways or os.listdir(descriptor)))
        tree = TreeText(self._former_text(former))
        return _Directory(descriptor, "", "", os.fstat(descriptor), names, tree, None, former, ways, None)

    def _next_below(self, here: _Directory) -> _Directory | None:
        """Everything up to the next directory that may be entered."""
        for name in here.names:
            path = f"{here.path}/{name}"
            try:
                below = self._entry(here, name, path)
            except FileNotFoundError:
                # It went away since its directory was listed.
                continue
            except OSError as error:
                self.unread.append(Unread(path, error.strerror or str(error)))
                continue
            if below is not None:
                return below
        return None

    def _entry(self, here: _Directory, name: str, path: str) -> _Directory | None:
        status = os.stat(name, dir_fd=here.descriptor, follow_symlinks=False)
        mode = status.st_mode
        is_directory = stat.S_ISDIR(mode)
        if here.passages:
            if ways := here.passages[name]:
                return self._enter(here, name, path, ways)
        elif self._excludes is not None and self._excludes(path, is_directory):
            return None
        if is_directory:
            return self._enter(here, name, path, {})
        if stat.S_ISREG(mode):
            self._file(here, name, path, status)
        elif not stat.S_ISSOCK(mode):
            # As restic: a socket is nothing without the program that made it.
            self._special(here, name, status)
        return None

    def _enter(self, here: _Directory, name: str, path: str, ways: Passages) -> _Directory:
        descriptor = os.open(name, PASSAGE_FLAGS if ways else DIRECTORY_FLAGS, dir_fd=here.descriptor)
        try:
            status = os.fstat(descriptor)
            names = iter(_sorted(ways or os.listdir(descriptor)))
            former = here.tree.find(name)
            if former is not None and former.get("type") != "dir":
                former = None
            is_same = former is not None and self._is_same_status(former, status)
            place = f"/proc/self/fd/{descriptor}/." if ways else descriptor
            node = None if is_same else self._look.node(name, status, place)
            tree = TreeText(self._former_text(former))
        except BaseException:
            os.close(descriptor)
            raise
        self._tell(path)
        return _Directory(descriptor, path, name, status, names, tree, node, former, ways, None)

    def _finish(self, here: _Directory) -> str:
        """Store the tree of a directory; its id."""
        if here.former is None:
            self.counts.directories_new += 1
        if here.former is not None and here.tree.is_unchanged():
            self.counts.directories_unmodified += 1
            if self._trusts:
                return str(here.former.get("subtree"))
            text = here.tree.former
        else:
            self.counts.directories_changed += here.former is not None
            text = here.tree.text()
        return self._writer.add(BlobKind.TREE, text.encode("utf-8", "surrogateescape"))

    def _place(self, above: _Directory, here: _Directory, tree: str) -> None:
        if here.node is None and here.former is not None:
            if here.former.get("subtree") == tree:
                above.tree.keep()
                return
            here.node = Node.from_json(here.former)
        if here.node is not None:
            above.tree.add(here.name, encode_node(replace(here.node, subtree=tree)))

    def _former_text(self, former: dict[str, Any] | None) -> str | None:
        """None also for a tree that is damaged: then all below it is read, and stored again."""
        if former is None or not former.get("subtree"):
            return None
        try:
            return self._trees.load(former["subtree"]).decode()
        except (PeerError, Missing) as error:
            self.damaged.append(error)
            self._proof.doubt(BlobKind.TREE, bytes.fromhex(former["subtree"]))
        except (TypeError, ValueError):
            # No program writes such a version.
            pass
        self._trusts = False
        return None

    def _let_go(self, stack: list[_Directory]) -> None:
        """A tree may be deeper than files may be open."""
        if len(stack) > OPEN_MAX:
            self._close(stack[-OPEN_MAX])

    def _take_up(self, above: _Directory, here: _Directory) -> None:
        """Open the directory above again, if it was let go; it may have been moved meanwhile."""
        if above.descriptor >= 0:
            return
        descriptor = os.open("..", PASSAGE_FLAGS if above.passages else DIRECTORY_FLAGS, dir_fd=here.descriptor)
        status = os.fstat(descriptor)
        above.descriptor = descriptor
        if (status.st_dev, status.st_ino) != (above.status.st_dev, above.status.st_ino):
            self.unread.append(Unread(above.path, "it was moved while it was read"))
            above.names = iter(())

    def _close(self, directory: _Directory) -> None:
        if directory.descriptor >= 0:
            os.close(directory.descriptor)
            directory.descriptor = -1

    # --- files

    def _file(self, here: _Directory, name: str, path: str, status: os.stat_result) -> None:
        former = here.tree.find(name)
        if (
            former is not None
            and former.get("type") == "file"
            and former.get("size", 0) == status.st_size
            and self._is_same_status(former, status)
            and (self._trusts or self._has_all(here, former.get("content")))
        ):
            here.tree.keep()
            self.counts.files_unmodified += 1
            self.counts.bytes += status.st_size
            return
        node = self._read(here, name, path, status)
        here.tree.add(name, encode_node(node))
        if former is None:
            self.counts.files_new += 1
        else:
            self.counts.files_changed += 1
        self.counts.bytes += node.size

    def _is_same_status(self, former: dict[str, Any], status: os.stat_result) -> bool:
        """Whether the status is that of the former version; what was changed just before that may have been again."""
        return (
            former.get("inode") == status.st_ino
            and is_same_time(former.get("ctime"), status.st_ctime_ns)
            and is_same_time(former.get("mtime"), status.st_mtime_ns)
            and status.st_ctime_ns < self._settled_ns
            and (status.st_nlink < 2 or stat.S_ISDIR(status.st_mode) or former.get("device_id") == status.st_dev)
        )

    def _has_all(self, here: _Directory, content: Any) -> bool:
        if here.known is None:
            here.known = self._known_in(here.tree.former)
        return isinstance(content, list) and here.known.issuperset(map(str, content))

    def _known_in(self, text: str) -> frozenset[str]:
        """The ids in a tree that need not be stored; one question for all is a tenth of one for each."""
        ids = [*map(bytes.fromhex, _QUOTED_ID.findall(text))]
        return frozenset(map(bytes.hex, self._writer.known(BlobKind.DATA, ids)))

    def _read(self, here: _Directory, name: str, path: str, status: os.stat_result) -> Node:
        with SourceFile(here.descriptor, name, status) as source:
            identity = (source.status.st_dev, source.status.st_ino)
            linked = self._linked.get(identity)
            if linked is not None and is_same_state(linked[0], source.status) and source.is_unchanged():
                content, size = linked[1:]
            else:
                content, size = self._content(source, path)
                if source.status.st_nlink > 1:
                    self._remember(identity, source.status, content, size)
            return self._look.node(name, source.status, source.descriptor, size=size, content=content)

    def _remember(self, identity: tuple[int, int], status: os.stat_result, content: tuple[str, ...], size: int) -> None:
        if len(self._linked) >= LINKED_MAX:
            del self._linked[next(iter(self._linked))]
        self._linked[identity] = (status, content, size)

    def _content(self, source: SourceFile, path: str) -> tuple[tuple[str, ...], int]:
        """Read it until it holds still while that is done."""
        for _ in range(ATTEMPTS):
            content, size = self._store(source, path)
            if source.is_unchanged() and size == source.status.st_size:
                return content, size
            last = source.status
            # Also if it is another file than the one that was looked at.
            source.again()
        # The times of before the reading: they are not those of the file as it is now, so the next run reads it again.
        source.status = last
        self.changed.append(path)
        return content, size

    def _store(self, source: SourceFile, path: str) -> tuple[tuple[str, ...], int]:
        if source.status.st_size <= self._chunker().least:
            data = source.whole()
            self.counts.bytes_read += len(data)
            return ((self._writer.add(BlobKind.DATA, data),) if data else ()), len(data)
        ids: list[str] = []
        size, told, last = 0, 0, b""
        for piece in self._chunker().cut(source.content(), source.status.st_size):
            ids.append(ids[-1] if piece is last and ids else self._writer.add(BlobKind.DATA, piece))
            last = piece
            size += len(piece)
            self.counts.bytes_read += len(piece)
            if size - told >= REPORT_BYTES:
                told = size
                self._tell(path, size)
        return tuple(ids), size

    def _special(self, here: _Directory, name: str, status: os.stat_result) -> None:
        target = os.readlink(name, dir_fd=here.descriptor) if stat.S_ISLNK(status.st_mode) else ""
        place = f"/proc/self/fd/{here.descriptor}/{name}"
        here.tree.find(name)
        here.tree.add(name, encode_node(self._look.node(name, status, place, target)))
        self.counts.others += 1

    def _tell(self, path: str, more_bytes: int = 0) -> None:
        self._report(
            Progress(
                files_done=self.counts.files,
                files_known=self._known.get("total_files_processed"),
                bytes_done=self.counts.bytes + more_bytes,
                bytes_known=self._known.get("total_bytes_processed"),
                bytes_moved=self.counts.bytes_read,
                path=path,
            )
        )


def _sorted(names: Sequence[str] | Passages) -> list[str]:
    """By their bytes."""
    return sorted(names) if "".join(names).isascii() else sorted(names, key=os.fsencode)
