"""An HTTP server in front of another one that does what was asked and then says something else."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Spoiler:
    """Forwards to `target_port`.  `answers[method]` replaces the next answer to that method: a status and a body.

    A status of 0 drops the connection instead.  `requests` are the methods that came.  `chunked_uploads`: "taken",
    "refused" with 411, or "lost": stored empty with a friendly answer.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.requests: list[str] = []
        self.chunked_uploads = "taken"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"spoiler": self}))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    spoiler: Spoiler
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        self.spoiler.requests.append(self.command)
        is_chunked = self.headers.get("Transfer-Encoding", "") == "chunked"
        body = self._chunks() if is_chunked else self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if is_chunked and self.spoiler.chunked_uploads == "refused":
            return self._answer(411, b"", {})
        if is_chunked and self.spoiler.chunked_uploads == "lost":
            body = b""
        status, headers, content = self._forward(body)
        if self.command in self.spoiler.answers:
            status, content = self.spoiler.answers.pop(self.command)
        if status == 0:
            self.close_connection = True
            return self.connection.close()
        return self._answer(status, content, headers)

    do_GET = do_PUT = do_DELETE = do_MOVE = do_PROPFIND = do_MKCOL = do_HEAD = do_POST = handle_any

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.spoiler.target_port, timeout=30)
        unwanted = ("transfer-encoding", "content-length", "connection")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in unwanted}
        if "Destination" in headers:
            headers["Destination"] = headers["Destination"].replace(f":{self.spoiler.port}/", f":{connection.port}/")
            headers["Host"] = f"127.0.0.1:{connection.port}"
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        content = response.read()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in unwanted}
        connection.close()
        return response.status, kept, content

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        pass
