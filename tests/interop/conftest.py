"""The original client, or a loud word about its absence; and a place for the clients of one story."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from ..conftest import IS_CI
from ..servers import Relay, Server
from . import original as the_original
from .client import Client
from .original import Original
from .ours import Ours

C = TypeVar("C", bound=Client)


@pytest.fixture(scope="session")
def original_python() -> Path:
    """The interpreter that has the original; without it the test is skipped, or fails in CI."""
    try:
        return the_original.installed()
    except the_original.NotInstalled as error:
        reason = f"server not installed: the original escale 0.7.11: pip install says: {error}"
        if IS_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


class Stage:
    """A fresh relay and the clients on it, all of which are stopped at the end."""

    def __init__(self, python: Path, place: Path, relay: Relay, index: str, is_encrypted: bool, ending: ExitStack):
        self._python = python
        self._place = place
        self.relay = relay
        self._index = index
        self._ending = ending
        self._key: Path | None = None
        if is_encrypted:
            self._key = place / "key"
            self._key.write_bytes(base64.urlsafe_b64encode(bytes(range(32))))
            self._key.chmod(0o600)

    def original(self, name: str) -> Original:
        return self._entered(Original(self._python, self._place, name, self.relay, self._index, self._key))

    def ours(self, name: str) -> Ours:
        return self._entered(Ours(self._place, name, self.relay, self._index, self._key))

    def _entered(self, client: C) -> C:
        self._ending.callback(client.stop)
        return client


@pytest.fixture
def stage(
    original_python: Path, tmp_path: Path, server: Callable[[str], Server]
) -> Iterator[Callable[[str, bool], Stage]]:
    """`stage(index, is_encrypted)`: all clients on it get that paging, and the same Fernet key or none."""
    with ExitStack() as ending:

        def fresh(index: str, is_encrypted: bool = False) -> Stage:
            relay = server("wsgidav").relay()
            place = tmp_path / relay.directory
            place.mkdir()
            return Stage(original_python, place, relay, index, is_encrypted, ending)

        yield fresh
