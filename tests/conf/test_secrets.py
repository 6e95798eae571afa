"""Where secrets come from, and that they go nowhere else."""

from __future__ import annotations

import os
import stat
import sys
import types
from pathlib import Path

import pytest

from escale.conf.load import load
from escale.conf.secrets import Origin, Secret
from escale.conf.upgrade import plan_upgrade
from escale.errors import ExposedSecret, NoSecret

from .support import CANARY, SECTION, config_of, load_text, write

KEY = "escale-key-1 " + "A" * 43 + "=\n"


def secret(directory: Path, value: str, name: str = "test.conf") -> Secret:
    found = config_of(directory, SECTION + f"user = jane\npassword = {value}\n", name).sections[0].password
    assert found is not None
    return found


def script(directory: Path, body: str) -> Path:
    return write(directory, f"#!/bin/sh\n{body}\n", "vault", 0o700)


def test_a_file(tmp_path: Path) -> None:
    write(tmp_path, "hush\r\nsecond\n", "word")
    for value in ("file: word", f"file:{tmp_path}/word", "file: ~/word", "word", "~/word"):
        found = secret(tmp_path, value)
        assert found.path == tmp_path / "word"
        assert found.reveal({}, None) == "hush"
        assert found.source == f"file: {tmp_path}/word"


def test_a_file_with_a_line_for_each_user(tmp_path: Path) -> None:
    write(tmp_path, "joe:his\njane:hers:too\n", "words")
    assert secret(tmp_path, "file: words").reveal({}, None) == "hers:too"


def test_a_file_that_others_can_read_later(tmp_path: Path) -> None:
    path = write(tmp_path, "hush\n", "word")
    found = secret(tmp_path, "file: word")
    path.chmod(0o640)
    with pytest.raises(ExposedSecret, match="0640"):
        found.reveal({}, None)
    path.unlink()
    with pytest.raises(NoSecret, match="No such file"):
        found.reveal({}, None)


def test_a_command(tmp_path: Path) -> None:
    script(tmp_path, 'echo "$1-$WHO"; echo second')
    found = secret(tmp_path, "command: ./vault 'a b'")
    assert found.reveal({"WHO": "me"}, None) == "a b-me"
    assert found.source == f"command: {tmp_path}/vault ..."
    assert found.path is None


@pytest.mark.parametrize(
    ("body", "reason"), [("echo locked >&2; exit 3", "ended with 3: locked"), ("true", "printed nothing")]
)
def test_a_command_that_fails_is_an_error(tmp_path: Path, body: str, reason: str) -> None:
    script(tmp_path, body)
    with pytest.raises(NoSecret, match=reason):
        secret(tmp_path, "command: ./vault").reveal(dict(os.environ), None)


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NoSecret, match="No such file"):
        secret(tmp_path, "command: ./none").reveal({}, None)


def test_a_variable(tmp_path: Path) -> None:
    found = secret(tmp_path, "env: WORD")
    assert found.reveal({"WORD": "hush"}, None) == "hush"
    with pytest.raises(NoSecret, match="env: WORD: it is not set"):
        found.reveal({}, None)


def test_a_credential_of_systemd(tmp_path: Path) -> None:
    write(tmp_path, "hush\n", "relay.password", 0o440)
    found = secret(tmp_path, "credential: relay.password")
    assert found.reveal({"CREDENTIALS_DIRECTORY": str(tmp_path)}, None) == "hush"
    with pytest.raises(NoSecret) as caught:
        found.reveal({}, None)
    assert "LoadCredential=relay.password:" in caught.value.next_step


def test_asking(tmp_path: Path) -> None:
    found = secret(tmp_path, "ask:")
    assert found.reveal({}, lambda prompt: f"<{prompt}>") == "<password: >"
    with pytest.raises(NoSecret, match="no terminal"):
        found.reveal({}, None)


def test_text(tmp_path: Path) -> None:
    assert secret(tmp_path, "literal: env: x").reveal({}, None) == "env: x"
    assert secret(tmp_path, "hu#sh;").reveal({}, None) == "hu#sh;"
    assert secret(tmp_path, "hush").source == "the configuration file"


