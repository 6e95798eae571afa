"""The same histories while three services run: started once, woken by their own clocks, ended in order."""

from __future__ import annotations

import signal
import time

from .history import CALM, Failed, History
from .program import RUN_S_MAX, Program, environment
from .trees import tree
from .warm import Order, Run

PAUSE_S_MAX = 1.2
"""Between acts: some fall into one pass, some are passes apart; `refresh` is a second."""
STOPPED_S_MAX = 1.5
QUIET_S = 2.5
"""More than two passes of each."""
QUIET_S_MAX = 90.0
LOOK_S = 0.25
FAULTS = ("kill", "stop", "cut", "restart")


class ServiceHistory(History):
    """A history whose passes nobody calls for."""

    def run(self) -> None:
        """All of it; Failed with what is wrong."""
        self.begin()
        self._services = {program.name: self._serve(program) for program in self.programs}
        try:
            while self.left > 0:
                self.act(is_calm=False)
                time.sleep(self.rng.random() * PAUSE_S_MAX)
                if self.faults and self.rng.random() < 0.3:
                    self._disturb(self.rng.choice(self.faults))
            self._wait_until_quiet()
            for program in self.programs:
                self._end(program)
        finally:
            for run in self._services.values():
                run.signal(signal.SIGKILL)
        self.quiet()

    def _serve(self, program: Program) -> Run:
        words = ("-c", str(program.configuration))
        output = program.home / f"service-{time.monotonic_ns()}"
        return self.station.run(Order(words, program.home, environment(program.home), output))[0]

    def _disturb(self, fault: str) -> None:
        program = self.rng.choice(self.programs)
        run = self._services[program.name]
        self.tell(f"{fault} {program.name if fault in ('kill', 'stop') else ''}")
        if fault == "kill":
            run.signal(signal.SIGKILL)
            self.expect(run, {-signal.SIGKILL})
            self._services[program.name] = self._serve(program)
        elif fault == "stop":
            run.signal(signal.SIGSTOP)
            time.sleep(self.rng.random() * STOPPED_S_MAX)
            run.signal(signal.SIGCONT)
        elif fault == "cut":
            self.station.cut_after(self.rng.randrange(12_000))
        else:
            with self.station.away(self.rng):
                time.sleep(self.rng.random() * STOPPED_S_MAX)

    def _wait_until_quiet(self) -> None:
        """Until nothing has changed for some passes and all is as it should be."""
        self.station.heal()
        begin = since = time.monotonic()
        before = self.everything()
        while time.monotonic() - since < QUIET_S or self._differ():
            if time.monotonic() - begin > QUIET_S_MAX:
                said = [f"--- {name}\n{run.output()[-2000:]}" for name, run in self._services.items()]
                raise Failed("\n".join([f"not quiet after {QUIET_S_MAX:.0f} s: {self._differ()}", *said]))
            time.sleep(LOOK_S)
            now = self.everything()
            if now != before:
                before, since = now, time.monotonic()
        self.tell(f"quiet after {time.monotonic() - begin:.1f} s")

    def _differ(self) -> str:
        folders = [tree(program.folder) for program in self.programs]
        return "folders" * (folders[1:] != folders[:-1]) + ", ".join(self.place.unrest())

    def _end(self, program: Program) -> None:
        run = self._services.pop(program.name)
        if not run.signal(signal.SIGTERM):
            raise Failed(f"{program.name} has ended by itself\n{run.output()}")
        code = run.code(RUN_S_MAX)
        if code not in (*CALM, 128 + signal.SIGTERM) or "X900" in run.output() or "Traceback" in run.output():
            raise Failed(f"{program.name} has ended with {code}\n{run.output()}")
