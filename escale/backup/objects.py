"""Objects: the files of a repository by kind, on any store.  Written once, named by the SHA-256 of their bytes.

    config            the repository's identity                keys/      master keys behind passwords
    data/ab/abcd...   packs of blobs                           index/     where each blob lies
    snapshots/        versions                                 locks/     who is at work
    x-escale/         ours beside it; restic ignores the directory

What comes back is hashed and compared with its name, so a store cannot pass off one object for another.
"""

from __future__ import annotations

import enum
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import Corrupt, Missing, NoRelaySpace, NoSuchRelay
from ..store.blob import BlobInfo, BlobStore, read_many
from ..stream import PIECE, ViewReader
from .ids import is_id

OBJECT_BYTES_MAX = 512 << 20
"""Packs end at 16 MiB with us and at 128 MiB with restic at most; an index of restic's can be larger."""


class Kind(enum.Enum):
    """What an object is; the value is its directory."""

    PACK = "data"
    INDEX = "index"
    SNAPSHOT = "snapshots"
    KEY = "keys"
    LOCK = "locks"


EXTRA = "x-escale"
CONFIG = "config"


class Objects:
    """The objects of one repository; used by one thread at a time, as its store."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.url = store.url
        self._shelves: dict[str, BlobStore] = {}

    def list(self, kind: Kind) -> Iterator[BlobInfo]:
        """All of a kind by name, fresh from the store; what does not look like an object, or is a pack where nobody
        would look for it, is left out."""
        try:
            for blob in self._shelf(kind.value).list_below() if kind is Kind.PACK else self._shelf(kind.value).list():
                directory, _, name = blob.name.rpartition("/")
                if is_id(name) and name.startswith(directory):
                    yield replace(blob, name=name)
        except NoSuchRelay:
            # The directory of a kind appears with its first object.
            return

    def read(self, kind: Kind, name: str) -> bytes:
        """The whole object; Missing, or Corrupt if its bytes are not those that its name tells."""
        data = self._place(kind, name).read_bytes(name, OBJECT_BYTES_MAX)
        if hashlib.sha256(data).hexdigest() != name:
            raise Corrupt(where=self.where(kind, name), reason="its content does not match its name")
        return data

    def read_many(self, kind: Kind, names: Sequence[str]) -> Iterator[tuple[str, bytes | Missing | Corrupt]]:
        """Small objects of a kind that is not packs, in the order of the names, several at a time; in the place of
        those that are missing or damaged, what is wrong."""
        shelf = self._shelf(kind.value)
        for name, data in read_many(shelf, names, OBJECT_BYTES_MAX):
            if data is None:
                yield name, Missing(where=shelf.url, name=name)
            elif hashlib.sha256(data).hexdigest() != name:
                yield name, Corrupt(where=self.where(kind, name), reason="its content does not match its name")
            else:
                yield name, data

    def read_damaged(self, kind: Kind, name: str) -> bytes:
        """The whole object, whatever it is; Missing."""
        return self._place(kind, name).read_bytes(name, OBJECT_BYTES_MAX)

    def read_part(self, kind: Kind, name: str, offset: int, length: int) -> bytes:
        """Bytes from the middle; not verified here.  Corrupt if there are fewer."""
        data = self._place(kind, name).get_range(name, offset, length)
        if len(data) != length:
            raise Corrupt(where=self.where(kind, name), reason="it is cut short")
        return data

    def write(self, kind: Kind, data: bytes) -> str:
        """Store an object, durably; returns its name.  The same bytes twice are the same object."""
        name = hashlib.sha256(data).hexdigest()
        try:
            self._place(kind, name).write_bytes(name, data)
        except NoRelaySpace:
            # It may have got its name before the room was found wanting: that it is not there is to be certain.
            self.delete(kind, name)
            raise
        return name

    def write_view(self, kind: Kind, data: memoryview) -> str:
        """The same for a large object, without a copy of it."""
        name = hashlib.sha256(data).hexdigest()
        with io.BufferedReader(ViewReader(data), PIECE) as source:
            self._place(kind, name).put(name, source)
        return name

    def delete(self, kind: Kind, name: str) -> None:
        """No error if it is not there."""
        self._place(kind, name).delete(name)

    def info(self, kind: Kind, name: str) -> BlobInfo | None:
        """Size and time of one object, or None."""
        try:
            return self._place(kind, name).info(name)
        except NoSuchRelay:
            return None

    def read_config(self) -> bytes:
        """The sealed config; Missing where there is no repository."""
        try:
            return self.store.read_bytes(CONFIG, 1 << 20)
        except NoSuchRelay as error:
            raise Missing(where=self.url, name=CONFIG) from error

    def write_config(self, data: bytes) -> bool:
        """Only if there is none; False if there is."""
        return self.store.create(CONFIG, data)

    def extra(self, directory: str) -> BlobStore:
        """A directory of ours beside the repository, such as "heads"."""
        return self._shelf(f"{EXTRA}/{directory}")

    def where(self, kind: Kind, name: str) -> str:
        """The object, for people."""
        return f"{self.url}/{kind.value}/{name[:12]}"

    def _place(self, kind: Kind, name: str) -> BlobStore:
        if not is_id(name):
            raise ValueError(f"not the name of an object: {name!r}")
        return self._shelf(f"data/{name[:2]}" if kind is Kind.PACK else kind.value)

    def _shelf(self, directory: str) -> BlobStore:
        shelf = self._shelves.get(directory)
        if shelf is None:
            shelf = self._shelves[directory] = self.store.within(directory)
        return shelf
