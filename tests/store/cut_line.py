"""A line to a real server that ends after so many bytes of what the server says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

PATIENCE_S = 20.0


class CutLine:
    """Forwards `port` to `target_port`.  After `length` more bytes of the server's, None for no limit, it hangs up.

    The end is an orderly one on both sides, as of a proxy that was stopped: what was said until then arrives.  If it
    `is_silent`, it says nothing more instead.  `said` are the bytes that have passed since it was last set.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.length: int | None = None
        self.said = 0
        self.is_silent = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        # Closing alone does not wake who waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cuts(self, count: int) -> Iterator[int]:
        """So many lengths, evenly spread over what was said, each short of it; the limit is set to it."""
        said = self.said
        for number in range(count):
            self.length = length = said * number // count
            self.said = 0
            yield length
        self.length = None

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                for each in (client, server):
                    each.settimeout(PATIENCE_S)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _hang_up(server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while (room := self._room()) and (data := self._passed(server.recv(room))):
                client.sendall(data)
            if not self.is_silent:
                _hang_up(client)
            # Who is not heard is listened to all the same, so that the end does not overtake what was said.
            _hang_up(server)
            while client.recv(65536):
                pass

    def _passed(self, data: bytes) -> bytes:
        """What of it still passes: several connections may have waited for it with the same room."""
        with self._lock:
            data = data[: self._room()]
            self.said += len(data)
        return data

    def _room(self) -> int:
        return 65536 if self.length is None else max(0, min(65536, self.length - self.said))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
