"""Our program as a client of a relay in format 0.7, through its command line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from .client import Client, holds, report

ROUNDS_MAX = 5
ROUND_S_MAX = 60.0
REPOSITORY = Path(__file__).parents[2]


class Ours(Client):
    """One client of our program.

    `puller count` is 1 in all tests: more does not work for the original.
    """

    interrupt = signal.SIGTERM
    stop_s_max = 20.0

    def keys(self, mode: str) -> dict[str, object]:
        encryption: dict[str, object] = {"encryption": "fernet", "passphrase": f"file: {self.key}"} if self.key else {}
        return {
            "local path": self.folder,
            "address": f"http://localhost:{self.relay.port}/{self.relay.directory}",
            "user": self.relay.user,
            "password": self.relay.password,
            "client name": self.name,
            "mode": mode,
            "index": self.index,
            "relay format": "0.7",
            "puller count": 1,
            "refresh": "2 s",
            **encryption,
        }

    def command(self, configuration: Path) -> list[str]:
        return [sys.executable, "-m", "escale.cli.escale", "-c", str(configuration)]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}

    def run_until(self, mode: str, condition: Callable[[], bool]) -> None:
        """A few rounds of `--once`; one should do, unless something has to be asked for."""
        for _ in range(ROUNDS_MAX):
            self.once(mode)
            if holds(condition):
                return
        raise AssertionError(f"not within {ROUNDS_MAX} rounds\n{report(self)}")

    def once(self, mode: str) -> int:
        """One round; its exit code.  Never a traceback."""
        self.start(mode, "--once")
        code = self.wait(ROUND_S_MAX)
        assert "Traceback" not in self.output(), self.output()
        return code
