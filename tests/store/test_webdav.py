"""WebdavStore: what the contract does not say; servers of several kinds, and one that answers wrongly."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

from escale.errors import (
    Corrupt,
    Missing,
    NoRelaySpace,
    NoSuchRelay,
    Refused,
    SecretError,
    TooLarge,
    Unreachable,
    UntrustedCertificate,
)
from escale.store.multistatus import Multistatus
from escale.store.webdav import HEAD, WebdavStore
from escale.testing.contracts import MIB, SourceFailed, Stream, as_file

from ..contracts.test_contract_webdav import webdav_store
from ..servers import Proxy, Relay, Server
from .spoiler import Spoiler


@pytest.fixture
def relay(server: Callable[[str], Server]) -> Relay:
    return server("wsgidav").relay()


@pytest.fixture
def spoiler(relay: Relay) -> Iterator[Spoiler]:
    with Spoiler(relay.port) as running:
        yield running


@pytest.fixture
def spoiled(relay: Relay, spoiler: Spoiler) -> WebdavStore:
    return webdav_store(through(relay, spoiler.port))


def through(relay: Relay, port: int) -> Relay:
    return replace(relay, url=relay.url.replace(f":{relay.port}/", f":{port}/"))


class TestRoundTrips:
    def test_small_put_is_an_upload_and_a_move(self, spoiled: WebdavStore, spoiler: Spoiler) -> None:
        spoiled.write_bytes("name", b"content")
        assert spoiler.requests == ["PUT", "MOVE"]

    def test_large_put_tries_chunks_once_and_looks(self, spoiled: WebdavStore, spoiler: Spoiler) -> None:
        spoiled.put("name", as_file(Stream(HEAD)))
        assert spoiler.requests == ["PUT", "PROPFIND", "PUT", "PROPFIND", "MOVE"]
        spoiler.requests.clear()
        spoiled.put("name", as_file(Stream(HEAD)))
        assert spoiler.requests == ["PUT", "PROPFIND", "MOVE"]

    def test_others_are_one_request(self, spoiled: WebdavStore, spoiler: Spoiler) -> None:
        spoiled.write_bytes("name", b"content")
        spoiler.requests.clear()
        spoiled.read_bytes("name")
        spoiled.info("name")
        list(spoiled.list())
        spoiled.delete("name")
        assert spoiler.requests == ["GET", "PROPFIND", "PROPFIND", "DELETE"]


@pytest.mark.parametrize("manners", ["taken", "refused", "lost"])
def test_servers_that_dislike_chunks(spoiled: WebdavStore, spoiler: Spoiler, manners: str) -> None:
    spoiler.chunked_uploads = manners
    source = Stream(3 * MIB)
    assert spoiled.put("name", as_file(source)) == 3 * MIB
    assert hashlib.sha256(spoiled.read_bytes("name")).digest() == source.digest.digest()
    assert [blob.name for blob in spoiled.list()] == ["name"]


@pytest.mark.parametrize("status", [500, 503, 0])
class TestUnclearAnswers:
    def test_move_is_looked_after(self, spoiled: WebdavStore, spoiler: Spoiler, status: int) -> None:
        spoiler.answers["MOVE"] = (status, b"")
        assert spoiled.put("name", as_file(Stream(10))) == 10
        assert spoiled.info("name") is not None

    def test_creation_is_read_back(self, spoiled: WebdavStore, spoiler: Spoiler, status: int) -> None:
        spoiler.answers["MOVE"] = (status, b"")
        assert spoiled.create("lock", b"mine") is True
        spoiler.answers["MOVE"] = (status, b"")
        assert spoiled.create("lock", b"yours") is False


class Always(dict[str, tuple[int, bytes]]):
    """Answers that are given each time."""

    def pop(self, method: str, default: object = None) -> tuple[int, bytes]:
        return self[method]


def test_a_collection_that_somebody_else_makes_at_the_same_instant(spoiled: WebdavStore, spoiler: Spoiler) -> None:
    """Apache forbids what is just done by another client: every time, if many make it."""
    spoiler.answers = Always(MKCOL=(403, b""))
    spoiled.within("data/00").write_bytes("name", b"content")
    assert [blob.name for blob in spoiled.within("data").list_below()] == ["00/name"]


def test_what_goes_while_the_server_opens_it_is_missing_and_what_is_forbidden_is_refused(
    spoiled: WebdavStore, spoiler: Spoiler
) -> None:
    """Apache forbids (403) to read what was deleted between its own look and its opening it."""
    spoiler.answers["GET"] = (403, b"")
    with pytest.raises(Missing):
        spoiled.read_bytes("name")
    spoiled.write_bytes("name", b"content")
    spoiler.answers["GET"] = (403, b"")
    assert spoiled.get_range("name", 1, 3) == b"ont"
    spoiler.answers = Always(GET=(403, b""))
    with pytest.raises(Refused):
        spoiled.read_bytes("name")


def test_failing_source_leaves_nothing(relay: Relay) -> None:
    store = webdav_store(relay)
    with pytest.raises(SourceFailed):
        store.put("name", as_file(Stream(10 * MIB, fails_at=5 * MIB)))
    assert relay.path is not None
    assert list(relay.path.iterdir()) == []


def test_cut_transfers_are_unreachable(relay: Relay, proxy: Callable[..., Proxy]) -> None:
    between = proxy(relay.port)
    store = webdav_store(through(relay, between.port))
    store.put("name", as_file(Stream(10 * MIB)))
    between.cut_after(3 * MIB)
    with pytest.raises(Unreachable):
        store.read_bytes("name")
    between.cut_after(3 * MIB)
    with pytest.raises(Unreachable):
        store.put("name", as_file(Stream(10 * MIB)))
    assert len(store.read_bytes("name")) == 10 * MIB


def test_wrong_password(relay: Relay) -> None:
    for call in (lambda store: store.write_bytes("n", b""), lambda store: list(store.list()), lambda s: s.get("n")):
        with pytest.raises(SecretError):
            call(webdav_store(replace(relay, password="wrong")))


def test_make_relay(relay: Relay, server: Callable[[str], Server]) -> None:
    store = webdav_store(server("wsgidav").relay_at(f"{relay.directory}/below"))
    with pytest.raises(NoSuchRelay):
        list(store.list())
    store.make_relay()
    store.make_relay()
    assert list(store.list()) == []
    with pytest.raises(NoSuchRelay):
        webdav_store(server("wsgidav").relay_at("not/there")).make_relay()


@pytest.mark.parametrize(
    ("method", "status", "kind"),
    [
        ("PUT", 507, NoRelaySpace),
        ("PUT", 413, TooLarge),
        ("PUT", 403, Refused),
        ("PUT", 423, Unreachable),
        ("PROPFIND", 301, Refused),
        ("PROPFIND", 502, Unreachable),
        ("PROPFIND", 405, Refused),
        ("DELETE", 401, SecretError),
    ],
)
def test_answers_in_our_words(
    spoiled: WebdavStore, spoiler: Spoiler, method: str, status: int, kind: type[Exception]
) -> None:
    verbs: dict[str, Callable[[], object]] = {
        "PUT": lambda: spoiled.write_bytes("name", b"content"),
        "PROPFIND": lambda: list(spoiled.list()),
        "DELETE": lambda: spoiled.delete("name"),
    }
    spoiler.answers[method] = (status, b"")
    with pytest.raises(kind):
        verbs[method]()


class Own:
    """wsgidav in this process: with Digest log-in, or with TLS."""

    def __init__(self, root: Path, certificate: Path | None = None) -> None:
        application = WsgiDAVApp(
            {
                "provider_mapping": {"/": FilesystemProvider(str(root))},
                "simple_dc": {"user_mapping": {"*": {"user": {"password": "secret"}}}},
                "http_authenticator": {
                    "accept_basic": certificate is not None,
                    "accept_digest": certificate is None,
                    "default_to_digest": certificate is None,
                },
                "logging": {"enable": False},
            }
        )
        self.server = wsgi.Server(("127.0.0.1", 0), application, numthreads=4)
        if certificate is not None:
            self.server.ssl_adapter = BuiltinSSLAdapter(str(certificate), str(certificate))
        self.server.prepare()
        self.port = self.server.bind_addr[1]
        threading.Thread(target=self.server.serve, daemon=True).start()


def test_digest_log_in(tmp_path: Path) -> None:
    own = Own(tmp_path)
    try:
        store = WebdavStore(f"http://127.0.0.1:{own.port}/", user="user", password="secret")
        source = Stream(3 * MIB)
        store.put("large", as_file(source))
        store.write_bytes("small", b"content")
        assert store.read_bytes("small") == b"content"
        assert hashlib.sha256((tmp_path / "large").read_bytes()).digest() == source.digest.digest()
        with pytest.raises(SecretError):
            WebdavStore(f"http://127.0.0.1:{own.port}/", user="user", password="wrong").write_bytes("name", b"")
        with WebdavStore(f"http://127.0.0.1:{own.port}/", user="user", password="secret") as other:
            assert other.read_bytes("small") == b"content"
    finally:
        own.server.stop()


def test_certificates(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    for name, each in (("authority", authority), ("stranger", stranger)):
        each.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "own.pem")
    )
    (tmp_path / "root").mkdir()
    own = Own(tmp_path / "root", tmp_path / "own.pem")

    def store(**how: Any) -> WebdavStore:
        return WebdavStore(f"https://127.0.0.1:{own.port}/", user="user", password="secret", **how)

    try:
        store(ca_file=tmp_path / "authority.pem").write_bytes("name", b"content")
        assert store(verify=False).read_bytes("name") == b"content"
        for how in ({}, {"ca_file": tmp_path / "stranger.pem"}):
            with pytest.raises(UntrustedCertificate, match="certificate of https"):
                list(store(**how).list())
    finally:
        own.server.stop()


def test_company_proxy(relay: Relay) -> None:
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PROPFIND(self) -> None:
            seen.append(self.path)
            self.send_error(502)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as company:
        threading.Thread(target=company.handle_request, daemon=True).start()
        store = WebdavStore("http://dav.example.org/a b", proxy=f"http://127.0.0.1:{company.server_port}")
        with pytest.raises(Unreachable):
            list(store.list())
    assert seen == ["http://dav.example.org/a%20b/"]


class TestMultistatus:
    def blobs(self, *responses: str) -> list[Any]:
        text = f'<d:multistatus xmlns:d="DAV:">{"".join(responses)}</d:multistatus>'
        return Multistatus("here", [text.encode()]).blobs()

    def response(self, href: str, more: str = "") -> str:
        size = "<d:getcontentlength>5</d:getcontentlength>"
        status = "<d:status>HTTP/1.1 200 OK</d:status>"
        found = f"<d:propstat><d:prop>{size}{more}</d:prop>{status}</d:propstat>"
        return f"<d:response><d:href>{href}</d:href>{found}</d:response>"

    @pytest.mark.parametrize(
        "href", ["/a/b/d%C3%A9j%c3%a0%20vu", "https://other.example.org/x/d%C3%A9j%C3%A0%20vu", "déjà vu"]
    )
    def test_addresses(self, href: str) -> None:
        (blob,) = self.blobs(self.response(href))
        assert (blob.name, blob.size, blob.mtime) == ("déjà vu", 5, None)

    def test_collections_are_left_out(self) -> None:
        folder = "<d:resourcetype><d:collection/></d:resourcetype>"
        assert self.blobs(self.response("/a/", folder), self.response("/a/b", folder)) == []

    def test_properties_that_were_not_found_do_not_count(self) -> None:
        lost = "<d:propstat><d:prop><d:getetag/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"
        (blob,) = self.blobs(self.response("/a").replace("</d:response>", f"{lost}</d:response>"))
        assert blob.size == 5

    def test_tags_and_times(self) -> None:
        time = "<d:getlastmodified>Sat, 21 Nov 2026 02:47:18 GMT</d:getlastmodified>"
        (blob,) = self.blobs(self.response("/a", f'{time}<d:getetag>"e"</d:getetag>'))
        assert (blob.mtime, blob.tag) == (1795229238.0, '"e"')

    def test_a_tag_that_turns_strong_is_the_same(self) -> None:
        (young,) = self.blobs(self.response("/a", '<d:getetag>W/"e"</d:getetag>'))
        (old,) = self.blobs(self.response("/a", '<d:getetag>"e"</d:getetag>'))
        assert young.tag == old.tag

    def test_entity_bomb(self) -> None:
        levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        bomb = f'<!DOCTYPE b [<!ENTITY e0 "boom">{levels}]><multistatus xmlns="DAV:">&e9;</multistatus>'
        with pytest.raises(Corrupt, match="document type"):
            Multistatus("here", [bomb.encode()])
        with pytest.raises(Corrupt, match="document type"):
            Multistatus("here", [bomb.encode("utf-16")])

    @pytest.mark.parametrize("text", ["", "<html>hello</html>", "{}", '<multistatus xmlns="DAV:"><response>'])
    def test_something_else(self, text: str) -> None:
        with pytest.raises((Corrupt, Unreachable)):
            Multistatus("here", [text.encode()])

    @pytest.mark.parametrize("size", ["many", "-", "5 bytes"])
    def test_nonsense_in_properties(self, size: str) -> None:
        with pytest.raises(Corrupt):
            self.blobs(self.response("/a").replace(">5<", f">{size}<"))


def test_missing_is_told_from_no_relay(relay: Relay, server: Callable[[str], Server]) -> None:
    with pytest.raises(Missing):
        webdav_store(relay).get("name")
    with pytest.raises(NoSuchRelay):
        webdav_store(server("wsgidav").relay_at("nowhere")).get("name")
