"""A server, and in front of it the line to it: straight, or through a proxy that delays and counts."""

from __future__ import annotations

import itertools
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from tests.servers import SERVERS, Proxy, Relay

RELAYS = {"sftp": "sshd", "webdav": "apache", "s3": "rclone_s3"}
"""The server for each kind of relay.

moto's server, the other one for S3, takes 30 ms for a request of its own and holds everything in memory: what it
measures is moto.  rclone's knows no conditional writes, so our client has to make its locks by listing, which costs it
a few requests more than Amazon's would.
"""

DIRECTORY = "directory"
"""The name of what is no server: directories of this machine."""


class Stage:
    """The running server of that name, at a distance of `round_trip_s`, or DIRECTORY.  A context manager.

    Only what goes through the proxy is counted: with `is_counted`, or when there is a distance.  The proxy takes
    processor time, so an undelayed, uncounted stage is the fair one for speed.
    """

    def __init__(self, server: str, round_trip_s: float, is_counted: bool = False) -> None:
        self._server = SERVERS[server]() if server != DIRECTORY else _Here()
        self.scheme = self._server.scheme
        self._round_trip_s = round_trip_s
        self._has_proxy = is_counted or round_trip_s > 0
        self.proxy: Proxy | None = None
        self._bucket = ""
        self._numbers = itertools.count(1)

    def relay(self) -> Relay:
        """A fresh, empty relay, reached by the line."""
        if self._bucket:
            name = f"{self._bucket}/relay-{next(self._numbers)}"
            relay = replace(self._server.relay_at(name), path=self._server.root / name)
        else:
            relay = self._server.relay()
        if self.proxy is None:
            return relay
        old, new = f":{relay.port}", f":{self.proxy.port}"
        options = {name: value.replace(old, new) for name, value in relay.options.items()}
        return replace(relay, port=self.proxy.port, url=relay.url.replace(old, new), options=options)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self._server)
            if self._has_proxy:
                self.proxy = starting.enter_context(Proxy(self._server.port, self._round_trip_s / 2))
            if self.scheme == "s3":
                # One for all: rclone does not see a bucket that was made after it has looked.
                self._bucket = self._server.relay().directory.partition("/")[0]
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.close()


class _Here:
    """Directories of this machine in the part of a server."""

    scheme = "file"
    port = 0

    @property
    def root(self) -> Path:
        return Path(self._root.name)

    def relay(self) -> Relay:
        return self.relay_at(tempfile.mkdtemp(dir=self.root))

    def relay_at(self, name: str) -> Relay:
        path = self.root / name
        return Relay(str(path), "", self.port, str(path), path=path)

    def __enter__(self) -> Self:
        self._root = tempfile.TemporaryDirectory(prefix="escale-here-")
        return self

    def __exit__(self, *exc: object) -> None:
        self._root.cleanup()
