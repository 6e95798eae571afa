"""What is well-formed and means harm: every decoder takes it for what it is."""

from __future__ import annotations

import bz2
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import grammar, target_ledgers, target_listings
from .all_targets import TARGETS
from .ftp_script import DATA, SCRIPTS
from .profile import fuzzing
from .target_archives import CODECS
from .target_formats import FORM, INDEX, UPDATE


def plain_lines(packed: bytes) -> list[dict[str, object]]:
    """The JSON objects of an index of format 1."""
    return [json.loads(line) for line in zlib.decompress(packed).splitlines()]


HEADER, *RECORDS = plain_lines(FORM.encode_index(INDEX))
UPDATE_HEADER, *UPDATE_RECORDS = plain_lines(FORM.encode_update(UPDATE))


@st.composite
def line_files(draw: st.DrawFn, header: dict[str, object], records: list[dict[str, object]]) -> bytes:
    """A header and records, each with something wrong or nothing; one may come twice."""
    head = draw(st.just(json.dumps(header).encode()) | grammar.objects(header))
    lines = [draw(grammar.objects(draw(st.sampled_from(records)))) for _ in range(draw(st.integers(0, 4)))]
    return b"\n".join([head, *lines, *lines[:1], b""])


@fuzzing(200)
@given(line_files(HEADER, RECORDS))
def test_an_index_with_wrong_values(data: bytes) -> None:
    TARGETS["index1-lines"](data)


@fuzzing(200)
@given(line_files(UPDATE_HEADER, UPDATE_RECORDS))
def test_an_update_with_wrong_values(data: bytes) -> None:
    TARGETS["update1-lines"](data)


@pytest.mark.parametrize("name", ["marker", "participant", "lock1", "status", "control"])
def test_an_object_with_wrong_values(name: str) -> None:
    target = TARGETS[name]

    @fuzzing(150)
    @given(st.one_of(*(grammar.objects(json.loads(seed)) for seed in target.seeds if seed.startswith(b"{"))))
    def harmless(data: bytes) -> None:
        target(data)

    harmless()


_LINE_07 = st.sampled_from(
    [
        "---group---",
        "-----------",
        "---pullers---",
        "placeholder%1.0",
        "pusher: alice",
        "timestamp: 17",
        "alice",
        "",
        "timestamp: " + "9" * 5000,
        "timestamp: -99999999999999999999",
        "checksum: " + "ab" * 64,
        "checksum: x",
        "a 5",
        "a 0",
        "a -1",
        "a 99999999999",
        "a ²",
        "a " + "9" * 5000,
        "../escaped 17",
        "/abs 17",
        "é\x85 3",
        "\x0b",
        "x" * 70_000,
    ]
)


@fuzzing(200)
@given(st.lists(_LINE_07, max_size=12).map(lambda lines: "\n".join(lines).encode()))
def test_an_index_of_format_07_from_its_lines(data: bytes) -> None:
    TARGETS["index07-lines"](data)
    TARGETS["update07"](data)
    TARGETS["lock07"](data)


@pytest.mark.parametrize("codec", CODECS)
def test_an_archive_of_hostile_members(codec: str) -> None:
    @fuzzing(120)
    @given(grammar.tars)
    def harmless(tar: bytes) -> None:
        TARGETS["archive"](CODECS[codec](tar))

    harmless()


@fuzzing(200)
@given(grammar.multistatus())
def test_a_multistatus_with_wrong_values(data: bytes) -> None:
    TARGETS["webdav"](data)


@fuzzing(100)
@given(st.sampled_from(SCRIPTS), st.lists(grammar.facts | grammar.list_lines, max_size=4))
def test_ftp_listings_with_wrong_values(script: bytes, lines: list[bytes]) -> None:
    TARGETS["ftp"](script.partition(DATA)[0] + DATA + b"".join(lines))


