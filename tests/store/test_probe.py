"""The certification finds every defect it claims to find: in stores made defective, and the known ones of servers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar

import pytest

from escale.clock import SystemClock
from escale.store.blob import BlobInfo, BlobStore
from escale.store.memory import MemoryStore
from escale.store.probe import Certificate, probe, races_create
from escale.store.s3 import S3Store
from escale.store.site import Finding
from escale.store.webdav import WebdavStore
from escale.store.wrapped import RetryingStore, WrapperStore
from escale.stream import pieces_of
from escale.testing.clock import SimClock

from ..contracts.test_contract_s3 import s3_store
from ..contracts.test_contract_webdav import webdav_store
from ..servers import Relay, Server

Result = TypeVar("Result")


def run_together(acts: Sequence[Callable[[], Result]]) -> list[Result]:
    start = threading.Barrier(len(acts))

    def act_at_start(act: Callable[[], Result]) -> Result:
        start.wait(60)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act_at_start, acts))


def certify(open_store: Callable[[], BlobStore], size: int = 200_000, is_tidy: bool = True) -> Certificate:
    reported: list[Finding] = []
    certificate = probe(open_store, run_together, random.Random(7), SystemClock(), reported.append, size, rounds=5)
    assert tuple(reported) == certificate.findings
    assert not is_tidy or [blob.name for blob in open_store().list()] == []
    return certificate


def failed(certificate: Certificate) -> set[str]:
    return {finding.name for finding in certificate.findings if not finding.ok}


class Lenient(WrapperStore):
    """Looks, then puts."""

    def create(self, name: str, data: bytes) -> bool:
        if self.info(name) is not None:
            return False
        CROSSING.wait()
        self.write_bytes(name, data)
        return True


class Crossing:
    """Where check-then-write clients meet: whoever comes waits for another one, but not for long."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._arrived = 0

    def wait(self) -> None:
        with self._condition:
            self._arrived += 1
            self._condition.notify_all()
            goal = self._arrived + self._arrived % 2
            self._condition.wait_for(lambda: self._arrived >= goal, timeout=0.2)


CROSSING = Crossing()


