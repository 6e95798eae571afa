"""Every code once, with its line and column, and everything that the user is told about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from escale.conf.faults import FAULTS
from escale.conf.load import load

from .support import SECTION, load_text, write

S = SECTION
B = "[b]\nrole = backup\npath = a\nstore = /s\npassphrase = literal: x\n"
REMOTE = "[a]\nlocal path = a\naddress = sftp://host/relay\n"

CASES: list[tuple[str, str, int, int]] = [
    # code, file, line, column
    ("C003", S + "nonsense\n", 6, 1),
    ("C003", S + "= value\n", 6, 1),
    ("C004", S + S.replace("= a", "= b"), 6, 2),
    ("C005", S + "index = yes\nIndex = yes\n", 7, 1),
    ("C006", "# nothing\nrefresh = 3 s\n", 0, 0),
    ("C009", S + "include = a%b\n", 6, 12),
    ("C009", S + "include = %(nothing)s\n", 6, 11),
    ("C009", S + "include = %(exclude)s\nexclude = %(include)s\n", 6, 11),
    ("C101", S + "refesh = 10\n", 6, 1),
    ("C102", S + "quota = 2 GB\ndisk_quota = 2 GB\n", 7, 1),
    ("C103", S + "log level = info\n", 6, 1),
    ("C104", "[a]\nprotocol = file\ndirectory = r\n", 1, 2),
    ("C104", "refresh = 3 s\n[a]\nlocal path = a\n", 2, 2),
    ("C105", S + "priority = upload\n", 6, 1),
    ("C105", S + "index = no\n", 6, 1),
    ("C106", "mode = upload\n" + S + "synchronization mode = upload\n", 7, 1),
    ("C106", REMOTE.replace("host", "host:22") + "port = 2222\n", 4, 8),
    ("C106", REMOTE + "protocol = ftp\n", 4, 12),
    ("C107", S.replace("[a]", "[check]"), 1, 2),
    ("C107", S.replace("[a]", "[prune]"), 1, 2),
    ("C107", S.replace("[a]", "[-a]"), 1, 2),
    ("C201", S + "push only = perhaps\n", 6, 13),
    ("C202", S + "max retries = many\n", 6, 15),
    ("C203", S + "settle = 10 minuts\n", 6, 10),
    ("C204", S + "disk quota = much\n", 6, 14),
    ("C204", S + "disk quota = 5 XB\n", 6, 16),
    ("C205", S + "mode = uplaod\n", 6, 8),
    ("C205", S + "encryption = blowfish\n", 6, 14),
    ("C205", S.replace("= file", "= rclone"), 3, 12),
    ("C205", S + "index = topdir:0\n", 6, 9),
    ("C205", S + "deletions = forget\n", 6, 13),
    ("C205", S + "on stale = alert\n", 6, 12),
    ("C205", S + "checksum = sha5\n", 6, 12),
    ("C205", S + "ssl version = TLSv9\n", 6, 15),
    ("C206", S.replace("= a", "= no/such"), 2, 14),
    ("C206", S.replace("= a", "= test.conf"), 2, 14),
    ("C206", S + "certfile = none.pem\n", 6, 12),
    ("C206", REMOTE + "host key = none\n", 4, 12),
    ("C206", S + "password = file: none\n", 6, 12),
    ("C207", S + "include = *.txt, /(/\n", 6, 18),
    ("C208", "[a]\nlocal path = a\naddress = sftp://me:word@host/x\n", 3, 11),
    ("C208", "[a]\nlocal path = a\naddress = host/x\n", 3, 11),
    ("C208", "[a]\nlocal path = a\naddress = sftp://host:port/x\n", 3, 11),
    ("C208", "[a]\nlocal path = a\naddress = sftp:///x\n", 3, 11),
    ("C208", "[a]\nlocal path = a\naddress = file://x\n", 3, 11),
    ("C208", REMOTE + "directory = a/../b\n", 4, 13),
    ("C210", S + "password = env:\n", 6, 12),
    ("C210", S + "password = keyring: service\n", 6, 12),
    ("C210", S + "password = credential: a/b\n", 6, 12),
    ("C210", S + "password = command: 'a\n", 6, 12),
    ("C210", S + "encryption = on\npassphrase = a mistyped path\n", 7, 14),
    ("C211", S + "puller count = 0\n", 6, 16),
    ("C211", S + "pullers = 0\n", 6, 11),
    ("C211", S + "stale after = 61 d\n", 6, 15),
    ("C211", S + "deletion memory = 1 h\n", 6, 19),
    ("C211", S + "trash keep = 1 s\n", 6, 14),
    ("C211", S + "max delete = 120%\n", 6, 14),
    ("C211", S + "timeout = 2 h\n", 6, 11),
    ("C212", S + "max delete = many\n", 6, 14),
    ("C212", S + "max delete = 25% and 50\n", 6, 14),
    ("C212", S + "max delete = -1\n", 6, 14),
    ("C215", S + "proxy = proxy:3128\n", 6, 9),
    ("C216", S + "disk quota = 20Gb\n", 6, 16),
    ("C217", S + "disk quota = 2000\n", 6, 14),
    ("C218", S + "include = *.txt, [ab]?\n", 6, 18),
    ("C219", S.replace("= me", "= m e"), 5, 15),
    ("C219", S + "pullers = anna, b ert\n", 6, 17),
    ("C219", S + "pullers = ,\n", 6, 11),
    ("C222", S + "ssl version = SSLv3\n", 6, 15),
    ("C223", S + "user = me:word\n", 6, 8),
    ("C225", S + "user = m\x07e\n", 6, 8),
    ("C226", S + "user =\n", 6, 1),
    ("C301", S + "push only = yes\nwrite only = yes\n", 7, 14),
    ("C302", S + "mode = download\nread only = yes\n", 6, 8),
    ("C104", "[b]\nrole = backup\nstore = /s\npassphrase = literal: x\n", 1, 2),
    ("C104", "[b]\nrole = backup\npath = a\npassphrase = literal: x\n", 1, 2),
    ("C213", B + "keep = some\n", 6, 8),
    ("C214", B + "schedule = daily 25:00\n", 6, 12),
    ("C303", B.replace("passphrase = literal: x\n", ""), 1, 2),
    ("C310", B.replace("= /s", "= ./a/s"), 4, 9),
    ("C310", S + B.replace("= /s", "= ./relay"), 9, 9),
    ("C318", B + "of = a\n", 6, 6),
    ("C318", B.replace("path = a", "of = nobody"), 3, 6),
    ("C318", B + "mode = upload\n", 6, 1),
    ("C318", S + "keep = 3 last\n", 6, 1),
    ("C303", S + "encryption = on\n", 6, 14),
    ("C304", REMOTE.replace("sftp", "ftp") + "keyfile = key\n", 4, 11),
    ("C305", S + S.replace("[a]", "[b]").replace("= a", "= a/b").replace("= me", "= you"), 7, 14),
    ("C306", S.replace("= relay", "= a/relay"), 2, 14),
    ("C306", S.replace("= a", "= relay/a"), 2, 14),
    ("C307", S + S.replace("[a]", "[b]").replace("= a", "= b"), 10, 15),
    ("C308", S + "disk quota = 100 MB\n", 6, 14),
    ("C309", S + "pullers = anna\npuller count = 2\n", 7, 1),
    ("C309", "puller count = 2\n" + S + "pullers = 3\n", 7, 1),
    ("C311", S + "passphrase = file: key\n", 6, 14),
    ("C312", REMOTE.replace("sftp", "https") + "verify ssl = no\n", 4, 14),
    ("C314", S + "relay format = 0.7\ncompression = zstd\n", 7, 15),
    ("C315", S + "relay format = 0.7\nindex = no\n", 7, 9),
    ("C317", S + "relay format = 0.7\ndeletions = trash\n", 7, 13),
    ("C317", "deletions = propagate\n" + S + "relay format = 0.7\n", 1, 13),
    ("C316", S + "encryption = fernet\npassphrase = env: KEY\n", 6, 14),
    ("K201", REMOTE + "keyfile = open-key\n", 4, 11),
]

TOML_CASES: list[tuple[str, str, int, int]] = [
    ("C003", "refresh = 10 s\n", 1, 14),
    ("C101", "[repository.a]\nrefesh = 1\n", 2, 1),
    ("C101", "[work]\nlocal-path = 'a'\n", 1, 2),
    ("C211", "[repository.a]\npuller_count = 0\n", 2, 16),
    ("C207", "[repository.a]\ninclude = [\n  '*.txt',\n  '/(/',\n]\n", 2, 11),
    ("C205", "[repository.a]\nmode = 'uplaod' # upwards\n", 2, 9),
    ("C224", "[repository.a]\nmode = ['upload']\n", 2, 8),
    ("C224", "[repository.a]\ninclude = 3\n", 2, 11),
    ("C224", "[repository]\na = 3\n", 2, 1),
    ("C224", "[repository.a]\npullers = [1]\n", 2, 11),
    ("C219", "[repository.a]\npullers = []\n", 2, 11),
    ("C211", "[repository.a]\npullers = 0\n", 2, 11),
    ("C210", "[repository.a]\npassword = { vault = 'x' }\n", 2, 12),
]

ELSEWHERE = {"C002", "C007", "C008"}
"""Codes with a test of their own."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a", "b", "relay"):
        (tmp_path / name).mkdir()
    write(tmp_path, "escale-key-1 " + "A" * 43 + "=\n", "key")
    write(tmp_path, "key\n", "open-key", 0o644)
    return tmp_path


