"""The repository's config, as restic writes it, and what we fix for its life beside it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Self

from ..errors import Corrupt, RelayInUse
from .ids import is_id

VERSION = 2

POLYNOMIAL = "3da3358b4dc173"
"""Irreducible, of degree 53, as restic wants one for its own chunker: the one in its test vectors.  Ours does not use
it; a repository where restic saves files as well is not less safe by sharing it, as restic hides sizes by shuffling."""

AVERAGES = ((64 << 30, 64 << 10), (256 << 30, 128 << 10), (2 << 40, 256 << 10))
"""(bytes of the source up to, average bytes of a chunk): measured on a tree of 20 000 files, where 64 KiB stored a
third of what 1 MiB did for the second version, for half as many blobs again; larger sources pay for it in index."""

AVERAGE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """`id`: 64 hex digits that name the repository for ever; `polynomial`: restic's, hex."""

    id: str
    polynomial: str = POLYNOMIAL
    version: int = VERSION

    @classmethod
    def generate(cls) -> Self:
        """For a new repository."""
        return cls(secrets.token_hex(32))

    def encode(self) -> bytes:
        """JSON as restic reads it."""
        fields = {"version": self.version, "id": self.id, "chunker_polynomial": self.polynomial}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, clear: bytes, where: str) -> Self:
        """Corrupt for what is no config, RelayInUse for a version that we do not write."""
        try:
            found = json.loads(clear)
            version = int(found["version"])
            config = cls(str(found["id"]), str(found["chunker_polynomial"]), version)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not the config of a repository") from error
        if version != VERSION:
            raise OtherVersion(where=where, version=version)
        if not is_id(config.id):
            raise Corrupt(where=where, reason="its id is none")
        return config


class OtherVersion(RelayInUse):
    """the repository {where} is of format {version}, and escale writes format 2"""

    code = "R342"
    advice = "Version 1 is brought to 2 by:    restic migrate upgrade_repo_v2"


def average_for(source_bytes: int) -> int:
    """Bytes of an average chunk for a source of this size."""
    return next((average for limit, average in AVERAGES if source_bytes <= limit), AVERAGE_MAX)
