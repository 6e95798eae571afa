"""One thread per section: a pass, a wait, a pass.

The loop decides what a pass is and how long to wait; the worker decides what a failure means for the next attempt, and
it can be woken, stopped and asked how it is from other threads.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..clock import Backoff, SystemClock
from ..errors import EscaleError, SecretError
from ..events import Event, Problem, Reporter
from .logs import keep_traceback
from .status import Need, PassResult, PendingFile, SectionState, SectionStatus

SILENCE_S_MAX = 30 * 60.0
"""A pass that reports nothing for so long hangs; scanning some million files on a slow disk takes less."""

RETRY_S_LEAST = 0.01
"""Who wants to go on at once still must not keep a processor busy with a failure that lasts."""

RETRY_S_FIRST = 5.0
RETRY_S_MAX = 300.0
"""Five minutes: what people accept to wait after plugging the cable in again."""

WAYS_OUT = dict.fromkeys(("L110", "L116"), "escalectl sync {section} --adopt relay|local")
"""By code of a problem, the command that a person can end it with; for the others there is a closer look."""

REFUSALS_MAX = 3
"""Refused logins after which a section waits to be told to go on; many servers lock an account after five."""


class Loop(Protocol):
    """The engine of one section, used by one thread; `status` and `pending` also from others."""

    @property
    def name(self) -> str:
        """The section."""
        ...

    def run_once(self) -> PassResult:
        """One pass; EscaleError when it failed as a whole."""
        ...

    def status(self) -> SectionStatus:
        """How the section is."""
        ...

    def pending(self) -> list[PendingFile]:
        """Why each file is not there yet."""
        ...

    def preview(self) -> list[Event]:
        """What a pass would do; changes nothing."""
        ...

    def next_wait_s(self) -> float:
        """Seconds until the next pass is worth it."""
        ...

    def stop(self) -> None:
        """Ask the pass in progress to end after the page in hand."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What a worker is made of.

    `settings` are compared when the configuration is read again: equal ones leave the worker alone.  `open` builds the
    loop; it is called in the worker's thread, because it may ask a keyring or a relay.  `by_name`: it is woken only
    by those who name it, for its passes are long.
    """

    name: str
    settings: object
    open: Callable[[SystemClock, Reporter], Loop] = field(compare=False)
    by_name: bool = False


class Worker:
    """Runs one section until `stop`.  `restart_s`: seconds after a failure instead of growing waits."""

    def __init__(self, part: Part, reporter: Reporter, report_path: Path, restart_s: float | None = None) -> None:
        self.part = part
        self.clock = SystemClock()
        self._reporter = reporter
        self._report_path = report_path
        self._restart_s = restart_s
        self._backoff = Backoff(random.Random(), RETRY_S_FIRST, RETRY_S_MAX)
        self._refusals = 0
        self._loop: Loop | None = None
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._problem: Problem | None = None
        self._asked = self._covered = 0
        self._deadline = self.clock.monotonic() + SILENCE_S_MAX
        self._thread = threading.Thread(target=self._run, name=part.name, daemon=True)

    def start(self) -> None:
        """Begin with the first pass."""
        self._thread.start()

    def wake(self) -> None:
        """Do a pass now, or right after the present one; forgets refusals.

        Until that pass has ended, the section does not claim to be in step: whoever asks for a pass and then waits must
        not be answered with what the pass before has found.
        """
        self._asked += 1
        self._refusals = 0
        self._bell.set()

    def stop(self) -> None:
        """Ask for the end: waits are cut short, the step in hand is finished.  Returns at once."""
        self._stopping.set()
        self._bell.set()
        if self._loop is not None:
            self._loop.stop()
        self.clock.wake()

    def join(self, timeout_s: float) -> bool:
        """Whether the worker has ended within so many seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_well(self) -> bool:
        """Whether it has reported within its limit; False means that it hangs."""
        return self._thread.is_alive() and self.clock.monotonic() < self._deadline

    def status(self) -> SectionStatus:
        """How the section is; a failure of the last pass counts more than what the loop knew before."""
        loop, problem = self._loop, self._problem
        known = loop.status() if loop is not None else SectionStatus(self.part.name)
        if problem is None:
            is_outdated = known.state is SectionState.IN_STEP and self._covered < self._asked
            return replace(known, state=SectionState.STARTING) if is_outdated else known
        command = WAYS_OUT.get(problem.code, "escale check {section}").format(section=self.part.name)
        others = [need for need in known.needs if need.sentence != problem.message]
        need = Need(f"{problem.message} ({problem.code})", command)
        return replace(known, state=SectionState.ERROR, needs=(need, *others))

    def pending(self) -> list[PendingFile]:
        """Why each file is not there yet; empty while the loop could not be built."""
        return self._loop.pending() if self._loop is not None else []

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            wait_s = self._pass()
            self._deadline = math.inf if wait_s is None else self.clock.monotonic() + wait_s + SILENCE_S_MAX
            if not self._stopping.is_set():
                self._bell.wait(wait_s)
        if self._loop is not None:
            self._loop.close()

    def _pass(self) -> float | None:
        """One pass; returns the seconds to wait, None for until somebody calls."""
        asked = self._asked
        try:
            if self._loop is None:
                self._loop = self.part.open(self.clock, self._report)
            self._loop.run_once()
        except EscaleError as error:
            return self._failed(Problem(self.part.name, error.code, str(error), error.next_step), error)
        except Exception as error:
            return self._failed(keep_traceback(self._report_path, self.part.name, error, self.clock.now()), error)
        self._problem = None
        self._refusals = 0
        self._covered = asked
        self._backoff.reset()
        return self._loop.next_wait_s()

    def _failed(self, problem: Problem, error: Exception) -> float | None:
        self._refusals += isinstance(error, SecretError)
        is_parked = self._refusals >= REFUSALS_MAX
        wait_s = None if is_parked else self._retry_s()
        self._problem = replace(problem, retry_s=wait_s, exit_code=getattr(error, "exit_code", 1))
        if not self._stopping.is_set():
            self._report(self._problem)
        return wait_s

    def _retry_s(self) -> float:
        return self._backoff.next_wait() if self._restart_s is None else max(RETRY_S_LEAST, self._restart_s)

    def _report(self, event: Event) -> None:
        self._deadline = self.clock.monotonic() + SILENCE_S_MAX
        self._reporter(event)
