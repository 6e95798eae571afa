"""TOML that is hard to read: it takes no longer for that, and is one finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.bounds import bounded

from .support import load_text


def test_a_number_of_thousands_of_digits_is_a_finding(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "port = " + "1" * 5000, "test.toml")
    assert loaded.config is None
    assert [problem.code for problem in loaded.problems] == ["C003"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" " * 20_000, id="a line of blanks"),
        pytest.param("port = [" + "\n1," * 20_000 + "\n]", id="a list of many lines"),
        pytest.param("a" * 20_000 + " = 1", id="a long word"),
    ],
)
def test_length_alone_takes_no_time(tmp_path: Path, text: str) -> None:
    with bounded(5.0, 64):
        assert load_text(tmp_path, text, "test.toml").config is None


def test_keys_of_all_spellings_have_their_place(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, '\n  "a b" . c  = 1\nd.e\t=\t2\n', "test.toml")
    assert {(problem.line, problem.column) for problem in loaded.problems} >= {(2, 3), (3, 1)}
