"""restic itself: tests that take the fixture `restic` are run with every restic there is.

Those are the one on PATH, or those that the environment variable RESTIC names, separated by ":".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Restic:
    """One restic program."""

    program: str

    def run(self, repository: Path, *arguments: str, exit_code: int = 0) -> str:
        """What it says; the test fails where it ends otherwise than expected."""
        command = [self.program, "--no-cache", "-r", str(repository), *arguments]
        environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == exit_code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def programs() -> list[str]:
    """Every restic to be tested with."""
    named = [program for program in os.environ.get("RESTIC", "").split(":") if program]
    found = shutil.which("restic")
    return named or ([found] if found else [])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "restic" in metafunc.fixturenames:
        metafunc.parametrize("restic", programs() or [""], indirect=True)


@pytest.fixture
def restic(request: pytest.FixtureRequest) -> Restic:
    """Each of them in turn."""
    if not request.param:
        pytest.skip("NOT TESTED: restic is neither on PATH nor named by RESTIC")
    return Restic(request.param)
