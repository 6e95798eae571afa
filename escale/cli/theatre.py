"""The stage of the demo: folders, clients, and the time on the wall."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..app.status import Reason
from ..app.wording import size_text
from ..app.worker import Loop
from ..clock import Clock, SystemClock
from ..events import Event, PageEnded
from .setup import load_setup

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")

ROUNDS_MAX = 10
"""Passes of every client until a scene must have come to its end; three are enough."""

SEED = 2207


class SceneFailed(Exception):
    """What was expected, and what was found instead."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


@dataclass
class Theatre:
    """The folders, the clients, and the time on the wall."""

    place: Path
    options: argparse.Namespace
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)
    random: random.Random = field(default_factory=lambda: random.Random(SEED))
    loops: dict[str, Loop] = field(default_factory=dict)
    wire: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """The clients."""
        return NAMES[: self.options.clients]

    @property
    def conf(self) -> Path:
        """The configuration file."""
        return self.place / "demo.conf"

    @property
    def relay(self) -> Path:
        """The directory that plays the storage."""
        return self.place / "relay"

    @contextmanager
    def clients(self) -> Iterator[None]:
        """All clients in this process."""
        setup = load_setup(str(self.conf), self.environ, None)
        try:
            for part in setup.parts([]):
                self.loops[part.name] = part.open(SystemClock(), self._hear)
            yield
        finally:
            for loop in self.loops.values():
                loop.close()
            self.loops.clear()

    def _hear(self, event: Event) -> None:
        if isinstance(event, PageEnded) and event.direction == "up":
            self.wire[event.section] = self.wire.get(event.section, 0) + event.wire_bytes

    def passes(self, is_done: Callable[[], bool]) -> None:
        """Let the clients work in turn until it is done; SceneFailed if it never is."""
        for _ in range(ROUNDS_MAX):
            for name in self.names:
                self.loops[name].run_once()
            if is_done():
                return
        raise SceneFailed("all folders equal, the relay empty but for its indices", self.found())

    def found(self) -> str:
        """What lies where, in words."""
        counts = ", ".join(f"{name} has {len(self.files(name))} files" for name in self.names)
        return f"{counts}, the relay {size_text(self.relay_bytes())}"

    def files(self, name: str) -> dict[str, bytes]:
        """The content of a client's folder by path."""
        root = self.place / name
        paths = (path for path in root.rglob("*") if path.is_file() and ".escale" not in path.relative_to(root).parts)
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}

    def is_quiet(self) -> bool:
        """No client waits for anything but the user, who has not looked at the conflict yet."""
        pending = (one for loop in self.loops.values() for one in loop.pending())
        return not any(one.reason is not Reason.CONFLICT for one in pending)

    def are_equal(self) -> bool:
        """Whether all folders hold the same files with the same content."""
        first, *others = (self.files(name) for name in self.names)
        return all(other == first for other in others)

    def relay_bytes(self) -> int:
        """What the relay holds at the moment."""
        return sum(path.stat().st_size for path in self.relay.iterdir())

    def title(self, number: int, text: str) -> None:
        """What a scene is about."""
        print(f"{number}  {text}", flush=True)

    def say(self, text: str, *facts: str) -> None:
        """One line of the play."""
        print(f"   {text:52}{'  '.join(fact.ljust(6) for fact in facts)}".rstrip(), flush=True)
