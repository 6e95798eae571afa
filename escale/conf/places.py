"""Places: where the configuration file is looked for, and where the state is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import NoConfiguration
from .paths import home


def search_paths(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a configuration file is looked for, in this order: the order of the code of 0.7, not of its manual."""
    own = Path(home(environ))
    base = Path(environ.get("XDG_CONFIG_HOME") or own / ".config") / "escale"
    given = [Path(environ["ESCALE_CONFIG"])] if environ.get("ESCALE_CONFIG") else []
    return (
        *given,
        base / "escale.conf",
        base / "escale.toml",
        own / ".escale" / "escale.conf",
        Path("/etc/escale/escale.conf"),
        Path("/etc/escale/escale.toml"),
        Path("/etc/escale.conf"),
    )


def find_config(environ: Mapping[str, str], given: str | None = None) -> Path:
    """The file that was given, whether it exists or not, else the first that exists; NoConfiguration."""
    if given is not None:
        return Path(given).absolute()
    paths = search_paths(environ)
    for path in paths:
        if os.path.exists(path):
            return path.absolute()
    raise NoConfiguration(places=", ".join(map(str, paths)))


def shadowed(path: Path, environ: Mapping[str, str]) -> Path | None:
    """The TOML file beside the file that was found by searching, which is not read because of it."""
    beside = path.with_suffix(".toml")
    if path.suffix == ".conf" and path in search_paths(environ) and beside.exists():
        return beside
    return None


def state_directory(environ: Mapping[str, str]) -> Path:
    """The default of `state dir`."""
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    return Path(environ.get("XDG_STATE_HOME") or Path(home(environ), ".local", "state")) / "escale"
