"""python -m benchmarks.backup [--files N] [--source DIR ...]: versions, ours beside restic's and borg's, on a local
directory.

Steps: a first backup of mixed data, one of nothing new, a second version (one file of a hundred edited, scattered pages
of a large one), all of it restored, one file restored; and the same for many small files.  Each step
by every contender in turn on the same data, so that a busy machine is busy for all of them.  What is measured includes
the start of the process and the opening of the key.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .backup_save import PASSWORD
from .data import MEBIBYTE, make_small
from .meter import Command, Figures, measure

SOURCES = ("/usr/include", "/usr/share/doc", "/usr/bin", os.path.dirname(os.__file__))
DATABASE_MIB = 256
PAGES_PER_MIB = 1.5
"""Pages of the database that are written to: in a mebibyte.  With many times as many every chunk is a new one."""

PAGE = 4096


class Contender:
    """One program with a repository of its own."""

    def __init__(self, name: str, place: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.repository = place / f"{name}-repository"
        self.cache = place / f"{name}-cache"
        self.place = place / f"{name}-run"
        self.place.mkdir()
        self.environment = {**os.environ, **environment}

    def save(self, source: Path) -> Command:
        """One run."""
        has_cache = not self.name.endswith("-")
        arguments = [sys.executable, "-m", "benchmarks.backup_save", str(self.repository)]
        return self.command(*arguments, str(self.cache) if has_cache else "-", str(source))

    def restore(self, target: Path, path: Path | None = None) -> Command:
        """The newest version, or one file of it, into an empty directory."""
        key = self.place / "key"
        key.touch(mode=0o600)
        key.write_text(PASSWORD)
        start = [sys.executable, "-c", "from escale.cli.restore import main; raise SystemExit(main())"]
        source = ["--from", str(self.repository), "--key", str(key)]
        return self.command(*start, *source, "get", str(path or "."), "--to", str(target))

    def prepare(self) -> None:
        """Once, not measured."""

    def command(self, *arguments: str) -> Command:
        return Command(arguments, self.place, self.environment)

    def stored(self) -> int:
        """Bytes in the repository."""
        return sum(file.stat().st_size for file in self.repository.rglob("*") if file.is_file())


class Restic(Contender):
    """As it comes."""

    def __init__(self, name: str, place: Path, program: str) -> None:
        super().__init__(name, place, {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(place / f"{name}-cache")})
        self.program = program

    def save(self, source: Path) -> Command:
        return self.command(*self._start(), "backup", "--quiet", str(source))

    def restore(self, target: Path, path: Path | None = None) -> Command:
        chosen = ["--include", str(path)] if path else []
        return self.command(*self._start(), "restore", "--quiet", "latest", "--target", str(target), *chosen)

    def prepare(self) -> None:
        subprocess.run([*self._start(), "init", "--quiet"], env=self.environment, check=True)

    def _start(self) -> list[str]:
        return [self.program, *(["--no-cache"] if self.name.endswith("-") else []), "-r", str(self.repository)]


class Borg(Contender):
    """With the compression that the others have; it cannot do without a cache."""

    def __init__(self, name: str, place: Path, program: str) -> None:
        home = {"BORG_BASE_DIR": str(place / f"{name}-home"), "BORG_PASSPHRASE": PASSWORD}
        super().__init__(name, place, home)
        self.program = program
        self.count = 0

    def save(self, source: Path) -> Command:
        self.count += 1
        archive = f"{self.repository}::{self.count}"
        return self.command(self.program, "create", "--compression", "zstd,3", archive, str(source))

    def restore(self, target: Path, path: Path | None = None) -> Command:
        chosen = [str(path).lstrip("/")] if path else []
        arguments = (self.program, "extract", f"{self.repository}::{self.count}", *chosen)
        return Command(arguments, target, self.environment)

    def prepare(self) -> None:
        arguments = [self.program, "init", "--encryption", "repokey", str(self.repository)]
        subprocess.run(arguments, env=self.environment, check=True, stderr=subprocess.DEVNULL)


def contenders(place: Path) -> list[Contender]:
    """Ours and every restic and borg there is; with a cache, and without one ("-")."""
    here = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    found: list[Contender] = [Contender(name, place, here) for name in ("escale", "escale-")]
    programs = [each for each in os.environ.get("RESTIC", shutil.which("restic") or "").split(":") if each]
    for number, program in enumerate(programs):
        version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
        found += [Restic(f"restic-{version}{mark}", place, program) for mark in (("", "-") if not number else ("",))]
    if borg := shutil.which("borg"):
        version = subprocess.run([borg, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        found.append(Borg(f"borg-{version}", place, borg))
    if not programs:
        print("NOT MEASURED: restic is neither on PATH nor named by RESTIC", file=sys.stderr)
    return found


def make_mixed(folder: Path, sources: Sequence[str], database_mib: int) -> None:
    """Copies of what machines hold, and a file that is like a database."""
    for number, source in enumerate(sources):
        subprocess.run(["cp", "-a", source, str(folder / str(number))], check=False, stderr=subprocess.DEVNULL)
    rng = random.Random(3)
    with open(folder / "database", "wb") as file:
        for _ in range(database_mib * 4):
            file.write(rng.randbytes(MEBIBYTE // 11).hex().encode().ljust(MEBIBYTE // 4, b"."))


def edit(folder: Path) -> None:
    """One file of a hundred gets another line in its middle; pages of the database another content."""
    rng = random.Random(4)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in rng.sample(files, len(files) // 100):
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + b"one line more\n" + content[middle:])
    database = folder / "database"
    if database.exists():
        with open(database, "r+b") as file:
            for _ in range(round(database.stat().st_size / MEBIBYTE * PAGES_PER_MIB)):
                file.seek(rng.randrange(database.stat().st_size // PAGE) * PAGE)
                file.write(rng.randbytes(PAGE // 2).hex().encode())


def run(step: str, source: Path, those: Sequence[Contender]) -> None:
    """Every contender once, in turn."""
    for each in those:
        before = each.stored() if each.repository.exists() else 0
        figures: Figures = measure(replace(each.save(source), exit_codes=(0, 1, 3)), None)
        _tell(step, each, figures, f"+{(each.stored() - before) / MEBIBYTE:8.1f} MiB")


def bring_back(step: str, path: Path | None, those: Sequence[Contender]) -> None:
    """Every contender once, in turn: the newest version, or one file of it."""
    for each in those:
        target = each.place / "restored"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        figures: Figures = measure(replace(each.restore(target, path), exit_codes=(0, 1, 3)), None)
        count = sum(file.is_file() for file in target.rglob("*"))
        _tell(step, each, figures, f"{count:8} files")
        shutil.rmtree(target)


def _tell(step: str, contender: Contender, figures: Figures, result: str) -> None:
    print(
        f"{step:<20} {contender.name:<16} {figures.wall_s + figures.flush_s:7.2f} s  {figures.cpu_s:7.2f} cpu s "
        f"{figures.peak / MEBIBYTE:7.0f} MiB  {result}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup")
    parser.add_argument("--source", nargs="*", default=SOURCES, help="directories that are copied together")
    parser.add_argument("--files", type=int, default=100_000, help="small files of the second set")
    parser.add_argument("--database", type=int, default=DATABASE_MIB, help="MiB of the large file in the first set")
    parser.add_argument("--runs", type=int, default=2, help="of nothing new")
    options = parser.parse_args(arguments)
    for name in ("mixed", "small"):
        with tempfile.TemporaryDirectory(prefix="escale-") as directory:
            place = Path(directory)
            source = place / "source"
            source.mkdir()
            if name == "mixed":
                make_mixed(source, options.source, options.database)
            else:
                make_small(source, options.files, max(1, options.files // 100))
            those = contenders(place)
            for each in those:
                each.prepare()
            run(f"{name}: first", source, those)
            for _ in range(options.runs):
                run(f"{name}: unchanged", source, those)
            edit(source)
            run(f"{name}: edited", source, those)
            bring_back(f"{name}: restore all", None, those)
            one = min(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
            bring_back(f"{name}: restore one", one, those)


if __name__ == "__main__":
    main()
