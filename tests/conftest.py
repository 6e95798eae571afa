"""Real servers on demand, and what happens where one is not installed.

`server("sshd")` starts that server once per test process and stops it at the end.  Without its program the test is
skipped and the summary says so, loudly, with the command that installs it; where CI=true it fails instead.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .servers import SERVERS, Proxy, Server

_NOT_INSTALLED = "server not installed: "

IS_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def _require(name: str) -> None:
    lacking = SERVERS[name].missing()
    if lacking and IS_CI:
        pytest.fail(f"{_NOT_INSTALLED}{name}: {lacking}", pytrace=False)
    if lacking:
        pytest.skip(f"{_NOT_INSTALLED}{name}: {lacking}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("real"):
        for name in mark.args:
            _require(name)


@pytest.fixture(scope="session")
def server() -> Iterator[Callable[[str], Server]]:
    """The running server of that name, shared by the tests of this process; take a fresh `relay()` for yourself."""
    running: dict[str, Server] = {}

    def running_server(name: str) -> Server:
        _require(name)
        if name not in running:
            running[name] = SERVERS[name]().start()
        return running[name]

    yield running_server
    for each in running.values():
        each.stop()


@pytest.fixture
def own_server() -> Iterator[Callable[[str], Server]]:
    """Like `server`, for a test that restarts it, kills it or changes its keys: nobody else uses it."""
    running: list[Server] = []

    def running_server(name: str) -> Server:
        _require(name)
        running.append(SERVERS[name]().start())
        return running[-1]

    yield running_server
    for each in running:
        each.stop()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """`proxy(port, delay_s=0.0)`: a way to a server that can be slowed down, counted and cut."""
    running: list[Proxy] = []

    def running_proxy(port: int, delay_s: float = 0.0) -> Proxy:
        running.append(Proxy(port, delay_s))
        return running[-1]

    yield running_proxy
    for each in running:
        each.stop()


@pytest.fixture
def mount_small_disk() -> Iterator[Callable[[Path], None]]:
    """Mounts an empty disk of 2 MiB, which everybody may write to, over a directory until the test ends."""
    mounted: list[Path] = []

    def mount(directory: Path) -> None:
        command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "none", str(directory)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a small disk needs the right to mount")
        mounted.append(directory)

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture
def small_disk(mount_small_disk: Callable[[Path], None], tmp_path: Path) -> Path:
    """An empty directory on a disk of 2 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount_small_disk(directory)
    return directory


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, what = reason.partition(_NOT_INSTALLED)
        if found:
            counts[what] = counts.get(what, 0) + 1
    if counts:
        terminalreporter.section("NOT TESTED: servers that are not installed", sep="!", red=True, bold=True)
        for what, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count} tests skipped, {what}", yellow=True)
