"""Messenger: stands between clients and an HTTP server, understands what it carries, and fails when it is told to.

The proxy of `tests/servers` knows bytes; here a fault meets a certain request: its answer is lost, its body is cut, it
is refused.
"""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

ANSWER_S_MAX = 20.0
Kind = str | int
UPLOADS = ("PUT", "POST")
CHANGING = (*UPLOADS, "DELETE", "MOVE", "MKCOL")
FETCHING = ("GET",)
ALL = (*CHANGING, *FETCHING, "PROPFIND", "HEAD")

_OF_ONE_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


@dataclass(slots=True)
class Fault:
    """What happens to one request: of these `verbs`, whose name has that `part`, after `skip` others of that kind.

    `kind`: "lost" (done, but the answer does not arrive), "torn" (the server gets half of the body), "cut" (half of the
    answer arrives), "flipped" (one bit of the answer is another), or a status with which it is refused unseen.
    """

    kind: Kind
    verbs: tuple[str, ...] = ALL
    part: str = ""
    skip: int = 0
    struck: str = ""
    """The request that met it."""

    def meets(self, verb: str, path: str) -> bool:
        """Whether this is the request; each fault meets one."""
        if self.struck or verb not in self.verbs or self.part not in path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.struck = f"{verb} {path}"
        return True


@dataclass(slots=True)
class _Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


class Messenger:
    """A context manager that serves a port of its own."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._fault: Fault | None = None
        self._lock = Lock()
        messenger = self

        class Handler(_Handler):
            master = messenger

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def strike(self, kind: Kind, verbs: tuple[str, ...] = ALL, part: str = "", skip: int = 0) -> Fault:
        """From now on this fault, and no other, waits for its request."""
        self._fault = Fault(kind, verbs, part, skip)
        return self._fault

    def restore(self, fault: Fault) -> None:
        """Wait for this one again."""
        self._fault = fault

    def calm(self) -> None:
        """No fault any more."""
        self._fault = None

    def fault_of(self, verb: str, path: str) -> Kind | None:
        """What happens to this request."""
        with self._lock:
            return self._fault.kind if self._fault is not None and self._fault.meets(verb, path) else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client; a new one to the server for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    master: Messenger

    def handle_one_request(self) -> None:
        """A client that goes away is no error."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def carry(self) -> None:
        """One request there and its answer back, unless it meets its fault."""
        body = self._body()
        fault = self.master.fault_of(self.command, self.path)
        if isinstance(fault, int):
            self._answer(_Answer(fault))
            return
        if fault == "torn":
            self._tear(body)
            return
        answer = self._forward(body)
        if fault == "lost":
            self._hang_up()
            return
        if fault == "flipped":
            middle = len(answer.body) // 2
            flipped = bytes([answer.body[middle] ^ 1])
            answer.body = answer.body[:middle] + flipped + answer.body[middle + 1 :]
        self._answer(answer, len(answer.body) // 2 if fault == "cut" else None)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = do_MOVE = do_MKCOL = do_PROPFIND = do_OPTIONS = carry

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silence."""

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _sent_headers(self) -> dict[str, str]:
        left_out = (*_OF_ONE_HOP, "expect")
        return {name: value for name, value in self.headers.items() if name.lower() not in left_out}

    def _forward(self, body: bytes) -> _Answer:
        server = http.client.HTTPConnection("127.0.0.1", self.master.target_port, timeout=ANSWER_S_MAX)
        with_length = {"Content-Length": str(len(body))} if body or self.command in CHANGING else {}
        try:
            server.request(self.command, self.path, body or None, {**self._sent_headers(), **with_length})
            got = server.getresponse()
            headers = [(name, value) for name, value in got.getheaders() if name.lower() not in _OF_ONE_HOP]
            return _Answer(got.status, headers, got.read())
        finally:
            server.close()

    def _tear(self, body: bytes) -> None:
        """The server is promised the whole body and sees the line break in the middle of it."""
        lines = [f"{self.command} {self.path} HTTP/1.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._sent_headers().items()]
        with socket.create_connection(("127.0.0.1", self.master.target_port), ANSWER_S_MAX) as server:
            server.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body[: len(body) // 2])
        self._hang_up()

    def _answer(self, answer: _Answer, only: int | None = None) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:only])
        self.wfile.flush()
        if only is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
