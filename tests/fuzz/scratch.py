"""A directory for the targets, removed when the process ends."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path


def scratch(name: str) -> Path:
    """The directory of this name, which only one target uses."""
    directory = Path(_temporary().name) / name
    directory.mkdir(exist_ok=True)
    return directory


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="escale-fuzz-")