@fuzzing(100)
@given(st.sampled_from(SCRIPTS), st.integers(0, 20), st.sampled_from(grammar.REPLIES))
def test_ftp_conversations_with_a_wrong_reply(script: bytes, number: int, reply: bytes) -> None:
    control, mark, data = script.partition(DATA)
    replies = control.split(b"\r\n")
    replies[number % len(replies)] = reply
    TARGETS["ftp"](b"\r\n".join(replies) + mark + data)


_COUNTS = st.sampled_from([0, 1, 2, 1000, 1 << 16, 1 << 31, (1 << 32) - 1])


@fuzzing(100)
@given(_COUNTS, st.integers(0, (1 << 32) - 1), _COUNTS, st.binary(max_size=60))
def test_sftp_packets_that_announce_more_than_they_hold(names: int, flags: int, items: int, rest: bytes) -> None:
    TARGETS["sftp"](target_listings.sftp_conversation(names, flags, items, rest))


_CELLS = st.sampled_from(
    ["NULL", "''", "'text'", "x''", "x'61'", "x'ff00'", "-1", "1.5", "9e999", "'9'", "x'" + "ab" * 64 + "'"]
)


@pytest.mark.parametrize("version", range(1, len(target_ledgers.STEPS) + 1))
def test_a_ledger_of_any_version_with_wrong_cells(version: int) -> None:
    @fuzzing(30)
    @given(st.lists(_CELLS, min_size=7, max_size=7), st.lists(_CELLS, min_size=6, max_size=6), _CELLS)
    def harmless(known: list[str], base: list[str], algorithm: str) -> None:
        rows = (
            f"INSERT OR IGNORE INTO known VALUES ({','.join(known)})",
            f"INSERT OR IGNORE INTO base VALUES ({','.join(base)})",
            f"INSERT OR IGNORE INTO meta VALUES ('algorithm', {algorithm})",
            f"INSERT OR IGNORE INTO sightings VALUES ('0.lock', {algorithm})",
        )
        TARGETS["ledger"](target_ledgers.written((*target_ledgers.STEPS[:version], *rows[:version]), version))

    harmless()


@pytest.mark.parametrize("version", range(len(target_ledgers.STEPS) + 1))
def test_a_ledger_of_any_version_is_upgraded(version: int) -> None:
    assert TARGETS["ledger"](target_ledgers.of_version(version))


def test_a_ledger_whose_schema_is_no_text() -> None:
    TARGETS["ledger"](target_ledgers.of_version(1).replace(b"CREATE TABLE known", b"CREATE \xffABLE known"))


_TOML = st.sampled_from(
    [
        "1" * 5000,
        "[" * 5000,
        "1e999",
        "nan",
        "9999-12-31",
        "0x" + "f" * 50,
        '"""',
        "'",
        "{",
        "{a={b=1}}",
        "[1,\n2]",
        "true",
        '"\\ud800"',
        '"\\u0000"',
        "[" + "\n1," * 500 + "\n]",
    ]
)
_LINES = st.sampled_from(
    ["", " " * 20_000, "[repository.x]", "[[repository]]", "[repository.x.option]", "a" * 20_000, "# é"]
)
_KEYS = st.sampled_from(["repository", "local path", '"local path"', "address", "password", "a.b.c", "''", "port"])


@fuzzing(150)
@given(st.lists(_LINES | st.builds("{} = {}".format, _KEYS, _TOML), max_size=5))
def test_toml_with_wrong_values(lines: list[str]) -> None:
    TARGETS["conf-toml"]("\n".join(lines).encode())


@fuzzing(150)
@given(st.lists(_LINES | st.builds("{}{}= {}".format, _KEYS, _LINES, _TOML), max_size=5))
def test_ini_with_wrong_values(lines: list[str]) -> None:
    TARGETS["conf-ini"]("\n".join(lines).encode())


@pytest.mark.parametrize("entry", [b"/ 0\n", b"a 0\n"], ids=["paths that leave the folder", "entries without text"])
def test_a_small_index_of_format_07_with_many_bad_entries(entry: bytes) -> None:
    """A hundred bytes that unpack to a hundred thousand entries: why they are left out is said of a few."""
    TARGETS["index07"](bz2.compress(b"---group---\n-----------\n" + entry * 100_000))
