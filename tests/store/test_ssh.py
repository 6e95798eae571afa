"""Logging in by SSH over a line that is cut, and what a server says when it has had enough of us."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from escale.errors import SecretError, Unreachable
from escale.store.ssh import Login, connect

from ..servers import Server
from ..servers.base import program_path
from ..servers.ssh import Sshd
from .cut_line import CutLine

pytestmark = pytest.mark.real("sshd")

CUTS = 40


class Impatient(Sshd):
    """Takes one wrong key, and says good-bye at the second."""

    name = "sshd_impatient"

    def command(self) -> Sequence[str | Path]:
        command = super().command()
        with open(self.directory / "sshd_config", "a") as file:
            file.write("MaxAuthTries 2\n")
        return command


@pytest.fixture(scope="module")
def sshd(server: Callable[[str], Server]) -> Sshd:
    sshd = server("sshd")
    assert isinstance(sshd, Sshd)
    return sshd


@pytest.fixture(scope="module")
def impatient() -> Iterator[Sshd]:
    with Impatient() as running:
        yield running


def login_to(sshd: Sshd, **changes: Any) -> Login:
    settings: dict[str, Any] = {
        "host": sshd.host,
        "port": sshd.port,
        "user": sshd.user,
        "password": None,
        "key_file": sshd.key_file,
        "passphrase": None,
        "host_key": sshd.fingerprint,
        "known_hosts": None,
        "connect_timeout_s": 10.0,
    }
    return Login(**(settings | changes))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has the keys that are looked for without being named; nobody has authorised them."""
    for kind in ("rsa", "ecdsa", "ed25519"):
        key_file = tmp_path / ".ssh" / f"id_{kind}"
        key_file.parent.mkdir(exist_ok=True)
        subprocess.run([program_path("ssh-keygen"), "-q", "-t", kind, "-N", "", "-f", key_file], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("is_silent", "patience_s", "cuts"), [(False, 10.0, 40), (True, 0.5, 12)], ids=["hangs up", "falls silent"]
)
def test_a_login_that_is_cut_is_unreachable(sshd: Sshd, is_silent: bool, patience_s: float, cuts: int) -> None:
    cut = 0
    with CutLine(sshd.port) as line:
        connect(login_to(sshd, port=line.port)).close()
        line.is_silent = is_silent
        for length in line.cuts(cuts):
            try:
                transport: Any = connect(login_to(sshd, port=line.port, connect_timeout_s=patience_s)).get_transport()
            except Unreachable:
                cut += 1
            else:
                # After its welcome the server names its other keys, which nobody waits for.
                assert transport.auth_handler.is_authenticated(), f"after {length} bytes"
    assert cut > cuts // 2


def test_a_refusal_that_is_cut_is_unreachable(sshd: Sshd) -> None:
    with CutLine(sshd.port) as line:
        login = login_to(sshd, port=line.port, key_file=sshd.other_key_file)
        with pytest.raises(SecretError):
            connect(login)
        for length in line.cuts(CUTS):
            with pytest.raises(Unreachable):
                pytest.fail(f"{connect(login)} after {length} bytes")


@pytest.mark.parametrize("is_locked", [False, True], ids=["all open", "the last one locked"])
def test_a_login_with_several_keys_that_is_cut_is_unreachable(sshd: Sshd, home: Path, is_locked: bool) -> None:
    if is_locked:
        lock = [program_path("ssh-keygen"), "-q", "-p", "-P", "", "-N", "open sesame", "-f"]
        subprocess.run([*lock, home / ".ssh" / "id_ed25519"], check=True, capture_output=True)
    with CutLine(sshd.port) as line:
        login = login_to(sshd, port=line.port, key_file=None)
        with pytest.raises(SecretError):
            connect(login)
        for length in line.cuts(CUTS):
            with pytest.raises(Unreachable):
                pytest.fail(f"{connect(login)} after {length} bytes")


@pytest.mark.usefixtures("home")
def test_a_server_that_has_seen_too_many_keys_says_so(impatient: Sshd) -> None:
    with pytest.raises(SecretError, match="Too many authentication failures"):
        connect(login_to(impatient, key_file=None))


def test_a_wrong_key_is_told_with_the_name_of_the_user(sshd: Sshd) -> None:
    with pytest.raises(SecretError, match=f"refused user '{sshd.user}'"):
        connect(login_to(sshd, key_file=sshd.other_key_file))
