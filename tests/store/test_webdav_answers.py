"""WebDAV answers that are cut after each of their bytes: an error, never a shorter listing or a shorter blob."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from escale.errors import Corrupt, Refused, Unreachable
from escale.store.webdav import WebdavStore
from tests.fuzz.bounds import bounded

from .cut_answers import FRAMINGS, CutAnswers, in_chunks, with_length

HEAD = b"HTTP/1.1 207 Multi-Status\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
ITEM = (
    b"<D:response><D:href>/relay/%s</D:href><D:propstat><D:prop><D:resourcetype/>"
    b"<D:getcontentlength>17</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
    b"</D:response>"
)
LISTING = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">'
    + ITEM % b"a"
    + ITEM % b"b"
    + b"</D:multistatus>"
)
CONTENT = b"some content"


@pytest.fixture(scope="module")
def server() -> Iterator[CutAnswers]:
    with CutAnswers() as running:
        yield running


@pytest.fixture(scope="module")
def store(server: CutAnswers) -> WebdavStore:
    return WebdavStore(f"http://127.0.0.1:{server.port}/relay", proxy="none", timeout_s=5)


@pytest.mark.parametrize("framed", FRAMINGS)
def test_a_cut_listing_is_unreachable(
    server: CutAnswers, store: WebdavStore, framed: Callable[[bytes, bytes], bytes]
) -> None:
    server.answer, server.length = framed(HEAD, LISTING), None
    assert [blob.name for blob in store.list()] == ["a", "b"]
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{[*store.list()]} after {length} bytes")


@pytest.mark.parametrize("framed", [with_length, in_chunks])
def test_a_cut_blob_is_unreachable(
    server: CutAnswers, store: WebdavStore, framed: Callable[[bytes, bytes], bytes]
) -> None:
    server.answer, server.length = framed(b"HTTP/1.1 200 OK\r\n", CONTENT), None
    assert store.read_bytes("name") == CONTENT
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.read_bytes('name')!r} after {length} bytes")


@pytest.mark.parametrize("framed", FRAMINGS)
def test_a_cut_answer_about_a_blob_is_unreachable(
    server: CutAnswers, store: WebdavStore, framed: Callable[[bytes, bytes], bytes]
) -> None:
    server.answer, server.length = framed(HEAD, LISTING.replace(ITEM % b"b", b"")), None
    info = store.info("a")
    assert info is not None
    assert info.size == 17
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.info('a')} after {length} bytes")


@pytest.mark.parametrize(
    "verb",
    [
        lambda store: store.write_bytes("name", CONTENT),
        lambda store: store.create("name", CONTENT),
        lambda store: store.delete("name"),
        lambda store: store.make_relay(),
    ],
    ids=["put", "create", "delete", "make"],
)
def test_a_cut_thank_you_is_unreachable(
    server: CutAnswers, store: WebdavStore, verb: Callable[[WebdavStore], object]
) -> None:
    server.answer, server.length = with_length(b"HTTP/1.1 201 Created\r\n", b"thank you"), None
    verb(store)
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{verb(store)!r} after {length} bytes")


class _OldServer(BaseHTTPRequestHandler):
    """Ends a body by hanging up, after `length` bytes; a listing knows how long the body is."""

    length = 0

    def do_GET(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT[: self.length])

    def do_PROPFIND(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        item = (ITEM % b"name").replace(b">17<", b">%d<" % len(CONTENT))
        body = b'<D:multistatus xmlns:D="DAV:">' + item + b"</D:multistatus>"
        self.wfile.write(b"HTTP/1.0 207 Multi-Status\r\n\r\n" + body)

    def log_message(self, *words: Any) -> None:
        pass


def test_a_blob_that_ends_with_its_connection_is_measured() -> None:
    with HTTPServer(("127.0.0.1", 0), _OldServer) as old:
        threading.Thread(target=old.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        store = WebdavStore(f"http://127.0.0.1:{old.server_address[1]}/relay", proxy="none", timeout_s=5)
        _OldServer.length = len(CONTENT)
        assert store.read_bytes("name") == CONTENT
        for _OldServer.length in range(len(CONTENT)):
            with pytest.raises(Unreachable):
                pytest.fail(f"{store.read_bytes('name')!r} after {_OldServer.length} bytes")
        old.shutdown()


class _Talker(BaseHTTPRequestHandler):
    """Answers whatever it is asked with `status` and pages without end."""

    protocol_version = "HTTP/1.1"
    status = 200
    page = b""
    headers_too: ClassVar[dict[str, str]] = {}

    def do_any(self) -> None:
        with suppress(OSError):
            self.send_response(self.status)
            for name, value in self.headers_too.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(self.page), self.page))

    do_GET = do_PUT = do_DELETE = do_PROPFIND = do_MKCOL = do_any

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def talking() -> Iterator[WebdavStore]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Talker) as talker:
        talker.daemon_threads = True
        threading.Thread(target=talker.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{talker.server_address[1]}/relay"
        with WebdavStore(url, user="a", password="b", proxy="none", timeout_s=5) as store:
            yield store
        talker.shutdown()


VERBS: list[Callable[[WebdavStore], object]] = [
    lambda store: [*store.list()],
    lambda store: store.info("name"),
    lambda store: store.get("name"),
    lambda store: store.write_bytes("name", b"content"),
    lambda store: store.delete("name"),
    lambda store: store.make_relay(),
]


@pytest.mark.parametrize("verb", VERBS, ids=["list", "info", "get", "put", "delete", "make"])
@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_without_end_does_not_fill_the_memory(
    talking: WebdavStore, verb: Callable[[WebdavStore], object], status: int
) -> None:
    _Talker.status, _Talker.page, _Talker.headers_too = status, b"no " * 10_000, {}
    with bounded(5.0, 16), pytest.raises(Refused, match="answers with more than"):
        verb(talking)


def test_a_log_in_without_end_does_not_fill_the_memory(talking: WebdavStore) -> None:
    _Talker.status, _Talker.page = 401, b"no " * 10_000
    _Talker.headers_too = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
    with bounded(5.0, 16), pytest.raises(Refused, match="answers with more than"):
        talking.delete("name")


def test_thanks_without_end_do_not_fill_the_memory(talking: WebdavStore) -> None:
    _Talker.status, _Talker.headers_too = 201, {"Content-Encoding": "gzip"}
    _Talker.page = gzip.compress(bytes(16 * 1024 * 1024))
    with bounded(5.0, 16), pytest.raises(Refused, match="answers with more than"):
        talking.delete("name")


def test_a_listing_without_end_does_not_fill_the_memory(talking: WebdavStore) -> None:
    _Talker.status, _Talker.headers_too = 207, {}
    _Talker.page = b"<D:multistatus xmlns:D='DAV:'>" + b"<D:response><D:href>" + b"name " * 10_000
    with bounded(5.0, 32), pytest.raises((Corrupt, Unreachable)):
        talking.info("name")
