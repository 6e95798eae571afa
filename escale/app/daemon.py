"""The service: workers, orders, the status file and the service manager, in one loop that never blocks for long.

Whoever wants something (a signal, a request on the control socket) puts an order into one queue, and the loop of the
main thread carries them out one after the other: orders need no locks, and a signal handler does nothing but `put`.
Between orders the loop ticks: status file, status line, watchdog.
"""

from __future__ import annotations

import enum
import os
import platform
import queue
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..clock import Clock
from ..errors import EscaleError, LocalError, UserError
from ..events import Event, PageBegan, PageEnded, PassEnded, Reporter
from .instance import Instance
from .notify import Notifier
from .status import PendingFile, ServiceStatus, write_status
from .wording import Level, Line, state_line
from .worker import Part, Worker

TICK_S = 5.0
"""How old the status file of a running service may be."""

WAIT_S_MAX = 0.5
"""A signal that arrives in the moment before a wait does not end it, so no wait of the main thread is longer."""

READY_S = 20.0
"""A relay that does not answer must not hold up the boot of the machine for longer."""

STOP_S = 75.0
"""For the step in hand; below the TimeoutStopSec of our unit, so that we end before we are killed."""

SECOND_INTERRUPT_S = 5.0
"""Two Ctrl-C within this time mean: now."""

_ANSWERS = (PassEnded, PageBegan, PageEnded)


class Order(enum.Enum):
    """What the service can be told to do."""

    PASS = "sync"
    STOP = "stop"
    INTERRUPT = "interrupt"
    RELOAD = "reload"
    TELL = "tell"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Told:
    """An order with its sections (none: all), and where the outcome goes: complaints, none when all is well."""

    order: Order
    sections: tuple[str, ...] = ()
    outcome: Future[list[str]] = field(default_factory=Future)


SIGNALS = {
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.INTERRUPT,
    signal.SIGHUP: Order.RELOAD,
    signal.SIGUSR1: Order.TELL,
    signal.SIGUSR2: Order.PASS,
}


