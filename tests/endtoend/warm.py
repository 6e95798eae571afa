"""Warm: a process that has imported the program already and forks one child for every run.

To start Python and to import the program takes longer than a pass over a small folder, and a thousand histories are
twenty thousand passes.  So the imports are done once.  What is still real: every run is a process of its own, in a
session and group of its own, with its own standard streams, working directory, environment, configuration, connections
and state on disk; it enters the program where the command enters it, `escale.cli.escale.main`, ends as the interpreter
ends, and can be killed and stopped at any moment.  It shares with its brothers what an import makes, and modules hold
no state here that a run changes (`tests/test_layers.py` forbids it for `escale`); OpenSSL, `random` and `uuid` draw
anew after a fork.  Not covered is the start itself, and the order of sets, which is the same for all children of one
parent; so a share of the histories executes the program instead.

The parent has one thread, or forking would not be safe.  It learns from its first child which modules a run imports on
its way, and imports them, too.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Self

from .program import REPOSITORY, dies_with_us

PR_SET_PDEATHSIG = 1
START_S_MAX = 30.0
END_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """One run: the words of the command line, where it stands, what it sees, where OUTPUT.out and OUTPUT.err go."""

    words: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    output: Path


class Run:
    """A process of the program, whoever is its parent."""

    def __init__(self, number: int, output: Path, code: Callable[[float], int | None]) -> None:
        self.number = number
        self._output = output
        self._ask = code
        self._code: int | None = None

    def code(self, timeout_s: float = 0.0) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._ask(timeout_s)
        return self._code

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; whether it was still running."""
        if self.code() is not None:
            return False
        os.kill(self.number, number)
        return True

    def output(self) -> str:
        """What it has written."""
        paths = (Path(f"{self._output}{end}") for end in (".out", ".err"))
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())


def execute(order: Order, environment: Mapping[str, str]) -> Run:
    """The same without a warm parent: a new interpreter."""
    command = [*dies_with_us(), sys.executable, "-m", "escale.cli.escale", *order.words]
    with open(f"{order.output}.out", "wb") as out, open(f"{order.output}.err", "wb") as err:
        process = subprocess.Popen(
            command,
            cwd=order.directory,
            env={**order.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

    def code(timeout_s: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout_s) if timeout_s else process.poll()
        return None

    return Run(process.pid, order.output, code)


class Warm:
    """A warm parent; a context manager.  `environment` is added to ours, as for a clock that is wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [*dies_with_us(), sys.executable, "-m", __name__, str(other.fileno())],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        self._pending = b""
        self._started: list[int] = []
        self._codes: dict[int, int] = {}

    def start(self, *orders: Order) -> list[Run]:
        """Start these at the same instant: all are there before the first begins."""
        text = [[each.words, str(each.directory), dict(each.environment), str(each.output)] for each in orders]
        self._socket.sendall(json.dumps(text).encode() + b"\n")
        while len(self._started) < len(orders):
            self._listen(START_S_MAX)
        numbers, self._started = self._started, []
        return [
            Run(number, order.output, partial(self._code, number))
            for number, order in zip(numbers, orders, strict=True)
        ]

    def _code(self, number: int, timeout_s: float) -> int | None:
        end = time.monotonic() + timeout_s
        self._listen(0.0)
        while number not in self._codes and (left := end - time.monotonic()) > 0:
            self._listen(left)
        return self._codes.pop(number, None)

    def close(self) -> None:
        """End the parent; children that still run die with it."""
        # It ends by itself when nobody gives orders any more; a faked clock then takes its shared memory with it.
        self._socket.close()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _listen(self, timeout_s: float) -> None:
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        if not readable:
            return
        received = self._socket.recv(65536)
        if not received:
            raise RuntimeError("the warm parent has ended")
        *lines, self._pending = (self._pending + received).split(b"\n")
        for line in lines:
            word, number, *code = line.split()
            if word == b"started":
                self._started.append(int(number))
            else:
                self._codes[int(number)] = int(code[0])


class _Parent:
    """The other end: takes orders from the socket, tells who has started and who has ended."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._lessons: dict[int, Path] = {}
        self._has_learnt = False
        self._wake, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> list[str] | None:
        """Until the socket closes; returns also in each child: the words of the command that it has to run."""
        pending = b""
        while True:
            readable = select.select([self._orders.fileno(), self._wake], [], [])[0]
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._reap()
            if self._orders.fileno() not in readable:
                continue
            received = self._orders.recv(65536)
            if not received:
                return None
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                if (words := self._obey(json.loads(line))) is not None:
                    return words

    def _obey(self, orders: list[Any]) -> list[str] | None:
        gate, opener = os.pipe()
        for order in orders:
            number = os.fork()
            if number == 0:
                return self._become(gate, opener, *order)
            self._tell(f"started {number}")
            if not self._has_learnt:
                self._lessons[number] = Path(f"{order[3]}.modules")
        os.close(gate)
        os.close(opener)
        return None

    def _become(
        self, gate: int, opener: int, words: list[str], directory: str, environment: dict[str, str], output: str
    ) -> list[str]:
        """Turn the child into what a shell would have started."""
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, path in ((1, f"{output}.out"), (2, f"{output}.err")):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        if not self._has_learnt:
            _teach(Path(f"{output}.modules"))
        os.close(opener)
        os.read(gate, 1)
        os.closerange(3, 256)
        return words

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                number, status = os.waitpid(-1, os.WNOHANG)
                if number == 0:
                    return
                self._learn(self._lessons.pop(number, None))
                self._tell(f"ended {number} {os.waitstatus_to_exitcode(status)}")

    def _learn(self, lesson: Path | None) -> None:
        if lesson is None or self._has_learnt or not lesson.exists():
            return
        self._has_learnt = True
        for name in lesson.read_text().split():
            with suppress(ImportError):
                import_module(name)
        lesson.unlink()
        if "boto3" in sys.modules:
            _read_models_once()
        gc.collect()
        gc.freeze()

    def _tell(self, line: str) -> None:
        self._orders.sendall(line.encode() + b"\n")


def _teach(path: Path) -> None:
    """At the end of the first child, which has two ways to end: the modules it had to import."""
    known, end = set(sys.modules), os._exit

    def tell() -> None:
        path.write_text("\n".join(name for name in list(sys.modules) if name not in known))

    def tell_and_end(code: int) -> NoReturn:
        tell()
        end(code)

    atexit.register(tell)
    os._exit = tell_and_end  # type: ignore[assignment]


def _read_models_once() -> None:
    """A client of botocore parses two megabytes of JSON, twice as long as a pass takes; parse them before the fork."""
    import boto3
    from botocore.loaders import JSONFileLoader

    loader, load = JSONFileLoader(), JSONFileLoader.load_file
    parsed = cache(lambda path: load(loader, path))
    JSONFileLoader.load_file = lambda _, path: parsed(path)  # type: ignore[assignment,method-assign]
    boto3.Session().client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


def _main() -> Any:
    import escale.cli.escale
    import escale.cli.run

    words = _Parent(socket.socket(fileno=int(sys.argv[1]))).serve()
    if words is None:
        return 0
    sys.argv = ["escale", *words]
    return escale.cli.escale.main()


if __name__ == "__main__":
    sys.exit(_main())
