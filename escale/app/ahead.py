"""Reading ahead, so that the line and the processor work at the same time.

A large archive is otherwise read, hashed, written and sent by turns, and the line rests while we hash.  Here a thread
takes the bytes from the relay, or from the packer, before they are asked for.  Small blobs are not worth a thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO

from ..store.blob import BlobStore
from ..store.wrapped import WrapperStore
from ..stream import PIECE, stream_of

BEGIN_BYTES = 4 * 1024 * 1024
"""What is shorter is over before a thread would be of use."""

PIECES_AHEAD = 8
"""2 MiB: enough to bridge the moments in which one side is slow."""


class ReadAheadStore(WrapperStore):
    """Downloads, and uploads that cannot be rewound, are read ahead by a thread; goes outside of all other wrappers."""

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)

    def get(self, name: str) -> BinaryIO:
        source = self.inner.get(name)
        return stream_of(_Ahead(source), source)

    def put(self, name: str, source: BinaryIO) -> int:
        if source.seekable():
            # It is small, and may have to be sent again.
            return self.inner.put(name, source)
        with stream_of(_Ahead(source)) as early:
            return self.inner.put(name, early)


class _Ahead(Iterator[bytes]):
    """The pieces of a source; after BEGIN_BYTES they are there before they are asked for.

    Closing it waits for the one read that may be under way, because whoever owns the source closes that next.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._passed = 0
        self._ready: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._room = threading.Semaphore(PIECES_AHEAD)
        self._is_over = False
        # A daemon: a relay that has gone silent must not keep a program that was told to stop.
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        if self._passed < BEGIN_BYTES:
            piece: bytes | BaseException = self._source.read(PIECE)
        else:
            if self._thread.ident is None:
                self._thread.start()
            piece = self._ready.get()
            self._room.release()
        if isinstance(piece, BaseException):
            self._is_over = True
            raise piece
        if not piece:
            self._is_over = True
            raise StopIteration
        self._passed += len(piece)
        return piece

    def close(self) -> None:
        self._is_over = True
        if self._thread.ident is not None:
            self._room.release()
            self._thread.join()

    def _read(self) -> None:
        piece = b"more"
        while piece:
            self._room.acquire()
            if self._is_over:
                return
            try:
                piece = self._source.read(PIECE)
            except BaseException as error:
                self._ready.put(error)
                return
            self._ready.put(piece)
