"""`kill -9`, at twenty moments of a push and at twenty of a pull, of real processes on SFTP and on S3.

Moments are spread over the duration of an undisturbed run, and tied to what becomes visible on the relay or in the
folder.  Each time the killed client starts again; then all folders are equal and the relay holds indices only.

The moments of one backend are dealt to lanes, worlds of their own that go on at the same time.  A lane goes through
its moments one after the other: each begins with an edit of everything, so nothing is left to do at a start that
finds everything done, and what one moment breaks the next ones see.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..servers import Proxy
from .folders import PRIVATE, fill
from .group import Group
from .places import place_on
from .program import Program, holds

SEED = 20_260
MOMENTS = 20
LANES = 3
FILES = 300
FILE_BYTES = 67_000
"""Together 20 MB: with the delay below a run has phases that are long enough to be met."""
DELAY_S = 0.010
"""Each way, so a round trip takes 20 ms."""
POLL_S = 0.001
TRIES_MAX = 6
"""A moment that came after the end is moved towards the beginning and tried again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: at `fraction` of an undisturbed run, or `after_s` after the sight of something."""

    fraction: float = 0.0
    sight: str = ""
    after_s: float = 0.0

    def earlier(self) -> Moment:
        """For another try: this one came when all was over."""
        return Moment(self.fraction * 0.95, self.sight, self.after_s / 2)


def moments(sights: tuple[str, ...]) -> list[Moment]:
    """Two for each sight, at once and a little later; the others are spread evenly, each somewhere in its share."""
    rng = random.Random(f"{SEED}/{sights}")
    seen = [Moment(sight=sight, after_s=after_s) for sight in sights for after_s in (0.0, rng.uniform(0.001, 0.06))]
    count = MOMENTS - len(seen)
    spread = [Moment(fraction=(number + rng.random()) / count) for number in range(count)]
    return rng.sample(seen + spread, MOMENTS)


class Lane:
    """Two clients, one relay, some moments."""

    def __init__(self, clients: Group, number: int) -> None:
        self.clients = clients
        self.number = number
        self.alice = clients.client("alice")
        self.bob = clients.client("bob")
        self.edits = 0
        self.run_s = {self.alice: 0.0, self.bob: 0.0}

    def measure(self) -> None:
        """An undisturbed run of each: how long they take.  What is done only once was done before."""
        self.clients.settle()
        self.edit()
        for program in (self.alice, self.bob):
            begin = time.monotonic()
            program.once()
            self.run_s[program] = time.monotonic() - begin
        self.clients.settle(self.bob, self.alice)

    def edit(self) -> None:
        """Another content for every file of alice."""
        self.edits += 1
        fill(self.alice.folder, f"{SEED}/{self.number}/{self.edits}", FILES, FILE_BYTES)

    def kill_both(self, push: Moment, pull: Moment) -> None:
        """One moment of each kind; a world that was not hit in time is edited and tried again."""
        pending = {self.alice: push, self.bob: pull}
        for _ in range(TRIES_MAX):
            self.edit()
            tried = dict(pending)
            if self.alice in pending and self.struck(self.alice, pending[self.alice]):
                del pending[self.alice]
            self.alice.once()
            if self.bob in pending and self.struck(self.bob, pending[self.bob]):
                del pending[self.bob]
            try:
                self.clients.settle(self.bob, self.alice)
            except AssertionError as error:
                raise AssertionError(f"lane {self.number}, killed at {tried}:\n{error}") from None
            if not pending:
                return
            pending = {program: moment.earlier() for program, moment in pending.items()}
        raise AssertionError(f"lane {self.number}: never in time for {pending}")

    def struck(self, program: Program, moment: Moment) -> bool:
        """Start a pass and kill it at that moment; whether it was still alive."""
        seen = self.sight(program, moment.sight)
        begin = time.monotonic()
        program.start("--once")
        end = begin + moment.fraction * self.run_s[program]
        while program.is_running and (time.monotonic() < end if not moment.sight else not holds(seen)):
            time.sleep(POLL_S)
        if not program.is_running:
            # It was quicker than the one that was measured.
            self.run_s[program] = min(self.run_s[program], time.monotonic() - begin)
        time.sleep(moment.after_s)
        ending = program.kill()
        assert ending.code in (0, -signal.SIGKILL), str(ending)
        return ending.code < 0

    def sight(self, program: Program, what: str) -> Callable[[], bool]:
        """Whether it can be seen; of the folder, compared with how it was before the run."""
        place, folder = self.clients.place, program.folder
        before = {path: path.stat().st_mtime_ns for path in _some(folder)}
        private = folder / PRIVATE.decode()
        return {
            "": lambda: True,
            "lock": lambda: place.has("lock"),
            "data": lambda: place.has("data"),
            "update": lambda: place.has("update"),
            "quiet lock": lambda: place.has("lock") and place.has("data") is (program is self.alice),
            "staging": lambda: any(path.name.startswith("staging") for path in private.iterdir()),
            "installed": lambda: any(path.stat().st_mtime_ns != was for path, was in before.items()),
        }[what]


def _some(folder: Path) -> list[Path]:
    """Some of the files of `edit` that are there."""
    named = [folder / f"d{number % 7}/e{number % 3}/{number}" for number in range(0, FILES, 20)]
    return [path for path in named if path.exists()]


PUSH = moments(("lock", "data", "update", "quiet lock"))
PULL = moments(("lock", "staging", "installed", "quiet lock"))


@pytest.fixture
def lanes(tmp_path, server) -> Iterator[Callable[[str], list[Lane]]]:
    """Worlds on that server, each with a relay of its own, through one proxy that delays."""
    with ExitStack() as ending:

        def made(name: str) -> list[Lane]:
            running = server(name)
            proxy = ending.enter_context(Proxy(running.port, DELAY_S))
            groups = [
                Group(tmp_path / f"lane{number}", place_on(running).through(proxy), {}) for number in range(LANES)
            ]
            return [Lane(ending.enter_context(group), number) for number, group in enumerate(groups)]

        yield made


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=[pytest.mark.real(name), pytest.mark.xdist_group(name)])
        for name in ("sshd", "moto_locked")
    ],
)
def test_nothing_is_lost_or_left_when_a_client_is_killed(backend, lanes):
    def go_through(lane: Lane) -> None:
        lane.measure()
        for push, pull in list(zip(PUSH, PULL, strict=True))[lane.number :: LANES]:
            lane.kill_both(push, pull)
        lane.measure()
        assert not lane.clients.place.superseded()

    with ThreadPoolExecutor(LANES) as pool:
        for outcome in [pool.submit(go_through, lane) for lane in lanes(backend)]:
            outcome.result()
