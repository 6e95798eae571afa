"""Trio: three clients of one relay, A, B and C, each pass a process of its own, forked from a warm parent."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from escale.files.tree import PRIVATE

from ..endtoend.folders import write
from ..endtoend.places import Place
from ..endtoend.program import RUN_S_MAX, Ending, Program, environment
from ..endtoend.station import JUMP_MIN, Station, clock_of
from ..endtoend.trees import Node, Tree, difference, tree
from ..endtoend.warm import Order, Run

ROUNDS_MAX = 8
"""Two rounds deliver, one removes, one is still; the others are for what has to be asked for."""

DAY_JUMPS = 24 * 60 // JUMP_MIN
"""Jumps of a station's clock in a day."""


class Member(Program):
    """One client; its passes are warm, unless it has a `wrapper`."""

    def __init__(self, station: Station, directory: Path, name: str, place: Place, keys: Mapping[str, object]) -> None:
        super().__init__(directory, name, place, keys)
        self.jumps = 0
        self._station = station
        self._count = itertools.count()

    def run(self, *words: object, timeout_s: float = RUN_S_MAX) -> Ending:
        """A command that ends by itself, to its end."""
        if self.wrapper:
            return super().run(*words, timeout_s=timeout_s)
        run, output = self._begin(words)
        return self._end(run, output, timeout_s)

    def pass_killed_when(self, condition: Any) -> bool:
        """One pass that dies as soon as the condition holds; whether it was still at work then."""
        run, output = self._begin(("-c", self.configuration, "--once"))
        while run.code() is None and not condition():
            pass
        was_running = run.signal(signal.SIGKILL)
        self._end(run, output, RUN_S_MAX)
        return was_running

    def control(self, *words: object) -> Ending:
        """`escalectl ...`; what it may ask, it may not ask us."""
        return self._command("escale.cli.escalectl", words)

    def restore(self, *words: object) -> Ending:
        """`escale-restore ...`."""
        return self._command("escale.cli.restore", words)

    def start_pass(self) -> tuple[Run, Path]:
        """One pass, under way; to be ended by `finish_pass`."""
        return self._begin(("-c", self.configuration, "--once"))

    def finish_pass(self, started: tuple[Run, Path]) -> Ending:
        """Its end."""
        return self._end(*started, RUN_S_MAX)

    # -- its folder

    def put(self, path: bytes | str, content: bytes | str, mtime_s: int | None = None) -> Path:
        """Write one file."""
        return write(self.folder, path, content, mtime_s)

    def read(self, path: str) -> bytes:
        """The content of one file."""
        return (self.folder / path).read_bytes()

    def delete(self, *paths: str) -> None:
        """Delete these files."""
        for path in paths:
            (self.folder / path).unlink()

    def move(self, source: str, target: str) -> None:
        """Rename, over what may be there, as `rename` does; the directories of the target are made."""
        (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.folder / source, self.folder / target)

    def tree(self) -> Tree:
        """Everything in the folder."""
        return tree(self.folder)

    def contents(self) -> dict[str, bytes]:
        """The files, by path."""
        return {path: node.content for path, node in self.tree().items() if node.kind == "file"}

    def trash(self) -> list[str]:
        """The paths of what lies in the trash, without their batches."""
        root = self.folder / ".escale" / "trash"
        found = (path.relative_to(root).parts for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
        return sorted("/".join(parts[1:]) for parts in found if len(parts) > 1)

    def order(self, words: Iterable[object]) -> Order:
        """A run that is still to begin."""
        output = self.home / f"run-{next(self._count)}"
        return Order(tuple(str(word) for word in words), self.home, environment(self.home), output)

    def _begin(self, words: Iterable[object]) -> tuple[Run, Path]:
        order = self.order(words)
        return self._station.run(order, jumps=self.jumps)[0], order.output

    def _end(self, run: Run, output: Path, timeout_s: float) -> Ending:
        code = run.code(timeout_s)
        if code is None:
            run.signal(signal.SIGKILL)
            raise AssertionError(f"{self.name} has not ended within {timeout_s:.0f} s\n{run.output()}")
        said = [Path(f"{output}{end}").read_text("utf-8", "surrogateescape") for end in (".out", ".err")]
        return Ending(code, *said)

    def _command(self, module: str, words: Sequence[object]) -> Ending:
        done = subprocess.run(
            [sys.executable, "-m", module, *(str(word) for word in words), "-c", str(self.configuration)],
            cwd=self.home,
            env={**environment(self.home), **clock_of(self.jumps)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=RUN_S_MAX,
        )
        return Ending(done.returncode, done.stdout, done.stderr)


class Trio:
    """A, B and C on one relay; `keys` (`max_delete="60%"`) stand in the configuration of each."""

    def __init__(self, station: Station, directory: Path, place: Place, keys: Mapping[str, object]) -> None:
        self.place = place
        self.directory = directory
        self._station = station
        self._keys = {key.replace("_", " "): value for key, value in keys.items()}
        self.members: list[Member] = []
        self.a, self.b, self.c = (self.join(name) for name in ("a", "b", "c"))

    def join(self, name: str, place: Place | None = None, /, **keys: object) -> Member:
        """One more client, with keys of its own."""
        own = {key.replace("_", " "): value for key, value in keys.items()}
        self.members.append(Member(self._station, self.directory, name, place or self.place, {**self._keys, **own}))
        return self.members[-1]

    def leave(self, member: Member) -> None:
        """It takes no part in what follows."""
        self.members.remove(member)

    def begin(self, files: Mapping[str, bytes | str]) -> Tree:
        """All have these files, and know it of each other."""
        for path, content in files.items():
            self.a.put(path, content)
        return self.begin_as_a()

    def begin_as_a(self) -> Tree:
        """All have what is in the folder of A, and know it of each other."""
        for member in self.members:
            if member is not self.a:
                # A marker says whose folder it is.
                others = shutil.ignore_patterns(PRIVATE)
                shutil.copytree(self.a.folder, member.folder, symlinks=True, ignore=others, dirs_exist_ok=True)
        for member in self.members:
            member.once()
        assert not self.place.unrest()
        return self.a.tree()

    def settle(
        self, *order: Member, without_data: bool = False, at_rest: bool = True, codes: Sequence[int] = (0,)
    ) -> Tree:
        """Passes in turn until a round changes nothing; then all folders are the same and the relay is at rest.

        Returns what all of them hold.  `without_data`: no archive may appear on the relay.  `at_rest`: False where
        somebody is away for whom updates wait.
        """
        members = order or tuple(self.members)
        before: list[object] = []
        for _ in range(ROUNDS_MAX):
            for member in members:
                member.pass_().expect(*codes)
                if without_data:
                    assert not self.place.has("data"), "contents were sent that all have"
            now: list[object] = [[member.tree() for member in members], self.place.names()]
            if now == before:
                break
            before = now
        else:
            raise AssertionError(f"after {ROUNDS_MAX} rounds there is still change: {self.place.names()}")
        assert not at_rest or not self.place.unrest()
        common = members[0].tree()
        for member in members[1:]:
            assert difference(common, member.tree()) == [], f"{members[0].name} / {member.name}"
        return common

    def at_once(self, *members: Member) -> list[Ending]:
        """A pass of each, or of all, begun at the same instant; how they ended."""
        chosen = members or tuple(self.members)
        orders = [member.order(("-c", member.configuration, "--once")) for member in chosen]
        runs = self._station.run(*orders, jumps=chosen[0].jumps)
        started = zip(chosen, runs, orders, strict=True)
        return [member.finish_pass((run, order.output)) for member, run, order in started]

    def jump(self, jumps: int) -> None:
        """Put the clocks of all forward."""
        for member in self.members:
            member.jumps += jumps

    def contents(self, *order: Member, **how: Any) -> dict[str, bytes]:
        """Settle; the files that all have then."""
        return {path: node.content for path, node in self.settle(*order, **how).items() if node.kind == "file"}


def conflict_copies(found: Mapping[str, object]) -> list[str]:
    """Those of the paths that are conflict copies."""
    return sorted(path for path in found if ".conflict-" in path)


def both_kept(found: Mapping[str, bytes], path: str, *versions: bytes) -> None:
    """The path and its one conflict copy have the two contents, and nothing else bears its name."""
    stem = path.rpartition(".")[0] or path
    named = {name: content for name, content in found.items() if name.startswith(stem)}
    assert len(named) == 2, sorted(named)
    assert path in named
    assert sorted(named.values()) == sorted(versions)


def noise(seed: str, size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def same(node: Node | None, kind: str, content: bytes | str) -> bool:
    """Whether a path is of that kind with that content or target."""
    data = content.encode() if isinstance(content, str) else content
    return node is not None and (node.kind, node.content) == (kind, data)
