"""One process, measured: seconds, processor, memory, and what it sent and received."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Proxy

SAMPLE_S = 0.02
"""How often memory is looked at.  It is the kernel's high-water mark that is read: only its last rise can be missed."""

LOOK_S = 0.05
"""How often a program that does not end by itself is asked whether it has finished."""

DEADLINE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    `exit_codes` are the good ones.  `is_done`: for a program that goes on for ever, whether its work is done; then it
    is ended.
    """

    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    exit_codes: tuple[int, ...] = (0,)
    is_done: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a step cost.

    `cpu_s`: user and system, with all child processes.  `peak`: bytes of memory of the largest of its processes.
    `flush_s`: how long the machine then needs until all that was written lies on its disk: nearly nothing after a
    program that has seen to that itself.

    None if the step did not go through the proxy: `up`, `down`, bytes on the wire, and `turns`, how often the server
    spoke after the client, on each connection for itself: requests, where they are not pipelined.
    """

    wall_s: float
    cpu_s: float
    peak: int
    flush_s: float = 0.0
    up: int | None = None
    down: int | None = None
    turns: int | None = None


def together(all_of_them: Sequence[Figures]) -> Figures:
    """Of processes that ran one after the other."""

    def total(values: Iterable[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    return Figures(
        sum(each.wall_s for each in all_of_them),
        sum(each.cpu_s for each in all_of_them),
        max(each.peak for each in all_of_them),
        sum(each.flush_s for each in all_of_them),
        total(each.up for each in all_of_them),
        total(each.down for each in all_of_them),
        total(each.turns for each in all_of_them),
    )


class Failed(Exception):
    """A contender did not do what it should."""


def measure(command: Command, proxy: Proxy | None) -> Figures:
    """Run the command to its end; Failed if it ends with a bad exit code, or if it is not done after DEADLINE_S."""
    _flushed()  # What was prepared must not be written at its expense.
    if proxy is not None:
        proxy.traffic()
    log = command.directory / "output"
    with open(log, "wb") as output:
        begin = time.monotonic()
        process = subprocess.Popen(
            command.arguments,
            cwd=command.directory,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with _MemoryWatch(process.pid) as memory, _Deadline(process):
        done_s = _until_done(process, command.is_done, begin)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = done_s or time.monotonic() - begin
    if process.returncode not in command.exit_codes and not done_s:
        told = log.read_text(errors="replace")[-3000:]
        raise Failed(f"{' '.join(command.arguments)}\nended with {process.returncode}:\n{told}")
    cpu_s = usage.ru_utime + usage.ru_stime
    flush_s = _flushed()
    if proxy is None:
        return Figures(wall_s, cpu_s, memory.peak, flush_s)
    traffic = proxy.traffic()
    return Figures(wall_s, cpu_s, memory.peak, flush_s, traffic.up, traffic.down, traffic.turns)


def _flushed() -> float:
    begin = time.monotonic()
    os.sync()
    return time.monotonic() - begin


def _until_done(process: subprocess.Popen[bytes], is_done: Callable[[], bool] | None, begin: float) -> float | None:
    """Seconds until a program that goes on for ever had done its work; None if it ends, or ended, by itself."""
    if is_done is None:
        return None
    while not is_done():
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return None
        time.sleep(LOOK_S)
    done_s = time.monotonic() - begin
    process.send_signal(signal.SIGKILL)
    return done_s


class _Deadline:
    """Kills the process when its time is over."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._timer = threading.Timer(DEADLINE_S, os.kill, (process.pid, signal.SIGKILL))

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()


class _MemoryWatch:
    """The highest memory of a process and its children while the context lasts.

    Not the ru_maxrss of its end, which begins with what the process that forked it had.
    """

    def __init__(self, process_id: int) -> None:
        self.peak = 0
        self._process_id = process_id
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            for process_id in _family(self._process_id):
                self.peak = max(self.peak, _high_water(process_id))


def _family(process_id: int) -> Iterator[int]:
    yield process_id
    try:
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _high_water(process_id: int) -> int:
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0
