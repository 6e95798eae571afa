"""What users do to their folders, each act a function of the folder and of chance; `Truth` is told of all of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from random import Random

from .folders import Node, Tree, write_file
from .machines import TRAVELS_ALL, SimMachine
from .truth import Truth

PATHS = ("a", "b", "d/c", "d/e/f", "g/h")
"""Few, so that users meet; also names that others use for directories, and the other way round."""

DIRECTORIES = ("d", "d/e", "g", "a")
TARGETS = (b"a", b"d/c", b"../outside", b"nowhere")
MODES = (0o644, 0o600, 0o755, 0o640)


class User:
    """One person at one machine."""

    def __init__(self, machine: SimMachine, truth: Truth, rng: Random) -> None:
        self.name = machine.name
        self._machine = machine
        self._truth = truth
        self._rng = rng

    def act(self, word: str = "") -> str:
        """Do something, drawn if it is not said what; in a word and a path, or "" if the folder did not allow it."""
        tree = self._machine.tree()
        word = word or self._rng.choices(*_WEIGHTS)[0]
        path = ACTS[word](self, tree)
        return f"{word} {path}" if path else ""

    # -- acts; each returns the path that it was about, or "" where it could not be done

    def write(self, tree: Tree) -> str:
        """Half of the time the new version has size and time of the one before, which only content tells apart."""
        return self.put(self._rng.choice(PATHS), tree, b"x" * self._rng.choice((0, 0, 40)))

    def delete(self, tree: Tree) -> str:
        path = self._one_of(tree, "file", "link")
        if path:
            os.unlink(self.full(path))
            self._truth.note(self.name, path, tree[path], None)
        return path

    def rename(self, tree: Tree) -> str:
        source, target = self._one_of(tree, "file", "link"), self._rng.choice((*PATHS, "moved"))
        if not source or source == target or tree.get(target, Node("file", b"", 0)).kind == "directory":
            return ""
        if not self._make_parents(target, tree):
            return ""
        if target in tree:
            self._truth.note(self.name, target, tree[target], None)
        os.rename(self.full(source), self.full(target))
        self._truth.moved(self.name, {source: tree[source]}, {target: tree[source]})
        return f"{source} {target}"

    def rename_directory(self, tree: Tree) -> str:
        source, target = self._one_of(tree, "directory"), self._rng.choice(("d", "g", "k"))
        if not source or target in tree or target.startswith(f"{source}/"):
            return ""
        before = {path: node for path, node in tree.items() if path == source or path.startswith(f"{source}/")}
        os.rename(self.full(source), self.full(target))
        self._truth.moved(self.name, before, {target + path[len(source) :]: node for path, node in before.items()})
        return f"{source} {target}"

    def mkdir(self, tree: Tree) -> str:
        path = self._rng.choice(DIRECTORIES)
        return path if path not in tree and self._make_parents(f"{path}/x", tree) else ""

    def rmdir(self, tree: Tree) -> str:
        """With all that is in it."""
        path = self._one_of(tree, "directory")
        return self._remove(path, tree) if path else ""

    def symlink(self, tree: Tree) -> str:
        path, target = self._rng.choice(PATHS), self._rng.choice(TARGETS)
        if tree.get(path, Node("file", b"", 0)).kind == "directory" or not self._make_parents(path, tree):
            return ""
        node = Node("link", target + b"-%d" % len(self._truth.written), 0)
        if path in tree:
            os.unlink(self.full(path))
        os.symlink(node.value, self.full(path))
        self._truth.note(self.name, path, tree.get(path), node)
        return path

    def chmod(self, tree: Tree) -> str:
        path, mode = self._one_of(tree, "file"), self._rng.choice(MODES)
        if not path or tree[path].mode == mode:
            return ""
        os.chmod(self.full(path), mode)
        self._truth.note(self.name, path, tree[path], tree[path]._replace(mode=mode))
        return path

    def file_to_directory(self, tree: Tree) -> str:
        path = self._one_of(tree, "file", "link")
        if not path:
            return ""
        os.unlink(self.full(path))
        self._truth.note(self.name, path, tree[path], None)
        return self.put(f"{path}/inside", {one: node for one, node in tree.items() if one != path})

    def directory_to_file(self, tree: Tree) -> str:
        path = self._one_of(tree, "directory")
        if not path:
            return ""
        self._remove(path, tree)
        return self.put(path, {one: node for one, node in tree.items() if not f"{one}/".startswith(f"{path}/")})

    # -- parts of acts

    def put(self, path: str, tree: Tree, more: bytes = b"") -> str:
        """A new version of a file that differs from all others."""
        before = tree.get(path)
        if (before is not None and before.kind == "directory") or not self._make_parents(path, tree):
            return ""
        content = b"%s %06d" % (self.name.encode(), len(self._truth.written)) + more
        node = Node("file", content, before.mode if before and before.kind == "file" else 0o644)
        if before is not None:
            os.unlink(self.full(path))
        write_file(self.full(path), content, node.mode, int(self._machine.clock.now()) * 10**9)
        self._truth.note(self.name, path, before, node)
        return path

    def full(self, path: str) -> str:
        return f"{self._machine.folder}/{path}"

    def _one_of(self, tree: Tree, *kinds: str) -> str:
        paths = sorted(path for path, node in tree.items() if node.kind in kinds)
        return self._rng.choice(paths) if paths else ""

    def _make_parents(self, path: str, tree: Tree) -> bool:
        """Whether there is a directory for the path now; False if a file is in the way."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent in tree and tree[parent].kind != "directory":
                return False
            if not os.path.isdir(self.full(parent)):
                os.mkdir(self.full(parent), 0o755)
                self._truth.note(self.name, parent, None, Node("directory", b"", 0o755))
        return True

    def _remove(self, path: str, tree: Tree) -> str:
        shutil.rmtree(self.full(path))
        for one, node in tree.items():
            if f"{one}/".startswith(f"{path}/"):
                self._truth.note(self.name, one, node, None)
        return path


ACTS: dict[str, Callable[[User, Tree], str]] = {
    "write": User.write,
    "delete": User.delete,
    "rename": User.rename,
    "rename directory": User.rename_directory,
    "mkdir": User.mkdir,
    "rmdir": User.rmdir,
    "symlink": User.symlink,
    "chmod": User.chmod,
    "file to directory": User.file_to_directory,
    "directory to file": User.directory_to_file,
}

_WEIGHTS = (list(ACTS), [10, 3, 3, 2, 1, 1, 1, 1, 1, 1]) if TRAVELS_ALL else (["write"], [1])
