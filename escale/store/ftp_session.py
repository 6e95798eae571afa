"""One logged-in FTP connection: commands, data connections, and what listings say.

Commands are sent so that few turns are needed: the type is set once, names are relative to the relay, and questions
about many names go out together.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stream import PIECE
from .blob import BlobInfo
from .ftp_listing import described, from_facts, parse_directories, parse_facts, parse_lines, whole_number
from .tls import Identity, authorities

QUESTIONS_TOGETHER = 50
"""Commands sent before the first reply is read: their replies fit any socket buffer, so nobody waits for the other."""

LISTING_MAX = 64 * 1024 * 1024
"""Bytes of a listing we take: half a million names.  A relay has a handful for each page."""

NOT_OPENED = "failed to open directory"
"""How vsftpd says that its listing, otherwise a good one, is empty because there is nothing to list."""

REPLY_LINES_MAX = 1_000
"""Lines of a reply we take: the longest, a welcome or a list of features, has some dozens."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where to log in and how; `ca_file` holds the authorities to trust instead of the system's."""

    host: str
    port: int
    user: str
    password: str
    tls: bool
    ca_file: Path | None
    verify: bool
    identity: Identity
    connect_timeout_s: float
    timeout_s: float


class _Client(ftplib.FTP):
    """Takes no cut reply for a whole one: of "213 1748" the library would take "213 17", of "550" the first digit."""

    _lines_left = 0

    def getmultiline(self) -> str:
        self._lines_left = REPLY_LINES_MAX
        return super().getmultiline()

    def getline(self) -> str:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise ftplib.error_perm(f"500 a reply has more than {REPLY_LINES_MAX} lines")
        assert self.file is not None
        try:
            line = self.file.readline(self.maxline + 1)
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise
            line = ""
        if len(line) > self.maxline:
            raise ftplib.error_perm(f"500 a line of a reply is longer than {self.maxline}")
        if not line.endswith("\n"):
            raise EOFError("the connection ended within a reply" if line else "the connection was lost")
        return line[:-1]


class _TlsClient(_Client, ftplib.FTP_TLS):
    """Data connections continue the TLS session of the control connection, as servers demand against hijacking."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session), size


class Session:
    """A connection that stands in the relay's directory, once it has entered it.

    Raises what ftplib raises: error_temp, error_perm, OSError, EOFError.  After error_perm it can be used on.
    """

    def __init__(self, login: Login) -> None:
        context = authorities(login.ca_file, login.verify, login.identity) if login.tls else None
        self._client = _TlsClient(context=context) if context else _Client()
        self._directory = ""
        try:
            self._open(login)
            self._features = self._ask_features()
            if "UTF8" in self._features:
                self._ask_together(["OPTS UTF8 ON"])
            self._client.voidcmd("TYPE I")
        except BaseException:
            self.close()
            raise

    def _open(self, login: Login) -> None:
        self._client.connect(login.host, login.port, login.connect_timeout_s)
        assert self._client.sock is not None
        self._client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._client.login(login.user, login.password)
        if isinstance(self._client, ftplib.FTP_TLS):
            self._client.prot_p()
        self._client.timeout = login.timeout_s
        self._client.sock.settimeout(login.timeout_s)

    def close(self) -> None:
        """End the connection without a word: the server forgets us the same."""
        self._client.close()

    def enter(self, directory: str) -> None:
        """Go to the relay's directory; error_perm if there is none."""
        self._client.cwd(directory)
        self._directory = self._client.pwd()

    def must_stand(self) -> None:
        """Ask for the relay's directory again; error_perm if it is gone."""
        self._client.cwd(self._directory)

    def open_data(self, command: str, name: str, offset: int = 0) -> tuple[socket.socket, int | None]:
        """Begin a transfer; `end_data` must follow.  Also the bytes there are to come, if the server says so.

        With an `offset` the transfer begins there, and what the server says of bytes may mean the whole file or the
        rest of it.
        """
        return self._client.ntransfercmd(f"{command} {_path(name)}", offset or None)

    def take_part(self, data: socket.socket, length: int) -> bytes:
        """The next bytes of a transfer, which is over after them; fewer where it has ended."""
        part = bytearray()
        while len(part) < length:
            piece = data.recv(min(PIECE, length - len(part)))
            if not piece:
                self.end_data(data)
                return bytes(part)
            part += piece
        # Whether the server had finished or tells us that we hung up is all the same; it is one reply.
        with suppress(ftplib.Error):
            self.end_data(data)
        return bytes(part)

    def end_data(self, data: socket.socket) -> str:
        """Close the data connection and wait for the word that the transfer was whole."""
        data.close()
        return self._client.voidresp()

    def delete(self, name: str) -> None:
        self._client.voidcmd(f"DELE {_path(name)}")

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what has the new name."""
        self._client.rename(_path(old), _path(new))

    def size(self, name: str) -> int | None:
        """Bytes of a blob; None if the server does not say."""
        (reply,) = self._ask_together([f"SIZE {_path(name)}"])
        return _size(reply)

    def info(self, name: str) -> BlobInfo | None:
        """What the server says of one name; None if there is no such file."""
        if "MLST" in self._features:
            (reply,) = self._ask_together([f"MLST {_path(name)}"])
            lines = reply.split("\n")
            if len(lines) > 2:
                return from_facts(lines[1].strip().partition(" ")[0], name)
            _must_say_absent(reply)
            return None
        size_reply, time_reply = self._ask_together([f"SIZE {_path(name)}", f"MDTM {_path(name)}"])
        size = _size(size_reply)
        if size is None:
            _must_say_absent(size_reply)
            return None
        return described(name, size, _answered_moment(time_reply))

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make each, the outer ones first; one that cannot be made, as it is there or may not be, is left alone."""
        self._ask_together([f"MKD {_path(path)}" for path in paths])

    def entries(self, prefix: str, directory: str = "") -> Sequence[BlobInfo]:
        """All files whose names begin with `prefix`, in no order; of a `directory` of the relay's, such as "data/ab/".

        error_perm if there is none, or if it may not be read.
        """
        if "MLST" in self._features:
            listing = self._listing(f"MLSD {_path(directory)}" if directory else "MLSD")
            return [blob for blob in parse_facts(listing) if blob.name.startswith(prefix)]
        sizes = [found for found in parse_lines(self._lines(directory), b"-") if found[0].startswith(prefix)]
        return list(self._with_times(sizes, directory))

    def directories(self, directory: str) -> Sequence[str]:
        """The names of the directories in one of the relay's, or in the relay's own if it is ""."""
        if "MLST" in self._features:
            return list(parse_directories(self._listing(f"MLSD {_path(directory)}" if directory else "MLSD")))
        return [name for name, _ in parse_lines(self._lines(directory), b"d") if name not in (".", "..")]

    def _lines(self, directory: str) -> bytes:
        # Hidden names are shown only on demand.
        return self._listing(f"LIST -a {_path(directory)}" if directory else "LIST -a")

    def _with_times(self, sizes: Sequence[tuple[str, int]], directory: str) -> Iterator[BlobInfo]:
        """LIST tells minutes, or days, of an unknown time zone: too coarse to notice a change.  So we ask."""
        replies = self._ask_together([f"MDTM {_path(directory + name)}" for name, _ in sizes])
        for (name, size), reply in zip(sizes, replies, strict=True):
            # What went away meanwhile is left out; what the server cannot tell the time of is not.
            if not reply.startswith("55"):
                yield described(name, size, _answered_moment(reply))

    def _listing(self, command: str) -> bytes:
        """All of a listing, by the server's word.

        Nobody says how long it is.  One that was cut at the end of a line, while the server believes that it was
        taken, cannot be told from a shorter one.
        """
        pieces = bytearray()
        with self._client.transfercmd(command) as data:
            while piece := data.recv(PIECE):
                pieces += piece
                if len(pieces) > LISTING_MAX:
                    raise ftplib.error_perm(f"500 the listing is longer than {LISTING_MAX} bytes")
            word = self.end_data(data)
        if not pieces and NOT_OPENED in word:
            raise ftplib.error_perm(f"550 {word}")
        if pieces and not pieces.endswith(b"\n"):
            raise EOFError("the listing ended within a line")
        return bytes(pieces)

    def _ask_features(self) -> frozenset[str]:
        (reply,) = self._ask_together(["FEAT"])
        return frozenset(line.strip().split(" ")[0].upper() for line in reply.split("\n")[1:-1])

    def _ask_together(self, commands: Sequence[str]) -> list[str]:
        """Send commands without waiting in between; their replies, also the refusals, in the same order."""
        replies = []
        for start in range(0, len(commands), QUESTIONS_TOGETHER):
            some = commands[start : start + QUESTIONS_TOGETHER]
            assert self._client.sock is not None
            self._client.sock.sendall("".join(f"{command}\r\n" for command in some).encode())
            replies += [self._reply() for _ in some]
        return replies

    def _reply(self) -> str:
        # `getmultiline` is the library's reader of one reply that does not raise for refusals.
        client: Any = self._client
        reply: str = client.getmultiline()
        if reply.startswith("4"):
            raise ftplib.error_temp(reply)
        return reply


