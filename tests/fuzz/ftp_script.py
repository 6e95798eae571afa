"""An FTP server that says what it was told to say, whatever it is asked."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

HOST = "127.77.7.7"
"""An address of this machine where nobody else listens: the scripts name ports at random."""

PORT = b"%PORT%"
"""In a script: the two numbers of the server's port, as PASV tells it."""

DATA = b"\0DATA\0"
"""Parts what goes over the control connection from what goes over each of the data connections."""

_LOGIN = b"220 ready\r\n331 password\r\n230 welcome\r\n"
_FEATURES = b"211-Features:\r\n MLST type*;size*;modify*;\r\n MDTM\r\n211 End\r\n"
_NO_FEATURES = b"500 unknown\r\n"
_ENTER = b'200 type is I\r\n250 okay\r\n257 "/relay" is the directory\r\n250 okay\r\n'
_LISTING = b"227 Entering Passive Mode (127,77,7,7," + PORT + b")\r\n150 here it comes\r\n226 done\r\n"
_INFO = b"250-Begin\r\n type=file;size=17;modify=20231114221320.5; 0.lock\r\n250 End\r\n"
_TIMES = b"213 20231114221320\r\n213 20231114221321\r\n213 17\r\n213 20231114221320\r\n"
_MLSD = (
    b"type=cdir;modify=20231114221320; .\r\n"
    b"type=file;size=17;modify=20231114221320.123;unique=1g2;UNIX.mode=0644; 0.lock\r\n"
    b"Type=file;Size=5;Modify=20231114221320; caf\xc3\xa9\r\n"
)
_LIST = (
    b"total 2\r\n"
    b"drwxr-xr-x   2 jane     users        4096 Nov 14 22:13 .\r\n"
    b"-rw-r--r--   1 jane     users          17 Nov 14 22:13 0.lock\r\n"
    b"-rw-r--r--   1 jane     users           5 Nov 14  2023 caf\xc3\xa9\r\n"
)
SCRIPTS = (
    _LOGIN + _FEATURES + _ENTER + _LISTING + _INFO + DATA + _MLSD,
    _LOGIN + _NO_FEATURES + _ENTER + _LISTING + _TIMES + DATA + _LIST,
)
"""A whole conversation for a listing and a question about one name; with MLSD, and with LIST."""

_PATIENCE_S = 10.0


class FtpScript:
    """Listens until the process ends; the connections of one client come one after the other."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.host, self.port = self._listener.getsockname()
        self._script = b""
        self._is_next_data = False
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, script: bytes) -> None:
        """To the next client that comes: first a control connection, then those for data."""
        self._script = script.replace(PORT, b"%d,%d" % divmod(self.port, 256))
        self._is_next_data = False

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            control, _, data = self._script.partition(DATA)
            words = data if self._is_next_data else control
            self._is_next_data = True
            threading.Thread(target=_say, args=(connection, words), daemon=True).start()


def _say(connection: socket.socket, words: bytes) -> None:
    """All at once, then listen until the client has hung up: it may still be talking."""
    with connection, suppress(OSError):
        connection.settimeout(_PATIENCE_S)
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
