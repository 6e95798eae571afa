"""An HTTP server that says a given answer to every request and hangs up, sooner if it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

LAST_CHUNK = b"0\r\n\r\n"


class CutAnswers:
    """Says the first `length` bytes of `answer`, or all of it if None, to each connection's first request.

    The end of the connection is an orderly one, as of a server that was stopped, or of a proxy in between.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answer = b""
        self.length: int | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        # Closing alone does not wake who waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cuts(self, answer: bytes) -> Iterator[int]:
        """Each length at which `answer` lacks something; of the last chunk, which is empty, not all is needed."""
        self.answer = answer
        for length in range(len(answer.removesuffix(LAST_CHUNK))):
            self.length = length
            yield length

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError, ValueError):
                    connection.settimeout(10)
                    _read_request(connection)
                    connection.sendall(self.answer[: self.length])


def _read_request(connection: socket.socket) -> None:
    with connection.makefile("rb") as file:
        length = 0
        while line := file.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        file.read(length)


# Each says that the connection ends: a client that found out only later would send the next request into it.


def with_length(head: bytes, body: bytes) -> bytes:
    """An answer that tells its length last."""
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(head: bytes, body: bytes) -> bytes:
    """An answer in two chunks."""
    middle = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]))
    return head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + LAST_CHUNK


def until_the_end(head: bytes, body: bytes) -> bytes:
    """An answer that ends where the connection does."""
    return head + b"Connection: close\r\n\r\n" + body


FRAMINGS = (with_length, in_chunks, until_the_end)
