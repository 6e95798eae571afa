"""SFTP requests in flight: send many, then take the answers.

paramiko's own pipelining is not usable here.  Its reader either asks for the whole file at once or, when bounded, waits
in a polling loop (measured at 20 ms round trip: 1 MB/s, against 240 here); its writer drops the refusals of pipelined
writes, so that a full disk looks like success.  So only the framing is taken from it: `_async_request` sends a
numbered packet and `_read_response` reads one and hands it to the object that was registered with the number.
"""

from __future__ import annotations

import io
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramiko import Message, SFTPClient
    from paramiko.sftp_attr import SFTPAttributes

STATUS, HANDLE, DATA, NAME, ATTRIBUTES, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, OPENDIR, READDIR = 3, 4, 5, 6, 7, 8, 11, 12
REMOVE, MKDIR, STAT, RENAME, EXTENDED = 13, 14, 17, 18, 200
"""Packet types of the protocol, version 3."""

OK, END, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED, ALREADY_EXISTS = 0, 1, 2, 3, 4, 8, 11
"""Status codes of the protocol, version 3, and one of later versions that some servers send all the same."""

NOT_OFFERED = (UNSUPPORTED, PERMISSION_DENIED)
"""What a server says of an extension it does not have, or that its administrator switched off."""

FOR_READING, FOR_WRITING, CREATE, EXCLUSIVE = 1, 2, 8, 32
"""Flags of OPEN."""

WRITE_SIZE = 32 * 1024
"""Bytes in one write: the size every server must take; larger ones were not faster."""

READ_SIZE = 32 * 1024
READ_SIZE_OPENSSH = 64 * 1024
"""Bytes asked for at a time.  Large packets cost Python less; every OpenSSH sends these, of others we ask the usual."""

IN_FLIGHT = 4 * 1024 * 1024
"""Bytes asked for and not yet taken, or written and not yet acknowledged: 200 MB/s at 20 ms.

Not more: the library takes packets from the front of one growing array, so twice as much costs four times the work.
"""

BROKEN = (OSError, EOFError, struct.error)
"""What is raised when the connection is lost, and when a packet is too short for what it should hold."""


