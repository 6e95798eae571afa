"""What users do to their folders, as told or drawn by chance; `Truth` is told of all of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from random import Random

from .folders import Node, Tree, write_file
from .machines import SimMachine
from .truth import CONFLICT, Truth

PATHS = ("a", "b", "d/c", "d/e/f", "g/h")
"""Few, so that users meet; also names that others use for directories, and the other way round."""

DIRECTORIES = ("d", "d/e", "g", "a")
TARGETS = ("a", "d/c", "../outside", "nowhere")
MODES = ("644", "600", "755", "640")


class User:
    """One person at one machine."""

    def __init__(self, machine: SimMachine, truth: Truth, rng: Random, chmods: Sequence[str] = ("file",)) -> None:
        self.name = machine.name
        self._chmods = chmods
        self._machine = machine
        self._truth = truth
        self._rng = rng
        self._tree: Tree = {}
        self.knew: frozenset[str] | None = None
        """What was there when the pass that is going on began; None while there is none."""

    def draw(self) -> str:
        """Do something; what it was, or "" where the folder did not allow it."""
        self._tree = self._machine.tree()
        word = self._rng.choices(WORDS, WEIGHTS)[0]
        path, other = self._drawn(word)
        return f"{word} {path} {other}" if path and self.do(word, path, other) else ""

    def do(self, word: str, path: str, other: str = "") -> bool:
        """One act on a path; `other` is the new name, the target or the mode.  False where it cannot be done."""
        self._tree = self._machine.tree()
        match word:
            case "write":
                return self._write(path, other.encode())
            case "delete":
                return self._delete(path)
            case "rename":
                return self._rename(path, other)
            case "mkdir":
                return path not in self._tree and self._make_parents(f"{path}/x")
            case "symlink":
                return self._symlink(path, other)
            case "chmod":
                return self._chmod(path, int(other, 8))
            case "file to directory":
                return self._kind(path) != "directory" and self._delete(path) and self._write(f"{path}/inside")
            case "directory to file":
                return self._kind(path) == "directory" and self._delete(path) and self._write(path)
        raise ValueError(word)

    def _drawn(self, word: str) -> tuple[str, str]:
        """What an act is about."""
        choice = self._rng.choice
        match word:
            case "write":
                return choice(PATHS), choice(("", "", "x" * 40))
            case "rename":
                return self._one_of("file", "link", "directory"), choice((*PATHS, "k", "d", "g"))
            case "mkdir":
                return choice(DIRECTORIES), ""
            case "symlink":
                return choice(PATHS), choice(TARGETS)
            case "chmod":
                return self._one_of(*self._chmods), choice(MODES)
            case "directory to file":
                return self._one_of("directory"), ""
            case "file to directory":
                return self._one_of("file", "link"), ""
        return self._one_of("file", "file", "link", "directory"), ""

    def _one_of(self, *kinds: str) -> str:
        paths = sorted(path for path, node in self._tree.items() if node.kind in kinds and self._may_know(path))
        return self._rng.choice(paths) if paths else ""

    def _may_know(self, path: str) -> bool:
        """In the instant of an exchange what arrives has the name that the conflict copy is to have: nobody is as quick
        as to do something to it there."""
        return self.knew is None or path in self.knew or CONFLICT not in path

    # -- acts

    def _write(self, path: str, more: bytes = b"") -> bool:
        """A content that differs from all others, but not always in its size and time."""
        before = self._tree.get(path)
        if self._kind(path) == "directory" or not self._make_parents(path):
            return False
        content = b"%s %06d" % (self.name.encode(), len(self._truth.written)) + more
        node = Node("file", content, before.mode if before and before.kind == "file" else 0o644)
        if before is not None:
            os.unlink(self._full(path))
        write_file(self._full(path), content, node.mode, int(self._machine.clock.now()) * 10**9)
        return self._note(path, node)

    def _delete(self, path: str) -> bool:
        """With all that is in it."""
        if path not in self._tree:
            return False
        if self._kind(path) == "directory":
            shutil.rmtree(self._full(path))
        else:
            os.unlink(self._full(path))
        for one in self._below(path):
            self._note(one, None)
        return True

    def _rename(self, source: str, target: str) -> bool:
        """A directory with all that is in it, to where nothing is; anything else also over what is there."""
        if source not in self._tree or f"{target}/".startswith(f"{source}/") or self._kind(target) == "directory":
            return False
        if (self._kind(source) == "directory" and target in self._tree) or not self._make_parents(target):
            return False
        if target in self._tree:
            self._note(target, None)
        os.rename(self._full(source), self._full(target))
        moved = self._below(source)
        self._truth.moved(self.name, source, target, moved)
        for path in moved:
            del self._tree[path]
        return True

    def _symlink(self, path: str, target: str) -> bool:
        if self._kind(path) == "directory" or not self._make_parents(path):
            return False
        node = Node("link", b"%s-%d" % (target.encode(), len(self._truth.written)), 0)
        if path in self._tree:
            os.unlink(self._full(path))
        os.symlink(node.value, self._full(path))
        return self._note(path, node)

    def _chmod(self, path: str, mode: int) -> bool:
        if self._kind(path) == "directory":
            mode |= 0o700
        if self._kind(path) not in ("file", "directory") or self._tree[path].mode == mode:
            return False
        os.chmod(self._full(path), mode)
        return self._note(path, self._tree[path]._replace(mode=mode))

    # -- parts of acts

    def _note(self, path: str, node: Node | None) -> bool:
        self._truth.note(self.name, path, self._tree.get(path), node)
        if node is None:
            del self._tree[path]
        else:
            self._tree[path] = node
        return True

    def _make_parents(self, path: str) -> bool:
        """Whether there is a directory for the path now; False if a file is in the way."""
        parts = path.split("/")[:-1]
        parents = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        if any(self._kind(parent) not in ("", "directory") for parent in parents):
            return False
        for parent in parents:
            if not self._kind(parent):
                os.mkdir(self._full(parent), 0o755)
                self._note(parent, Node("directory", b"", 0o755))
        return True

    def _below(self, path: str) -> Tree:
        return {one: node for one, node in self._tree.items() if f"{one}/".startswith(f"{path}/")}

    def _kind(self, path: str) -> str:
        return self._tree[path].kind if path in self._tree else ""

    def _full(self, path: str) -> str:
        return f"{self._machine.folder}/{path}"


WORDS = ("write", "delete", "rename", "mkdir", "symlink", "chmod", "file to directory", "directory to file")
WEIGHTS = (10, 4, 4, 1, 1, 1, 1, 1)
