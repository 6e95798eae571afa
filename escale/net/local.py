"""Sockets between processes of one machine: a server of request lines, its client, and datagrams.

One request is one line, one answer is one line; then the connection ends.  Who may ask is decided by the kernel twice:
the socket file has mode 0600, and the credentials of the peer must be ours or root's (a directory that lets others in
and a socket file that was there before its mode was set are both covered).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LINE_BYTES_MAX = 64 * 1024 * 1024
"""Longest line accepted: a list of some hundred thousand pending files.  Requests are much shorter."""

REQUEST_BYTES_MAX = 64 * 1024
"""Longest request; nobody has to send us more than a few names."""

TIMEOUT_S = 10.0
"""A peer on the same machine that is silent for so long is stuck."""

PATH_BYTES_MAX = 100
"""The kernel allows 107 and a zero byte; some systems less."""

CLIENTS_MAX = 16
"""Connections served at once; more of them wait in the backlog."""

_CREDENTIALS = struct.Struct("3i")


class LineServer:
    """Listens at `path` until `close`, with one thread per connection; `answer` is called in that thread.

    `answer` gets the request line without its end and returns the answer without its end; it must not raise.  OSError
    if the path cannot be bound.  A socket file that nobody listens at is replaced.
    """

    def __init__(self, path: Path, answer: Callable[[bytes], bytes]) -> None:
        self.path = path
        self._answer = answer
        self._places = threading.BoundedSemaphore(CLIENTS_MAX)
        self._closing = threading.Event()
        self._socket = _listen(path)
        self._inode = os.lstat(path).st_ino
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove the socket file, unless somebody else has put his there since."""
        self._closing.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(TIMEOUT_S)
        with suppress(OSError):
            if os.lstat(self.path).st_ino == self._inode:
                self.path.unlink()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._places.acquire()
            threading.Thread(target=self._serve, args=(connection,), name="control client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):
                connection.settimeout(TIMEOUT_S)
                if _is_trusted(connection):
                    line = _read_line(connection, REQUEST_BYTES_MAX)
                    if line is not None:
                        connection.sendall(self._answer(line) + b"\n")
        finally:
            self._places.release()


def ask(path: Path, line: bytes, timeout_s: float = TIMEOUT_S) -> bytes | None:
    """Send one request line and return the answer line; None if nobody answers there, for whatever reason."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        try:
            client.connect(os.fspath(path))
            client.sendall(line + b"\n")
            return _read_line(client, LINE_BYTES_MAX)
        except OSError:
            return None


def is_listening(path: Path) -> bool:
    """Whether a process accepts connections at this path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        try:
            client.connect(os.fspath(path))
        except OSError:
            return False
        return True


def send_datagram(address: str, data: bytes) -> None:
    """One datagram to a Unix address; a leading `@` means the abstract name space.  OSError if nobody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(TIMEOUT_S)
        client.sendto(data, f"\0{address[1:]}" if address.startswith("@") else address)


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise OSError(f"the path of the control socket is longer than {PATH_BYTES_MAX} bytes: {path}")
    if path.is_socket() and not is_listening(path):
        path.unlink()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(os.fspath(path))
        # Nobody can connect before listen(), so there is no moment at which the mode is too wide.
        os.chmod(path, 0o600)
        server.listen(CLIENTS_MAX)
    except OSError:
        server.close()
        raise
    return server


def _is_trusted(connection: socket.socket) -> bool:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in (os.getuid(), 0)


def _read_line(connection: socket.socket, bytes_max: int) -> bytes | None:
    """One line without its end; None if the peer closes before its end or it is too long."""
    received = bytearray()
    while len(received) <= bytes_max:
        piece = connection.recv(64 * 1024)
        if not piece:
            return None
        received += piece
        if received.endswith(b"\n"):
            return bytes(received[:-1])
    return None
