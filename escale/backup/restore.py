"""Restore: nodes of a version become files again.

Every byte is verified by the id of its blob before it is written; a file appears under its name when it is whole and
durable, or not at all.  What is there already is left alone unless the policy says otherwise, and then put aside
first.  Of a file that is mostly there only what differs is read from the store.

Memory does not grow with the number of files: a batch of them is finished before more are looked at, with the other
names of their files and the directories that are full by then.  What is remembered to the end is one path of each file
that has several, and each path that is told in the end.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LocalError, NoLocalSpace, UserError
from ..files.directories import Directories
from ..files.durable import sync_file_system
from ..files.overwrite import Overwrite
from .assemblies import FILES_MAX, FULL, Assemblies, Piece
from .assembly import Assembly, exists, place_link, place_special, status_of
from .attributes import set_attributes
from .fetch import Fetch
from .node import Node, NodeType
from .pack import BlobKind, PackedBlob
from .repository import Repository
from .versions import Found

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(slots=True)
class Restored:
    """What was done.  Bytes: `bytes` of files that are complete now, `here` of them were there already.

    `kept`: paths that were left alone; `missing`: paths that are not back, with the reason; `imperfect`: paths that are
    back without some attribute, with what is missing.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    here: int = 0
    kept: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    imperfect: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Directory:
    """`is_new`: we made it, so nothing was in it."""

    path: str
    node: Node
    is_new: bool