class InPlace(WrapperStore):
    """Writes in place, piece by piece."""

    def put(self, name: str, source: BinaryIO) -> int:
        written = b""
        self.inner.write_bytes(name, written)
        for piece in pieces_of(source):
            for half in (piece[: len(piece) // 2], piece[len(piece) // 2 :]):
                written += half
                self.inner.write_bytes(name, written)
        return len(written)


class Vanishing(WrapperStore):
    """Deletes before it replaces."""

    def put(self, name: str, source: BinaryIO) -> int:
        data = b"".join(pieces_of(source))
        self.inner.delete(name)
        CROSSING.wait()
        self.inner.write_bytes(name, data)
        return len(data)

    def get(self, name: str) -> BinaryIO:
        CROSSING.wait()
        return self.inner.get(name)


class Lagging(WrapperStore):
    """Shows in a listing only what was there when it was listed the last time."""

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)
        self._seen: list[BlobInfo] = []

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        shown, self._seen = self._seen, [*self.inner.list()]
        return iter([blob for blob in shown if blob.name.startswith(prefix)])


class Stale(WrapperStore):
    """Never shows anything that is new."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return iter([])


class HidingDots(WrapperStore):
    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        return iter([blob for blob in self.inner.list(prefix) if not blob.name.startswith(".")])


class CaseBlind(WrapperStore):
    def get(self, name: str) -> BinaryIO:
        return self.inner.get(name.lower())

    def put(self, name: str, source: BinaryIO) -> int:
        return self.inner.put(name.lower(), source)

    def delete(self, name: str) -> None:
        self.inner.delete(name.lower())


class Scrambling(WrapperStore):
    """Changes one byte of what is long."""

    def put(self, name: str, source: BinaryIO) -> int:
        data = bytearray(b"".join(pieces_of(source)))
        if name.endswith("speed"):
            data[1000] ^= 1
        self.inner.write_bytes(name, bytes(data))
        return len(data)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(SystemClock().now)


def test_memory_is_without_fault(memory: MemoryStore) -> None:
    certificate = certify(lambda: memory)
    assert failed(certificate) == set()
    assert certificate.strategy == "create"
    assert certificate.is_sound
    assert certificate.lag_s == 0


def test_check_then_write_is_found(memory: MemoryStore) -> None:
    certificate = certify(lambda: Lenient(memory))
    assert failed(certificate) == {"exclusive creation"}
    assert certificate.strategy == "listing"
    assert certificate.is_sound
    assert certificate.finding("exclusive creation").figures["several"] > 0


def test_writing_in_place_is_found(memory: MemoryStore) -> None:
    certificate = certify(lambda: InPlace(memory))
    assert failed(certificate) >= {"broken uploads"}
    assert "destroys" in certificate.finding("broken uploads").words
    assert not certificate.is_sound


def test_vanishing_is_found(memory: MemoryStore) -> None:
    certificate = certify(lambda: Vanishing(memory))
    assert failed(certificate) == {"whole reads"}
    assert certificate.finding("whole reads").figures["absent"] > 0


def test_lagging_listing_is_found(memory: MemoryStore) -> None:
    certificate = certify(lambda: Lagging(memory))
    assert failed(certificate) >= {"list after write", "list after delete", "claims by listing"}
    assert certificate.lag_s > 0
    assert certificate.strategy == "create"


def test_listing_that_never_shows_is_given_up(memory: MemoryStore) -> None:
    clock = SimClock()
    findings = probe(lambda: Stale(memory), run_together, random.Random(7), clock, lambda finding: None, 1000, rounds=1)
    assert "if ever" in findings.finding("list after write").words
    assert memory.blobs == {}


@pytest.mark.parametrize(
    ("defect", "name"),
    [(HidingDots, "dot files"), (CaseBlind, "upper and lower case"), (Scrambling, "speed")],
)
def test_defect_is_named(memory: MemoryStore, defect: type[WrapperStore], name: str) -> None:
    assert name in failed(certify(lambda: defect(memory)))


@pytest.mark.parametrize(("offset_s", "ok"), [(0, True), (-60, True), (-3600, False), (400, False)])
def test_clock_that_is_off(offset_s: float, ok: bool) -> None:
    store = MemoryStore(lambda: SystemClock().now() + offset_s)
    finding = certify(lambda: store, 1000).finding("clock")
    assert finding.ok is ok
    assert abs(finding.figures["offset_s"] - offset_s) < 2
    assert ("ahead" in finding.words, "behind" in finding.words) == (offset_s > 0, offset_s < 0)


def test_what_it_wrote_is_removed_when_it_is_interrupted(memory: MemoryStore) -> None:
    def stop(finding: Finding) -> None:
        if finding.name == "claims by listing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe(lambda: memory, run_together, random.Random(7), SystemClock(), stop, 1000, rounds=2)
    assert memory.blobs == {}


def test_short_race(memory: MemoryStore) -> None:
    assert races_create(lambda: memory, run_together, random.Random(7), SystemClock(), "a" * 16) is True
    assert races_create(lambda: Lenient(memory), run_together, random.Random(7), SystemClock(), "a" * 16) is False
    assert memory.blobs == {}


def test_what_an_interrupted_race_has_left_is_removed_by_its_owner(memory: MemoryStore) -> None:
    memory.write_bytes("escale-probe-" + "a" * 16 + "-race-0", b"left behind")
    memory.write_bytes("escale-probe-" + "b" * 16 + "-race-0", b"somebody else's")
    assert races_create(lambda: memory, run_together, random.Random(7), SystemClock(), "a" * 16) is True
    assert [blob.name for blob in memory.list("escale-probe-")] == ["escale-probe-" + "b" * 16 + "-race-0"]


REAL: dict[str, tuple[Callable[[Relay], S3Store | WebdavStore], set[str]]] = {
    "apache": (webdav_store, set()),
    "lighttpd": (webdav_store, set()),
    "wsgidav": (webdav_store, {"punctuation"}),
    "rclone_webdav": (webdav_store, set()),
    "moto_locked": (s3_store, {"punctuation"}),
    "rclone_s3": (s3_store, {"exclusive creation"}),
}


@pytest.mark.parametrize("server_name", [pytest.param(name, marks=pytest.mark.real(name)) for name in REAL])
def test_real_server(server: Callable[[str], Server], server_name: str) -> None:
    open_relay, known = REAL[server_name]
    relay = server(server_name).relay()
    open_relay(relay).make_relay()
    clock = SystemClock()
    # Some answer 500 to a listing during which a file goes away.
    # rclone's S3 server may finish a write of a lost race after the name was deleted.
    is_tidy = server_name != "rclone_s3"
    certificate = certify(lambda: RetryingStore(open_relay(relay), clock, random.Random(1)), is_tidy=is_tidy)
    for finding in certificate.findings:
        print(finding)
    # Whether a race is lost, or a moment without a blob is seen, is a matter of luck.
    assert known <= failed(certificate) <= known | {"exclusive creation", "whole reads"}
