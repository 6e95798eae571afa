"""Places and programs for one test; everything ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..servers import Server
from .group import Group
from .places import Place, directory_place, place_on


@pytest.fixture
def place_at(tmp_path: Path, server: Callable[[str], Server]) -> Callable[[str], Place]:
    """`place_at("sshd")`: an empty relay on that server; `"directory"` is one of this machine."""

    def made(name: str) -> Place:
        return directory_place(tmp_path / "relay") if name == "directory" else place_on(server(name))

    return made


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Callable[..., Group]]:
    """`group(place, **keys)`: clients of that place, which share these keys."""
    with ExitStack() as ending:

        def made(place: Place, directory: str = "", **keys: object) -> Group:
            return ending.enter_context(Group(tmp_path / directory, place, keys))

        yield made
