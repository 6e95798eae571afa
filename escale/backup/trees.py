"""Trees: the directories of versions, read with few requests and kept beside the catalog.

Who reads one directory mostly reads those beside it, and who reads all of a version reads most of the packs of trees.
So what is read at once begins with what lies around one tree and doubles each time the pack is asked for again, up to
the whole pack: few requests for who wants all, and few bytes for who wants one.  Whole packs are kept as they are,
sealed and under their names, for the next run.  Only a cache: what is damaged there is fetched again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from ..errors import Corrupt, Missing
from .objects import Kind
from .pack import BlobKind, PackedBlob
from .repository import Repository

_PACK_BYTES_MAX = 64 << 20
"""Of larger ones, which we do not write, never all is read."""

NEAR_BYTES = 64 << 10
"""For who wants one path: a round trip of 20 ms costs as much as 128 KiB, and the way down is some trees long."""

ALL_BYTES = _PACK_BYTES_MAX
"""For who is going to want all."""

_WINDOWS_BYTES = 32 << 20
"""In memory, of all packs together; where there is no place for whole packs, two of them."""


class Trees:
    """For one thread.  `first_bytes`: what is read at the first request to a pack."""

    def __init__(self, repository: Repository, first_bytes: int) -> None:
        self._repository = repository
        self._first_bytes = first_bytes
        self._next_bytes: dict[str, int] = {}
        self._windows: dict[str, tuple[int, bytes]] = {}
        self._spoilt: set[str] = set()

    def load(self, tree: str) -> bytes:
        """The clear bytes of the tree with this id (hex), verified; Corrupt if nobody has them whole."""
        blob_id = bytes.fromhex(tree)
        for pack, place in self._repository.catalog.find(BlobKind.TREE, blob_id):
            if pack not in self._spoilt:
                with suppress(Corrupt, Missing):
                    return self._opened(pack, place)
        return self._repository.load_blob(BlobKind.TREE, blob_id)

    def _opened(self, pack: str, place: PackedBlob) -> bytes:
        sealed = self._kept(pack, place) or self._in_window(pack, place)
        try:
            return self._repository.opened(sealed or self._read(pack, place), place, pack)
        except (Corrupt, Missing):
            self._forget(pack, is_fresh=not sealed)
            raise

    # --- what is here

    @cached_property
    def _directory(self) -> Path | None:
        directory = self._repository.catalog.beside(".trees")
        if directory is not None:
            # What no index lists any more goes, and what was begun.
            with suppress(OSError):
                directory.mkdir(mode=0o700, exist_ok=True)
                for name in {*os.listdir(directory)} - self._repository.catalog.packs():
                    (directory / name).unlink()
        return directory

    def _kept(self, pack: str, place: PackedBlob) -> bytes:
        if self._directory is not None:
            with suppress(OSError), open(self._directory / pack, "rb", buffering=0) as file:
                return os.pread(file.fileno(), place.length, place.offset)
        return b""

    def _in_window(self, pack: str, place: PackedBlob) -> bytes:
        if pack not in self._windows:
            return b""
        begin, data = self._windows[pack] = self._windows.pop(pack)
        start = place.offset - begin
        return data[start : start + place.length] if 0 <= start <= len(data) - place.length else b""

    def _forget(self, pack: str, *, is_fresh: bool) -> None:
        """What was kept is not what it should be; what the store has just given is not asked for as a whole again."""
        self._windows.pop(pack, None)
        if self._directory is not None:
            with suppress(OSError):
                (self._directory / pack).unlink()
        if is_fresh:
            self._spoilt.add(pack)

    # --- what is fetched

    def _read(self, pack: str, place: PackedBlob) -> bytes:
        size, length = self._repository.catalog.pack_size(pack), self._next_bytes.get(pack, self._first_bytes)
        self._next_bytes[pack] = min(2 * length, _WINDOWS_BYTES // 2)
        end = place.offset + place.length
        if 2 * length >= size and size <= _PACK_BYTES_MAX:
            begin, data = 0, self._repository.objects.read(Kind.PACK, pack)
            if self._keep(pack, data):
                return data[place.offset : end]
        else:
            # Most of what is below a directory was stored before it.
            begin = max(0, min(place.offset, end - length * 3 // 4))
            data = self._repository.objects.read_part(
                Kind.PACK, pack, begin, min(size, max(end, begin + length)) - begin
            )
        self._windows.pop(pack, None)
        self._windows[pack] = begin, data
        while len(self._windows) > 1 and sum(len(data) for _, data in self._windows.values()) > _WINDOWS_BYTES:
            # Whoever comes back to it begins with little again: many packs in turn must not be read again and again.
            oldest = next(iter(self._windows))
            del self._windows[oldest], self._next_bytes[oldest]
        return data[place.offset - begin : end - begin]

    def _keep(self, pack: str, data: bytes) -> bool:
        """For the next time, too; False if there is no place for it."""
        if self._directory is None:
            return False
        with suppress(OSError):
            part = self._directory / f"{pack}.part"
            part.write_bytes(data)
            part.replace(self._directory / pack)
            return True
        return False
