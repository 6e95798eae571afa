"""python -m benchmarks.backup [--relay directory|sftp|s3] [--round-trip MS] ...: versions, beside restic's and borg's.

Two sets of data: what a machine holds, and many small files.  Each step by every contender in turn on the same data, so
that a busy machine is busy for all of them.  What is measured is the command as a user gives it, from the start of its
process; a step that restores counts only if what came back is what was saved.

With a round trip the line counts: bytes up and down, and turns, which are requests where they are HTTP.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .backup_contenders import Contender, contenders
from .backup_data import edit, make_mixed
from .data import MEBIBYTE, digests, make_small
from .meter import Failed, Figures, measure, together
from .stage import DIRECTORY, RELAYS, Stage

SOURCES = ("/usr/include", "/usr/share/doc", "/usr/bin", os.path.dirname(os.__file__))
DATABASE_MIB = 256


@dataclass(frozen=True, slots=True)
class Course:
    """Those who take part, and what they save."""

    stage: Stage
    source: Path
    those: Sequence[Contender]

    def save(self, each: Contender) -> Figures:
        """One more version."""
        return measure(each.save(), self.stage.proxy)

    def restore(self, each: Contender) -> Figures:
        """All of the newest version."""
        return self._back(each, self.source)

    def restore_one(self, each: Contender) -> Figures:
        """One file of it."""
        return self._back(
            each, min(path for path in self.source.rglob("*") if path.is_file() and not path.is_symlink())
        )

    def restore_afresh(self, each: Contender) -> Figures:
        """One file, by a machine that knows nothing yet."""
        each.forget_cache()
        return self.restore_one(each)

    def check(self, each: Contender) -> Figures:
        """Without reading contents."""
        return measure(each.check(), self.stage.proxy)

    def prune(self, each: Contender) -> Figures:
        """All but the newest version."""
        return together([measure(command, self.stage.proxy) for command in each.prune()])

    def _back(self, each: Contender, path: Path) -> Figures:
        # It stays until the end of the case: where many files were deleted lately ext4 needs several times as long to
        # make new ones, for it does not use their inodes again so soon.
        target = Path(tempfile.mkdtemp(prefix="restored-", dir=each.place))
        figures = measure(each.restore(target, path), self.stage.proxy)
        if _contents(target / path.relative_to("/")) != _contents(path):
            raise Failed(f"{each.name} brought back something else than was in {path}")
        return figures


Step = Callable[[Course, Contender], Figures]

STEPS: dict[str, Step] = {
    "first": Course.save,
    "unchanged": Course.save,
    "edited": Course.save,
    "restore": Course.restore,
    "one": Course.restore_one,
    "afresh": Course.restore_afresh,
    "check": Course.check,
    "prune": Course.prune,
}
"""In their order; what the first three do is needed by the others, and done unmeasured if they are left out."""


def run(course: Course, steps: Sequence[str], title: str) -> Iterator[str]:
    """A line for each step of each contender."""
    for step, act in STEPS.items():
        if step == "edited":
            edit(course.source)
        if step not in steps and act is not Course.save:
            continue
        for each in course.those:
            before = each.stored()
            try:
                figures = act(course, each)
            except Failed as failure:
                yield f"{title} {step:<9} {each.name:<14} FAILED: {failure}"
                continue
            if step in steps:
                added = (each.stored() - before) / MEBIBYTE
                yield f"{title} {step:<9} {each.name:<14} {_cells(figures)} {added:+8.1f} MiB stored"


def _cells(figures: Figures) -> str:
    """Seconds until all is on the disk of this machine, too."""
    local = f"{figures.wall_s + figures.flush_s:7.2f} s {figures.cpu_s:7.2f} cpu s {figures.peak / MEBIBYTE:5.0f} MiB"
    if figures.up is None or figures.down is None:
        return local
    return f"{local} {figures.up / 1e6:7.2f} up {figures.down / 1e6:7.2f} down MB {figures.turns:6} turns"


def _contents(path: Path) -> dict[str, str]:
    """Of all files in a folder, or of one file."""
    return digests(path) if path.is_dir() else {"": hashlib.sha256(path.read_bytes()).hexdigest()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each run."""
    options = _parser().parse_args(arguments)
    for name in options.data:
        with (
            tempfile.TemporaryDirectory(prefix="escale-") as directory,
            Stage(RELAYS.get(options.relay, options.relay), options.round_trip / 1000) as stage,
        ):
            source = Path(directory, "source")
            source.mkdir()
            if name == "mixed":
                make_mixed(source, options.source, options.database)
            else:
                make_small(source, options.files, max(1, options.files // 100))
            those = list(_taking_part(Path(directory), source, stage, options.contender))
            title = f"{name:<5} {options.relay:<9} {options.round_trip:2} ms"
            for line in run(Course(stage, source, those), options.steps, title):
                print(line, flush=True)


def _taking_part(place: Path, source: Path, stage: Stage, wanted: Sequence[str]) -> Iterator[Contender]:
    for name, kind, make in contenders():
        if stage.scheme not in kind.schemes or not any(name.startswith(word) for word in wanted):
            continue
        (place / name).mkdir()
        each = make(place / name, source, stage.relay())
        measure(each.prepare(), None)
        yield each


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup", description=__doc__)
    add = parser.add_argument
    add("--relay", choices=[DIRECTORY, *RELAYS], default=DIRECTORY)
    add("--round-trip", type=int, default=0, metavar="MS", help="to the relay, which is not a directory then")
    add("--data", nargs="+", choices=("mixed", "small"), default=["mixed", "small"])
    add("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    add("--contender", nargs="+", default=["escale", "restic", "borg"], help="how their names begin")
    add("--source", nargs="*", default=SOURCES, help="directories that are copied together")
    add("--files", type=int, default=100_000, help="small files of the second set")
    add("--database", type=int, default=DATABASE_MIB, help="MiB of the large file in the first set")
    return parser


if __name__ == "__main__":
    main()
