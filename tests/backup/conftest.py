"""restic itself: tests that take the fixture `restic` are run with every restic there is.

Those are the one on PATH, or those that the environment variable RESTIC names, separated by ":".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from escale.clock import SystemClock

from ..conftest import IS_CI

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Restic:
    """One restic program."""

    program: str
    password: str = PASSWORD

    def with_password(self, password: str) -> Restic:
        """The same one, used by somebody who has another password."""
        return Restic(self.program, password)

    def run(self, repository: Path | str, *arguments: str, exit_code: int = 0) -> str:
        """What it says; the test fails where it ends otherwise than expected."""
        command = [self.program, "--no-cache", "-r", str(repository), *arguments]
        environment = {**os.environ, "RESTIC_PASSWORD": self.password}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == exit_code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def is_old(self) -> bool:
        """Whether it is of the time before exit codes of their own and targets of any bytes (0.17)."""
        told = subprocess.run([self.program, "version"], capture_output=True, text=True, check=True).stdout
        return tuple(map(int, told.split()[1].split(".")[:2])) < (0, 17)

    @contextmanager
    def at_work(self, repository: Path) -> Iterator[None]:
        """It saves what never comes, under its lock, and is killed at the end."""
        command = [self.program, "--no-cache", "-r", str(repository), "backup", "--stdin"]
        environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        clock = SystemClock()
        try:
            while not any((repository / "locks").iterdir()):
                assert process.poll() is None
                clock.sleep(0.02)
            yield
        finally:
            process.kill()
            process.communicate()


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
        (pytest.fail if IS_CI else pytest.skip)("NOT TESTED: restic is neither on PATH nor named by RESTIC")
    return Restic(request.param)
