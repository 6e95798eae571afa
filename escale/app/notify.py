"""Telling systemd how we are: ready, status line, watchdog, reloading, stopping (sd_notify(3)).

Without NOTIFY_SOCKET every call does nothing, so nobody has to ask whether a service manager is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from ..clock import Clock
from ..net.local import send_datagram

STATUS_LENGTH_MAX = 500
"""Characters of the status line; systemctl shows one line of a screen."""


class Notifier:
    """Speaks for this process to the manager named in `environ`.

    `watchdog_s` is the time within which the manager wants to hear from us, None if it does not watch.
    """

    def __init__(
        self, environ: Mapping[str, str], clock: Clock, pid: int, send: Callable[[str, bytes], None] = send_datagram
    ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._send = send
        self._status = ""
        self._is_ready = False
        self.watchdog_s = _watchdog_s(environ, pid)

    def ready(self) -> None:
        """The service has started; later calls do nothing."""
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1")

    def status(self, text: str) -> None:
        """The one-line state in `systemctl status`; sent only when it has changed."""
        line = text.replace("\n", " ")[:STATUS_LENGTH_MAX]
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def alive(self) -> None:
        """Everything that has to move is moving."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is being read again; `reloaded` must follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def reloaded(self) -> None:
        """Reading again is over, whatever came of it."""
        self._is_ready = True
        self._tell("READY=1")

    def stopping(self, within_s: float) -> None:
        """The end has begun and may take so long."""
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def _tell(self, message: str) -> None:
        # A manager that went away must not stop the work it started.
        with suppress(OSError):
            if self._address:
                self._send(self._address, message.encode("utf-8", "replace"))


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        seconds = int(environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
    return seconds if seconds > 0 else None
