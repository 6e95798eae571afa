"""One pass of every section, all at the same time, and what came of each: the body of `escale --once`."""

from __future__ import annotations

import math
import queue
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import SystemClock
from ..errors import EscaleError
from ..events import Event, Item, PageEnded, Problem, Reporter, VersionSaved
from .logs import keep_traceback
from .status import PassResult, SectionStatus
from .worker import Part

SETTLING_PASSES = 2
"""Further passes for files that had just been changed: enough for an editor, not for a log that is always written."""

WAIT_S_MAX = 0.2
"""A signal that arrives in the moment before a wait does not end it, so no wait of the main thread is longer."""

SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""Signals that end a single pass before its time, with the exit code that says so."""


@dataclass(slots=True)
class Way:
    """What went one way: files with their bytes and the seconds of travelling, names without content, deletions."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    changes: int = 0
    deletions: int = 0

    @property
    def names(self) -> int:
        """Directories, links, permissions and files that only moved."""
        return self.changes - self.files - self.deletions


@dataclass(slots=True)
class Tally:
    """What one section has done so far."""

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    versions: list[VersionSaved] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count what has arrived."""
        if isinstance(event, PageEnded):
            way = self.up if event.direction == "up" else self.down
            way.files += event.files
            way.bytes += event.bytes
            way.seconds += event.seconds
        elif isinstance(event, VersionSaved):
            self.versions.append(event)
        elif isinstance(event, Item) and event.action != "asked":
            way = self.up if event.direction == "up" else self.down
            way.changes += 1
            way.deletions += event.action == "deleted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the pass of a section ended: with a result, or with a problem."""

    section: str
    tally: Tally
    result: PassResult | None = None
    status: SectionStatus | None = None
    problem: Problem | None = None

    @property
    def exit_code(self) -> int:
        """Of this section alone."""
        if self.problem is not None:
            return self.problem.exit_code
        assert self.result is not None, "an outcome has a result or a problem"
        return self.result.exit_code


@dataclass(frozen=True, slots=True)
class Ending:
    """Outcomes in the order of the sections; `cut_short` is the exit code of what ended it early, if something did."""

    outcomes: tuple[Outcome, ...]
    cut_short: int | None = None


def pass_over(parts: Sequence[Part], reporter: Reporter, report_path: Path, timeout_s: float | None) -> Ending:
    """One pass for every part, in parallel.  Ends early, with what is there, after `timeout_s` or on TERM or INT."""
    finished: queue.SimpleQueue[Outcome | int] = queue.SimpleQueue()

    def on_signal(number: int, frame: object) -> None:
        finished.put(SIGNALS[signal.Signals(number)])

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    runs = [_Run(part, reporter, report_path, finished) for part in parts]
    clock = SystemClock()
    deadline = math.inf if timeout_s is None else clock.monotonic() + timeout_s
    outcomes: dict[str, Outcome] = {}
    cut_short = None
    try:
        while len(outcomes) < len(runs):
            item = _next(finished)
            if isinstance(item, Outcome):
                outcomes[item.section] = item
            elif item is not None or clock.monotonic() >= deadline:
                cut_short = item or 1
                break
    finally:
        for run in runs:
            run.clock.wake()
        for number, handler in before.items():
            signal.signal(number, handler)
    return Ending(tuple(outcomes[part.name] for part in parts if part.name in outcomes), cut_short)


def _next(finished: queue.SimpleQueue[Outcome | int]) -> Outcome | int | None:
    try:
        return finished.get(timeout=WAIT_S_MAX)
    except queue.Empty:
        return None


class _Run:
    """One section's pass in its own thread."""

    def __init__(
        self, part: Part, reporter: Reporter, report_path: Path, finished: queue.SimpleQueue[Outcome | int]
    ) -> None:
        self.clock = SystemClock()
        self._part = part
        self._reporter = reporter
        self._report_path = report_path
        self._tally = Tally()
        self._thread = threading.Thread(target=lambda: finished.put(self._pass()), name=part.name, daemon=True)
        self._thread.start()

    def _pass(self) -> Outcome:
        name = self._part.name
        try:
            loop = self._part.open(self.clock, self._report)
            try:
                result = loop.run_once()
                for _ in range(SETTLING_PASSES):
                    if not result.settles_in_s:
                        break
                    self.clock.sleep(result.settles_in_s)
                    result = loop.run_once()
                return Outcome(name, self._tally, result, loop.status())
            finally:
                loop.close()
        except EscaleError as error:
            problem = Problem(name, error.code, str(error), error.next_step, exit_code=error.exit_code)
        except Exception as error:
            problem = keep_traceback(self._report_path, name, error, self.clock.now())
        self._reporter(problem)
        return Outcome(name, self._tally, problem=problem)

    def _report(self, event: Event) -> None:
        self._tally.add(event)
        self._reporter(event)
