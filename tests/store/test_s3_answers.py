"""S3 answers that are cut after each of their bytes: an error, never a shorter listing or a shorter blob."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from escale.errors import Refused, Unreachable
from escale.store.s3 import S3Store
from escale.testing.contracts import MIB, Stream, as_file

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
