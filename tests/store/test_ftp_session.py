"""Replies and listings of FTP servers that make no sense: an error of ours, or a line passed over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from escale.errors import Refused
from escale.store.ftp import FtpStore
from tests.fuzz.ftp_script import DATA, SCRIPTS, FtpScript

WITH_FACTS, WITH_LINES = SCRIPTS


@pytest.fixture(scope="module")
def server() -> FtpScript:
    return FtpScript()


@pytest.fixture
def store(server: FtpScript) -> Iterator[FtpStore]:
    store = FtpStore(server.host, "/relay", port=server.port, timeout_s=5.0)
    yield store
    store.close()


@pytest.mark.parametrize("script", SCRIPTS, ids=["MLSD", "LIST"])
def test_an_honest_listing(server: FtpScript, store: FtpStore, script: bytes) -> None:
    server.say(script)
    assert [(blob.name, blob.size) for blob in store.list()] == [("0.lock", 17), ("café", 5)]


@pytest.mark.parametrize("size", ["²", "٣", "-5", "9" * 5000])
def test_a_line_without_a_size_is_passed_over(server: FtpScript, store: FtpStore, size: str) -> None:
    server.say(WITH_FACTS.partition(DATA)[0] + DATA + f"type=file;size={size}; a\r\ntype=file;size=5; b\r\n".encode())
    assert [blob.name for blob in store.list()] == ["b"]


@pytest.mark.parametrize("moment", ["99999999999999", "00000000000000", "20231300000000"])
def test_a_day_that_there_is_not_is_no_time(server: FtpScript, store: FtpStore, moment: str) -> None:
    server.say(WITH_FACTS.partition(DATA)[0] + DATA + f"type=file;size=5;modify={moment}; a\r\n".encode())
    (blob,) = store.list()
    assert blob.mtime is None


@pytest.mark.parametrize(
    ("honest", "wrong"),
    [
        pytest.param(b"220 ready", b"220 h\xe9", id="a greeting that is not UTF-8"),
        pytest.param(b"(127,77,7,7,%PORT%)", b"(127,77,7,7,99999999999999999999,1)", id="a port that there is not"),
    ],
)
def test_a_reply_that_makes_no_sense_is_a_refusal(
    server: FtpScript, store: FtpStore, honest: bytes, wrong: bytes
) -> None:
    server.say(WITH_FACTS.replace(honest, wrong))
    with pytest.raises(Refused, match="no FTP server says"):
        list(store.list())
