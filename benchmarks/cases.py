"""The cases.  Each yields what one contender needed for its steps, as soon as it is known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.servers import Proxy

from . import data
from .contenders import REPOSITORY, Contender, Escale, Original, escale
from .meter import Command, Failed, Figures, measure
from .stage import RELAYS, Stage

SLOW_S = 20.0
"""Who needs longer runs once: the figure is large enough to be trusted."""

IDLE_PASSES = 5


@dataclass(slots=True)
class Result:
    """All runs of one contender: by step, the figures of each run."""

    case: str
    relay: str
    round_trip_ms: int
    contender: str
    steps: dict[str, list[Figures]] = field(default_factory=dict)

    def add(self, step: str, figures: Figures) -> None:
        self.steps.setdefault(step, []).append(figures)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much data."""

    files: int = 10_000
    folders: int = 200
    big: int = 512 * data.MEBIBYTE
    pages: int = 50


QUICK = Scale(files=60, folders=6, big=2 * data.MEBIBYTE, pages=5)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the command line says: `relay` is a key of RELAYS or the name of a test server."""

    relay: str
    round_trip_ms: int
    runs: int
    scale: Scale
    contenders: Sequence[type[Contender]]

    def stage(self, is_counted: bool = False) -> Stage:
        return Stage(RELAYS.get(self.relay, self.relay), self.round_trip_ms / 1000, is_counted)

    def result(self, case: str, contender: str) -> Result:
        return Result(case, self.relay, self.round_trip_ms, contender)


def small(here: Circumstances) -> Iterator[Result]:
    """Ten thousand files of 1 to 8 KiB in 200 directories."""
    make = partial(data.make_small, files=here.scale.files, folders=here.scale.folders)
    yield from _side_by_side("small", here, make, _two_hops)


def big(here: Circumstances) -> Iterator[Result]:
    """One file of 512 MiB that does not compress."""
    yield from _side_by_side("big", here, partial(data.make_big, size=here.scale.big), _two_hops)


def tree(here: Circumstances) -> Iterator[Result]:
    """A real source tree."""
    yield from _side_by_side("tree", here, data.make_tree, _two_hops)


def edit(here: Circumstances) -> Iterator[Result]:
    """One file in a hundred of `small` has changed since both ends were equal."""
    make = partial(data.make_small, files=here.scale.files, folders=here.scale.folders)
    yield from _side_by_side("edit", here, make, _two_hops_after_an_edit)


def idle(here: Circumstances) -> Iterator[Result]:
    """Nothing to do in 50 pages: a pass of its own process, and each pass of one that goes on."""
    ours = here.result("idle", Escale.name)
    with here.stage(is_counted=True) as stage, _place() as place:
        contender = _new(Escale, stage, place)
        assert isinstance(contender, Escale)
        contender.index = "topdir"
        ours.add("first meeting", measure(contender.once("alice", contender.source), stage.proxy))
        measure(contender.once("bob", contender.target), None)
        data.make_pages(contender.source, here.scale.pages)
        for command in (contender.push(), contender.pull(), contender.push()):
            measure(command, None)
        _must_be_equal(contender)
        for _ in range(here.runs):
            ours.add("--once", measure(contender.once("alice", contender.source), stage.proxy))
        assert stage.proxy is not None
        ours.add("each pass", _each_pass(contender.run("alice", contender.source, "--json"), stage.proxy))
    yield ours


def help_(here: Circumstances) -> Iterator[Result]:
    """What every command waits for: the interpreter and our imports."""
    ours = here.result("help", Escale.name)
    with _place() as place:
        for _ in range(2 * here.runs + 1):
            command = Command(escale("--help"), place, {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)})
            ours.add("--help", measure(command, None))
    yield ours


CASES: dict[str, Callable[[Circumstances], Iterator[Result]]] = {
    "small": small,
    "big": big,
    "tree": tree,
    "edit": edit,
    "idle": idle,
    "help": help_,
}
WITHOUT_RELAY = ("help",)

_Steps = Iterator[tuple[str, Figures]]


def _side_by_side(
    case: str, here: Circumstances, make: Callable[[Path], None], run: Callable[[Contender, Path, Proxy | None], _Steps]
) -> Iterator[Result]:
    """All contenders in turn, and again, so that a busy minute of the machine meets all of them."""
    with _place() as origin, here.stage() as stage:
        make(origin)
        taking_part = [one for one in here.contenders if stage.scheme in one.schemes and _has_patience(one, case, here)]
        results = {one.name: here.result(case, one.name) for one in taking_part}
        slow: set[str] = set()
        for number in range(here.runs):
            for one in taking_part:
                if one.name in slow:
                    continue
                with _place() as place:
                    steps = dict(run(_new(one, stage, place), origin, stage.proxy))
                for step, figures in steps.items():
                    results[one.name].add(step, figures)
                total_s = sum(figures.wall_s for figures in steps.values())
                if total_s > SLOW_S:
                    slow.add(one.name)
                told = f"{case} {here.relay} {here.round_trip_ms} ms, run {number + 1}: {one.name} {total_s:.1f} s"
                print(f"  {told}", file=sys.stderr, flush=True)
    yield from results.values()


def _has_patience(contender: type[Contender], case: str, here: Circumstances) -> bool:
    """The original takes minutes for the small files, and looks at a taken lock once a minute."""
    return contender is not Original or (case == "small" and here.round_trip_ms == 0)


def _two_hops(contender: Contender, origin: Path, proxy: Proxy | None) -> _Steps:
    for command in contender.arrange():
        measure(command, None)
    shutil.copytree(origin, contender.source, dirs_exist_ok=True)
    yield from _push_and_pull(contender, proxy)


def _two_hops_after_an_edit(contender: Contender, origin: Path, proxy: Proxy | None) -> _Steps:
    for _ in _two_hops(contender, origin, None):
        pass
    data.edit(contender.source)
    yield from _push_and_pull(contender, proxy)


def _push_and_pull(contender: Contender, proxy: Proxy | None) -> _Steps:
    yield "push", measure(contender.push(), proxy)
    yield "pull", measure(contender.pull(), proxy)
    _must_be_equal(contender)


def _must_be_equal(contender: Contender) -> None:
    sent, arrived = data.digests(contender.source), data.digests(contender.target)
    if sent != arrived:
        different = sorted(path for path in sent.keys() | arrived.keys() if sent.get(path) != arrived.get(path))
        raise Failed(f"{contender.name}: {len(different)} files differ, {different[0]} first")


def _each_pass(command: Command, proxy: Proxy) -> Figures:
    """The average of some passes of a process that goes on, when it has come to rest."""
    process = subprocess.Popen(
        command.arguments, cwd=command.directory, env=command.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        _await_passes(process, 2)
        proxy.traffic()
        seconds = _await_passes(process, IDLE_PASSES)
        traffic = proxy.traffic()
    finally:
        process.terminate()
        process.communicate()
    up, down, turns = (round(count / IDLE_PASSES) for count in (traffic.up, traffic.down, traffic.turns))
    return Figures(seconds / IDLE_PASSES, 0.0, 0, up=up, down=down, turns=turns)


def _await_passes(process: subprocess.Popen[str], count: int) -> float:
    """Read events until so many passes have ended; the seconds they took, without the time between them."""
    seconds = 0.0
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "pass" and event["state"] == "end":
            seconds += float(event["seconds"])
            count -= 1
            if not count:
                return seconds
    raise Failed(f"{process.args!r} ended")


def _new(contender: type[Contender], stage: Stage, place: Path) -> Contender:
    source, target = place / "source", place / "target"
    source.mkdir()
    target.mkdir()
    return contender(place, source, target, stage.relay())


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="escale-benchmark-") as directory:
        yield Path(directory)
