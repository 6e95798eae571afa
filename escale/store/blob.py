"""BlobStore: named byte strings that can be replaced.  Everything a relay needs from a storage.

Names are flat: one directory, no slashes; `within` gives the store of a directory below.  `put` replaces the whole
blob and is atomic for readers on every backend: somebody who reads meanwhile sees the old bytes or the new ones, never
a mixture and never a part.  Deleting what is not there is no error.  Nothing here retries (RetryingStore does) and
nothing here decides.
"""

from __future__ import annotations

import io
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self

from ..errors import Missing, Refused
from ..stream import PIECE

NAME_LENGTH_MAX = 200
"""Bytes in a blob name: below the 255 of file systems, with room for a temporary suffix."""

TEMPORARY = ".part-"
"""Names that begin so are uploads in progress; they are never listed."""


def temporary_name(owner: str) -> str:
    """A name for an upload in progress.

    `owner` is the client it belongs to, 16 hex digits, or "" for nobody: a client that starts again after a crash
    knows its own remnants by it, and need not wait until they are old enough to be anybody's.
    """
    return f"{TEMPORARY}{owner}{secrets.token_hex(8)}"


def is_own(name: str, owner: str) -> bool:
    """Whether this temporary name belongs to that owner; nothing belongs to nobody."""
    return bool(owner) and name.startswith(TEMPORARY + owner)


READ_TOGETHER = 8
"""Blobs that `read_some` is asked for at once: round trips of the others are waited for once, and all are in memory."""

BLOB_BYTES_MAX = 256 * 1024 * 1024
"""What is read into memory, if nobody says more or less."""

_BAD = re.compile(r"[/\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a listing says of one blob.

    `size` in bytes.  `mtime`: Unix seconds by the clock of the relay, None where the backend does not tell.  `tag`
    changes whenever the content does, as far as the backend can tell (an ETag, else size and mtime); compare it
    only with tags of the same store.
    """

    name: str
    size: int
    mtime: float | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a backend promises; `escale check` certifies it by racing instead of trusting it.

    exclusive_create: of several simultaneous `create` of one name exactly one returns True.
    reports_mtime: listings carry the time of the last change.
    sweeps_below: `sweep` takes away what interrupted uploads left in all directories below, too.
    """

    exclusive_create: bool = False
    reports_mtime: bool = True
    sweeps_below: bool = False


class BlobStore(ABC):
    """Named byte strings on some storage.

    Raises, from every verb: Unreachable (try again), Refused (do not), NoSuchRelay (the directory or bucket is not
    there), NoRelaySpace, SecretError (login, host key).  One store is used by one thread at a time.
    """

    url: str
    """Where it is, for people; without secrets."""

    guarantees: Guarantees = Guarantees()

    @abstractmethod
    def get(self, name: str) -> BinaryIO:
        """A stream of the blob's bytes, to be closed by the caller.  Missing when there is no such blob.

        Reading to the end yields the whole blob or raises: a transfer that was cut short is Unreachable, never a
        premature end.
        """

    @abstractmethod
    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """So many bytes from the middle of a blob, fewer only where it ends.  Missing when there is no such blob.

        Fewer because the transfer was cut short is Unreachable.  Costs little more than these bytes.
        """

    @abstractmethod
    def put(self, name: str, source: BinaryIO) -> int:
        """Store what `source` yields until its end under `name`, replacing what was there; returns the bytes sent.

        `source` is read once, forwards; its length is not known before.  If `source` raises, the exception comes
        through as it is and `name` is unchanged; at worst a temporary blob is left, which `sweep` removes.
        """

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Store a small blob only if the name is free; False if it is taken.

        Exclusive only if `guarantees.exclusive_create`; elsewhere a best effort (look, then put).
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the blob; no error if it is not there."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """All blobs whose name begins with `prefix`, fresh from the storage, in the order of their names.

        Temporary names are left out, and so are directories.
        """

    @abstractmethod
    def within(self, directory: str) -> BlobStore:
        """The store of a directory below this one ("data/ab"), over the same connection, for the same thread.

        The directory is made with its first blob, and so is what lies between.  Until then no name is in it: `get` is
        Missing, `info` None, `delete` no error; what lists (`list`, `list_below`, `sweep`) is NoSuchRelay, or finds
        nothing where there are no directories.  Every verb is NoSuchRelay if this store itself is not there.
        """

    def another(self) -> BlobStore | None:
        """This store once more, for another thread, where threads can share its connections.

        None where they cannot: then another one has to be opened.  May be called by any thread.  Each is closed by
        itself, and leaves the others as they are.
        """
        return None

    @abstractmethod
    def list_below(self) -> Iterator[BlobInfo]:
        """All blobs of all directories directly below this one, named "directory/blob", fresh, in no order.

        Temporary names are left out.  A directory that goes away meanwhile is empty; one that may not be read is
        Refused, since what is left out may be taken for lost.
        """

    def info(self, name: str) -> BlobInfo | None:
        """What a listing would say of this one name, or None."""
        return next((blob for blob in self.list(validate_name(name)) if blob.name == name), None)

    def sweep(self, older_than_s: float) -> int:
        """Remove temporary blobs of interrupted uploads; returns how many.

        Those of our own owner go at once, so call it before any upload of his; those of others when they are older than
        so many seconds.
        """
        return 0

    def close(self) -> None:  # noqa: B027 - most have no connections
        """Let go of connections.  The next verb opens them again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read_bytes(self, name: str, size_max: int = BLOB_BYTES_MAX) -> bytes:
        """The whole blob in memory; Refused if it is larger than `size_max`."""
        with self.get(name) as stream:
            return self._all_of(stream, name, size_max)

    def read_some(self, names: Sequence[str], size_max: int = BLOB_BYTES_MAX) -> Sequence[bytes | None]:
        """Up to READ_TOGETHER blobs as by `read_bytes`, in the order of the names; None for those that are not there.

        In little more time than one of them, where the storage answers several requests at once.
        """
        return [self._read_or_none(name, size_max) for name in names]

    def _read_or_none(self, name: str, size_max: int) -> bytes | None:
        try:
            return self.read_bytes(name, size_max)
        except Missing:
            return None

    def _all_of(self, stream: BinaryIO, name: str, size_max: int) -> bytes:
        pieces = io.BytesIO()
        while piece := stream.read(PIECE):
            pieces.write(piece)
            if pieces.tell() > size_max:
                raise Refused(where=f"{self.url}/{name}", reason=f"it is larger than {size_max} bytes")
        return pieces.getvalue()

    def write_bytes(self, name: str, data: bytes) -> None:
        """Store bytes that are in memory."""
        self.put(name, io.BytesIO(data))


def read_many(
    store: BlobStore, names: Sequence[str], size_max: int = BLOB_BYTES_MAX
) -> Iterator[tuple[str, bytes | None]]:
    """Any number of blobs by `read_some`, each with its name."""
    for start in range(0, len(names), READ_TOGETHER):
        some = names[start : start + READ_TOGETHER]
        yield from zip(some, store.read_some(some, size_max), strict=True)


def validate_name(name: str) -> str:
    """The name itself, if it may name a blob; ValueError otherwise.  Ours is the fault, never the relay's."""
    if not name or name in (".", "..") or _BAD.search(name) or len(name.encode("utf-8")) > NAME_LENGTH_MAX:
        raise ValueError(f"not a blob name: {name!r}")
    return name


def validate_directory(directory: str) -> str:
    """The path itself, if each of its components may be a directory below a store; ValueError otherwise."""
    for component in directory.split("/"):
        validate_name(component)
    return directory