class Service:
    """Runs the parts until it is told to stop.

    `reread` returns the parts of the configuration as it is now, or raises a UserError whose text says what is wrong
    with it.  `say` takes lines that belong to no section.
    """

    def __init__(
        self,
        instance: Instance,
        parts: Sequence[Part],
        reread: Callable[[], Sequence[Part]],
        reporter: Reporter,
        say: Callable[[Line], None],
        clock: Clock,
        notifier: Notifier,
        restart_s: float | None = None,
    ) -> None:
        self._instance = instance
        self._reread = reread
        self._reporter = reporter
        self._say = say
        self._clock = clock
        self._notifier = notifier
        self._restart_s = restart_s
        self._orders: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._started = clock.now()
        self._started_monotonic = clock.monotonic()
        self._next_tick = clock.monotonic()
        self._interrupted = -SECOND_INTERRUPT_S
        self._has_answered = False
        self._complaints: tuple[str, ...] = ()
        self._workers = {part.name: self._worker(part) for part in parts}

    def tell(self, order: Order, sections: Iterable[str] = ()) -> Future[list[str]]:
        """Give an order from any thread or signal handler; the outcome comes when it has been carried out."""
        told = Told(order, tuple(sections))
        self._orders.put(told)
        return told.outcome

    def listen(self) -> Mapping[signal.Signals, Any]:
        """Take orders from signals; returns the handlers that were there before.  Main thread only."""
        return {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def run(self) -> int:
        """Work until stopped; returns the exit code: 0 after a clean end, 143 or 130 if a step had to be left."""
        for worker in self._workers.values():
            worker.start()
        while True:
            if self._clock.monotonic() >= self._next_tick:
                self._tick()
            told = self._next_order(WAIT_S_MAX)
            if told is None:
                continue
            if told.order in (Order.STOP, Order.INTERRUPT):
                told.outcome.set_result([])
                return self._stop(told.order)
            self._carry_out(told)

    def status(self) -> ServiceStatus:
        """How everything is, now."""
        return ServiceStatus(
            version=__version__,
            config=str(self._instance.config),
            host=platform.node(),
            pid=os.getpid(),
            time=self._clock.now(),
            started=self._started,
            refresh_s=TICK_S,
            sections=tuple(worker.status() for worker in list(self._workers.values())),
            problems=self._complaints,
        )

    def pending(self, sections: Iterable[str] = ()) -> dict[str, list[PendingFile]]:
        """What waits, by section."""
        return {worker.part.name: worker.pending() for worker in self._chosen(sections)}

    def names(self) -> tuple[str, ...]:
        """The sections that run."""
        return tuple(self._workers)

    def _on_signal(self, number: int, frame: object) -> None:
        self.tell(SIGNALS[signal.Signals(number)])

    def _worker(self, part: Part) -> Worker:
        return Worker(part, self._report, self._instance.report_path, self._restart_s)

    def _report(self, event: Event) -> None:
        if not self._has_answered and isinstance(event, _ANSWERS):
            self._has_answered = True
            self.tell(Order.READY)
        self._reporter(event)

    def _chosen(self, sections: Iterable[str]) -> list[Worker]:
        wanted = set(sections)
        return [worker for name, worker in list(self._workers.items()) if not wanted or name in wanted]

    def _tick_s(self) -> float:
        watchdog_s = self._notifier.watchdog_s
        return TICK_S if watchdog_s is None else min(TICK_S, watchdog_s / 3)

    def _next_order(self, timeout_s: float) -> Told | None:
        try:
            return self._orders.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _tick(self) -> None:
        self._next_tick = self._clock.monotonic() + self._tick_s()
        status = self.status()
        with suppress(LocalError):
            write_status(self._instance.status_path, status)
        self._notifier.status(state_line(status.sections))
        if self._clock.monotonic() - self._started_monotonic >= READY_S:
            self._notifier.ready()
        if all(worker.is_well() for worker in self._workers.values()):
            self._notifier.alive()

    def _carry_out(self, told: Told) -> None:
        outcome: list[str] = []
        if told.order is Order.PASS:
            for worker in self._chosen(told.sections):
                if told.sections or not worker.part.by_name:
                    worker.wake()
        elif told.order is Order.RELOAD:
            outcome = self._reload()
        elif told.order is Order.TELL:
            self._say(Line(Level.INFO, state_line(self.status().sections)))
        else:
            self._notifier.ready()
        told.outcome.set_result(outcome)
        self._tick()

    def _reload(self) -> list[str]:
        self._notifier.reloading()
        try:
            parts = {part.name: part for part in self._reread()}
        except UserError as error:
            self._complaints = ("the configuration has errors, the old one stays", *str(error).splitlines())
            for sentence in self._complaints:
                self._say(Line(Level.ERROR, sentence))
            return list(self._complaints)
        finally:
            self._notifier.reloaded()
        self._complaints = ()
        self._exchange(parts)
        return []

    def _exchange(self, parts: Mapping[str, Part]) -> None:
        """End the workers of changed and removed sections, start those of changed and new ones."""
        gone = {name: worker for name, worker in self._workers.items() if parts.get(name) != worker.part}
        _stop_all(gone.values())
        deadline = self._clock.monotonic() + STOP_S
        for worker in gone.values():
            worker.join(max(0.0, deadline - self._clock.monotonic()))
        fresh = {name: self._worker(part) for name, part in parts.items() if name not in self._workers or name in gone}
        self._workers = {name: fresh.get(name) or self._workers[name] for name in parts}
        for worker in fresh.values():
            worker.start()
        changed = ", ".join(sorted({*gone, *fresh})) or "nothing has changed"
        self._say(Line(Level.INFO, f"configuration read again: {changed}"))

    def _stop(self, order: Order) -> int:
        self._notifier.stopping(STOP_S)
        self._interrupted = self._clock.monotonic()
        workers = list(self._workers.values())
        _stop_all(workers)
        deadline = self._clock.monotonic() + STOP_S
        while not all(worker.join(0.05) for worker in workers):
            told = self._next_order(0.05)
            if told is not None and self._is_second_interrupt(told.order):
                return 130
            if self._clock.monotonic() > deadline:
                return 130 if order is Order.INTERRUPT else 143
        with suppress(EscaleError):
            write_status(self._instance.status_path, self.status())
        return 0

    def _is_second_interrupt(self, order: Order) -> bool:
        if order is not Order.INTERRUPT:
            return False
        now = self._clock.monotonic()
        if now - self._interrupted <= SECOND_INTERRUPT_S:
            return True
        self._interrupted = now
        self._say(Line(Level.WARNING, "still finishing the step in hand; Ctrl-C twice within 5 s leaves it"))
        return False


def _stop_all(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.stop()