class Restore:
    """Into one directory, which exists.

    `put_aside(parent descriptor, name, path)` is called before something is replaced; without it what is replaced is
    renamed over.  `report(files, bytes)` is called as they grow.
    """

    def __init__(
        self,
        repository: Repository,
        target: Path,
        fetch: Fetch,
        overwrite: Overwrite = Overwrite.NEVER,
        put_aside: Callable[[int, bytes, str], None] | None = None,
        report: Callable[[int, int], None] = lambda files, size: None,
    ) -> None:
        self._catalog = repository.catalog
        self._target = target
        self._overwrite = overwrite
        self._replace = overwrite is not Overwrite.NEVER
        self._put_aside = put_aside
        self._report = report
        self._done = Restored()
        self._files = Assemblies(target, fetch)
        self._filling: list[_Directory] = []
        self._full: list[_Directory] = []
        self._firsts: dict[tuple[int, int], str] = {}
        self._linked: list[tuple[str, Node]] = []

    def run(self, found: Iterable[Found]) -> Restored:
        """Bring these back, each directory before what is in it, and all of that before anything else.  NoLocalSpace
        if the disk is full, LocalError if it fails altogether."""
        try:
            with Directories(self._target, 0o700) as directories:
                self._all(directories, found)
        except OSError as error:
            raise self._trouble(error) from error
        return self._done

    def _all(self, directories: Directories, found: Iterable[Found]) -> None:
        try:
            for one in found:
                self._one(directories, one.path, one.node)
                if self._files.is_full or len(self._full) + len(self._linked) >= FILES_MAX:
                    self._finish(directories)
            self._full += reversed(self._filling)
            self._finish(directories)
            sync_file_system(os.fsencode(self._target))
        finally:
            self._files.close(directories)

    # --- one node

    def _one(self, directories: Directories, path: str, node: Node) -> None:
        directory, _, name = path.rpartition("/")
        self._go_to(directory)
        try:
            if node.type is NodeType.DIRECTORY:
                is_new = self._make(directories, directory, os.fsencode(name), path)
                self._filling.append(_Directory(path, node, is_new))
                self._done.directories += 1
            else:
                self._name(directories, directory, os.fsencode(name), path, node)
        except OSError as error:
            self._not_first(path, node)
            self._failed(path, error)

    def _go_to(self, directory: str) -> None:
        """Those directories that this one is not in are full."""
        while self._filling:
            here = self._filling[-1].path
            if directory == here or directory.startswith(f"{here}/"):
                return
            self._full.append(self._filling.pop())

    def _make(self, directories: Directories, directory: str, name: bytes, path: str) -> bool:
        """Whether it was not there before; NotADirectoryError if something else was."""
        try:
            os.mkdir(name, 0o700, dir_fd=directories.open(directory, make=True))
        except FileExistsError:
            directories.open(path)
            return False
        return True

    def _name(self, directories: Directories, directory: str, name: bytes, path: str, node: Node) -> None:
        """A name that is no directory."""
        there = self._there(directories, directory, name)
        if there is not None and not self._may_replace(there, node):
            self._done.kept.append(path)
        elif node.links > 1 and self._is_linked(path, node):
            return
        elif node.type is NodeType.FILE:
            self._begin(directories, self._files.new(path, directory, name, node), there)
        else:
            self._special(directories.open(directory, make=True), name, path, node)

    def _there(self, directories: Directories, directory: str, name: bytes) -> os.stat_result | None:
        """What has the name: nothing in a directory that we made."""
        if self._filling and self._filling[-1].is_new and self._filling[-1].path == directory:
            return None
        return status_of(directories.open(directory, make=True), name)

    def _is_linked(self, path: str, node: Node) -> bool:
        """Whether another name of the same file comes back, and this is to be made from it."""
        first = self._firsts.setdefault((node.device_id, node.inode), path)
        if first != path:
            self._linked.append((path, node))
        return first != path

    def _may_replace(self, there: os.stat_result, node: Node) -> bool:
        if self._overwrite is Overwrite.OLDER:
            return there.st_mtime_ns < node.mtime_ns
        return self._overwrite is Overwrite.ALWAYS

    def _special(self, parent: int, name: bytes, path: str, node: Node) -> None:
        self._keep(parent, name, path)
        failures = place_special(parent, name, node, replace=self._replace)
        if failures is None:
            self._not_first(path, node)
            self._done.kept.append(path)
        else:
            self._counted(path, 0, failures)

    # --- files

    def _begin(self, directories: Directories, file: Assembly, there: os.stat_result | None) -> None:
        """Ask for the content of a file, but for what an older one has at the same places."""
        pieces = self._pieces(file)
        old = _opened(directories, file) if pieces and there is not None and stat.S_ISREG(there.st_mode) else None
        try:
            if old is not None and _has_all(old, file, pieces):
                self._counted(file.path, file.size, set_attributes(old, file.node))
                self._done.here += file.size
                return
            self._files.begin(directories, file)
            if old is not None:
                pieces = self._reused(directories, file, old, pieces)
        finally:
            if old is not None:
                os.close(old)
        self._files.ask(file, pieces)

    def _pieces(self, file: Assembly) -> list[Piece]:
        """What a file consists of; it is missing where that is not known."""
        pieces: list[Piece] = []
        offset = 0
        for text in file.node.content:
            found = self._catalog.find(BlobKind.DATA, bytes.fromhex(text))
            if not found:
                file.missing = f"no index lists blob {text[:12]}"
                return []
            pack, place = found[0]
            pieces.append((pack, place, offset))
            offset += place.clear_length
        if offset != file.size:
            file.missing = "its parts do not make its size"
            return []
        return pieces

    def _reused(self, directories: Directories, file: Assembly, old: int, pieces: list[Piece]) -> list[Piece]:
        """Take what is the same at the same place in the file that is there; returns the rest."""
        left = []
        for pack, place, offset in pieces:
            content = _same(old, place, offset)
            if content is None:
                left.append((pack, place, offset))
            else:
                self._files.write(directories, file, offset, content)
                self._done.here += len(content)
        return left

    def _finish(self, directories: Directories) -> None:
        """All that was begun, and what had to wait for it."""
        while True:
            for file in self._files.finish(directories):
                if file.missing:
                    self._done.missing.append((file.path, file.missing))
                if file.missing or not self._is_placed(directories, file):
                    self._not_first(file.path, file.node)
            self._files.clear(directories)
            if not self._linked:
                break
            linked, self._linked = self._linked, []
            begun: set[str] = set()
            for path, node in linked:
                self._one_more_name(directories, path, node, begun)
        self._finish_directories(directories)

    def _is_placed(self, directories: Directories, file: Assembly) -> bool:
        try:
            parent = directories.open(file.directory)
            self._keep(parent, file.name, file.path)
            if file.place(parent, replace=self._replace):
                self._counted(file.path, file.size, file.failures)
                return True
            self._done.kept.append(file.path)
        except OSError as error:
            self._failed(file.path, error)
        return False

    # --- names of one file

    def _one_more_name(self, directories: Directories, path: str, node: Node, begun: set[str]) -> None:
        """Where the first name did not come back this one brings the content, and those after it wait for it."""
        directory, _, text = path.rpartition("/")
        name = os.fsencode(text)
        first = self._firsts.get((node.device_id, node.inode))
        try:
            if first is None:
                begun.add(path)
                self._name(directories, directory, name, path, node)
            elif first in begun:
                self._linked.append((path, node))
            else:
                self._link(directories, first, directory, name, path, node)
        except OSError as error:
            self._not_first(path, node)
            self._failed(path, error)

    def _link(self, directories: Directories, first: str, directory: str, name: bytes, path: str, node: Node) -> None:
        there, _, first_name = first.rpartition("/")
        source = os.dup(directories.open(there))
        try:
            parent = directories.open(directory, make=True)
            status = status_of(parent, name)
            if status is None or self._may_replace(status, node):
                self._keep(parent, name, path)
                if place_link(source, os.fsencode(first_name), parent, name, replace=self._replace):
                    self._counted(path, 0, [])
                    return
            self._done.kept.append(path)
        finally:
            os.close(source)

    def _not_first(self, path: str, node: Node) -> None:
        """No other name is to be made from this one."""
        if node.links > 1 and self._firsts.get((node.device_id, node.inode)) == path:
            del self._firsts[node.device_id, node.inode]

    # --- the end

    def _finish_directories(self, directories: Directories) -> None:
        """What is in a directory changes its times, so they come last, the deepest first."""
        for one in self._full:
            try:
                failures = set_attributes(directories.open(one.path), one.node)
                if failures:
                    self._done.imperfect.append((one.path, ", ".join(failures)))
            except OSError as error:
                self._failed(one.path, error)
        self._full.clear()

    def _keep(self, parent: int, name: bytes, path: str) -> None:
        if self._put_aside is not None and exists(parent, name):
            self._put_aside(parent, name, path)

    def _counted(self, path: str, size: int, failures: list[str]) -> None:
        self._done.files += 1
        self._done.bytes += size
        if failures:
            self._done.imperfect.append((path, ", ".join(failures)))
        self._report(self._done.files, self._done.bytes)

    def _failed(self, path: str, error: OSError) -> None:
        if error.errno in FULL:
            raise self._trouble(error) from error
        self._done.missing.append((path, error.strerror or str(error)))

    def _trouble(self, error: OSError) -> UserError:
        kind = NoLocalSpace if error.errno in FULL else LocalError
        return kind(path=str(self._target), reason=error.strerror or str(error))


def _opened(directories: Directories, file: Assembly) -> int | None:
    """What is in the place of a file, open; None if it may not be read."""
    try:
        return os.open(file.name, _READ, dir_fd=directories.open(file.directory))
    except PermissionError:
        return None


def _has_all(old: int, file: Assembly, pieces: Iterable[Piece]) -> bool:
    """Whether an open file has this content."""
    if os.fstat(old).st_size != file.size:
        return False
    return all(_same(old, place, offset) is not None for _, place, offset in pieces)


def _same(old: int, place: PackedBlob, offset: int) -> bytes | None:
    """The content of a blob, if an open file has it there."""
    content = os.pread(old, place.clear_length, offset)
    return content if hashlib.sha256(content).digest() == place.id else None
