"""An upload of unknown length as the library sends it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import Unreachable
from ..stream import pieces_of


class CountedUpload:
    """The first bytes and the rest of a source as pieces, counted.  They are there once only."""

    def __init__(self, where: str, head: bytes, source: BinaryIO) -> None:
        self._where = where
        self._head = io.BytesIO(head)
        self._source = source
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        if self.given:
            raise Unreachable(where=self._where, reason="it wants an upload a second time, after another log-in")
        for stream in (self._head, self._source):
            for piece in pieces_of(stream):
                self.given += len(piece)
                yield piece
