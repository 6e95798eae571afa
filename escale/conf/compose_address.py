"""The relay's address out of `address`, `protocol`, `directory` and `port`, as 0.7 and as URLs say it."""

from __future__ import annotations

import re

from . import faults
from .address import SCHEMES_WITHOUT_HOST, RelayAddress, WrittenAddress
from .draft import Draft
from .faults import Fault
from .paths import absolute
from .problems import Findings

_WEBDAV = ("http", "https")
_WITH_LOGIN = ("sftp", "ftp", "ftps")
_WITH_HOST = (*_WEBDAV, *_WITH_LOGIN, "s3")


class _Contradiction(Exception):
    """Two keys do not go together, or one is missing: `key` is where to point."""

    def __init__(self, fault: Fault, key: str | None, **facts: object) -> None:
        super().__init__(fault.code)
        self.fault = fault
        self.key = key
        self.facts = facts


def compose_address(draft: Draft, findings: Findings) -> RelayAddress | None:
    """The address, or None with a finding."""
    try:
        return _address(draft)
    except _Contradiction as found:
        draft.find(found.fault, findings, found.key, **found.facts)
        return None


def _address(draft: Draft) -> RelayAddress:
    written: WrittenAddress | None = draft.values.get("address")
    directory: str = draft.values.get("directory") or ""
    scheme = _scheme(draft, written, directory)
    if scheme == "file":
        return RelayAddress("file", path=_local_path(draft, written, directory))
    if written is None:
        written = WrittenAddress(scheme, "", None, "", None)
    if not written.host and scheme in _WITH_HOST:
        raise _Contradiction(faults.NOT_AN_ADDRESS, "address", value=written.path, reason="there is no host")
    path = _remote_path(scheme, written.path, directory)
    user = draft.values.get("user") or written.user
    return RelayAddress(scheme, written.host, _port(draft, written), path, user)


def _scheme(draft: Draft, written: WrittenAddress | None, directory: str) -> str:
    protocol: str | None = draft.values.get("protocol")
    if written is None:
        return _scheme_without_address(protocol, directory)
    if written.scheme is not None:
        is_webdav = protocol == "webdav" and written.scheme in _WEBDAV
        if protocol not in (None, "fsspec", written.scheme) and not is_webdav:
            raise _Contradiction(faults.PROTOCOL_TWICE, "protocol", protocol=protocol, other=written.scheme)
        return written.scheme
    if written.host:
        return _scheme_of_host(protocol, written)
    if protocol in (None, "file"):
        return "file"
    reason = f"it is a path of this machine, and protocol is {protocol}"
    raise _Contradiction(faults.NOT_AN_ADDRESS, "address", value=written.path, reason=reason)


def _scheme_of_host(protocol: str | None, written: WrittenAddress) -> str:
    if protocol is None:
        reason = "it does not say how to speak to it"
    elif protocol == "fsspec":
        reason = "it has to begin with SCHEME://"
    else:
        return "https" if protocol == "webdav" else protocol
    raise _Contradiction(faults.NOT_AN_ADDRESS, "address", value=f"{written.host}{written.path}", reason=reason)


def _scheme_without_address(protocol: str | None, directory: str) -> str:
    if protocol == "file" and directory:
        return protocol
    if protocol is None and re.match(r"[/~]", directory):
        return "file"
    if protocol in SCHEMES_WITHOUT_HOST and protocol != "file":
        return protocol
    raise _Contradiction(faults.NO_RELAY, None)


def _local_path(draft: Draft, written: WrittenAddress | None, directory: str) -> str:
    path = draft.base
    if written is not None:
        path = absolute(f"{written.host}{written.path}", path, draft.environ)
    return str(absolute(directory, path, draft.environ))


def _remote_path(scheme: str, path: str, directory: str) -> str:
    """With a login, a path after the host is absolute unless it begins with ~; a `directory` alone is as written."""
    if scheme in _WITH_LOGIN and re.match(r"/~(/|$)", path):
        path = path[3:]
        joined = f"{path.rstrip('/')}/{directory.lstrip('/')}" if path and directory else path or directory
    elif path.strip("/"):
        joined = f"{path.rstrip('/')}/{directory.lstrip('/')}"
    else:
        joined = directory or path
    joined = re.sub(r"/{2,}", "/", joined)
    if scheme == "s3":
        return joined.strip("/")
    if scheme in _WEBDAV and joined:
        joined = f"/{joined.lstrip('/')}"
    return joined.rstrip("/") or ("/" if joined and scheme not in _WEBDAV else "")


def _port(draft: Draft, written: WrittenAddress) -> int | None:
    port: int | None = draft.values.get("port")
    if port and written.port and port != written.port:
        raise _Contradiction(faults.PORT_TWICE, "port", port=port, other=written.port)
    return port or written.port
