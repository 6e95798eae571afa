"""`escale demo`: two clients and a relay in a temporary folder, and somebody who works with them.

The engine is the real one and so is the configuration file; only the user is played.  Each scene does something, waits
for passes to carry it through, and compares what it finds with what it expected.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..app.wording import duration_text, size_text
from ..app.worker import Loop
from ..clock import Clock, SystemClock
from ..errors import EscaleError
from ..events import Event, PageEnded
from ..seal import Key
from .arguments import Parser, add_common
from .exit_codes import DONE, FAILED, USAGE
from .options import run_parser
from .setup import load_setup

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")
ROUNDS_MAX = 10
"""Passes of every client until a scene must have come to its end; three are enough."""

SEED = 2207
BIG_BYTES = 48 * 1024 * 1024
"""Enough to be met in the middle of unpacking."""

_HEAD = """# Written by `escale demo`.
log file    = none
refresh     = 2 s
settle      = 0 s
compression = zstd
state dir   = state
"""

_SECTION = """
[{name}]
local path  = {name}
protocol    = file
directory   = {relay}
client name = {name}
index       = yes
"""

_SEALED = """encryption  = on
passphrase  = file: {key}
"""


class SceneFailed(Exception):
    """What was expected, and what was found instead."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


def parser() -> Parser:
    """The options of `escale demo`."""
    made = Parser(prog="escale demo", description="Two clients and a relay in a temporary folder, to see it work.")
    made.add_argument("--dir", metavar="DIR", help="where to put the folder (default: the place for temporary files)")
    made.add_argument("--keep", action="store_true", help="do not remove it at the end")
    made.add_argument("--clients", metavar="N", type=int, default=2, help=f"2 to {len(NAMES)} clients (2)")
    made.add_argument("--files", metavar="N", type=int, default=200, help="files that alice writes (200)")
    made.add_argument("--encrypt", action="store_true", help="seal everything, and look at the relay without the key")
    made.add_argument("--stay", action="store_true", help="leave it running and play: folders to drop files into")
    add_common(made)
    return made


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The command: 0 if all scenes went as expected, 1 if one did not."""
    if not 2 <= options.clients <= len(NAMES) or not 1 <= options.files <= 100_000:
        print(f"escale demo: --clients takes 2 to {len(NAMES)}, --files 1 to 100000", file=sys.stderr)
        return USAGE
    if options.dir:
        Path(options.dir).mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="escale-demo-", dir=options.dir))
    is_kept = options.keep or options.stay
    try:
        code = _play(place, options, environ)
        return _stay(place, environ) if options.stay and code == DONE else code
    finally:
        if not is_kept:
            shutil.rmtree(place, ignore_errors=True)


@dataclass
class Theatre:
    """The folders, the clients, and the time on the wall."""

    place: Path
    options: argparse.Namespace
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)
    random: random.Random = field(default_factory=lambda: random.Random(SEED))
    loops: dict[str, Loop] = field(default_factory=dict)
    wire: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """The clients."""
        return NAMES[: self.options.clients]

    @property
    def conf(self) -> Path:
        """The configuration file."""
        return self.place / "demo.conf"

    @property
    def relay(self) -> Path:
        """The directory that plays the storage."""
        return self.place / "relay"

    @contextmanager
    def clients(self) -> Iterator[None]:
        """All clients in this process."""
        setup = load_setup(str(self.conf), self.environ, None)
        try:
            for part in setup.parts([]):
                self.loops[part.name] = part.open(SystemClock(), self._hear)
            yield
        finally:
            for loop in self.loops.values():
                loop.close()
            self.loops.clear()

    def _hear(self, event: Event) -> None:
        if isinstance(event, PageEnded) and event.direction == "up":
            self.wire[event.section] = self.wire.get(event.section, 0) + event.wire_bytes

    def passes(self, is_done: Callable[[], bool]) -> None:
        """Let the clients work in turn until it is done; SceneFailed if it never is."""
        for _ in range(ROUNDS_MAX):
            for name in self.names:
                self.loops[name].run_once()
            if is_done():
                return
        raise SceneFailed("all folders equal, the relay empty but for its indices", self.found())

    def found(self) -> str:
        """What lies where, in words."""
        counts = ", ".join(f"{name} has {len(self.files(name))} files" for name in self.names)
        return f"{counts}, the relay {size_text(self.relay_bytes())}"

    def files(self, name: str) -> dict[str, bytes]:
        """The content of a client's folder by path."""
        root = self.place / name
        paths = (path for path in root.rglob("*") if path.is_file() and ".escale" not in path.relative_to(root).parts)
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}

    def are_equal(self) -> bool:
        """Whether all folders hold the same files with the same content."""
        first, *others = (self.files(name) for name in self.names)
        return all(other == first for other in others)

    def relay_bytes(self) -> int:
        """What the relay holds at the moment."""
        return sum(path.stat().st_size for path in self.relay.iterdir())

    def title(self, number: int, text: str) -> None:
        """What a scene is about."""
        print(f"{number}  {text}", flush=True)

    def say(self, text: str, *facts: str) -> None:
        """One line of the play."""
        print(f"   {text:52}{'  '.join(fact.ljust(6) for fact in facts)}".rstrip(), flush=True)


