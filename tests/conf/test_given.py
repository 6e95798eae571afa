"""A repository that is given on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from escale.conf.given import given_repository
from escale.conf.secrets import Origin
from escale.errors import ConfigError

from .support import write


def test_a_store_with_its_settings(tmp_path: Path) -> None:
    key = write(tmp_path, "correct horse\n", "key")
    lines = ["port=2022", "password=env: WORD", "host key = accept-new", "option endpoint_url=https://x:9000"]
    found = given_repository("sftp://me@host/versions", lines, key, {"HOME": str(tmp_path)})
    assert (found.address.url, found.user) == ("sftp://host:2022/versions", "me")
    assert found.passphrase.reveal({}, None) == "correct horse"
    assert found.password is not None and found.password.reveal({"WORD": "door"}, None) == "door"
    assert (found.host_key, dict(found.options)) == ("accept-new", {"endpoint_url": "https://x:9000"})


def test_without_a_file_somebody_is_asked(tmp_path: Path) -> None:
    found = given_repository(str(tmp_path), [], None, {"HOME": str(tmp_path)})
    assert found.address.scheme == "file" and found.passphrase.origin is Origin.ASK
    assert found.passphrase.reveal({}, lambda prompt: "typed") == "typed"


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        ("sftp:///x", []),
        ("host/x", []),
        ("s3://me:secret@bucket", []),
        ("/x", ["nonsense"]),
        ("/x", ["unknown=1"]),
        ("/x", ["port=many"]),
        ("sftp://host:22/x", ["port=23"]),
    ],
)
def test_what_is_wrong_is_an_error(tmp_path: Path, url: str, lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        given_repository(url, lines, None, {"HOME": str(tmp_path)})
    assert "secret@" not in str(caught.value)
