"""Packs: many blobs in one object, with a sealed table of contents at its end.

    sealed blob | sealed blob | ... | sealed header | length of the sealed header (4 bytes, little endian)

A header entry is: kind (1 byte: 0 data, 1 tree, 2 compressed data, 3 compressed tree), length of the sealed blob (4),
length of the clear blob (4, compressed ones only), SHA-256 of the clear blob (32).
"""

from __future__ import annotations

import enum
import mmap
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import Corrupt
from .cipher import OVERHEAD, MasterKey

PACK_BYTES = 16 << 20
"""A pack that has reached this size is written; restic's own default."""

HEADER_BYTES_MAX = 16 << 20
_TRAILER = struct.Struct("<I")
_PLAIN = struct.Struct("<BI32s")
_COMPRESSED = struct.Struct("<BII32s")
ENTRY_BYTES, ENTRY_COMPRESSED_BYTES = _PLAIN.size, _COMPRESSED.size
"""In the table of contents, for each blob."""


class BlobKind(enum.Enum):
    """What a blob holds; the value is how the index calls it."""

    DATA = "data"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class PackedBlob:
    """Where a blob lies in its pack.

    `id`: SHA-256 of its clear bytes, 32 raw bytes; `offset`, `length`: of its sealed bytes; `raw_length`: of its clear
    bytes if they are compressed, None if they are not.
    """

    id: bytes
    kind: BlobKind
    offset: int
    length: int
    raw_length: int | None = None

    @property
    def clear_length(self) -> int:
        """Of its clear bytes, as far as an index tells."""
        return self.length - OVERHEAD if self.raw_length is None else self.raw_length


_NUMBERS = {(BlobKind.DATA, False): 0, (BlobKind.TREE, False): 1, (BlobKind.DATA, True): 2, (BlobKind.TREE, True): 3}
_KINDS = {number: kind for (kind, _), number in _NUMBERS.items()}


class Pack:
    """A pack that is being filled, in memory."""

    def __init__(self) -> None:
        self.blobs: list[PackedBlob] = []
        self.size = 0
        # Pages of its own, taken when they are written to, which go back to the system when the pack has been stored:
        # what malloc is given back it keeps, and takes for anything else.
        self._memory = mmap.mmap(-1, 2 * PACK_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def add(self, blob_id: bytes, kind: BlobKind, sealed: bytes, raw_length: int | None) -> None:
        """One more sealed blob."""
        self.blobs.append(PackedBlob(blob_id, kind, self.size, len(sealed), raw_length))
        self._append(sealed)

    def finish(self, master: MasterKey) -> memoryview:
        """All of it with its table of contents: the bytes to store.  Nothing can be added afterwards."""
        header = master.seal(encode_header(self.blobs))
        self._append(header + _TRAILER.pack(len(header)))
        return memoryview(self._memory)[: self.size]

    def _append(self, data: bytes) -> None:
        end = self.size + len(data)
        if end > len(self._memory):
            self._memory.resize(2 * end)
        self._memory[self.size : end] = data
        self.size = end


def encode_header(blobs: Iterable[PackedBlob]) -> bytes:
    """The clear table of contents."""
    entries = []
    for blob in blobs:
        number = _NUMBERS[blob.kind, blob.raw_length is not None]
        if blob.raw_length is None:
            entries.append(_PLAIN.pack(number, blob.length, blob.id))
        else:
            entries.append(_COMPRESSED.pack(number, blob.length, blob.raw_length, blob.id))
    return b"".join(entries)


def pack_bytes(blobs: Sequence[PackedBlob]) -> int:
    """How long a pack of these blobs is."""
    entries = sum(ENTRY_BYTES if blob.raw_length is None else ENTRY_COMPRESSED_BYTES for blob in blobs)
    return sum(blob.length for blob in blobs) + entries + OVERHEAD + _TRAILER.size


def header_length(trailer: bytes, pack_size: int, where: str) -> int:
    """From the last four bytes of a pack: how many before them are the sealed header; Corrupt if that cannot be."""
    length: int = _TRAILER.unpack(trailer)[0]
    if not OVERHEAD <= length <= min(pack_size - _TRAILER.size, HEADER_BYTES_MAX):
        raise Corrupt(where=where, reason="its table of contents is damaged")
    return length


def read_contents(data: bytes, master: MasterKey, where: str) -> list[PackedBlob]:
    """The table of contents of a whole pack, or of its end; Corrupt if it is damaged."""
    length = header_length(data[-_TRAILER.size :], len(data), where) if len(data) >= 4 else 0
    if not length:
        raise Corrupt(where=where, reason="it is cut short")
    return decode_header(master.open(data[-_TRAILER.size - length : -_TRAILER.size], where), where)


def decode_header(clear: bytes, where: str) -> list[PackedBlob]:
    """The entries of a clear table of contents."""
    blobs, place, offset = [], 0, 0
    try:
        while place < len(clear):
            kind = _KINDS[clear[place]]
            if clear[place] < 2:
                _, length, blob_id = _PLAIN.unpack_from(clear, place)
                raw_length, place = None, place + _PLAIN.size
            else:
                _, length, raw_length, blob_id = _COMPRESSED.unpack_from(clear, place)
                place += _COMPRESSED.size
            blobs.append(PackedBlob(blob_id, kind, offset, length, raw_length))
            offset += length
    except (struct.error, KeyError) as error:
        raise Corrupt(where=where, reason="its table of contents is damaged") from error
    return blobs
