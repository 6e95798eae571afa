"""The address of a relay, put together from `address`, `protocol`, `directory`, `port` and `user`.

An address is a URL, a path, or as in 0.7 a host with `protocol` beside it.  Known protocols are checked here; any
other scheme is left to fsspec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from . import faults
from .kinds import BadValue, Kind, Place, choice

WEBDAV = {"webdav": "https", "webdavs": "https", "davs": "https", "dav": "http"}
FOLDED = {**WEBDAV, "ssh": "sftp", "googlecloud": "gcs", "googledrive": "gdrive", "google": "gdrive", "local": "file"}
"""Other names of schemes."""

_RCLONE = "run: rclone serve webdav REMOTE:   and write: address = http://127.0.0.1:8080"
_S3_OR_RCLONE = f"its S3 interface: address = s3://BUCKET and option endpoint_url = ..., or {_RCLONE}"

PROTOCOL = choice(
    "file",
    "sftp",
    "ftp",
    "ftps",
    "http",
    "https",
    "webdav",
    "s3",
    "fsspec",
    "dropbox",
    "gcs",
    "gdrive",
    synonyms={word: FOLDED[word] for word in ("ssh", "googlecloud", "googledrive", "google", "local")},
    refused={
        **dict.fromkeys(("rclone", "onedrive", "amazoncloud", "hubic", "yandex"), _RCLONE),
        **dict.fromkeys(("b2", "swift"), _S3_OR_RCLONE),
    },
)

SCHEMES_WITHOUT_HOST = ("file", "dropbox", "gdrive", "memory")
"""Where the place is a path, or follows from the credentials."""

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
_PASSWORD = re.compile(r"[^/@:]*:.*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay is.

    `scheme`: file, sftp, ftp, ftps, http or https (WebDAV), s3 (`host` is the bucket), or one that fsspec knows.
    `path` begins with "/" if it is absolute there; without it, it is relative to where the login leads (sftp).  With
    ftp it always is, unless it begins with "//", as in every FTP client.
    For s3 it is the prefix, without slashes at its ends.
    """

    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    user: str | None = None

    @property
    def url(self) -> str:
        """The address as a URL, without the user."""
        if self.scheme == "file":
            return f"file://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        # A path that is relative to the login is written ~ in URLs of ssh and git, too.
        relative = "~/" if self.scheme in ("sftp", "ftp", "ftps") and self.path[:1] not in ("", "/") else ""
        return f"{self.scheme}://{host}{port}/{relative}{self.path.lstrip('/')}".rstrip("/")

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class WrittenAddress:
    """What `address` alone says: the scheme is None for `host/path` and for paths."""

    scheme: str | None
    host: str
    port: int | None
    path: str
    user: str | None


class Address(Kind):
    """A URL, a path, or a host."""

    word = "address"
    possible = (faults.NOT_AN_ADDRESS, faults.PASSWORD_IN_ADDRESS)

    def read(self, text: str, place: Place) -> WrittenAddress:
        url = _URL.fullmatch(text)
        if _PASSWORD.match(url[2] if url else text):
            raise BadValue(faults.PASSWORD_IN_ADDRESS)
        if re.search(r"[\s]", text) and not _is_path(text):
            raise BadValue(faults.NOT_AN_ADDRESS, value=text, reason="there is a space in it")
        if not url:
            if not text:
                raise BadValue(faults.NOT_AN_ADDRESS, value=text, reason="it is empty")
            return WrittenAddress(None, "", None, text, None) if _is_path(text) else _split(text, None)
        scheme = url[1].lower()
        if scheme == "file":
            return _file(text, url[2])
        return _split(url[2], scheme)

    @property
    def rule(self) -> str:
        return "a URL, an absolute path, or HOST[:PORT][/PATH] with 'protocol'; no password inside"


class Directory(Kind):
    """A directory on the relay."""

    word = "path on the relay"
    possible = (faults.NOT_AN_ADDRESS,)

    def read(self, text: str, place: Place) -> str:
        if ".." in text.split("/"):
            raise BadValue(faults.NOT_AN_ADDRESS, value=text, reason="'..' is not allowed")
        return text

    @property
    def rule(self) -> str:
        return "no '..' in it"


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~", "./", "../")) or text in (".", "..")


def _file(text: str, rest: str) -> WrittenAddress:
    if not rest.startswith("/"):
        raise BadValue(faults.NOT_AN_ADDRESS, value=text, reason="file:// is followed by an absolute path")
    return WrittenAddress("file", "", None, unquote(rest), None)


def _split(rest: str, scheme: str | None) -> WrittenAddress:
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError as error:
        raise BadValue(faults.NOT_AN_ADDRESS, value=rest, reason=str(error)) from None
    if parts.query or parts.fragment:
        raise BadValue(faults.NOT_AN_ADDRESS, value=rest, reason="neither ? nor # may be in it")
    # Not `hostname`, which is in lower case: it may be a bucket, or the beginning of a path.
    host = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2]).strip("[]")
    scheme = FOLDED.get(scheme, scheme) if scheme else None
    return WrittenAddress(scheme, host, port, unquote(parts.path), unquote(parts.username) if parts.username else None)
