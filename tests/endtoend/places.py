"""Relays as a client is configured for them, and as we look at them from behind, past the program under test."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from ..servers import Proxy, Relay, Server

RESTING = re.compile(
    r"escale\.relay|client\.[0-9a-f]{16}|(0|[0-9a-f]{16})\.index\.[0-9]{10}-[0-9a-f]{16}|\.davfs\.tmp.*"
)
"""The names on a relay where nothing is under way: the marker, the roster, and indices; and what Apache itself leaves
behind of an upload during which it was stopped."""


@dataclass(frozen=True, slots=True)
class Place:
    """An empty relay of its own for a test, or the way to one through a proxy."""

    relay: Relay
    keys: dict[str, object]
    """What a configuration says about it."""

    def names(self) -> list[str]:
        """The blobs on it, by name; what is below directories with their paths.  May be asked while clients work."""
        if self.relay.url.startswith("s3:"):
            return sorted(name for name, _, _ in self._objects(False))
        return sorted(name for name, _ in self._paths())

    def blobs(self) -> dict[str, int]:
        """The size in bytes of each blob, by name."""
        if self.relay.url.startswith("s3:"):
            return {name: size for name, size, _ in self._objects(False)}
        return {name: path.stat().st_size for name, path in self._paths()}

    def contents(self) -> dict[str, bytes]:
        """Everything on it."""
        if self.relay.url.startswith("s3:"):
            return {name: data for name, _, data in self._objects(True)}
        return {name: path.read_bytes() for name, path in self._paths()}

    def has(self, role: str) -> bool:
        """Whether a blob of that role, `data`, `update`, `lock`, is on it; a false one may have just gone."""
        return any(f".{role}" in name for name in self.names())

    def unrest(self) -> list[str]:
        """Names that should not be there when everybody has everything, and what is no blob yet: begun uploads."""
        return [name for name in [*self.names(), *self._begun()] if not RESTING.fullmatch(name)]

    def superseded(self) -> list[str]:
        """Pages with more than one generation of the index: allowed after a crash until the next write."""
        pages = [name.partition(".index.")[0] for name in self.names() if ".index." in name]
        return sorted({page for page in pages if pages.count(page) > 1})

    def through(self, proxy: Proxy) -> Place:
        """The same place, reached by way of the proxy."""
        return self.at_port(proxy.port)

    def at_port(self, port: int) -> Place:
        """The same place, said to be at another port."""
        old, new = f":{self.relay.port}", f":{port}"
        options = {name: value.replace(old, new) for name, value in self.relay.options.items()}
        return place(
            replace(self.relay, url=self.relay.url.replace(old, new, 1), port=port, options=options), self.relay
        )

    def _begun(self) -> list[str]:
        """Uploads in parts that were neither completed nor given up; only S3 keeps them out of sight."""
        if not self.relay.url.startswith("s3:"):
            return []
        client = s3_client(self.relay)
        try:
            uploads = client.list_multipart_uploads(Bucket=self.relay.directory.partition("/")[0])
        except client.exceptions.NoSuchUpload:
            # So rclone answers when there is none.
            return []
        return [f"begun upload of {upload['Key']}" for upload in uploads.get("Uploads", [])]

    def _paths(self) -> list[tuple[str, Path]]:
        root = self.relay.path
        assert root is not None
        return [(str(path.relative_to(root)), path) for path in root.rglob("*") if path.is_file()]

    def _objects(self, with_content: bool) -> list[tuple[str, int, bytes]]:
        client = s3_client(self.relay)
        bucket, _, prefix = self.relay.directory.partition("/")
        found = []
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                body = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() if with_content else b""
                found.append((item["Key"].removeprefix(f"{prefix}/"), item["Size"], body))
        return found


def s3_client(relay: Relay):  # type: ignore[no-untyped-def]
    """A client of the library, to look and to upset things; one for each server, because they are dear to make."""
    return _s3_client(relay.options["endpoint_url"], relay.user, relay.password)


@functools.cache
def _s3_client(endpoint_url: str, user: str, password: str):  # type: ignore[no-untyped-def]
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=user,
        aws_secret_access_key=password,
    )


def place(relay: Relay, behind: Relay | None = None) -> Place:
    """The place of a server's relay; `behind` is how we look at it ourselves, if that is another way."""
    behind = behind or relay
    address = relay.url
    if relay.url.startswith("sftp:"):
        parts = urlsplit(relay.url)
        address = f"sftp://{relay.host}:{relay.port}{parts.path}"
    keys: dict[str, object] = {"address": address}
    given = {
        "user": relay.user,
        "password": relay.password,
        "keyfile": relay.key_file,
        "host key": relay.host_key,
        "ca file": relay.ca_file,
    }
    keys |= {key: value for key, value in given.items() if value}
    keys |= {f"option {name}": value for name, value in relay.options.items()}
    return Place(behind, keys)


def directory_place(path: Path) -> Place:
    """A directory of this machine."""
    path.mkdir(parents=True, exist_ok=True)
    return Place(Relay(f"file://{path}", "", 0, str(path), path=path), {"address": f"file://{path}"})


Places = Callable[[str], Place]


def place_on(server: Server) -> Place:
    """A fresh place on a running server."""
    return place(server.relay())
