"""What systemd hears from us, through a real datagram socket."""

import socket

import pytest

from escale.app.notify import Notifier
from escale.clock import SystemClock


class StillClock(SystemClock):
    def monotonic(self):
        return 12.5


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(5)
        yield server, str(tmp_path / "notify")


def test_a_life_in_messages(manager):
    server, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, StillClock(), 7)
    notifier.status("work in step")
    notifier.status("work in step")
    notifier.ready()
    notifier.ready()
    notifier.alive()
    notifier.reloading()
    notifier.reloaded()
    notifier.stopping(75)
    messages = [server.recv(4096).decode() for _ in range(6)]
    assert messages == [
        "STATUS=work in step",
        "READY=1",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=75000000",
    ]
    assert notifier.watchdog_s == 3.0


def test_an_abstract_address_is_understood(tmp_path):
    name = f"escale-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        server.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}, StillClock(), 7).ready()
        assert server.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "8"}]
)
def test_nobody_watches(environ):
    notifier = Notifier(environ, StillClock(), 7, send=lambda address, data: pytest.fail("nobody asked"))
    notifier.alive()
    notifier.ready()
    assert notifier.watchdog_s is None


def test_a_manager_that_is_gone_does_not_matter(tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, StillClock(), 7)
    notifier.ready()
    notifier.status("still here")
    assert notifier.watchdog_s is None
