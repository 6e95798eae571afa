"""Writes configurations and loads them, in a directory that is also the home of the user."""

from __future__ import annotations

from pathlib import Path

from escale.conf.load import Loaded, load
from escale.conf.settings import Config

SECTION = "[a]\nlocal path = a\nprotocol = file\ndirectory = relay\nclient name = me\n"
"""A section without a fault; five lines."""

CANARY = "kanarienvogel7"


def write(directory: Path, text: str | bytes, name: str = "test.conf", mode: int = 0o600) -> Path:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def load_text(directory: Path, text: str | bytes, name: str = "test.conf", mode: int = 0o600) -> Loaded:
    return load(write(directory, text, name, mode), {"HOME": str(directory)})


def config_of(directory: Path, text: str, name: str = "test.conf") -> Config:
    loaded = load_text(directory, text, name)
    assert loaded.config is not None, "\n".join(problem.render() for problem in loaded.problems)
    return loaded.config
