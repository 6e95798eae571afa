"""The control socket: who may ask, what is answered, and what is said when nobody answers."""

import json
import os
import socket
from concurrent.futures import Future
from contextlib import suppress

import pytest

from escale.app.control import Remote, answer, serve
from escale.app.daemon import Order
from escale.app.status import PendingFile, Reason, SectionStatus, ServiceStatus
from escale.errors import NotRunning
from escale.net.local import REQUEST_BYTES_MAX, ask


class Scripted:
    """A service that remembers what it was told."""

    def __init__(self, config="/etc/x.conf"):
        self.config = config
        self.orders = []
        self.complaints = []

    def tell(self, order, sections=()):
        self.orders.append((order, tuple(sections)))
        outcome = Future()
        outcome.set_result(self.complaints)
        return outcome

    def status(self):
        return ServiceStatus("1", self.config, "host", 1, 2.0, 1.0, 5.0, (SectionStatus("work"),))

    def pending(self, sections=()):
        return {"work": [PendingFile("caf\udce9", "page", Reason.QUOTA, 1.5, 7, "full")]}

    def names(self):
        return ("work",)


@pytest.fixture
def service():
    return Scripted()


@pytest.fixture
def server(tmp_path, service):
    made = serve([tmp_path / "run" / "ctl.sock"], service)
    yield made
    made.close()


def test_the_socket_is_for_its_owner_and_goes_away(tmp_path, service):
    server = serve([tmp_path / "run" / "ctl.sock"], service)
    assert os.lstat(server.path).st_mode & 0o777 == 0o600
    server.close()
    assert not server.path.exists()


def test_everything_can_be_asked(server, service):
    remote = Remote([server.path], "/etc/x.conf")
    assert remote.status() == service.status()
    assert remote.pending() == (service.pending(), [])
    assert remote.request("sync", ["work"]) == {"ok": True, "problems": []}
    service.complaints = ["line 9 is wrong"]
    assert remote.request("reload") == {"ok": False, "problems": ["line 9 is wrong"]}
    assert service.orders == [(Order.PASS, ("work",)), (Order.RELOAD, ())]


def test_the_service_of_another_configuration_is_not_ours(server, tmp_path):
    with pytest.raises(NotRunning) as caught:
        Remote([tmp_path / "none", server.path], "/etc/other.conf")
    assert str(server.path) in caught.value.next_step
    assert caught.value.exit_code == 15


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"not json", "Expecting value"),
        (b"[]", "unknown request None"),
        (b'{"do": "dance"}', "unknown request 'dance'"),
        (b'{"do": ["status"]}', "unknown request"),
        (b'{"do": "sync", "sections": ["nowhere"]}', "there is no section nowhere; there are work"),
        (b'{"do": "sync", "sections": "work"}', "sections must be a list"),
        (b"\xff\xfe", ""),
    ],
)
def test_nonsense_is_refused_in_words(service, line, sentence):
    reply = json.loads(answer(service, line))
    assert reply["ok"] is False
    assert sentence in reply["problems"][0]
    assert service.orders == []


def test_a_request_without_end_is_not_answered(server):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(server.path))
        with suppress(ConnectionResetError):
            client.sendall(b"x" * (REQUEST_BYTES_MAX + 70_000))
            assert client.recv(10) == b""
    assert ask(server.path, b'{"do": "status"}') is not None


def test_a_socket_that_was_left_behind_is_replaced(tmp_path, service):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "ctl.sock"))
    server = serve([tmp_path / "ctl.sock"], service)
    assert ask(server.path, b'{"do": "status"}') is not None
    server.close()


def test_the_second_service_listens_at_the_next_place(server, tmp_path):
    second = serve([server.path, tmp_path / "own.sock"], Scripted("/home/y.conf"))
    assert second.path == tmp_path / "own.sock"
    assert Remote([server.path, second.path], "/home/y.conf").status().config == "/home/y.conf"
    second.close()


def test_without_any_place_there_is_no_server(tmp_path, service):
    assert serve([tmp_path / "a" / "b" / "c", tmp_path / ("x" * 120)], service) is None


@pytest.mark.parametrize(
    "line", [b"", b"[" * 60_000, b'{"do":' * 10_000, b"\xff", b'{"do": [1]}', b'{"do": "stop", "sections": 5}']
)
def test_a_line_that_is_no_request_is_refused(service, line):
    reply = json.loads(answer(service, line))
    assert not reply["ok"] and reply["problems"]
    assert not service.orders
