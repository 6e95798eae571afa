"""Generations of one folder: `python -m tests.backup.generations --source DIR --generations 5 --work DIR`.

The folder is copied, saved, edited, saved again and so on, by us and by restic, each into a repository of its own.
Then every generation is brought back from *our* repository, by us and by restic, and compared with what was there:
contents, types, modes, owners, times, links, extended attributes.  The last but one is brought back over the one
before it, too, reading only what differs.  Then we let all but the last two go and prune, and compare; and then restic
stores what is left of our packs anew, and we compare again.  What restic saved is brought back by us.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from escale.backup.check import Check
from escale.backup.fetch import Fetch
from escale.backup.forget import forget, plan_forget
from escale.backup.locks import locked
from escale.backup.machine import Machine
from escale.backup.prune import Prune
from escale.backup.repository import Repository
from escale.backup.restore import Restore
from escale.backup.retention import Keep
from escale.backup.save import Save
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.files.overwrite import Overwrite
from escale.store.directory import DirectoryStore

from .conftest import PASSWORD, Restic, programs
from .portraits import Portrait, differences, portrait

PAGE = 4096
THREADS = 2
STAYING = 2
"""Generations that pruning leaves."""

Say = Callable[[str], None]


class Ours:
    """Our repository in a directory, with a catalog that is kept from run to run."""

    def __init__(self, work: Path) -> None:
        self.directory = work / "ours"
        self._cache = work / "cache"
        self._clock = SystemClock()
        self.directory.mkdir()
        Repository.init(self._store, PASSWORD, None, Machine.this(), self._clock.now()).close()

    def _store(self) -> DirectoryStore:
        return DirectoryStore(self.directory)

    def open(self, directory: Path | None = None) -> Repository:
        """With all index files read; our own, or another one."""
        if directory is None:
            repository = Repository.open(self._store, PASSWORD, self._cache)
        else:
            repository = Repository.open(lambda: DirectoryStore(directory), PASSWORD, None)
        assert repository.refresh() == []
        return repository

    def save(self, folder: Path, parent: Snapshot | None) -> Snapshot:
        """One version, as a new process would."""
        repository = self.open()
        with (
            locked(repository, Machine.this(), self._clock, exclusive=False),
            Writer(repository, THREADS, THREADS) as writer,
        ):
            saved = Save(repository, writer, self._clock).run([str(folder)], parent=parent)
        repository.close()
        assert not (saved.damaged or saved.unreadable or saved.changed_meanwhile), saved
        return saved.snapshot

    def prune(self, staying: int) -> int:
        """Without the days of grace; how many packs went."""
        repository = self.open()
        forget(repository, plan_forget(Versions(repository).all(), Keep(last=staying)), is_approved=True)
        done = Prune(repository, Machine.this(), self._clock, grace_s=0.0).run()
        assert not done.damage and not done.spared, done
        checked = Check(repository).run(1.0)
        assert checked.is_sound and checked.versions == staying and not checked.notices, checked
        repository.close()
        return len(done.deleted)


def restored(repository: Repository, version: str, folder: Path, target: Path, *, over: bool = False) -> int:
    """What a version holds of a folder, by us; the bytes that were read for it."""
    versions = Versions(repository)
    (snapshot,) = (one for one in versions.all() if one.id.startswith(version))
    top = versions.at(snapshot, str(folder).lstrip("/")) or versions.at(snapshot, folder.name)
    assert top is not None
    target.mkdir(exist_ok=True)
    overwrite = Overwrite.ALWAYS if over else Overwrite.NEVER
    with Fetch(repository, THREADS) as fetch:
        done = Restore(repository, target, fetch, overwrite).run(versions.walk(top.node.subtree))
        size = fetch.bytes_read
    assert not (done.missing or done.kept or done.imperfect or versions.damaged), done
    return size


# --- edits


def edit(folder: Path, rng: random.Random) -> None:
    """What happens to a folder in a day: every kind of change, to one file in a hundred or so of each kind."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    directories = sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())
    few = max(1, len(files) // 200)
    for path in rng.sample(files, 2 * few):
        _rewrite(path, rng)
    for number, directory in enumerate(rng.choices(directories, k=few)):
        (directory / f"new {number} {rng.randrange(1 << 32)}").write_bytes(rng.randbytes(rng.randrange(40_000)))
    _pages(max(files, key=lambda path: path.stat().st_size), rng)
    _same_size_and_time(rng.choice([path for path in files if path.stat().st_size]), rng)
    for path in rng.sample(files, few):
        path.chmod(rng.choice((0o600, 0o640, 0o755, 0o444, 0o4755)))
        os.setxattr(path, "user.generation", rng.randbytes(20))
        name = f"{path.name[:200]} {rng.randrange(1 << 32)}"
        os.link(path, path.parent / f"second {name}")
        os.symlink(path.name, path.parent / f"link {name}")
    for path in rng.sample(files, few):
        path.unlink()
    rng.choice([path for path in directories if path.is_dir()]).chmod(0o2775)
    for path in rng.sample(directories, max(1, len(directories) // 100)):
        if path.is_dir():
            path.rename(path.parent / f"renamed {rng.randrange(1 << 32)}")


def _rewrite(path: Path, rng: random.Random) -> None:
    """Something is put in, taken out, or added at the end; in place, or as a new file that takes the place."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data) + 1)
    way = rng.randrange(3)
    if way == 0:
        data[at:at] = rng.randbytes(100)
    elif way == 1:
        del data[at : at + 100]
    else:
        data += rng.randbytes(1000)
    if rng.random() < 0.5:
        path.write_bytes(data)
    else:
        (path.parent / "written anew").write_bytes(data)
        (path.parent / "written anew").rename(path)


def _pages(path: Path, rng: random.Random) -> None:
    """As a database writes: one page in a hundred, here and there."""
    pages = path.stat().st_size // PAGE
    with open(path, "r+b") as file:
        for number in rng.sample(range(pages), max(1, pages // 100) if pages else 0):
            file.seek(number * PAGE)
            file.write(rng.randbytes(PAGE))


def _same_size_and_time(path: Path, rng: random.Random) -> None:
    """An edit that only the time of the last change of status tells of."""
    status = path.stat()
    path.write_bytes(rng.randbytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# --- the whole


def size_of(directory: Path) -> int:
    """Of all files below."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


class Course:
    """One run in a working directory, with one restic that saves and all of them that bring back."""

    def __init__(self, work: Path, folder: Path, restics: Iterable[Restic], say: Say) -> None:
        self.folder = folder
        self.portraits: list[Portrait] = []
        self.versions: list[Snapshot] = []
        self._work = work
        self._restics = list(restics)
        self._theirs = work / "theirs"
        self._ours = Ours(work)
        self._say = say
        self._clock = SystemClock()
        self._restics[0].run(self._theirs, "init", "--repository-version", "2")

    def save(self) -> None:
        """The folder as it is now, by both."""
        self.portraits.append(portrait(self.folder))
        before = size_of(self._ours.directory), size_of(self._theirs)
        parent = self.versions[-1] if self.versions else None
        ours_s = self._timed(lambda: self.versions.append(self._ours.save(self.folder, parent)))
        theirs_s = self._timed(lambda: self._restics[0].run(self._theirs, "backup", str(self.folder)))
        added = size_of(self._ours.directory) - before[0], size_of(self._theirs) - before[1]
        assert differences(self.portraits[-1], portrait(self.folder)) == []
        self._say(
            f"generation {len(self.versions)}: {len(self.portraits[-1])} paths; saved by us in {ours_s:.1f} s,"
            f" {added[0]} bytes added; by restic in {theirs_s:.1f} s, {added[1]} bytes"
        )

    def compare(self, which: Iterable[int], *, check: bool = True) -> None:
        """These generations come back from our repository, by us and by restic."""
        repository = self._ours.open()
        for number in which:
            version, target = self.versions[number].id, self._work / "back"
            seconds = self._timed(lambda: restored(repository, version, self.folder, target))  # noqa: B023
            self._same(number, target, target, f"by us in {seconds:.1f} s")
            for restic in self._restics:
                words = ("restore", version, "--target", str(target))
                seconds = self._timed(lambda: restic.run(self._ours.directory, *words))  # noqa: B023
                there = target / str(self.folder).lstrip("/")
                self._same(number, there, target, f"by {restic.program} in {seconds:.1f} s")
        repository.close()
        for restic in self._restics if check else ():
            assert "no errors" in restic.run(self._ours.directory, "check", "--read-data")

    def over(self, before: int, after: int) -> None:
        """One generation over another one that lies there: what is equal is not read."""
        repository, target = self._ours.open(), self._work / "back"
        everything = restored(repository, self.versions[before].id, self.folder, target)
        differing = restored(repository, self.versions[after].id, self.folder, target, over=True)
        there = {path: one for path, one in portrait(target).items() if path in self.portraits[after]}
        wrong = [line for line in differences(self.portraits[after], there) if ": names" not in line]
        assert not wrong, wrong[:20]
        assert differing < everything / 2
        self._say(f"generation {after + 1} over {before + 1}: {differing} bytes read, {everything} for all of it")
        repository.close()
        shutil.rmtree(target)

    def prune(self) -> None:
        """By us, then by restic, in our repository."""
        before = size_of(self._ours.directory)
        seconds = self._timed(lambda: self._ours.prune(STAYING))
        self._say(f"pruned by us in {seconds:.1f} s: {before} to {size_of(self._ours.directory)} bytes")
        staying = range(len(self.versions))[-STAYING:]
        self.compare(staying)
        seconds = self._timed(lambda: self._restics[0].run(self._ours.directory, "prune", "--max-unused", "0"))
        self._say(f"pruned by restic in {seconds:.1f} s: {size_of(self._ours.directory)} bytes")
        self.compare(staying)

    def compare_theirs(self) -> None:
        """Every generation that restic saved comes back by us."""
        repository = self._ours.open(self._theirs)
        for number, snapshot in enumerate(Versions(repository).all()):
            target = self._work / "back"
            restored(repository, snapshot.id, self.folder, target)
            self._same(number, target, target, "by us, as restic saved it")
        repository.close()

    def _same(self, number: int, top: Path, target: Path, how: str) -> None:
        wrong = differences(self.portraits[number], portrait(top))
        assert not wrong, (number, how, wrong[:20])
        self._say(f"generation {number + 1} is back {how}")
        shutil.rmtree(target)

    def _timed(self, act: Callable[[], object]) -> float:
        begun = self._clock.monotonic()
        act()
        return self._clock.monotonic() - begun


def run(source: Path, work: Path, generations: int, seed: int, restics: Iterable[Restic], say: Say) -> Course:
    """All of it; AssertionError where anything is not as it was."""
    folder = work / "folder"
    subprocess.run(["cp", "-a", f"{source}/.", folder], check=True)
    course, rng = Course(work, folder, restics, say), random.Random(seed)
    course.save()
    for _ in range(generations - 1):
        edit(folder, rng)
        course.save()
    course.compare(range(generations))
    course.over(generations - 2, generations - 1)
    course.prune()
    course.compare_theirs()
    return course


def main() -> None:
    """From the command line; with the restic on PATH, or those in RESTIC."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="is only read")
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where there is room for five times the source")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="generations", dir=words.work) as work:
        run(
            words.source,
            Path(work),
            words.generations,
            words.seed,
            map(Restic, programs()),
            lambda line: print(line, flush=True),
        )


if __name__ == "__main__":
    main()
