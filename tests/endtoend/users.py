"""Users: what people do with their folders, at random and without asking the program, and noted in the chronicle.

Each act prepares in an attic beside the folder and takes effect in one step (trees.py), so it is known exactly what it
has replaced, also while passes are going on.  Acts in place are for the time when the user knows that nobody works.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from .chronicle import Chronicle
from .trees import PRIVATE, Node, Tree, directory, move, node, put, tree

DIRECTORIES = ("", "d", "e", "d/f", "e/g")
NAMES = ("a", "b", "c.txt", "ü", "x y ")
TARGETS = ("a", "d/b", "../outside", "nowhere", "/etc/hostname", "x" * 200, ".", "ü")
FILE_MODES = (0o644, 0o600, 0o755, 0o640)
DIRECTORY_MODES = (0o755, 0o700, 0o750)
KEPT = "kept"
"""A file nobody deletes: a folder that is empty at once may just as well not be mounted, and asks back."""
TRIES_MAX = 40


class User:
    """One person at one machine; `act` does one thing at random."""

    def __init__(self, name: str, folder: Path, attic: Path, rng: random.Random, chronicle: Chronicle) -> None:
        self.name = name
        self.folder = folder
        self._attic = attic
        self._rng = rng
        self._chronicle = chronicle
        self._count = 0
        self._writer: subprocess.Popen[bytes] | None = None
        attic.mkdir()

    def act(self, kinds: tuple[str, ...], is_calm: bool) -> str:
        """Do one of these things; `is_calm` if no pass is going on.  Returns what was done, in words."""
        for _ in range(TRIES_MAX):
            kind = self._rng.choice(kinds)
            try:
                if done := ACTS[kind](self, is_calm):
                    return f"{self.name}: {kind} {done}"
            except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
                # A pass was quicker than the user.
                continue
        return f"{self.name}: nothing"

    # -- acts; each returns what it was about, empty if that was not possible

    def edit(self, is_calm: bool) -> str:
        """Another content, often of the same size and with the same time."""
        path = self._some("file") if self._rng.random() < 0.7 else self._new_path()
        before = node(self.folder / path) if path else None
        if not path or (before is not None and before.kind == "directory") or not self._make_parents(path):
            return ""
        if before is None or before.kind != "file" or self._rng.random() < 0.5:
            self._write(path, self._content(), 0o644 if before is None else before.mode or 0o644)
            return repr(path)
        content = self._content(max(len(before.content), 24))
        if len(content) == len(before.content):
            return self._same_size(path, before, content, is_calm and self._rng.random() < 0.5)
        return ""

    def append(self, is_calm: bool) -> str:
        """One line more, by the path that everybody uses: open, write, close."""
        path = self._some("file")
        before = node(self.folder / path) if path else None
        if before is None or before.kind != "file":
            return ""
        after = before.content + self._content()
        if not is_calm:
            self._write(path, after, before.mode)
            return repr(path)
        with open(self.folder / path, "ab") as file:
            file.write(after[len(before.content) :])
        self._chronicle.superseded(before)
        self._note(path, Node("file", after, before.mode))
        return repr(path)

    def delete(self, is_calm: bool) -> str:
        """A file, a link, or a directory with all that is in it."""
        path = self._some("file", "link", "directory") if self._rng.random() < 0.4 else self._some("file", "link")
        if not path:
            return ""
        self._remove(path)
        return repr(path)

    def rename(self, is_calm: bool) -> str:
        """A file or a link, often into another directory."""
        source, target = self._some("file", "link"), self._new_path()
        if not source or source == target or not self._make_parents(target):
            return ""
        move(self.folder / source, self.folder / target)
        self._note(source, None)
        self._note(target, node(self.folder / target))
        return f"{source!r} to {target!r}"

    def rename_directory(self, is_calm: bool) -> str:
        """A directory with all that is in it."""
        source, target = self._some("directory"), self._rng.choice(DIRECTORIES)
        if not source or not target or f"{target}/".startswith(f"{source}/") or not self._make_parents(target):
            return ""
        move(self.folder / source, self.folder / target)
        self._note(source, None)
        self._note(target, node(self.folder / target))
        for below, found in tree(self.folder / target).items():
            self._note(f"{source}/{below}", None)
            self._note(f"{target}/{below}", found)
        return f"{source!r} to {target!r}"

    def make_directory(self, is_calm: bool) -> str:
        """A directory, empty so far."""
        path = self._new_path()
        if os.path.lexists(self.folder / path) or not self._make_parents(path):
            return ""
        self._make_directory(path)
        return repr(path)

    def link(self, is_calm: bool) -> str:
        """A symbolic link to something, or to nothing."""
        path = self._new_path()
        before = node(self.folder / path)
        if (before is not None and before.kind == "directory") or not self._make_parents(path):
            return ""
        prepared = self._prepared()
        prepared.symlink_to(target := self._rng.choice(TARGETS))
        self._put(prepared, path, Node("link", os.fsencode(target)))
        return f"{path!r} to {target[:20]!r}"

    def change_mode(self, is_calm: bool) -> str:
        """Other permissions, nothing else."""
        path = self._some("file", "directory")
        before = node(self.folder / path) if path else None
        if before is None or before.kind == "link":
            return ""
        mode = self._rng.choice(DIRECTORY_MODES if before.kind == "directory" else FILE_MODES)
        os.chmod(self.folder / path, mode)
        self._note(path, Node(before.kind, before.content, mode))
        return f"{path!r} {mode:o}"

    def change_kind(self, is_calm: bool) -> str:
        """A file becomes a directory, or a directory a file."""
        path = self._some("file", "link", "directory")
        if not path:
            return ""
        if self._remove(path).kind == "directory":
            self._write(path, self._content(), 0o644)
        else:
            self._make_directory(path)
            self._write(f"{path}/{self._rng.choice(NAMES)}", self._content(), 0o644)
        return repr(path)

    # -- a program of the user that goes on writing

    def begin_to_write(self) -> str:
        """Start a writer that goes on appending to a file that nobody else touches, until `end_to_write`."""
        path = f"log-{self.name}"
        words = ["sh", "-c", 'while :; do echo "$0" >> "$1"; sleep 0.01; done', f"{self.name} writes", path]
        self._chronicle.superseded(node(self.folder / path))
        self._writer = subprocess.Popen(words, cwd=self.folder, start_new_session=True)
        return f"{self.name}: begins to write"

    def end_to_write(self) -> None:
        """End the writer, if there is one, and note what it has left."""
        if self._writer is None:
            return
        os.killpg(self._writer.pid, signal.SIGKILL)
        self._writer.wait()
        self._writer = None
        path = f"log-{self.name}"
        if (found := node(self.folder / path)) is not None:
            # The same words as last time are not a new content.
            with open(self.folder / path, "ab") as file:
                file.write(self._content())
            self._chronicle.superseded(found)
            self._note(path, node(self.folder / path))

    # -- steps

    def _same_size(self, path: str, before: Node, content: bytes, in_place: bool) -> str:
        """Nothing but the content tells it from what was there: the size is the same, and so is the time."""
        status = os.lstat(self.folder / path)
        times = (status.st_atime_ns, status.st_mtime_ns)
        if in_place:
            with open(self.folder / path, "r+b") as file:
                file.write(content)
            os.utime(self.folder / path, ns=times)
            self._chronicle.superseded(before)
            self._note(path, Node("file", content, before.mode))
            return f"{path!r} in place, same size and time"
        self._write(path, content, before.mode, times)
        return f"{path!r}, same size and time"

    def _write(self, path: str, content: bytes, mode: int, times: tuple[int, int] | None = None) -> None:
        prepared = self._prepared()
        prepared.write_bytes(content)
        prepared.chmod(mode)
        if times is not None:
            os.utime(prepared, ns=times)
        self._put(prepared, path, Node("file", content, mode))

    def _put(self, prepared: Path, path: str, made: Node) -> None:
        if put(prepared, self.folder / path):
            replaced = node(prepared)
            if replaced is not None and replaced.kind == "directory":
                # It came while we looked away; the user would be told "is a directory".
                put(prepared, self.folder / path)
                raise IsADirectoryError(path)
            self._chronicle.superseded(replaced)
        self._note(path, made)

    def _remove(self, path: str) -> Node:
        away = self._prepared()
        move(self.folder / path, away)
        removed = node(away)
        assert removed is not None
        below: Tree = tree(away) if removed.kind == "directory" else {}
        self._chronicle.superseded(removed, *below.values())
        self._note(path, None)
        for each in below:
            self._note(f"{path}/{each}", None)
        if removed.kind == "directory":
            shutil.rmtree(away)
        return removed

    def _make_parents(self, path: str) -> bool:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            found = node(self.folder / above)
            if found is None:
                self._make_directory(above)
            elif found.kind != "directory":
                return False
        return True

    def _make_directory(self, path: str) -> None:
        os.mkdir(self.folder / path)
        os.chmod(self.folder / path, 0o755)
        self._note(path, directory(0o755))

    def _some(self, *kinds: str) -> str:
        """A path of one of these kinds, "" if there is none."""
        found = tree(self.folder)
        chosen = [
            path
            for path, each in sorted(found.items())
            if each.kind in kinds and path != KEPT and not path.startswith("log-")
        ]
        return self._rng.choice(chosen) if chosen else ""

    def _new_path(self) -> str:
        return "/".join(part for part in (self._rng.choice(DIRECTORIES), self._rng.choice(NAMES)) if part)

    def _content(self, size: int = 0) -> bytes:
        """Bytes that nobody has written before."""
        self._count += 1
        begin = b"%s %08d\n" % (self.name.encode(), self._count)
        return begin.ljust(size or len(begin) + self._rng.choice((0, 7, 300, 40_000)), b".")

    def _prepared(self) -> Path:
        self._count += 1
        return self._attic / str(self._count)

    def _note(self, path: str, made: Node | None) -> None:
        self._chronicle.touched(self.name, path, made)


ACTS: dict[str, Callable[[User, bool], str]] = {
    "edit": User.edit,
    "append": User.append,
    "delete": User.delete,
    "rename": User.rename,
    "rename_directory": User.rename_directory,
    "make_directory": User.make_directory,
    "link": User.link,
    "change_mode": User.change_mode,
    "change_kind": User.change_kind,
}
assert PRIVATE not in NAMES