class Upload:
    """One upload under a temporary name; it ends by `publish` or `abandon`."""

    def __init__(self, session: Session, temporary: str) -> None:
        self._session = session
        self._temporary = temporary
        self._data: socket.socket | None = session.open_data("STOR", temporary)[0]
        self.sent = 0

    def write(self, piece: bytes) -> None:
        """Send the next bytes."""
        assert self._data is not None
        try:
            self._data.sendall(piece)
        except ConnectionError:
            # A server that can take no more hangs up the data connection and says why on the other one.
            self._end()
            raise
        self.sent += len(piece)

    def publish(self, name: str) -> None:
        """Wait until the server has it all, then give it its name; EOFError if it has another number of bytes."""
        if isinstance(self._data, ssl.SSLSocket):
            # The server is to know that this is the end and not a cut; whether it answers is all the same.
            with suppress(OSError):
                self._data.unwrap()
        self._end()
        size = self._session.size(self._temporary)
        if size is not None and size != self.sent:
            raise EOFError(f"the server holds {size} of the {self.sent} bytes sent")
        self._session.rename(self._temporary, name)

    def abandon(self) -> None:
        """Break it off and remove what was sent."""
        if self._data is not None:
            with suppress(ftplib.Error):
                self._end()
        self._session.delete(self._temporary)

    def _end(self) -> None:
        assert self._data is not None
        data, self._data = self._data, None
        self._session.end_data(data)


def _path(name: str) -> str:
    """The name as a path, so that servers take neither a leading dash for an option nor a leading blank for nothing."""
    return f"./{name}"


def _size(reply: str) -> int | None:
    code, _, number = reply.partition(" ")
    return whole_number(number.strip()) if code == "213" else None


def _must_say_absent(reply: str) -> None:
    """error_perm if the reply is a refusal other than of a file that is not there."""
    if reply.startswith("5") and not reply.startswith("55"):
        raise ftplib.error_perm(reply)


def _answered_moment(reply: str) -> str:
    return reply[4:].strip() if reply.startswith("213") else ""