def test_a_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is replaced by its interface: a real one needs a desktop session."""
    found = secret(tmp_path, "keyring: escale/work/jane")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(NoSecret, match="not installed"):
        found.reveal({}, None)
    ring = types.SimpleNamespace(get_password={("escale/work", "jane"): "hush"}.get)
    ring.get_password = lambda service, user: {("escale/work", "jane"): "hush"}.get((service, user))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert found.reveal({}, None) == "hush"
    ring.get_password = lambda service, user: None
    with pytest.raises(NoSecret, match="no such entry"):
        found.reveal({}, None)

    def locked(service: str, user: str) -> str:
        raise RuntimeError("locked")

    ring.get_password = locked
    with pytest.raises(NoSecret, match="cannot be opened: locked"):
        found.reveal({}, None)


def test_sources_in_toml(tmp_path: Path) -> None:
    script(tmp_path, 'echo "$1"')
    write(tmp_path, "hush\n", "word")
    head = '[repository.a]\nlocal-path = "a"\naddress = "/r"\npassword = '
    for value, origin, text in (
        ('{ command = ["./vault", "a b"] }', Origin.COMMAND, "a b"),
        ('{ file = "word" }', Origin.FILE, "hush"),
        ('{ literal = "file: x" }', Origin.LITERAL, "file: x"),
        ('{ env = "WORD" }', Origin.ENVIRONMENT, "there"),
        ('"env: WORD"', Origin.ENVIRONMENT, "there"),
        ("{ ask = true }", Origin.ASK, "typed"),
    ):
        found = config_of(tmp_path, f"{head}{value}\n", "test.toml").sections[0].password
        assert found is not None and found.origin is origin
        assert found.reveal({"WORD": "there"}, lambda _: "typed") == text


def test_a_key_may_be_text(tmp_path: Path) -> None:
    (section,) = config_of(tmp_path, SECTION + f"encryption = on\npassphrase = {KEY}").sections
    assert section.passphrase is not None
    assert section.passphrase.path is None
    assert section.passphrase.reveal({}, None) == KEY.strip()


PLACES = [
    SECTION + f"password = {CANARY}\n",
    SECTION + f"password = literal: {CANARY}\n",
    SECTION + f"password = {CANARY}\nsecret = {CANARY}\n",
    SECTION + f"password = {CANARY}%\n",
    SECTION + f"password = 1%({CANARY})s\n",
    SECTION + f"password =\n  {CANARY}\n",
    SECTION + f"password =\n{CANARY}\n",
    SECTION + f"password {CANARY}\n",
    SECTION + f"pasword = {CANARY}\n",
    SECTION + f"my vault = {CANARY}\n",
    SECTION + f"user = jane:{CANARY}\n",
    SECTION + f"passphrase = {CANARY}\n",
    SECTION + f"encryption = on\npassphrase = {CANARY}\n",
    SECTION + f"password = {CANARY}\nexclude = %(password)s\n",
    SECTION + f"password = command: vault {CANARY}\n",
    SECTION + f"option secret_access_key = {CANARY}\n",
    SECTION + f"option url = https://me:{CANARY}@host\n",
    SECTION + f"proxy = http://me:{CANARY}@proxy:3128\n",
    SECTION + f"proxy = me:{CANARY}@proxy\n",
    SECTION.replace("directory = relay", f"address = ftp://me:{CANARY}@host/x"),
    SECTION.replace("directory = relay", f"address = me:{CANARY}@host/x"),
    SECTION.replace("directory = relay", f"address = me:a {CANARY}/@host/x"),
    f"password = {CANARY}\n" + SECTION,
    f"[repository.a]\npassword = {CANARY}\n",
    f'[repository.a]\npassword = ["{CANARY}"]\n',
    f'[repository.a]\npassword = {{ {CANARY} = "x" }}\n',
    f'[repository.a]\nlocal-path = "a"\naddress = "/r"\npassword = "{CANARY}"\npull-only = 3\n',
    f'[repository.a]\noption = {{ n = 1, secret = "{CANARY}" }}\nmode = "x"\n',
    f'[repository.a]\npassword = {{ command = [\n  "x",\n  "{CANARY}"\n  "y"] }}\n',
]


@pytest.mark.parametrize("text", PLACES)
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_secret_never_shows(tmp_path: Path, text: str, mode: int) -> None:
    """GIVEN a secret in the file, right or wrong, WHEN anything is said about the file, THEN it is not in it."""
    name = "test.toml" if "[repository" in text else "test.conf"
    loaded = load_text(tmp_path, text, name, mode)
    said = [problem.render() for problem in loaded.problems] + [repr(loaded.config)]
    said += [repr(loaded.problems)]
    if loaded.config is not None:
        holders = (loaded.config, *loaded.config.sections)
        said += [f"{one} {one.text} {one.origin}" for holder in holders for one in holder.effective]
        said += [f"{section.password} {section.password!r}" for section in loaded.config.sections]
    plan, _ = plan_upgrade(tmp_path / name)
    said += [plan.diff, repr(plan)]
    assert CANARY in text and CANARY not in "\n".join(said)


def test_a_secret_does_not_lie_in_open_files(tmp_path: Path) -> None:
    path = write(tmp_path, "hush\n", "word", 0o604)
    loaded = load(write(tmp_path, SECTION + "password = word\n"), {})
    assert [one.code for one in loaded.problems] == ["K201"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
