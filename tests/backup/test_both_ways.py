"""Random histories of one repository by restic and us in turn: saving, forgetting, pruning, checking, bringing back.

Whatever either did before, every version that nobody forgot comes back by both, with all that a version keeps.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from escale.backup.check import Check
from escale.backup.forget import Forgetting, forget
from escale.backup.machine import Machine
from escale.backup.prune import Prune
from escale.backup.snapshot import Snapshot
from escale.backup.versions import Versions
from escale.clock import SystemClock

from .conftest import Restic
from .generations import Ours, edit, restored
from .portraits import Portrait, differences, portrait
from .test_generations import lay_out

STEPS = 9
FILES = 60


class History:
    """One repository, one folder, and what every version must be like."""

    def __init__(self, work: Path, restic: Restic, seed: int) -> None:
        self.acts: list[str] = []
        self.wanted: dict[str, Portrait] = {}
        self._work = work
        self._folder = work / "folder"
        self._restic = restic
        self._rng = random.Random(seed)
        self._clock = SystemClock()
        self._folder.mkdir()
        lay_out(self._folder, self._rng, FILES)
        self._ours = Ours(work)
        self._place = self._ours.directory

    def run(self) -> None:
        """Some of everything, then all that is left comes back."""
        self._save_by_us()
        for _ in range(STEPS):
            act = self._rng.choice(
                (
                    self._save_by_us,
                    self._save_by_us,
                    self._save_by_restic,
                    self._forget_by_us,
                    self._forget_by_restic,
                    self._prune_by_us,
                    self._prune_by_restic,
                    self._check_by_us,
                )
            )
            act()
            self.acts.append(act.__name__.strip("_"))
        self._restic.run(self._place, "check", "--read-data")
        self._check_by_us()
        self._all_come_back()

    def _saved(self, version: str) -> None:
        self.wanted[version] = portrait(self._folder)

    def _save_by_us(self) -> None:
        edit(self._folder, self._rng)
        latest = max(self._versions(), key=lambda one: one.time_ns, default=None)
        parent = latest if latest is not None and latest.paths == (str(self._folder),) else None
        self._saved(self._ours.save(self._folder, parent).id)

    def _save_by_restic(self) -> None:
        edit(self._folder, self._rng)
        self._restic.run(self._place, "backup", str(self._folder))
        (version,) = {one.id for one in self._versions()} - self.wanted.keys()
        self._saved(version)

    def _forget_by_us(self) -> None:
        (gone,) = self._some()
        repository = self._ours.open()
        (snapshot,) = (one for one in self._versions() if one.id == gone)
        forget(repository, Forgetting({}, (snapshot,)), is_approved=True)
        repository.close()
        del self.wanted[gone]

    def _forget_by_restic(self) -> None:
        (gone,) = self._some()
        self._restic.run(self._place, "forget", gone)
        del self.wanted[gone]

    def _prune_by_us(self) -> None:
        repository = self._ours.open()
        done = Prune(repository, Machine.this(), self._clock, grace_s=0.0).run()
        repository.close()
        assert not done.damage

    def _prune_by_restic(self) -> None:
        self._restic.run(self._place, "prune", "--max-unused", self._rng.choice(("0", "unlimited")))

    def _check_by_us(self) -> None:
        repository = self._ours.open()
        checked = Check(repository).run(1.0)
        repository.close()
        assert checked.is_sound and not checked.notices, checked
        assert checked.versions == len(self.wanted)

    def _some(self) -> list[str]:
        """One version that may go; a new one first, if it is the only one."""
        if len(self.wanted) == 1:
            self._save_by_us()
        return [self._rng.choice(sorted(self.wanted))]

    def _versions(self) -> list[Snapshot]:
        repository = self._ours.open()
        found = Versions(repository).all()
        repository.close()
        return found

    def _all_come_back(self) -> None:
        repository, target = self._ours.open(), self._work / "back"
        assert {one.id for one in Versions(repository).all()} == self.wanted.keys()
        listed = json.loads(self._restic.run(self._place, "snapshots", "--json", "--no-lock"))
        assert {one["id"] for one in listed} == self.wanted.keys()
        for version, wanted in self.wanted.items():
            restored(repository, version, self._folder, target)
            assert differences(wanted, portrait(target)) == [], (version, self.acts)
            shutil.rmtree(target)
            self._restic.run(self._place, "restore", version, "--target", str(target))
            assert differences(wanted, portrait(target / str(self._folder).lstrip("/"))) == [], (version, self.acts)
            shutil.rmtree(target)
        repository.close()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_either_does_every_version_comes_back_by_both(tmp_path: Path, restic: Restic, seed: int) -> None:
    history = History(tmp_path, restic, seed)
    history.run()
    assert len({act.rpartition("_")[2] for act in history.acts}) == 2, "one of the two did nothing"
