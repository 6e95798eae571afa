"""FTP conversations that are cut after each of their bytes: an error, never a shorter listing, never "absent"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from escale.errors import NoSuchRelay, Refused, SecretError, Unreachable
from escale.store.ftp import FtpStore
from tests.fuzz.ftp_script import DATA, SCRIPTS, FtpScript

PASSIVE = b"227 Entering Passive Mode (127,77,7,7,%PORT%)\r\n"
OKAY = b"250 okay\r\n"
WITH_FACTS, WITH_LINES = (script.partition(PASSIVE)[0].removesuffix(OKAY) for script in SCRIPTS)
FACTS, LINES = (script.partition(DATA)[2] for script in SCRIPTS)
TIMES = b"213 20231114221320\r\n213 20231114221321\r\n"
LISTING = OKAY + PASSIVE + b"150 here it comes\r\n226 done\r\n"
BOTH = pytest.mark.parametrize(
    ("opening", "closing", "data"),
    [(WITH_FACTS + LISTING, b"", FACTS), (WITH_LINES + LISTING, TIMES, LINES)],
    ids=["MLSD", "LIST"],
)
CONTENT = b"some content"


@pytest.fixture(scope="module")
def server() -> FtpScript:
    return FtpScript()


@pytest.fixture
def store(server: FtpScript) -> Iterator[FtpStore]:
    store = FtpStore(server.host, "/relay", port=server.port, timeout_s=5.0)
    yield store
    store.close()


def cuts(words: bytes) -> range:
    """Each length at which `words` lack something; the very last byte ends a line that has ended before it."""
    return range(len(words) - 1)


@BOTH
def test_a_conversation_that_is_cut_is_unreachable(
    server: FtpScript, store: FtpStore, opening: bytes, closing: bytes, data: bytes
) -> None:
    words = opening + closing
    server.say(words + DATA + data)
    assert [(blob.name, blob.size) for blob in store.list()] == [("0.lock", 17), ("café", 5)]
    for length in cuts(words):
        store.close()
        server.say(words[:length] + DATA + data)
        with pytest.raises(Unreachable):
            pytest.fail(f"{[*store.list()]} after {words[:length]!r}")


@BOTH
def test_a_listing_that_is_cut_before_the_server_has_said_its_end(
    server: FtpScript, store: FtpStore, opening: bytes, closing: bytes, data: bytes
) -> None:
    for last in (b"", b"426 the data connection was lost\r\n" + closing, b"451 no\r\n" + closing):
        words = opening.removesuffix(b"226 done\r\n") + last
        for length in cuts(data):
            store.close()
            server.say(words + DATA + data[:length])
            with pytest.raises(Unreachable):
                pytest.fail(f"{[*store.list()]} after {data[:length]!r}")


@BOTH
def test_a_listing_that_is_cut_within_a_line_after_the_server_has_sent_it(
    server: FtpScript, store: FtpStore, opening: bytes, closing: bytes, data: bytes
) -> None:
    for length in cuts(data):
        if data[:length].endswith(b"\n") or length == 0:
            continue
        store.close()
        server.say(opening + closing + DATA + data[:length])
        with pytest.raises(Unreachable):
            pytest.fail(f"{[*store.list()]} after {data[:length]!r}")


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        (WITH_FACTS, b"250-Begin\r\n type=file;size=17;modify=20231114221320; name\r\n250 End\r\n"),
        (WITH_LINES, b"213 17\r\n213 20231114221320\r\n"),
    ],
    ids=["MLST", "SIZE and MDTM"],
)
def test_an_answer_about_a_blob_that_is_cut_is_unreachable(
    server: FtpScript, store: FtpStore, opening: bytes, answer: bytes
) -> None:
    server.say(opening + answer)
    info = store.info("name")
    assert info is not None
    assert (info.size, info.mtime) == (17, 1_700_000_000)
    for length in cuts(answer):
        store.close()
        server.say(opening + answer[:length])
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.info('name')} after {answer[:length]!r}")


@pytest.mark.parametrize(
    ("opening", "answer"),
    [(WITH_FACTS, b"550 no such file\r\n"), (WITH_LINES, b"550 no such file\r\n550 no such file\r\n")],
    ids=["MLST", "SIZE and MDTM"],
)
def test_an_absence_that_is_cut_is_unreachable(
    server: FtpScript, store: FtpStore, opening: bytes, answer: bytes
) -> None:
    answer += b"250 the relay is still here\r\n"
    server.say(opening + answer)
    assert store.info("name") is None
    for length in cuts(answer):
        store.close()
        server.say(opening + answer[:length])
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.info('name')} after {answer[:length]!r}")


@pytest.mark.parametrize("refusal", ["500 what?", "502 not here", "530 who are you?"])
@pytest.mark.parametrize("opening", [WITH_FACTS, WITH_LINES], ids=["MLST", "SIZE and MDTM"])
def test_another_refusal_is_no_absence(server: FtpScript, store: FtpStore, opening: bytes, refusal: str) -> None:
    server.say(opening + 2 * f"{refusal}\r\n".encode() + OKAY)
    with pytest.raises((Refused, SecretError), match=refusal.replace("?", r"\?")):
        pytest.fail(f"{store.info('name')}")


def test_an_answer_that_promises_better_luck_is_no_absence(server: FtpScript, store: FtpStore) -> None:
    for opening in (WITH_FACTS, WITH_LINES):
        store.close()
        server.say(opening + 2 * b"450 busy\r\n" + OKAY)
        with pytest.raises(Unreachable, match="busy"):
            pytest.fail(f"{store.info('name')}")


def test_files_without_times_are_listed(server: FtpScript, store: FtpStore) -> None:
    server.say(WITH_LINES + LISTING + b"502 not here\r\n550 it has gone\r\n" + DATA + LINES)
    assert [(blob.name, blob.mtime) for blob in store.list()] == [("0.lock", None)]


@pytest.mark.parametrize(
    ("beginning", "size"),
    [(b"150 sending name (%d bytes)\r\n" % len(CONTENT), b""), (b"125 sending\r\n", b"213 %d\r\n" % len(CONTENT))],
    ids=["its size told at the beginning", "its size asked for at the end"],
)
def test_a_cut_blob_is_unreachable(server: FtpScript, store: FtpStore, beginning: bytes, size: bytes) -> None:
    words = WITH_FACTS + PASSIVE + beginning + b"226 done\r\n" + size
    server.say(words + DATA + CONTENT)
    assert store.read_bytes("name") == CONTENT
    for length in range(len(CONTENT)):
        store.close()
        server.say(words + DATA + CONTENT[:length])
        with pytest.raises(Unreachable, match=f"after {length} of {len(CONTENT)}"):
            pytest.fail(f"{store.read_bytes('name')!r}")
    for length in cuts(words):
        store.close()
        server.say(words[:length] + DATA + CONTENT)
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.read_bytes('name')!r} after {words[:length]!r}")


def test_a_cut_answer_to_an_upload_is_unreachable(server: FtpScript, store: FtpStore) -> None:
    words = WITH_FACTS + PASSIVE + b"150 send\r\n226 done\r\n213 0\r\n350 and now\r\n250 renamed\r\n"
    server.say(words + DATA)
    store.write_bytes("name", b"")
    for length in cuts(words):
        store.close()
        server.say(words[:length] + DATA)
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.write_bytes('name', b'')} after {words[:length]!r}")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"220 ready\r\n331 password\r\n530 wrong password\r\n", SecretError),
        (WITH_FACTS.partition(b"257")[0] + b"550 nobody knows where we are\r\n", NoSuchRelay),
        (WITH_FACTS.partition(OKAY)[0] + b"550 no such directory\r\n", NoSuchRelay),
    ],
    ids=["a wrong password", "a directory nobody names", "no such directory"],
)
def test_a_refusal_counts_only_when_it_is_whole(
    server: FtpScript, store: FtpStore, words: bytes, error: type[Exception]
) -> None:
    server.say(words)
    with pytest.raises(error):
        store.info("name")
    for length in cuts(words):
        server.say(words[:length])
        with pytest.raises(Unreachable):
            pytest.fail(f"{store.info('name')} after {words[:length]!r}")


def test_a_reply_without_end_is_refused(server: FtpScript, store: FtpStore) -> None:
    for endless in (b"220-welcome\r\n" * 100_000, b"220-" + b"welcome " * 100_000):
        server.say(endless)
        with pytest.raises(Refused, match="a reply"):
            store.info("name")


def test_a_listing_in_a_form_of_its_own_is_not_empty(server: FtpScript, store: FtpStore) -> None:
    server.say(WITH_LINES + LISTING + DATA + b"11-14-23  10:13PM                   17 0.lock\r\n")
    with pytest.raises(Refused, match="a form of its own"):
        pytest.fail(f"{[*store.list()]}")


@pytest.mark.parametrize("nothing", [b"", b"total 0\r\n", b"drwxr-xr-x   2 jane users 4096 Nov 14 22:13 .\r\n"])
def test_an_empty_listing_is_one(server: FtpScript, store: FtpStore, nothing: bytes) -> None:
    server.say(WITH_LINES + LISTING + DATA + nothing)
    assert [*store.list()] == []
