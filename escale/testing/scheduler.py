"""Several clients at once, one step at a time: who moves next is drawn, so a seed names one interleaving.

Each act runs in a thread of its own that is parked ahead of every operation on its store.  Exactly one thread runs at
any moment, so nothing depends on the machine; the threads are only a way to stop blocking code in the middle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from random import Random

WAIT_S_MAX = 60.0
"""Real seconds for one step: far more than any takes; a longer one is a deadlock, which must not hang the tests."""


class Scheduler:
    """Runs acts together; give `step` to the store of each (HookedStore's `before`)."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._here = threading.local()

    def run(self, acts: Mapping[str, Callable[[], None]]) -> dict[str, BaseException | None]:
        """All acts to their ends, interleaved; what each raised, by name."""
        actors = [_Actor(name, act, self._here) for name, act in sorted(acts.items())]
        for actor in actors:
            actor.await_park()
        while running := [actor for actor in actors if not actor.is_finished]:
            self._rng.choice(running).move()
        return {actor.name: actor.failure for actor in actors}

    def step(self, verb: str, name: str) -> None:
        """Where a thread of an act waits for its turn; other threads pass."""
        actor = getattr(self._here, "actor", None)
        if actor is not None:
            actor.park()


class _Actor:
    """One act in its thread."""

    def __init__(self, name: str, act: Callable[[], None], here: threading.local) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self.is_finished = False
        self._act = act
        self._here = here
        self._turn = threading.Semaphore(0)
        self._parked = threading.Semaphore(0)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        self._here.actor = self
        self.park()
        try:
            self._act()
        except BaseException as failure:
            self.failure = failure
        self.is_finished = True
        self._parked.release()

    def park(self) -> None:
        """Called by the thread: give the turn back and wait for the next."""
        self._parked.release()
        if not self._turn.acquire(timeout=WAIT_S_MAX):
            raise TimeoutError(f"{self.name} was never given a turn")

    def await_park(self) -> None:
        """Called by the scheduler: wait until the thread has stopped again."""
        if not self._parked.acquire(timeout=WAIT_S_MAX):
            raise TimeoutError(f"{self.name} does not come to its next step")

    def move(self) -> None:
        """Let the thread go one step."""
        self._turn.release()
        self.await_park()
