"""Station: what all histories of one worker share: a server, a way to it that can be closed, warm parents by clock."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from ..servers import SERVERS, Proxy
from .places import Place, directory_place, place_on
from .warm import Order, Run, Warm, execute

LIBFAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"
JUMP_MIN = 20
"""Minutes: more than the default of `lock timeout`, whose smallest value is one, too long to wait for."""
FORGETFUL = ("moto", "moto_locked")
"""Servers that hold everything in memory: a restart would be another catastrophe than the one that is meant."""
AWAY_S_MAX = 0.4


class Station:
    """A context manager; `backend` is a name of `tests/servers`, or "directory"."""

    def __init__(self, backend: str, directory: Path) -> None:
        self.backend = backend
        self.directory = directory
        self._ending = ExitStack()
        self._parents: dict[int, Warm] = {}

    def place(self, is_through_proxy: bool) -> Place:
        """A new and empty relay."""
        if self._server is None:
            return directory_place(self.directory / f"relay-{time.monotonic_ns()}")
        place = place_on(self._server)
        return place.through(self._proxy) if is_through_proxy else place

    def run(self, *orders: Order, jumps: int = 0, is_warm: bool = True) -> list[Run]:
        """Start these, all at once if a warm parent does it; by a clock that has jumped so many times."""
        if not is_warm:
            return [execute(order, clock_of(jumps)) for order in orders]
        if jumps not in self._parents:
            self._parents[jumps] = self._ending.enter_context(Warm(clock_of(jumps)))
        return self._parents[jumps].start(*orders)

    @property
    def has_line(self) -> bool:
        """Whether there is something between the clients and the relay that can break."""
        return self._server is not None

    def cut_after(self, count: int) -> None:
        """Break the connections when so many more bytes have passed."""
        self._proxy.cut_after(count)

    def heal(self) -> None:
        """No cut that is still to come."""
        if self.has_line:
            self._proxy.cut_after(1 << 60)

    @contextmanager
    def away(self, rng: random.Random) -> Iterator[None]:
        """The server is not there; it comes back with its data."""
        assert self._server is not None
        self._proxy.refuse()
        try:
            if self.backend in FORGETFUL:
                time.sleep(rng.random() * AWAY_S_MAX)
            else:
                (self._server.kill if rng.random() < 0.5 else self._server.halt)()
            yield
        finally:
            if self._server.process is None:
                self._server.start()
            self._proxy.refuse(False)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._server = None if self.backend == "directory" else self._ending.enter_context(SERVERS[self.backend]())
        if self._server is not None:
            self._proxy = self._ending.enter_context(Proxy(self._server.port))
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.close()


def has_clocks() -> bool:
    """Whether the clock of a process can be put forward here."""
    return LIBFAKETIME.exists()


def clock_of(jumps: int) -> dict[str, str]:
    """The environment of a process whose clock has jumped so many times."""
    if not jumps:
        return {}
    return {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME": f"+{jumps * JUMP_MIN}m",
        "NO_FAKE_STAT": "1",
        "DONT_FAKE_MONOTONIC": "1",
        # After its default, ten seconds, it would ask the environment again, which a warm child has not got any more.
        "FAKETIME_CACHE_DURATION": str(1 << 30),
    }
