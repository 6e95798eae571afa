"""Selection: which of the paths below the folders of a backup section are saved, by the rules of the section."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from ..files.ignore import IGNORE_BYTES_MAX, Ignore
from ..files.rules import Rules
from ..files.tree import path_bytes

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Selection:
    """Asked for every path on a walk from the top down; ignore files are read where the walk comes by."""

    def __init__(self, roots: Sequence[Path], rules: Rules) -> None:
        # The longest first: of two roots within each other the inner one decides.
        self._roots = sorted((str(root).rstrip("/") for root in roots), key=len, reverse=True)
        self._rules = dict.fromkeys(self._roots, rules)
        self._size_max = rules.size_max
        self._here: str | None = None
        self._root: str | None = None
        self._takes_all = False

    def excludes(self, path: str, is_directory: bool) -> bool:
        """Whether this absolute path is left out; OSError where a file of rules beside it cannot be read."""
        here = path.rpartition("/")[0]
        if here != self._here:
            self._enter(here)
        if self._root is None or (self._takes_all and not is_directory):
            return False
        rules, relative = self._rules[self._root], path[len(self._root) + 1 :]
        if is_directory:
            return not rules.enter(relative)
        return rules.why_not_file(relative) is not None or self._is_too_large(path)

    def _enter(self, here: str) -> None:
        """The walk has come to another directory: most of what decides is the same for all that is in it."""
        self._here = None
        self._root = next((root for root in self._roots if f"{here}/".startswith(f"{root}/")), None)
        if self._root is not None:
            self._look_in(self._root, here[len(self._root) + 1 :])
            rules = self._rules[self._root]
            asks = rules.include or rules.exclude or rules.extensions or rules.ignores or not rules.hidden
            # In the folder itself there may be a file of the name of our own directory.
            self._takes_all = not asks and rules.size_max is None and here != self._root
        self._here = here

    def _look_in(self, root: str, directory: str) -> None:
        rules = self._rules[root]
        if not rules.ignore_file or directory in rules.ignores:
            return
        full = f"{root}/{directory}/{rules.ignore_file}" if directory else f"{root}/{rules.ignore_file}"
        try:
            descriptor = os.open(path_bytes(full), _FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno == errno.ELOOP:
                return  # A link is no ignore file.
            raise
        with open(descriptor, "rb") as file:
            content = file.read(IGNORE_BYTES_MAX + 1)
        if len(content) > IGNORE_BYTES_MAX:
            raise OSError(errno.EFBIG, f"{rules.ignore_file} has more than {IGNORE_BYTES_MAX} bytes")
        self._rules[root] = rules.with_ignore(Ignore.parse(directory, content))

    def _is_too_large(self, path: str) -> bool:
        return self._size_max is not None and os.lstat(path_bytes(path)).st_size > self._size_max
