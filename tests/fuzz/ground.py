"""A folder that is to be written to, beside what must never be: a canary, with symbolic links that lead there."""

from __future__ import annotations

import os
import shutil
import stat

from escale.files.folder import Folder
from escale.files.ledger import Ledger
from escale.files.rules import Rules
from escale.testing.clock import SimClock

from .scratch import scratch

_CONTENT = b"of the user"


class Ground:
    """One folder and its ledger; `fresh` lays it out again, `must_be_whole` looks what became of the rest."""

    def __init__(self) -> None:
        self.outside = scratch("ground")
        self.root = self.outside / "folder"
        self._ledger = Ledger(self.outside / "ledger.db")
        canary = self.outside / "canary"
        (canary / "below").mkdir(parents=True)
        for place in (canary / "file", canary / "below" / "file", self.outside / "beside"):
            place.write_bytes(_CONTENT)
        self.root.mkdir()
        self._before = self._around()

    def fresh(self) -> Folder:
        """The folder as it was in the beginning: two files, a directory, and the links."""
        shutil.rmtree(self.root)
        (self.root / "d" / "e").mkdir(parents=True)
        (self.root / "a").write_bytes(_CONTENT)
        (self.root / "d" / "b").write_bytes(_CONTENT)
        (self.root / "link").symlink_to("../canary")
        (self.root / "d" / "absolute").symlink_to(self.outside / "canary")
        (self.root / "to file").symlink_to("../canary/file")
        (self.root / "up").symlink_to("..")
        return Folder(self.root, Rules(), self._ledger, SimClock())

    def must_be_whole(self) -> None:
        """Nothing around the folder has changed, and in it there are only files, directories and the links."""
        assert self._around() == self._before
        for directory, names, files in os.walk(os.fsencode(self.root)):
            for name in (*names, *files):
                mode = os.lstat(os.path.join(directory, name)).st_mode
                assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
                assert stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)

    def _around(self) -> dict[str, tuple[int, int, int, bytes]]:
        """All that lies beside the folder, except the ledger's own files."""
        found = {}
        for path in sorted(self.outside.rglob("*")):
            name = str(path.relative_to(self.outside))
            if not name.startswith(("folder", "ledger.db")):
                status = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                found[name] = (status.st_mode, status.st_nlink, status.st_mtime_ns, content)
        return found
