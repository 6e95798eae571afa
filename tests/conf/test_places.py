"""Where the configuration file is looked for, and where the state is."""

from __future__ import annotations

from pathlib import Path

import pytest

from escale.conf.places import find_config, search_paths, shadowed, state_directory
from escale.errors import NoConfiguration

from .support import write


def test_the_order() -> None:
    environ = {"HOME": "/h", "ESCALE_CONFIG": "/e"}
    assert [str(path) for path in search_paths(environ)] == [
        "/e",
        "/h/.config/escale/escale.conf",
        "/h/.config/escale/escale.toml",
        "/h/.escale/escale.conf",
        "/etc/escale/escale.conf",
        "/etc/escale/escale.toml",
        "/etc/escale.conf",
    ]
    assert search_paths({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[0] == Path("/x/escale/escale.conf")


def test_the_first_that_exists_is_used(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    (tmp_path / ".escale").mkdir()
    old = write(tmp_path / ".escale", "", "escale.conf")
    assert find_config(environ) == old
    (tmp_path / ".config/escale").mkdir(parents=True)
    toml = write(tmp_path / ".config/escale", "", "escale.toml")
    assert find_config(environ) == toml
    conf = write(tmp_path / ".config/escale", "", "escale.conf")
    assert find_config(environ) == conf
    assert shadowed(conf, environ) == toml
    assert find_config(environ, str(tmp_path / "given")) == tmp_path / "given"


def test_nowhere(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration) as caught:
        find_config({"HOME": str(tmp_path)})
    assert caught.value.exit_code == 78
    assert f"{tmp_path}/.escale/escale.conf" in caught.value.next_step


def test_the_state_directory() -> None:
    assert state_directory({"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}) == Path("/a")
    assert state_directory({"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/escale")
    assert state_directory({"HOME": "/h"}) == Path("/h/.local/state/escale")