@pytest.mark.parametrize(("code", "text", "line", "column"), CASES)
def test_ini(place: Path, code: str, text: str, line: int, column: int) -> None:
    found = [(one.code, one.line, one.column) for one in load_text(place, text).problems]
    assert (code, line, column) in found


@pytest.mark.parametrize(("code", "text", "line", "column"), TOML_CASES)
def test_toml(place: Path, code: str, text: str, line: int, column: int) -> None:
    found = [(one.code, one.line, one.column) for one in load_text(place, text, "test.toml").problems]
    assert (code, line, column) in found


def test_every_code_has_a_case() -> None:
    assert {case[0] for case in (*CASES, *TOML_CASES)} | ELSEWHERE == {fault.code for fault in FAULTS}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_mark_stands_under_what_is_meant(place: Path, case: tuple[str, str, int, int]) -> None:
    for problem in load_text(place, case[1]).problems:
        lines = problem.render().splitlines()
        if problem.source_line:
            assert lines[1].index("|") == lines[2].index("|")
            assert lines[2].index("^") - lines[2].index("|") - 1 == problem.column
            assert len(lines[2]) <= max(len(lines[1]), lines[2].index("^") + 1)


def test_a_problem_looks_as_documented(tmp_path: Path) -> None:
    problem = load_text(tmp_path, SECTION + "refresh = 10 minuts\n").problems[0]
    assert problem.render() == (
        f"{tmp_path}/test.conf:6:11: error C203: '10 minuts' is not a length of time\n"
        "     6 | refresh = 10 minuts\n"
        "       |           ^^^^^^^^^\n"
        "       = examples: 30 s, 15 min, 12 h, 7 d; a number alone means seconds"
    )


