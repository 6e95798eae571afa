"""What servers answer to a listing: WebDAV, SFTP, and FTP over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from escale.errors import EscaleError, PeerError, SecretError, StoreError
from escale.store import sftp_requests as sftp
from escale.store.blob import BlobInfo
from escale.store.ftp import FtpStore
from escale.store.multistatus import Multistatus
from escale.store.sftp_listing import list_directory

from .ftp_script import SCRIPTS, FtpScript
from .target import Target

_RESPONSE = (
    "<D:response><D:href>{href}</D:href><D:propstat><D:prop><D:resourcetype>{kind}</D:resourcetype>"
    "<D:getcontentlength>{size}</D:getcontentlength><D:getlastmodified>{time}</D:getlastmodified>"
    '<D:getetag>W/"5-7"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>'
)
_TIME = "Tue, 14 Nov 2023 22:13:20 GMT"


def _multistatus(*responses: str) -> bytes:
    body = "".join(responses)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">{body}</D:multistatus>'.encode()


_LISTING = _multistatus(
    _RESPONSE.format(href="/relay/", kind="<D:collection/>", size="", time=""),
    _RESPONSE.format(href="/relay/0.lock", kind="", size=17, time=_TIME),
    _RESPONSE.format(href="https://[::1]:8443/relay/caf%C3%A9", kind="", size=5, time=""),
)
_EMPTY = _multistatus()


def multistatus(data: bytes) -> bool:
    """An error of the tree, or blobs whose sizes are sizes."""
    try:
        found = Multistatus("here", [data]).blobs()
    except (PeerError, StoreError):
        return False
    _must_be_sizes(found)
    return bool(found)


def _must_be_sizes(found: list[BlobInfo]) -> None:
    for blob in found:
        assert blob.size >= 0
        assert blob.mtime is None or blob.mtime == blob.mtime


# -- SFTP: all answers are there before the first question, as their numbers can be told beforehand


def _packet(kind: int, *parts: bytes) -> bytes:
    body = bytes([kind]) + b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _text(value: bytes) -> bytes:
    return _number(len(value)) + value


_ATTRIBUTES = _number(0x1 | 0x4 | 0x8) + bytes(7) + b"\x05" + _number(0o100644) + _number(1) + _number(1_700_000_000)
_EXTENDED = _number(0x80000000) + _number(1) + _text(b"acl@example.org") + _text(b"x")


def _directory(*names: tuple[bytes, bytes]) -> bytes:
    return _number(len(names)) + b"".join(_text(name) + _text(b"-rw-r--r--") + rest for name, rest in names)


_VERSION = _packet(2, _number(3), _text(b"posix-rename@openssh.com"), _text(b"1"))
_END = _number(sftp.END) + _text(b"End of file") + _text(b"")
_SFTP = b"".join(
    (
        _VERSION,
        _packet(sftp.HANDLE, _number(1), _text(b"h")),
        _packet(sftp.NAME, _number(2), _directory((b"0.lock", _ATTRIBUTES), (b"caf\xc3\xa9", _EXTENDED))),
        *(_packet(sftp.STATUS, _number(number), _END) for number in (3, 4, 5)),
    )
)
SFTP_REFUSAL = _VERSION + _packet(sftp.STATUS, _number(1), _number(sftp.NO_SUCH_FILE), _text(b"no \xe9"), _text(b""))


def sftp_conversation(names: int, flags: int, items: int, rest: bytes) -> bytes:
    """A listing that announces so many names, of which the first announces so many extended attributes."""
    first = _text(b"0.lock") + _text(b"") + _number(flags) + _number(items) * 8 + rest
    handle = _packet(sftp.HANDLE, _number(1), _text(b"h"))
    return _VERSION + handle + _packet(sftp.NAME, _number(2), _number(names), first)


PATIENCE_S = 0.1


class _Line(socket.socket):
    """A socket with the name that the library wants of its channels."""

    def get_name(self) -> str:
        return "line"


@contextmanager
def sftp_answers(data: bytes) -> Iterator[Callable[[], sftp.Answers]]:
    """A function that opens a channel on which the server has said all this already, and then hung up."""
    import paramiko

    near, theirs = socket.socketpair()
    with _Line(fileno=near.detach()) as ours, theirs:
        # Nobody reads what we ask: a handle of a megabyte, asked for again and again, would fill the line.
        ours.settimeout(PATIENCE_S)
        theirs.settimeout(0)
        theirs.send(data)
        theirs.shutdown(socket.SHUT_WR)
        yield lambda: sftp.Answers(paramiko.SFTPClient(ours))  # type: ignore[arg-type]


def sftp_listing(data: bytes) -> bool:
    """The errors that the store translates, or entries."""
    import paramiko

    with sftp_answers(data) as answers:
        try:
            return bool(list_directory(answers(), "/relay"))
        except (sftp.StatusError, *sftp.BROKEN, paramiko.SSHException, paramiko.SFTPError):
            return False


# -- FTP


@cache
def _ftp_server() -> FtpScript:
    return FtpScript()


def ftp_listing(data: bytes) -> bool:
    """An error of the tree, or blobs whose sizes are sizes."""
    server = _ftp_server()
    server.say(data)
    store = FtpStore(server.host, "/relay", port=server.port, user="jane", password="x", timeout_s=2.0)
    try:
        found = list(store.list())
        _must_be_sizes(found)
        return len(found) == 2 and store.info("0.lock") is not None
    except EscaleError as error:
        assert isinstance(error, StoreError | SecretError)
        return False
    finally:
        store.close()


TARGETS = (
    Target("webdav", (_LISTING, _EMPTY), multistatus, examples=300),
    Target("sftp", (_SFTP, SFTP_REFUSAL), sftp_listing, examples=150),
    Target("ftp", SCRIPTS, ftp_listing, examples=150),
)
