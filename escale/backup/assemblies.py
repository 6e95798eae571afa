"""Assemblies: many files that come into being together.

Their contents are asked for with few requests; small files are written by the threads that fetch, as soon as they are
whole; all are made durable with one call.  What waits here is bounded by the number of files and by the bytes that
wait for the rest of their file, not by what a version holds.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path

from ..files.directories import Directories
from ..files.durable import FEW, sync_file_system
from ..store.blob import temporary_name
from .assembly import Assembly
from .fetch import Fetch, Places
from .node import Node
from .pack import PackedBlob

OPEN_MAX = 400
"""Large files that are open at once; below the usual limit of a process."""

FILES_MAX = 10_000
"""At once: each takes 1.5 kilobytes until it has its place."""

BYTES_MAX = 128 << 20
"""Of content at once: what came is told, and lasts, after so much at the latest."""

ASK_BYTES = 32 << 20
"""Of content that is asked for together: it lies in a few packs, and in each of them side by side."""

AHEAD = 2
"""What was asked for so often may be on its way while more is looked for."""

WAITING_BYTES_MAX = 32 << 20
"""Of small files in several pieces, which wait in memory for each other."""

FULL = (errno.ENOSPC, errno.EDQUOT)

Piece = tuple[str, PackedBlob, int]
"""A part of a file: the pack it lies in, where in it, and the offset in the file."""

Wanted = dict[bytes, list[tuple[Assembly, int, int]]]
"""Where the content of each blob belongs: the offset in a file, and the length that is expected."""


class Assemblies:
    """Below one directory; used by one thread, beside those that fetch and write what it asked for."""

    def __init__(self, target: Path, fetch: Fetch) -> None:
        self._target = target
        self._fetch = fetch
        self._spare: list[Directories] = []
        self._files: list[Assembly] = []
        self._places: Places = defaultdict(list)
        self._wanted: Wanted = {}
        self._background = ThreadPoolExecutor(1, "restore")
        self._running: deque[Future[None]] = deque()
        self._is_over = False
        self._beginning = temporary_name("").encode()
        self._numbers = itertools.count()
        self._to_ask_bytes = 0
        self._bytes = 0
        self._waiting_bytes = 0
        self._open = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish these first."""
        return (
            len(self._files) >= FILES_MAX
            or self._open >= OPEN_MAX
            or self._bytes >= BYTES_MAX
            or self._waiting_bytes >= WAITING_BYTES_MAX
        )

    def new(self, path: str, directory: str, name: bytes, node: Node) -> Assembly:
        """A file to be, with a temporary name that nobody else has: one random part is enough for all."""
        return Assembly(path, directory, name, node, b"%b-%x" % (self._beginning, next(self._numbers)))

    def begin(self, directories: Directories, file: Assembly) -> None:
        """One more; what it needs has to be asked for.  OSError if the disk is full."""
        self._files.append(file)
        self._bytes += file.size
        if not file.is_small and not file.missing:
            self._open += 1
            try:
                file.begin(directories)
            except OSError as error:
                _tell(file, error)

    def ask(self, file: Assembly, pieces: Sequence[Piece]) -> None:
        """The pieces that it lacks; they may come at once."""
        for pack, place, offset in pieces:
            length = place.clear_length
            others = self._wanted.get(place.id)
            if others is None:
                self._wanted[place.id] = [(file, offset, length)]
                self._places[pack].append(place)
            else:
                others.append((file, offset, length))
            self._to_ask_bytes += length
            if self._to_ask_bytes >= ASK_BYTES:
                self._send()
        if file.is_small and len(pieces) > 1:
            self._waiting_bytes += file.size

    def write(self, directories: Directories, file: Assembly, offset: int, content: bytes) -> None:
        """A piece that need not be asked for."""
        _receive(directories, file, offset, len(content), content, len(self._files) <= FEW)

    def finish(self, directories: Directories) -> list[Assembly]:
        """All files, in the order in which they were added: whole and durable, or `missing` tells why not.

        OSError if the disk is full, or fails altogether.
        """
        while self._running:
            self._running.popleft().result()
        few = len(self._files) <= FEW
        self._read(*self._taken(), few, lent=True)
        for file in self._files:
            if not file.missing:
                try:
                    file.finish(directories, sync=few)
                except OSError as error:
                    _tell(file, error)
        if not all(file.is_durable or file.missing for file in self._files):
            sync_file_system(os.fsencode(self._target))
        return self._files

    def clear(self, directories: Directories) -> None:
        """Think of these files no more; those that have not taken their places leave nothing behind."""
        for file in self._files:
            file.give_up(directories)
        self._files, self._open, self._bytes, self._waiting_bytes = [], 0, 0, 0

    def close(self, directories: Directories) -> None:
        """Whatever happened: nothing is written any more, and nothing half is left."""
        self._is_over = True
        self._background.shutdown(cancel_futures=True)
        self.clear(directories)
        while self._spare:
            self._spare.pop().close()

    def _send(self) -> None:
        """Ask for what is wanted so far; whatever is wrong with what was asked for before is raised here."""
        few = len(self._files) <= FEW
        self._running.append(self._background.submit(self._read, *self._taken(), few, lent=False))
        while len(self._running) > AHEAD:
            self._running.popleft().result()

    def _taken(self) -> tuple[Places, Wanted]:
        places, wanted = self._places, self._wanted
        self._places, self._wanted, self._to_ask_bytes = defaultdict(list), {}, 0
        return places, wanted

    def _read(self, places: Places, wanted: Wanted, few: bool, *, lent: bool) -> None:
        def receive(blob_id: bytes, clear: bytes) -> None:
            if self._is_over:
                raise CancelledError
            directories = self._directories()
            try:
                for file, offset, length in wanted[blob_id]:
                    _receive(directories, file, offset, length, clear, few)
            finally:
                self._spare.append(directories)

        for blob_id, reason in self._fetch.read(places, receive, lent=lent).items():
            for file, _, _ in wanted[blob_id]:
                file.missing = reason

    def _directories(self) -> Directories:
        """For one thread, which gives it back."""
        try:
            return self._spare.pop()
        except IndexError:
            return Directories(self._target)


def _receive(directories: Directories, file: Assembly, offset: int, length: int, clear: bytes, sync: bool) -> None:
    """What goes wrong here is the trouble of this file, whichever one is at hand elsewhere."""
    if file.missing:
        return
    if len(clear) != length:
        file.missing = "an index tells a wrong length of one of its parts"
        return
    try:
        file.write(directories, offset, clear, sync=sync)
    except OSError as error:
        _tell(file, error)


def _tell(file: Assembly, error: OSError) -> None:
    if error.errno in FULL:
        raise error
    file.missing = error.strerror or str(error)
