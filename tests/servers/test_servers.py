"""The test servers themselves: they start, answer, come back after a restart, and leave nothing behind."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request

import pytest

from . import SERVERS, Proxy


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.real(name)) for name in SERVERS])
def test_starts_restarts_on_the_same_port_and_ends(name: str) -> None:
    server = SERVERS[name]()
    with server:
        port = server.port
        relay = server.relay()
        assert relay.port == port and relay.url
        server.restart()
        assert server.port == port
        socket.create_connection((server.host, port), 5).close()
    assert not server.directory.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port), 5)


@pytest.mark.real("apache")
def test_webdav_asks_for_the_password() -> None:
    with SERVERS["apache"]() as server, pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(server.relay().url, timeout=10)


class Echo:
    """A server that sends back what it receives, one connection."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def accept(self) -> socket.socket:
        return self.listener.accept()[0]


def read_until_broken(connection: socket.socket) -> bytes:
    """What still arrives before the connection ends or breaks; TimeoutError if it does neither."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_proxy_adds_the_delay_in_both_directions_and_counts() -> None:
    echo = Echo()
    with Proxy(echo.port, delay_s=0.05) as proxy, socket.create_connection((proxy.host, proxy.port)) as client:
        inside = echo.accept()
        start = time.monotonic()
        client.sendall(b"ping")
        assert inside.recv(10) == b"ping"
        inside.sendall(b"pong!")
        assert client.recv(10) == b"pong!"
        assert time.monotonic() - start >= 0.1
        traffic = proxy.traffic()
        assert (traffic.up, traffic.down, traffic.turns, traffic.connections) == (4, 5, 1, 1)


def test_proxy_hands_on_the_end_of_a_stream_in_one_direction() -> None:
    echo = Echo()
    with Proxy(echo.port, delay_s=0.01) as proxy, socket.create_connection((proxy.host, proxy.port)) as client:
        inside = echo.accept()
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: inside.recv(65536), b""))
        inside.sendall(b"thanks")
        inside.close()
        assert len(received) == 100_000
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"thanks"


def test_proxy_cuts_after_so_many_bytes() -> None:
    echo = Echo()
    with Proxy(echo.port) as proxy, socket.create_connection((proxy.host, proxy.port)) as client:
        inside = echo.accept()
        proxy.cut_after(1000)
        client.sendall(b"x" * 5000)
        inside.settimeout(5)
        assert len(read_until_broken(inside)) <= 1000
        client.settimeout(5)
        assert read_until_broken(client) == b""


def test_proxy_refuses_until_told_otherwise() -> None:
    echo = Echo()
    with Proxy(echo.port) as proxy:
        proxy.refuse()
        with socket.create_connection((proxy.host, proxy.port)) as client:
            client.settimeout(5)
            assert read_until_broken(client) == b""
        proxy.refuse(False)
        with socket.create_connection((proxy.host, proxy.port)) as client:
            inside = echo.accept()
            client.sendall(b"again")
            assert inside.recv(10) == b"again"
