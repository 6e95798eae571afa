"""S3 answers that are cut after each of their bytes: an error, never a shorter listing or a shorter blob."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from escale.errors import Missing, NoSuchRelay, Refused, Unreachable
from escale.store import s3
from escale.store.s3 import S3Store
from escale.testing.contracts import MIB, Stream, as_file
from tests.fuzz.bounds import bounded

from .cut_answers import FRAMINGS, CutAnswers, in_chunks, until_the_end, with_length

HEAD = b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nServer: s3\r\n"
BLOB = HEAD + b'Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: "abc"\r\n'
ITEM = (
    b"<Contents><Key>relay/%s</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
    b"<ETag>&quot;abc&quot;</ETag><Size>17</Size></Contents>"
)
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<IsTruncated>false</IsTruncated>" + ITEM % b"a" + ITEM % b"b" + b"</ListBucketResult>"
)
CONTENT = b"some content"
ABSENT = b"HTTP/1.1 404 Not Found\r\nServer: s3\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[CutAnswers]:
    with CutAnswers() as running:
        yield running


@pytest.fixture(scope="module")
def store(server: CutAnswers) -> S3Store:
    url = f"http://127.0.0.1:{server.port}"
    return S3Store("bucket", "relay", endpoint_url=url, access_key="A", secret_key="B", proxy="none", timeout_s=5)


@pytest.mark.parametrize("framed", FRAMINGS)
def test_a_cut_listing_is_unreachable(
    server: CutAnswers, store: S3Store, framed: Callable[[bytes, bytes], bytes]
) -> None:
    server.answer, server.length = framed(HEAD, LISTING), None
    assert [blob.name for blob in store.list()] == ["a", "b"]
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{[*store.list()]} after {length} bytes")


@pytest.mark.parametrize("framed", [with_length, in_chunks])
def test_a_cut_blob_is_unreachable(server: CutAnswers, store: S3Store, framed: Callable[[bytes, bytes], bytes]) -> None:
    server.answer, server.length = framed(BLOB, CONTENT), None
    assert store.read_bytes("name") == CONTENT
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.read_bytes('name')!r} after {length} bytes")


def test_a_blob_of_unknown_length_is_refused(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = until_the_end(BLOB, CONTENT), None
    with pytest.raises(Refused, match="ContentLength"):
        store.read_bytes("name")


def test_a_cut_answer_about_a_blob_is_unreachable(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = BLOB + b"Content-Length: 1234\r\n\r\n", None
    info = store.info("name")
    assert info is not None
    assert (info.size, info.tag) == (1234, "abc")
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.info('name')} after {length} bytes")


def test_a_blob_without_a_time_is_refused(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = HEAD + b"Content-Length: 1234\r\n\r\n", None
    with pytest.raises(Refused, match="LastModified"):
        store.info("name")


def test_a_cut_answer_to_a_large_upload_is_unreachable(server: CutAnswers, store: S3Store) -> None:
    answer = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
    server.answer = with_length(HEAD, answer)
    for length in (0, 20, len(HEAD), len(HEAD) + 17, len(server.answer) - len(answer), len(server.answer) - 1):
        server.length = length
        with pytest.raises(Unreachable):
            store.put("name", as_file(Stream(9 * MIB)))


@pytest.mark.parametrize("framed", FRAMINGS)
@pytest.mark.parametrize(("code", "error"), [(b"NoSuchKey", Missing), (b"NoSuchBucket", NoSuchRelay)])
def test_a_cut_absence_is_unreachable(
    server: CutAnswers,
    store: S3Store,
    framed: Callable[[bytes, bytes], bytes],
    code: bytes,
    error: type[Exception],
) -> None:
    server.answer, server.length = framed(ABSENT, b"<Error><Code>" + code + b"</Code></Error>"), None
    with pytest.raises(error):
        store.get("name")
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.read_bytes('name')!r} after {length} bytes")


def test_a_cut_answer_to_an_upload_is_unreachable(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = with_length(BLOB, b""), None
    store.write_bytes("name", CONTENT)
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.write_bytes('name', CONTENT)} after {length} bytes")


def test_a_cut_answer_to_a_deletion_is_unreachable(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = b"HTTP/1.1 204 No Content\r\nServer: s3\r\n\r\n", None
    store.delete("name")
    for length in server.cuts(server.answer):
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.delete('name')} after {length} bytes")


def test_a_listing_that_goes_on_nowhere_is_refused(server: CutAnswers, store: S3Store) -> None:
    server.answer, server.length = with_length(HEAD, LISTING.replace(b"false", b"true")), None
    with pytest.raises(Refused, match="where its listing goes on"):
        pytest.fail(f"{[*store.list()]}")


class _Talker(BaseHTTPRequestHandler):
    """Lists page after page if `status` is 200; else its answer has no end."""

    protocol_version = "HTTP/1.1"
    status = 200
    pages = 0

    def do_GET(self) -> None:
        if self.status == 200:
            return self._list()
        self.send_response(self.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"8000\r\n%s\r\n" % bytes(0x8000))

    do_HEAD = do_PUT = do_DELETE = do_GET

    def _list(self) -> None:
        type(self).pages += 1
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>" % self.pages
        body = b"<ListBucketResult>%s</ListBucketResult>" % more
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def talking() -> Iterator[S3Store]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Talker) as talker:
        talker.daemon_threads = True
        threading.Thread(target=talker.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{talker.server_address[1]}"
        yield S3Store("bucket", endpoint_url=url, access_key="A", secret_key="B", proxy="none", timeout_s=5)
        talker.shutdown()


def test_a_listing_of_pages_without_end_is_refused(talking: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAGES_MAX", 20)
    _Talker.status, _Talker.pages = 200, 0
    with pytest.raises(Refused, match="more than 20 pages"):
        pytest.fail(f"{[*talking.list()]}")
    assert _Talker.pages == 21


@pytest.mark.parametrize("status", [201, 404, 500])
def test_an_answer_without_end_does_not_fill_the_memory(talking: S3Store, status: int) -> None:
    _Talker.status = status
    verbs: list[Callable[[], object]] = [
        lambda: [*talking.list()],
        lambda: talking.write_bytes("name", b""),
        lambda: talking.delete("name"),
    ]
    if status >= 300:
        verbs.append(lambda: talking.get("name"))
    for verb in verbs:
        with bounded(10.0, 64), pytest.raises(Refused, match="answers with more than"):
            verb()
