"""Restore: nodes of a version become files again.

Every byte is verified by the id of its blob before it is written; a file appears under its name when it is whole and
durable, or not at all.  What is there already is left alone unless the policy says otherwise, and then put aside
first.  Of a file that is mostly there only what differs is read from the store.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LocalError, NoLocalSpace, UserError
from ..files.directories import Directories
from ..files.durable import FEW, sync_file_system
from ..files.overwrite import Overwrite
from .assembly import Assembly, exists, is_file, place_link, place_special
from .attributes import set_attributes
from .fetch import Fetch
from .node import Node, NodeType
from .pack import BlobKind
from .repository import Repository
from .versions import Found

BATCH_FILES = 400
"""Large files that are open at once; below the usual limit of a process."""

BATCH_BYTES = 64 << 20
"""Of small files that wait in memory, and of content that is asked for at once."""


_FULL = (errno.ENOSPC, errno.EDQUOT)


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


@dataclass(slots=True)
class _Batch:
    files: list[Assembly] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    wanted: dict[bytes, list[tuple[Assembly, int, int]]] = field(default_factory=lambda: defaultdict(list))
    bytes: int = 0
    open: int = 0


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
        self._repository = repository
        self._target = target
        self._fetch = fetch
        self._overwrite = overwrite
        self._put_aside = put_aside
        self._report = report
        self._done = Restored()
        self._directories_to_finish: list[tuple[str, Node]] = []
        self._links: dict[tuple[int, int], str] = {}
        self._linked: list[tuple[str, Node]] = []
        self._batch = _Batch()

    def run(self, found: Iterable[Found]) -> Restored:
        """Bring these back, each directory before what is in it.  NoLocalSpace if the disk is full, LocalError if it
        fails altogether."""
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
                if self._batch.bytes >= BATCH_BYTES or self._batch.open >= BATCH_FILES:
                    self._finish_batch(directories)
            self._finish_batch(directories)
            self._finish_links(directories)
            self._finish_directories(directories)
        finally:
            for file in self._batch.files:
                file.give_up(directories)

    # --- one node

    def _one(self, directories: Directories, path: str, node: Node) -> None:
        try:
            if node.type is NodeType.DIRECTORY:
                directories.open(path, make=True)
                self._directories_to_finish.append((path, node))
                self._done.directories += 1
                return
            self._name(directories, path, node)
        except OSError as error:
            self._failed(path, error)

    def _name(self, directories: Directories, path: str, node: Node) -> None:
        """A name that is no directory."""
        directory, name = _split(path)
        parent = directories.open(directory, make=True)
        if not self._may_replace(parent, name, node):
            self._done.kept.append(path)
        elif node.links > 1 and self._is_linked(path, node):
            return
        elif node.type is NodeType.FILE:
            self._begin(directories, Assembly(directory, name, node, node.size), path)
        else:
            self._special(parent, name, path, node)

    def _is_linked(self, path: str, node: Node) -> bool:
        """Whether another name of the same file comes back, and this is to be made from it."""
        first = self._links.setdefault((node.device_id, node.inode), path)
        if first != path:
            self._linked.append((path, node))
        return first != path

    def _may_replace(self, parent: int, name: bytes, node: Node) -> bool:
        if not exists(parent, name):
            return True
        if self._overwrite is Overwrite.OLDER:
            return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mtime_ns < node.mtime_ns
        return self._overwrite is Overwrite.ALWAYS

    def _special(self, parent: int, name: bytes, path: str, node: Node) -> None:
        self._keep(parent, name, path)
        failures = place_special(parent, name, node, replace=self._overwrite is not Overwrite.NEVER)
        if failures is None:
            self._done.kept.append(path)
        else:
            self._counted(path, 0, failures)

    # --- files

    def _begin(self, directories: Directories, file: Assembly, path: str) -> None:
        """Ask for the content of a file, but for what an older one has at the same places."""
        wanted = self._content(file)
        file.begin(directories)
        try:
            old = is_file(directories.open(file.directory), file.name) if wanted else None
            if old is not None:
                wanted = self._reused(directories, file, wanted)
                if not wanted and old.st_size == file.size:
                    self._leave(directories, file, path)
                    return
        except BaseException:
            file.give_up(directories)
            raise
        self._batch.files.append(file)
        self._batch.paths.append(path)
        self._batch.bytes += file.in_memory
        self._batch.open += not file.in_memory
        for blob_id, place, length in wanted:
            self._batch.wanted[blob_id].append((file, place, length))
            self._batch.bytes += 0 if file.in_memory else length
            if self._batch.bytes >= BATCH_BYTES and not file.in_memory:
                self._fetch_wanted()

    def _content(self, file: Assembly) -> list[tuple[bytes, int, int]]:
        """Id, place and length of each part of a file; it is missing where they are not known."""
        wanted, offset = [], 0
        for text in file.node.content:
            blob_id = bytes.fromhex(text)
            length = self._repository.length_of(BlobKind.DATA, blob_id)
            if length is None:
                file.missing = f"no index lists blob {text[:12]}"
                return []
            wanted.append((blob_id, offset, length))
            offset += length
        if offset != file.size:
            file.missing = "its parts do not make its size"
            return []
        return wanted

    def _leave(self, directories: Directories, file: Assembly, path: str) -> None:
        """The file that is there has this content already."""
        file.give_up(directories)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        target = os.open(file.name, flags, dir_fd=directories.open(file.directory))
        try:
            self._counted(path, file.size, set_attributes(target, file.node))
        finally:
            os.close(target)

    def _reused(
        self, directories: Directories, file: Assembly, wanted: list[tuple[bytes, int, int]]
    ) -> list[tuple[bytes, int, int]]:
        """Take what is the same at the same place in the file that is there; returns the rest."""
        left = []
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(file.name, flags, dir_fd=directories.open(file.directory))
        except PermissionError:
            return wanted
        with open(descriptor, "rb", buffering=0) as old:
            for blob_id, offset, length in wanted:
                piece = os.pread(old.fileno(), length, offset)
                if hashlib.sha256(piece).digest() == blob_id:
                    file.write(offset, piece)
                    self._done.here += length
                else:
                    left.append((blob_id, offset, length))
        return left

    def _fetch_wanted(self) -> None:
        wanted, self._batch.wanted = self._batch.wanted, defaultdict(list)
        self._batch.bytes = 0

        def receive(blob_id: bytes, clear: bytes) -> None:
            for file, offset, length in wanted[blob_id]:
                self._receive(file, offset, length, clear)

        for blob_id, reason in self._fetch.blobs(BlobKind.DATA, wanted, receive).items():
            for file, _, _ in wanted[blob_id]:
                file.missing = reason

    def _receive(self, file: Assembly, offset: int, length: int, clear: bytes) -> None:
        """What goes wrong here is the trouble of this file, whichever one is at hand elsewhere."""
        try:
            file.write(offset, clear)
        except OSError as error:
            if error.errno in _FULL:
                raise self._trouble(error) from error
            file.missing = error.strerror or str(error)
        if len(clear) != length:
            file.missing = "an index tells a wrong length of one of its parts"

    def _finish_batch(self, directories: Directories) -> None:
        """All files that were begun: content, attributes, durable, name."""
        self._fetch_wanted()
        batch, self._batch = self._batch, _Batch()
        few = len(batch.files) <= FEW
        whole: list[tuple[Assembly, str, list[str]]] = []
        try:
            for file, path in zip(batch.files, batch.paths, strict=True):
                if file.missing:
                    self._done.missing.append((path, file.missing))
                    continue
                try:
                    whole.append((file, path, file.finish(directories, sync=few)))
                except OSError as error:
                    self._failed(path, error)
            if not few:
                sync_file_system(os.fsencode(self._target))
            for file, path, failures in whole:
                self._place(directories, file, path, failures)
        finally:
            for file in batch.files:
                file.give_up(directories)

    def _place(self, directories: Directories, file: Assembly, path: str, failures: list[str]) -> None:
        try:
            parent = directories.open(file.directory)
            self._keep(parent, file.name, path)
            if file.place(parent, replace=self._overwrite is not Overwrite.NEVER):
                self._counted(path, file.size, failures)
            else:
                self._done.kept.append(path)
        except OSError as error:
            self._failed(path, error)

    # --- the end

    def _finish_links(self, directories: Directories) -> None:
        lost = self._not_back()
        for path, node in self._linked:
            first = self._links[node.device_id, node.inode]
            try:
                if first in lost:
                    # Then this name brings the content.
                    self._links[node.device_id, node.inode] = path
                    self._name(directories, path, node)
                    self._finish_batch(directories)
                    lost = self._not_back()
                else:
                    self._link(directories, first, path, node)
            except OSError as error:
                self._failed(path, error)

    def _not_back(self) -> set[str]:
        return {*self._done.kept, *(path for path, _ in self._done.missing)}

    def _link(self, directories: Directories, first: str, path: str, node: Node) -> None:
        there, first_name = _split(first)
        source = os.dup(directories.open(there))
        try:
            directory, name = _split(path)
            parent = directories.open(directory, make=True)
            if self._may_replace(parent, name, node):
                self._keep(parent, name, path)
                if place_link(source, first_name, parent, name, replace=self._overwrite is not Overwrite.NEVER):
                    self._counted(path, 0, [])
                    return
            self._done.kept.append(path)
        finally:
            os.close(source)

    def _finish_directories(self, directories: Directories) -> None:
        """What is in a directory changes its times, so they come last, the deepest first."""
        for path, node in reversed(self._directories_to_finish):
            try:
                failures = set_attributes(directories.open(path), node)
                if failures:
                    self._done.imperfect.append((path, ", ".join(failures)))
            except OSError as error:
                self._failed(path, error)
        sync_file_system(os.fsencode(self._target))

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
        if error.errno in _FULL:
            raise self._trouble(error) from error
        self._done.missing.append((path, error.strerror or str(error)))

    def _trouble(self, error: OSError) -> UserError:
        kind = NoLocalSpace if error.errno in _FULL else LocalError
        return kind(path=str(self._target), reason=error.strerror or str(error))


def _split(path: str) -> tuple[str, bytes]:
    directory, name = os.path.split(path)
    return directory, os.fsencode(name)
