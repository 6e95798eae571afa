"""`escale config` as its users see it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import escale
from escale.cli.config import COMMANDS, main
from escale.conf.faults import FAULTS
from escale.conf.table import KEYS
from escale.errors import ConfigError, NoConfiguration

CANARY = "kanarienvogel7"

TEXT = f"""refresh = 5 s
[a]
local path = a
address = ftp://host/x
client = me
password = {CANARY}
option token = {CANARY}
proxy = http://me:{CANARY}@proxy:3128
[b]
local path = b
address = ftp://host/x
client = you
passphrase = command: vault {CANARY}
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "work.conf"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def run(*arguments: str | Path, home: Path = Path("/nowhere")) -> int:
    return main([str(one) for one in arguments], {"HOME": str(home)})


def test_show_names_the_source_of_each_value(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", conf, "show") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"refresh = 5 s ({conf}:1)" in lines
    assert f"client name = me ({conf}:5)" in lines
    assert f"password = (from the configuration file) ({conf}:6)" in lines
    assert f"passphrase = (from command: vault ...) ({conf}:13)" in lines
    assert not any("default" in line for line in lines)


def test_show_effective_has_the_defaults_too(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "a", "--effective", "-c", conf) == 0
    out = capsys.readouterr().out
    assert "200 MB" in out and "(default)" in out
    assert "[a]" in out and "[b]" not in out


@pytest.mark.parametrize("more", [(), ("--effective",), ("--json",), ("--json", "--effective")])
def test_show_keeps_secrets(conf: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    assert run("-c", conf, "show", *more) == 0
    captured = capsys.readouterr()
    assert "password" in captured.out
    assert CANARY not in captured.out + captured.err


def test_show_in_json(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", conf, "show", "--json", "--effective") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {(row["section"], row["key"]): row for row in rows}
    assert found["a", "refresh"]["value"] == 5.0
    assert (found["a", "refresh"]["line"], "line" in found["a", "settle"]) == (1, False)
    assert found["a", "include"]["value"] == []
    assert found["a", "password"]["value"] == {"from": "the configuration file"}
    assert found["", "log level"]["value"] == "info"


def test_a_broken_file_ends_with_all_its_problems(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf.write_text(TEXT + "mode = uplaod\nrefesh = 1\n")
    with pytest.raises(ConfigError, match="2 errors in the configuration; nothing was started") as caught:
        run("-c", conf, "show")
    assert caught.value.exit_code == 78
    err = capsys.readouterr().err
    assert "work.conf:14:8: error C205" in err and "work.conf:15:1: error C101" in err


def test_without_a_file(tmp_path: Path) -> None:
    if not any(Path(path).exists() for path in ("/etc/escale", "/etc/escale.conf")):
        with pytest.raises(NoConfiguration):
            run("show", home=tmp_path)


def test_an_unknown_section_or_command(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", conf, "show", "c") == 2
    assert run("-c", conf, "shwo") == 2
    assert "did you mean 'show'" in capsys.readouterr().err
    assert run() == 2
    err = capsys.readouterr().err
    assert all(name in err for name in COMMANDS)


@pytest.mark.parametrize("key", [key.name for key in KEYS])
def test_explain_knows_every_key(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", *key.split()) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{key}\n") and "default" in out


@pytest.mark.parametrize("code", sorted({fault.code for fault in FAULTS} | {"C000", "C001", "R301", "L140", "X900"}))
def test_explain_knows_every_code(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", code.lower()) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{code}\n") and len(out.splitlines()) > 1
    assert "{" not in out


def test_explain_knows_every_code_that_is_written_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    sources = Path(escale.__file__).parent.rglob("*.py")
    constants = (node for source in sources for node in ast.walk(ast.parse(source.read_text())))
    words = {node.value for node in constants if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    codes = {word for word in words if re.fullmatch(r"[CDKLPRX]\d{3}", word)}
    assert {"P430", "P431", "R341", "L120", "P401", "P422", "L150", "L204", "L205"} <= codes
    assert [code for code in sorted(codes) if run("explain", code)] == []


@pytest.mark.parametrize("code", ["L110", "L116", "P402", "P403", "C108"])
def test_explain_knows_the_codes_of_errors_that_stand_beside_their_part(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", code) == 0
    assert "the command ends with" in capsys.readouterr().out


def test_explain_shows_what_patterns_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "filter") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["report", "no", "yes", "yes", "no"] in lines


def test_explain_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "refesh") == 2
    assert "did you mean 'refresh'?" in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(KEYS) + 1
    assert run("list", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["key"] for row in rows] == [key.name for key in KEYS]


def test_upgrade_asks_nobody_who_is_not_there(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf.write_text(TEXT + "quota = 2000\n")
    for more in ((), ("--dry-run",), ("--dry-run", "--yes")):
        assert run("-c", conf, "upgrade", *more) == 0
        captured = capsys.readouterr()
        assert "+quota = 2000 MB" in captured.out
        assert CANARY not in captured.out
    assert conf.read_text() == TEXT + "quota = 2000\n"
    assert run("-c", conf, "upgrade", "--yes") == 0
    assert conf.read_text() == TEXT + "quota = 2000 MB\n"
    assert f"the old file is {conf}.bak" in capsys.readouterr().err
    assert run("-c", conf, "upgrade") == 0
    assert "nothing to change" in capsys.readouterr().out


def test_upgrade_leaves_what_it_cannot_read(conf: Path) -> None:
    conf.write_text(TEXT + "nonsense\nquota = 2000\n")
    with pytest.raises(ConfigError):
        run("-c", conf, "upgrade", "--yes")
    assert conf.read_text() == TEXT + "nonsense\nquota = 2000\n"


def test_path(conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / ".config" / "escale"
    own.mkdir(parents=True)
    (own / "escale.conf").write_text("")
    (own / "escale.toml").write_text("")
    assert run("path", home=tmp_path) == 0
    out = capsys.readouterr().out
    assert f"* {own}/escale.conf" in out and f"  {own}/escale.toml" in out
    assert "escale.toml is not read" in out
    assert run("-c", conf, "path") == 0
    assert capsys.readouterr().out == f"* {conf}\n"
