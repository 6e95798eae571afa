"""An engine that does what a script says: the service and the commands are tested with it, not the synchronisation."""

from __future__ import annotations

import threading
from collections.abc import Callable

from escale.app.status import PassResult, PendingFile, SectionState, SectionStatus
from escale.app.worker import Part
from escale.clock import SystemClock
from escale.events import Event, PassEnded, Reporter

Step = Callable[["ScriptedLoop"], PassResult]


class ScriptedLoop:
    """Plays one step per pass, the last one for ever."""

    def __init__(
        self, name: str, steps: list[Step], clock: SystemClock, report: Reporter, wait_s: float = 3600.0
    ) -> None:
        self.name = name
        self.clock = clock
        self.report = report
        self.passes = 0
        self.is_closed = threading.Event()
        self.is_stopping = threading.Event()
        self.files: list[PendingFile] = []
        self.plan: list[Event] = []
        self.known = SectionStatus(name)
        self._steps = steps
        self._wait_s = wait_s

    def run_once(self) -> PassResult:
        step = self._steps[min(self.passes, len(self._steps) - 1)]
        self.passes += 1
        result = step(self)
        self.known = SectionStatus(self.name, SectionState.IN_STEP, last_pass=self.clock.now())
        self.report(PassEnded(self.name, result.up_files, 0, result.down_files, 0, result.skipped, 0, 0, 0.1))
        return result

    def status(self) -> SectionStatus:
        return self.known

    def pending(self) -> list[PendingFile]:
        return self.files

    def preview(self) -> list[Event]:
        return self.plan

    def next_wait_s(self) -> float:
        return self._wait_s

    def stop(self) -> None:
        self.is_stopping.set()

    def close(self) -> None:
        self.is_closed.set()


class Stage:
    """Builds parts and remembers the loops they opened and the events they reported."""

    def __init__(self) -> None:
        self.loops: dict[str, ScriptedLoop] = {}
        self.opened: list[str] = []
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def part(self, name: str, *steps: Step, settings: object = None, wait_s: float = 3600.0) -> Part:
        def build(clock: SystemClock, reporter: Reporter) -> ScriptedLoop:
            loop = ScriptedLoop(name, list(steps) or [nothing], clock, reporter, wait_s)
            self.loops[name] = loop
            self.opened.append(name)
            return loop

        return Part(name, settings, build)

    def report(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Event]], bool], timeout_s: float = 20.0) -> None:
        """Until the events satisfy the condition; AssertionError otherwise."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.events), timeout_s), self.events


def nothing(loop: ScriptedLoop) -> PassResult:
    return PassResult()


def ends(events: list[Event]) -> int:
    """How many passes have ended."""
    return sum(isinstance(event, PassEnded) for event in events)