class StatusError(Exception):
    """The server answered with a status that is not OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Answers:
    """Requests on one SFTP channel, answered in whatever order.

    The channel holds its asker by a weak reference only: answers to one that is gone are dropped.
    """

    def __init__(self, channel: SFTPClient) -> None:
        self._channel: Any = channel
        self._answers: dict[int, tuple[int, Message]] = {}

    def send(self, kind: int, *arguments: object) -> int:
        """Send a request; the number by which to take the answer."""
        number: int = self._channel._async_request(self, kind, *arguments)
        return number

    def take(self, number: int) -> tuple[int, Message]:
        """Wait for the answer to a request; StatusError if it is one other than OK."""
        while number not in self._answers:
            self._channel._read_response()
        kind, message = self._answers.pop(number)
        if kind == STATUS:
            code, text = message.get_int(), message.get_string().decode("utf-8", "replace")
            if code != OK:
                raise StatusError(code, text)
        return kind, message

    def ask(self, kind: int, *arguments: object) -> Message:
        """Send a request and wait for the answer."""
        return self.take(self.send(kind, *arguments))[1]

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        """What the channel calls with each answer."""
        self._answers[number] = (kind, message)


class Download(io.RawIOBase):
    """The bytes of an open file, with up to IN_FLIGHT of them on their way.

    From `offset` on, and no more than `length` of them if that is given.
    """

    def __init__(
        self, answers: Answers, handle: bytes, read_size: int, offset: int = 0, length: int | None = None
    ) -> None:
        self._answers = answers
        self._handle = handle
        self._read_size = read_size
        self._end = None if length is None else offset + length
        self._asked_up_to = offset
        self._received = offset
        self._on_their_way: deque[tuple[int, int]] = deque()
        self._rest = memoryview(b"")
        self._size: int | None = None
        # The size and the first bytes come in one turn: most blobs are small, and of a part we know how much we want.
        self._status = answers.send(FSTAT, handle)
        self._ask_until(offset + (read_size if length is None else min(length, IN_FLIGHT)))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill some of `buffer`; 0 at the end.  EOFError if that comes before the size the file had when opened."""
        if not self._rest:
            self._rest = memoryview(self._next_piece())
        count = min(len(buffer), len(self._rest))
        memoryview(buffer).cast("B")[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._answers.send(CLOSE, self._handle)

    def _next_piece(self) -> bytes:
        size = self._learn_size()
        self._ask_until(min(size, self._received + IN_FLIGHT))
        if self._received >= size:
            return b""
        number, length = self._on_their_way.popleft()
        data = self._take(number)
        if not data:
            raise EOFError(f"the transfer ended after {self._received} of {size} bytes")
        self._received += len(data)
        if len(data) < length and self._received < size:
            # A server may send less than was asked for: the rest comes next, before what is on its way.
            rest = length - len(data)
            self._on_their_way.appendleft((self._send_read(self._received, rest), rest))
        return data

    def _learn_size(self) -> int:
        if self._size is None:
            self._size = attributes(self._answers.take(self._status)[1]).st_size
        if self._size is None:
            raise StatusError(UNSUPPORTED, "it does not tell the sizes of files")
        return self._size if self._end is None else min(self._size, self._end)

    def _take(self, number: int) -> bytes:
        try:
            data: bytes = self._answers.take(number)[1].get_string()
        except StatusError as error:
            if error.code != END:
                raise
            return b""
        return data

    def _ask_until(self, end: int) -> None:
        while self._asked_up_to < end:
            length = min(self._read_size, end - self._asked_up_to)
            self._on_their_way.append((self._send_read(self._asked_up_to, length), length))
            self._asked_up_to += length

    def _send_read(self, offset: int, length: int) -> int:
        from paramiko.sftp import int64

        return self._answers.send(READ, self._handle, int64(offset), length)


class Upload:
    """Writes to an open file, with up to IN_FLIGHT bytes not yet acknowledged."""

    def __init__(self, answers: Answers, handle: bytes) -> None:
        self._answers = answers
        self._handle = handle
        self._unacknowledged: deque[int] = deque()
        self.sent = 0

    def write(self, piece: bytes) -> None:
        """Send the next bytes; raises what the server said of these or earlier ones."""
        from paramiko.sftp import int64

        for start in range(0, len(piece), WRITE_SIZE):
            data = piece[start : start + WRITE_SIZE]
            self._unacknowledged.append(self._answers.send(WRITE, self._handle, int64(self.sent), data))
            self.sent += len(data)
            if len(self._unacknowledged) * WRITE_SIZE >= IN_FLIGHT:
                self._answers.take(self._unacknowledged.popleft())

    def finish(self, is_synced: bool) -> bool:
        """Wait until all is written and closed; whether it also lies on the server's disk, as `is_synced` asks for.

        All requests that remain go out together and are waited for once.  EOFError if the server holds another number
        of bytes than were sent.
        """
        sync = self._answers.send(EXTENDED, "fsync@openssh.com", self._handle) if is_synced else None
        status = self._answers.send(FSTAT, self._handle)
        close = self._answers.send(CLOSE, self._handle)
        while self._unacknowledged:
            self._answers.take(self._unacknowledged.popleft())
        can_sync = sync is not None and self._is_supported(sync)
        size = attributes(self._answers.take(status)[1]).st_size
        self._answers.take(close)
        if size is not None and size != self.sent:
            raise EOFError(f"the server holds {size} of the {self.sent} bytes sent")
        return can_sync

    def abandon(self) -> None:
        """Close the file without waiting for anything."""
        self._answers.send(CLOSE, self._handle)

    def _is_supported(self, number: int) -> bool:
        try:
            self._answers.take(number)
        except StatusError as error:
            if error.code not in NOT_OFFERED:
                raise
            return False
        return True


def attributes(message: Message) -> SFTPAttributes:
    """The attributes that begin at the message's present position; EOFError if they count more than there is."""
    from paramiko.sftp_attr import SFTPAttributes

    start = message.packet.tell()
    flags = message.get_int()
    message.get_bytes(sum(size for flag, size in _ATTRIBUTE_BYTES.items() if flags & flag))
    if flags & SFTPAttributes.FLAG_EXTENDED:
        must_hold(message, message.get_int())
    message.packet.seek(start)
    found: SFTPAttributes = SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
    return found


def open_file(answers: Answers, path: str, flags: int) -> bytes:
    """Open a file and wait for its handle."""
    return answers.ask(OPEN, path, flags, no_attributes()).get_string()


def no_attributes() -> SFTPAttributes:
    """What OPEN takes when the server is to choose permissions."""
    from paramiko.sftp_attr import SFTPAttributes

    return SFTPAttributes()


_ATTRIBUTE_BYTES = {1: 8, 2: 8, 4: 4, 8: 8}
"""By flag, the bytes of what comes before the extended attributes: size, owner, permissions, times."""


def must_hold(message: Message, count: int) -> None:
    """EOFError unless so many items of two texts can follow.

    The library reads zeros where a packet has ended, so a count of four thousand million would keep it busy for hours.
    """
    left = len(message.asbytes()) - message.packet.tell()
    if count * _ITEM_BYTES_MIN > left:
        raise EOFError(f"a packet announces {count} items and ends after {left} bytes")


_ITEM_BYTES_MIN = 8
"""Two texts without characters: their lengths."""