def test_all_problems_are_listed_in_order(tmp_path: Path) -> None:
    text = "refesh = 1\n[a]\nlocal path = a\nnonsense\nmode = uplaod\n[b]\nsettle = long\n"
    problems = load_text(tmp_path, text).problems
    assert [(one.line, one.code) for one in problems] == [(1, "C101"), (4, "C003"), (5, "C205"), (7, "C203")]


def test_C002_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    loaded = load(tmp_path / "none.conf", {})
    assert [(one.code, one.line) for one in loaded.problems] == [("C002", 0)]
    assert "No such file" in loaded.problems[0].message
    assert load(tmp_path, {}).problems[0].code == "C002"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_C002_names_owner_and_mode(tmp_path: Path) -> None:
    assert "mode 0000" in load(write(tmp_path, SECTION, mode=0), {}).problems[0].hint


def test_C003_a_file_that_is_too_large(tmp_path: Path) -> None:
    assert load_text(tmp_path, "#" * (1024 * 1024 + 1)).problems[0].code == "C003"


def test_C007_a_file_in_latin1(tmp_path: Path) -> None:
    (problem,) = load_text(tmp_path, "[a]\n# f\u00fcr \n".encode() + b"local path = caf\xe9\n").problems
    assert (problem.code, problem.line, problem.column) == ("C007", 3, 17)
    assert "0xE9" in problem.message


def test_C008_a_secret_in_a_file_that_others_can_read(tmp_path: Path) -> None:
    text = SECTION + "password = hush\n"
    (problem,) = load_text(tmp_path, text, mode=0o644).problems
    assert (problem.code, problem.line, problem.column) == ("C008", 6, 12)
    assert "0644" in problem.message
    assert load_text(tmp_path, text, mode=0o600).problems == ()
    assert load_text(tmp_path, SECTION + "password = env: HUSH\n", mode=0o644).problems == ()


def test_one_slip_in_a_part_above_the_sections_is_told_once(tmp_path: Path) -> None:
    two = "settle = long\n" + SECTION + SECTION.replace("[a]", "[b]").replace("= a", "= b").replace("= me", "= you")
    assert [one.code for one in load_text(tmp_path, two).problems] == ["C203"]


def test_suggestions(tmp_path: Path) -> None:
    hints = [one.hint for one in load_text(tmp_path, SECTION + "refesh = 1\nmode = uplaod\npush only = yse\n").problems]
    assert hints[0].startswith("did you mean 'refresh'?")
    assert hints[1].startswith("did you mean 'upload'?")
    assert hints[2].startswith("did you mean 'yes'?")
