"""Where a relay is and how to get in, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay is and how to get in; every field but `scheme` and `path` may be empty.

    `host` is the bucket of an S3 address.  `options` are for the driver.  `owner` is the client whose uploads these
    are, as of `temporary_name`.
    """

    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    certificate: Path | None = None
    key_file: Path | None = None
    passphrase: str = field(default="", repr=False)
    host_key: str = ""
    known_hosts: Path | None = None
    ca_file: Path | None = None
    verify: bool = True
    oldest_tls: str = "TLS"
    proxy: str = ""
    connect_timeout_s: float = 15.0
    timeout_s: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""

    @classmethod
    def parse(cls, url: str, **rest: Any) -> Address:
        """An address from its text; `rest` are fields that the text does not have, or overrides.  ConfigError."""
        scheme, separator, after = url.partition("://")
        if not separator:
            return cls("file", path=url.removeprefix("file:"), **rest)
        authority, _, path = after.partition("/")
        login, _, place = authority.rpartition("@")
        user, _, password = login.partition(":")
        host, port = _host_and_port(url, place)
        found = {"host": host, "port": port, "path": f"/{path}", "user": unquote(user), "password": unquote(password)}
        return cls(scheme.lower(), **{**found, **rest})

    @property
    def url(self) -> str:
        """The address for people and drivers: without password."""
        if self.scheme == "file":
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{self.user}@" if self.user and self.scheme != "s3" else ""
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{login}{host}{port}{self.path}"


def _host_and_port(url: str, place: str) -> tuple[str, int | None]:
    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        return place.strip("[]"), None
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(what=f"{url!r} is not an address: {port!r} is not a port")
    return host.strip("[]"), int(port)