def _play(place: Path, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    theatre = Theatre(place, options, _own_environment(environ))
    _set_up(theatre)
    kept = "--stay" if options.stay else "kept" if options.keep else "removed at the end; --keep to keep it"
    print(f"escale demo: {options.clients} clients and a relay in {place} ({kept})\n")
    print("  alice/ --> relay/ <-- bob/      the two never talk to each other\n")
    began = theatre.clock.monotonic()
    scenes = [_many_files, _both_edit, _interrupted, *([_without_the_key] if options.encrypt else [])]
    for number, scene in enumerate(scenes, 1):
        theatre.title(number, str(scene.__doc__).partition("\n")[0])
        try:
            scene(theatre)
        except (SceneFailed, EscaleError) as failure:
            _report_failure(number, failure)
            return FAILED
    seconds = duration_text(theatre.clock.monotonic() - began)
    print(f"\nAll {len(scenes)} scenes as expected, {seconds}.")
    if options.keep or options.stay:
        print(f"The configuration it used:  escale config show -c {theatre.conf}")
    print("\nNext:  escale demo --stay     leave it running and play: two folders to drop files into")
    return DONE


def _own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the user's settings: what the demo needs stands in its own file."""
    return {name: value for name, value in environ.items() if not name.startswith("ESCALE_")}


def _report_failure(number: int, failure: Exception) -> None:
    if isinstance(failure, SceneFailed):
        print(
            f"\nscene {number} failed\n   expected: {failure.expected}\n   found:    {failure.found}", file=sys.stderr
        )
    else:
        print(f"\nscene {number} failed: {failure}", file=sys.stderr)


def _set_up(theatre: Theatre) -> None:
    """The folders and the configuration file."""
    text = _HEAD
    key = theatre.place / "demo.key"
    if theatre.options.encrypt:
        Key.generate().write(key)
    for name in theatre.names:
        (theatre.place / name).mkdir()
        text += _SECTION.format(name=name, relay=theatre.relay)
        text += _SEALED.format(key=key) if theatre.options.encrypt else ""
    theatre.relay.mkdir()
    theatre.conf.write_text(text, encoding="utf-8")


def _many_files(theatre: Theatre) -> None:
    """alice writes many small files"""
    clock, began, count = theatre.clock, theatre.clock.monotonic(), theatre.options.files
    total = _write_files(theatre, count)
    theatre.say(f"{count} files written", duration_text(clock.monotonic() - began), size_text(total))
    with theatre.clients():
        theatre.loops["alice"].run_once()
        blobs = len(list(theatre.relay.iterdir()))
        sent = size_text(theatre.wire.get("alice", 0))
        theatre.say(f"packed on the relay, {blobs} objects in all", duration_text(clock.monotonic() - began), sent)
        theatre.passes(lambda: theatre.are_equal() and len(theatre.files("bob")) == count and _is_empty(theatre))
        others = " and ".join(theatre.names[1:])
        have = "has" if len(theatre.names) == 2 else "have"
        theatre.say(f"{others} {have} all {count}, contents equal", duration_text(clock.monotonic() - began))
        theatre.say("the relay is empty again, but for its indices", "", size_text(theatre.relay_bytes()))


def _write_files(theatre: Theatre, count: int) -> int:
    total = 0
    for number in range(count):
        path = theatre.place / "alice" / f"folder-{number % 7}" / f"file-{number:05}.txt"
        path.parent.mkdir(exist_ok=True)
        content = theatre.random.randbytes(theatre.random.randrange(500, 6000)).hex().encode()
        path.write_bytes(content)
        total += len(content)
    return total


def _is_empty(theatre: Theatre) -> bool:
    """Nothing waits on the relay: no client has anything pending."""
    return not any(loop.pending() for loop in theatre.loops.values())


def _both_edit(theatre: Theatre) -> None:
    """alice and bob edit notes.txt before the next pass"""
    with theatre.clients():
        (theatre.place / "alice" / "notes.txt").write_text("the first text\n")
        theatre.passes(theatre.are_equal)
        (theatre.place / "alice" / "notes.txt").write_text("what alice makes of it\n")
        (theatre.place / "bob" / "notes.txt").write_text("what bob makes of it, which is longer\n")
        theatre.passes(theatre.are_equal)
    kept = {path: text for path, text in theatre.files("bob").items() if "notes" in path}
    texts = sorted(kept.values())
    if texts != [b"what alice makes of it\n", b"what bob makes of it, which is longer\n"]:
        raise SceneFailed("both texts, one as notes.txt", f"{', '.join(kept)}: {texts}")
    beside = next(path for path in kept if path != "notes.txt")
    owner = "alice" if kept["notes.txt"].startswith(b"what alice") else "bob"
    theatre.say(f"{owner}'s text kept as notes.txt, the other beside it:", f"  {beside}")


def _interrupted(theatre: Theatre) -> None:
    """bob is killed while he receives a big file"""
    with theatre.clients():
        (theatre.place / "alice" / "big.bin").write_bytes(theatre.random.randbytes(BIG_BYTES))
        theatre.loops["alice"].run_once()
    staged = _kill_while_receiving(theatre)
    if "big.bin" in theatre.files("bob"):
        raise SceneFailed("no big.bin at bob's yet", "it had arrived before the kill")
    theatre.say(f"killed after {size_text(staged)} of {size_text(BIG_BYTES)}; no half file in his folder")
    began = theatre.clock.monotonic()
    with theatre.clients():
        theatre.passes(lambda: theatre.are_equal() and _is_empty(theatre))
    theatre.say("started again: he has it, contents equal", duration_text(theatre.clock.monotonic() - began))


def _kill_while_receiving(theatre: Theatre) -> int:
    """Run bob's pass in a process of its own and kill it in the middle; returns the bytes he had by then."""
    words = [sys.executable, "-m", "escale.cli.escale", "-c", str(theatre.conf), "--once", "--json", "bob"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=dict(theatre.environ)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "page" and event["direction"] == "down":
                break
        staging = theatre.place / "bob" / ".escale"
        while process.poll() is None:
            staged = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
            if staged >= BIG_BYTES // 4:
                process.kill()
                return staged
            theatre.clock.sleep(0.002)
    raise SceneFailed("bob receives long enough to be killed meanwhile", f"his process ended with {process.returncode}")


def _without_the_key(theatre: Theatre) -> None:
    """the relay is looked at without the key"""
    secret = b"a word that must not be seen"
    with theatre.clients():
        (theatre.place / "alice" / "confidential-plan.txt").write_bytes(secret)
        theatre.loops["alice"].run_once()
        blobs = {path.name: path.read_bytes() for path in theatre.relay.iterdir()}
        theatre.passes(theatre.are_equal)
    for word in (secret, b"confidential", b"alice", b"folder-1", b"notes.txt"):
        seen = [name for name, data in blobs.items() if word in data or word in name.encode()]
        if seen:
            raise SceneFailed("no name and no content of a user's file", f"{word!r} in {seen[0]}")
    theatre.say(f"{len(blobs)} objects: no name and no content is visible")


def _stay(place: Path, environ: Mapping[str, str]) -> int:
    from .run import run as run_for_ever

    print(f"\nPut a file into {place}/alice and see it arrive in {place}/bob.  Ctrl-C ends it.\n", flush=True)
    return run_for_ever(run_parser().parse_args(["-c", str(place / "demo.conf")]), _own_environment(environ))
