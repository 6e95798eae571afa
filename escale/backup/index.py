"""Index files: which blobs lie in which packs.  A later index may supersede earlier ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import Corrupt
from .ids import is_id
from .pack import BlobKind, PackedBlob

_NUMBER_MAX = 1 << 32


@dataclass(frozen=True, slots=True)
class IndexFile:
    """`packs`: the blobs of each pack by its name.  `supersedes`: names of index files that this one replaces."""

    packs: dict[str, list[PackedBlob]] = field(default_factory=dict)
    supersedes: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """JSON as restic reads it."""
        # Pack by pack: as one, the JSON of an index would take four times the memory of its text.
        packs = ",".join(
            _encode({"id": name, "blobs": list(map(_as_json, blobs))}) for name, blobs in self.packs.items()
        )
        supersedes = f'"supersedes":{_encode(list(self.supersedes))},' if self.supersedes else ""
        return f'{{{supersedes}"packs":[{packs}]}}'.encode()

    @classmethod
    def decode(cls, clear: bytes, where: str) -> IndexFile:
        """What restic or we wrote; Corrupt for anything else."""
        try:
            found = json.loads(clear)
            packs: dict[str, list[PackedBlob]] = {}
            for pack in found["packs"] or ():
                packs.setdefault(_name(pack["id"]), []).extend(_blobs(pack["blobs"]))
            supersedes = tuple(map(_name, found.get("supersedes") or ()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not an index") from error
        return cls(packs, supersedes)


def _encode(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _as_json(blob: PackedBlob) -> dict[str, object]:
    more = {} if blob.raw_length is None else {"uncompressed_length": blob.raw_length}
    return {"id": blob.id.hex(), "type": blob.kind.value, "offset": blob.offset, "length": blob.length, **more}


def _blobs(found: Iterable[dict[str, Any]]) -> Iterator[PackedBlob]:
    for blob in found:
        raw_length = blob.get("uncompressed_length")
        yield PackedBlob(
            bytes.fromhex(_name(blob["id"])),
            BlobKind(blob["type"]),
            _number(blob["offset"]),
            _number(blob["length"]),
            _number(raw_length) if raw_length else None,
        )


def _name(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise ValueError(f"{value!r:.40} is not a name")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _NUMBER_MAX:
        raise ValueError(f"{value!r:.40} is not a length")
    return value
