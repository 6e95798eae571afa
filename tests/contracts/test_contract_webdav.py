"""The blob store contract on WebDAV servers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from escale.store.webdav import WebdavStore
from escale.testing.contracts import BlobStoreContract, OpenStore

from ..servers import Relay, Server


def webdav_store(relay: Relay) -> WebdavStore:
    return WebdavStore(relay.url, user=relay.user, password=relay.password)


class WebdavContract(BlobStoreContract):
    server_name: str

    @pytest.fixture
    def open_store(self, server: Callable[[str], Server]) -> OpenStore:
        relay = server(self.server_name).relay()
        # rclone remembers directories, so one that was made behind its back is not there yet.
        webdav_store(relay).make_relay()
        return partial(webdav_store, relay)

    @pytest.fixture
    def store(self, open_store: OpenStore) -> WebdavStore:
        return open_store()

    @pytest.fixture
    def no_relay(self, server: Callable[[str], Server]) -> WebdavStore:
        return webdav_store(server(self.server_name).relay_at("nowhere"))


@pytest.mark.real("apache")
class TestApache(WebdavContract):
    server_name = "apache"
    moves_in_steps = True


@pytest.mark.real("lighttpd")
class TestLighttpd(WebdavContract):
    server_name = "lighttpd"


@pytest.mark.real("wsgidav")
class TestWsgiDav(WebdavContract):
    server_name = "wsgidav"
    moves_in_steps = True
    # It cuts the destination of a move at ";" and "?" even where they are escaped: the probe finds that out.
    test_awkward_names = None


@pytest.mark.real("rclone_webdav")
class TestRclone(WebdavContract):
    server_name = "rclone_webdav"
    moves_in_steps = True
