"""History: three users, three clients, real processes and a real server, from a seed; and what must be true in the end.

A history begins with three equal folders.  Users do things (users.py), passes go on, one, two or three at once, and
some are killed, stopped until their locks have gone stale, cut off, or lose their server.  Then it gets quiet; passes
go on until two rounds change nothing.  Then all folders are the same, with names, contents, kinds, targets and modes;
the relay holds nothing but what may rest there; and the chronicle has no complaints (chronicle.py).

The seed decides what is done and in which order.  What two processes do at the same time is not repeatable, so a seed
that failed may pass when it is repeated.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .chronicle import Chronicle
from .program import RUN_S_MAX, Program, environment
from .station import Station, has_clocks
from .trees import Tree, difference, tree
from .users import ACTS, KEPT, User
from .warm import Order, Run

NAMES = ("ann", "ben", "cat")
ACTS_COUNT = (6, 10)
ROUNDS_MAX = 10
QUIET_ROUNDS = 2
KILL_S_MAX = 0.12
"""A pass over these folders takes 0.03 to 0.1 seconds."""
CUT_BYTES_MAX = 12_000
EXECUTED = 0.03
"""The share of runs that start an interpreter of their own."""
JUMPS_MAX = 2
DISTURBED = {0, 1, 3, 4, 11, 13}
"""Exit codes of passes in bad weather: fine, given up in time, skipped, pending, locked, unreachable."""
CALM = {0, 3, 11}
POLL_S = 0.002

FAULTS = ("kill", "stop", "cut", "restart")


class Failed(AssertionError):
    """A promise was not kept; the message says which."""


class History:
    """One seed: three users, three clients, one relay.  `story` says what happened so far."""

    def __init__(self, seed: int, station: Station, acts: tuple[str, ...] = tuple(ACTS)) -> None:
        self.rng = random.Random(seed)
        self.station = station
        self.directory = station.directory / f"history-{seed}"
        self.directory.mkdir()
        self.story: list[str] = []
        self._acts = acts
        self.left = self.rng.randint(*ACTS_COUNT)
        self.faults = self.choose_faults()
        self.jumps = 0
        self.count = 0
        has_proxy = bool({"cut", "restart"} & set(self.faults))
        self.place = station.place(has_proxy)
        keys = {"index": self.rng.choice(("yes", "topdir")), "max retries": self.rng.choice((0, 1, 1))}
        self.programs = [Program(self.directory, name, self.place, keys) for name in NAMES]
        beginning = _beginning(self.rng, self.programs)
        self.chronicle = Chronicle(beginning)
        self.users = [
            User(program.name, program.folder, self.directory / f"{program.name}-attic", self.rng, self.chronicle)
            for program in self.programs
        ]
        self.tell(f"seed {seed}: {self.left} acts, {self.faults or 'no faults'}, {keys}")

    def run(self) -> None:
        """All of it; Failed with what is wrong."""
        self.begin()
        while self.left > 0:
            for _ in range(self.rng.choice((1, 1, 2))):
                self.act(is_calm=True)
            if self.rng.random() < 0.8:
                self.sync()
        self.quiet()

    def begin(self) -> None:
        """A pass of each: all know what they have in common."""
        beginning = tree(self.programs[0].folder)
        for program in self.programs:
            self.expect(self.passes([program])[0], CALM)
        if [program for program in self.programs if tree(program.folder) != beginning]:
            raise Failed("equal folders have changed")

    # -- what happens

    def tell(self, line: str) -> None:
        """One line more of the story."""
        self.story.append(line)

    def act(self, is_calm: bool) -> None:
        """One of the users does something."""
        self.left -= 1
        self.tell(self.rng.choice(self.users).act(self._acts, is_calm))

    def sync(self) -> None:
        """Some passes at the same time, while users may go on and things may go wrong."""
        chosen = self.rng.sample(self.programs, self.rng.choice((1, 1, 1, 2, 2, 3)))
        fault = self.rng.choice(self.faults) if self.faults and self.rng.random() < 0.5 else ""
        self.tell(f"passes of {', '.join(program.name for program in chosen)} {fault}")
        with self._writing():
            codes = getattr(self, f"_{fault}" if fault else "_undisturbed")(chosen)
        self.tell(f"  ended with {codes}")

    def _undisturbed(self, chosen: list[Program]) -> list[int]:
        runs = self.passes(chosen)
        if self.rng.random() < 0.4:
            time.sleep(self.rng.random() * KILL_S_MAX / 2)
            self.act(is_calm=False)
        return [self.expect(run, DISTURBED - {1, 13}) for run in runs]

    def _kill(self, chosen: list[Program]) -> list[int]:
        runs = self.passes(chosen)
        time.sleep(self.rng.random() * KILL_S_MAX)
        runs[0].signal(signal.SIGKILL)
        if self.rng.random() < 0.3:
            self.act(is_calm=False)
        return [self.expect(run, DISTURBED - {1, 13} | {-signal.SIGKILL}) for run in runs]

    def _stop(self, chosen: list[Program]) -> list[int]:
        """One is stopped; the others see its lock, and see it again when it is stale; then it goes on."""
        victim, *others = chosen
        others = others or [program for program in self.programs if program is not victim][:1]
        stopped = self.passes([victim])[0]
        if self.rng.random() < 0.5:
            self._await(lambda: stopped.code() is not None or self.place.has("lock"))
        else:
            time.sleep(self.rng.random() * KILL_S_MAX)
        stopped.signal(signal.SIGSTOP)
        codes = [self.expect(run, DISTURBED) for run in self.passes(others, "--timeout", "1")]
        self.jumps = min(self.jumps + 1, JUMPS_MAX)
        codes += [self.expect(run, DISTURBED) for run in self.passes(others)]
        if self.rng.random() < 0.5:
            self.act(is_calm=False)
        stopped.signal(signal.SIGCONT)
        return [*codes, self.expect(stopped, DISTURBED)]

    def _cut(self, chosen: list[Program]) -> list[int]:
        self.station.cut_after(self.rng.randrange(CUT_BYTES_MAX * len(chosen)))
        codes = [self.expect(run, DISTURBED) for run in self.passes(chosen)]
        self.station.heal()
        return codes

    def _restart(self, chosen: list[Program]) -> list[int]:
        runs = self.passes(chosen)
        time.sleep(self.rng.random() * KILL_S_MAX)
        with self.station.away(self.rng):
            if self.rng.random() < 0.3:
                self.act(is_calm=False)
        return [self.expect(run, DISTURBED) for run in runs]

    # -- the end

    def quiet(self) -> None:
        """Passes until two rounds change nothing; then everything must be as it should be."""
        before, unchanged = self.everything(), 0
        for number in range(ROUNDS_MAX):
            codes = []
            for program in self.rng.sample(self.programs, len(self.programs)):
                codes.append(self.expect(self.passes([program])[0], CALM))
            now = self.everything()
            unchanged = unchanged + 1 if now == before else 0
            before = now
            self.tell(f"quiet round {number + 1}: {codes}{'' if unchanged else ', changes'}")
            if unchanged == QUIET_ROUNDS:
                break
        else:
            raise Failed(f"after {ROUNDS_MAX} rounds there is still change")
        self.compare(codes)

    def compare(self, codes: list[int]) -> None:
        """The folders with each other, the relay with what may rest there, and both with the chronicle."""
        first, *others = [tree(program.folder) for program in self.programs]
        wrong = [f"on the relay: {name}" for name in self.place.unrest()]
        wrong += [f"the last passes ended with {codes}"] if any(codes) else []
        for program, other in zip(self.programs[1:], others, strict=True):
            wrong += [f"{NAMES[0]} / {program.name}: {line}" for line in difference(first, other)]
        wrong += self.chronicle.complaints(first)
        if wrong:
            raise Failed("\n".join(wrong))

    # -- processes

    def passes(self, programs: list[Program], *words: str) -> list[Run]:
        """Start a pass of each, at once."""
        orders = []
        for program in programs:
            self.count += 1
            output = program.home / f"pass-{self.count}"
            words_all = ("-c", str(program.configuration), "--once", *words)
            orders.append(Order(words_all, program.home, environment(program.home), output))
        return self.station.run(*orders, jumps=self.jumps, is_warm=self.rng.random() >= EXECUTED)

    def expect(self, run: Run, codes: set[int]) -> int:
        """Wait for the end of a run; Failed if it hangs, ends otherwise, or says something unexpected."""
        code = run.code(RUN_S_MAX)
        said = run.output()
        if code is None:
            run.signal(signal.SIGKILL)
            raise Failed(f"a pass has not ended in {RUN_S_MAX:.0f} s\n{said}")
        if code not in codes or "Traceback" in said or "X900" in said:
            raise Failed(f"a pass ended with {code}, not one of {sorted(codes)}\n{said}")
        return code

    def close(self) -> None:
        """Nothing of it is left, neither here nor on a relay of this machine; its directory is, servers stand in it."""
        shutil.rmtree(self.directory)
        if self.place.relay.path is not None:
            for blob in self.place.relay.path.iterdir():
                blob.unlink()

    def keep(self, shelf: Path, why: str) -> Path:
        """For a failure: put everything aside for somebody to look at."""
        kept = shelf / f"{self.station.backend}-{self.directory.name}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.directory, kept, symlinks=True)
        if self.place.relay.path is not None:
            shutil.copytree(self.place.relay.path, kept / "relay")
        (kept / "story.txt").write_text("\n".join([*self.story, "", why, "", *self.place.names()]) + "\n")
        return kept

    # -- steps

    def choose_faults(self) -> tuple[str, ...]:
        possible = [fault for fault in FAULTS if self.station.has_line or fault in ("kill", "stop")]
        if not has_clocks():
            possible.remove("stop")
        return tuple(self.rng.sample(possible, self.rng.choice((0, 1, 2, 2))))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        writer = self.rng.choice(self.users) if self.rng.random() < 0.12 else None
        if writer is not None:
            self.tell(writer.begin_to_write())
        try:
            yield
        finally:
            if writer is not None:
                writer.end_to_write()

    def _await(self, condition: Callable[[], bool]) -> None:
        while not condition():
            time.sleep(POLL_S)

    def everything(self) -> tuple[list[Tree], list[str]]:
        """All folders, and the names on the relay."""
        return [tree(program.folder) for program in self.programs], self.place.names()


def _beginning(rng: random.Random, programs: list[Program]) -> Tree:
    """Equal folders with a little of everything."""
    first = programs[0].folder
    for number, path in enumerate((KEPT, "a", "b", "ü", "d/a", "d/b", "d/f/a", "e/c.txt")):
        file = first / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"beginning %08d\n" % number + b"." * rng.choice((0, 9, 5000)))
        file.chmod(rng.choice((0o644, 0o600, 0o755)))
    (first / "e/g").mkdir()
    (first / "e/link").symlink_to("c.txt")
    for program in programs[1:]:
        shutil.copytree(first, program.folder, symlinks=True, dirs_exist_ok=True)
    return tree(first)
