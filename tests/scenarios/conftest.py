"""One station for all scenarios, and a trio for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..endtoend.places import Place, directory_place
from ..endtoend.station import Station, has_clocks
from .trio import Trio


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Warm parents for everybody."""
    with Station("directory", tmp_path_factory.mktemp("station")) as made:
        yield made


@pytest.fixture
def trio(station: Station, tmp_path: Path) -> Callable[..., Trio]:
    """`trio(place, **keys)`: three clients that share these keys; without a place they meet in a directory."""

    def made(place: Place | None = None, /, **keys: object) -> Trio:
        return Trio(station, tmp_path, place or directory_place(tmp_path / "relay"), keys)

    return made


@pytest.fixture
def clocks() -> None:
    """For a test that puts clocks forward."""
    if not has_clocks():
        pytest.skip("NOT TESTED: what happens after days; apt-get install libfaketime")
