"""Trees: the directories of versions, read once from the store and kept beside the catalog.

Packs of trees are small and read again by every run.  They are fetched whole, which is one request for hundreds of
directories, and kept as they are: sealed, under their names.  Only a cache: what is damaged there is fetched again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import Corrupt, Missing
from .objects import Kind
from .pack import BlobKind, PackedBlob
from .repository import Repository

_PACK_BYTES_MAX = 64 << 20
"""Of larger ones, which we do not write, only what is asked for is read."""


class Trees:
    """For one thread."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._directory = repository.catalog.beside(".trees")
        if self._directory is not None:
            self._sweep(self._directory)

    def load(self, tree: str) -> bytes:
        """The clear bytes of the tree with this id (hex), verified; Corrupt if nobody has them whole."""
        blob_id = bytes.fromhex(tree)
        if self._directory is not None:
            for pack, place in self._repository.catalog.find(BlobKind.TREE, blob_id):
                clear = self._kept(self._directory / pack, pack, place)
                if clear is not None:
                    return clear
        return self._repository.load_blob(BlobKind.TREE, blob_id)

    def _kept(self, path: Path, pack: str, place: PackedBlob) -> bytes | None:
        """From the cache, where the pack is put before if it is not there."""
        with suppress(Corrupt, Missing, OSError):
            if not path.exists():
                self._fetch(path, pack)
            with open(path, "rb", buffering=0) as file:
                sealed = os.pread(file.fileno(), place.length, place.offset)
            try:
                return self._repository.opened(sealed, place, pack)
            except Corrupt:
                path.unlink()
        return None

    def _fetch(self, path: Path, pack: str) -> None:
        if self._repository.catalog.pack_size(pack) > _PACK_BYTES_MAX:
            return
        data = self._repository.objects.read(Kind.PACK, pack)
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)

    def _sweep(self, directory: Path) -> None:
        """What no index lists any more, and what was begun."""
        with suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            for name in {*os.listdir(directory)} - self._repository.catalog.packs():
                (directory / name).unlink()
