"""Real servers behind a line that is cut: every verb is Unreachable, says so in time, and works again afterwards."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from escale.errors import Missing, Unreachable
from escale.store.blob import BlobStore
from escale.store.remote import Address, open_store

from ..servers import Relay, Server
from .cut_line import CutLine

CUTS = 30
CUTS_LARGE = 8
LARGE = 9 * 1024 * 1024
"""Bytes of a blob that S3 takes in parts and WebDAV in chunks."""

SERVERS = {
    name: pytest.param(name, marks=pytest.mark.real(name))
    for name in ("sshd", "moto", "rclone_s3", "wsgidav", "apache", "rclone_webdav", "vsftpd", "pyftpd")
}

VERBS: dict[str, Callable[[BlobStore], object]] = {
    "list": lambda store: [blob.name for blob in store.list()],
    "info": lambda store: store.info("name"),
    "info of nothing": lambda store: store.info("nothing"),
    "get": lambda store: store.read_bytes("name"),
    "get range": lambda store: store.get_range("name", 50, 300),
    "list below": lambda store: sorted(blob.name for blob in store.within("data").list_below()),
    "get of nothing": lambda store: store.read_bytes("nothing"),
    "put": lambda store: store.write_bytes("name", b"content" * 100),
    "put within": lambda store: store.within("data/new").write_bytes("name", b"content" * 100),
    "large put": lambda store: store.put("large", io.BytesIO(bytes(LARGE))),
    "delete": lambda store: store.delete("deleted"),
}


@pytest.fixture(scope="module", params=SERVERS.values())
def relay(request: pytest.FixtureRequest, server: Callable[[str], Server]) -> Relay:
    return server(request.param).relay()


@pytest.fixture(scope="module")
def line(relay: Relay) -> Iterator[CutLine]:
    with CutLine(relay.port) as line:
        yield line


@pytest.fixture(scope="module")
def store(relay: Relay, line: CutLine) -> Iterator[BlobStore]:
    options: dict[str, Any] = dict(relay.options)
    if "endpoint_url" in options:
        options["endpoint_url"] = options["endpoint_url"].replace(f":{relay.port}", f":{line.port}")
    address = Address.parse(
        relay.url.replace(f":{relay.port}", f":{line.port}"),
        user=relay.user,
        password=relay.password,
        key_file=relay.key_file,
        host_key=relay.host_key,
        proxy="none",
        timeout_s=10.0,
        options=options,
    )
    with open_store(address) as store:
        store.write_bytes("name", b"content" * 100)
        for number in range(10):
            store.write_bytes(f"name-{number}", os.urandom(number))
            store.within(f"data/{number}").write_bytes("name", os.urandom(number))
        yield store


@pytest.mark.parametrize("verb", VERBS)
def test_a_line_that_is_cut_is_unreachable(store: BlobStore, line: CutLine, verb: str) -> None:
    act = VERBS[verb]
    whole = None
    # The first time things are tried out that the second time are known.
    for _ in range(2):
        store.close()
        line.said = 0
        with suppress(Missing):
            whole = act(store)
    store.close()
    cut = 0
    for length in line.cuts(CUTS_LARGE if verb == "large put" else CUTS):
        try:
            found = act(store)
        except Unreachable:
            cut += 1
        else:
            # Servers do not always say the same number of bytes: this time they were fewer, or just so many.
            is_whole = found is not None and found == whole
            assert line.said < length or is_whole, f"{found!r} after {length} bytes"
    assert cut > CUTS_LARGE // 2
    with suppress(Missing):
        act(store)
