"""One ignore file of the folder, with gitignore's rules (the matching is pathspec's)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .tree import path_text

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_BYTES_MAX = 1 << 20
"""More than any hand writes; what is larger is not an ignore file and is refused instead of being obeyed in part."""

WILDCARDS_MAX = 4
"""Stars in a component.  An ignore file may come from another machine, and the time that a regular expression takes for
a name grows with a power of their number: with eight a name of 80 letters takes most of a minute."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """The patterns of the ignore file of `directory`, which is "" for the top of the folder.

    `unreadable_lines`: numbers (from 1) of the lines that are no patterns; like git we go on without them.
    """

    directory: str
    lines: tuple[str, ...]
    spec: GitIgnoreSpec
    unreadable_lines: tuple[int, ...] = ()

    @classmethod
    def parse(cls, directory: str, content: bytes) -> Self:
        """From the bytes of an ignore file; never fails."""
        # Imported here: most folders have no ignore file.
        from pathspec import GitIgnoreSpec

        # Split at LF as git does: str.splitlines would also split at characters that belong to file names.
        lines = [line.removesuffix("\r") for line in path_text(content).removeprefix("\ufeff").split("\n")]
        unreadable = dict.fromkeys(number for number, line in enumerate(lines) if not _is_pattern(line))
        # The specification leaves out empty lines; a comment in their place keeps its indices equal to line numbers.
        kept = ["#" if not line or number in unreadable else line for number, line in enumerate(lines)]
        return cls(directory, tuple(lines), GitIgnoreSpec.from_lines(kept), tuple(number + 1 for number in unreadable))

    def verdict(self, path: str) -> tuple[bool, int] | None:
        """Whether the last pattern that matches ignores the path, and its line (from 1); None if no pattern matches.

        `path` is relative to the top of the folder, lies below `directory` and ends with `/` if it is a directory.
        """
        relative = path[len(self.directory) + 1 :] if self.directory else path
        result = self.spec.check_file(relative, separators=())
        if result.include is None or result.index is None:
            return None
        return result.include, result.index + 1


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    if any(component.count("*") > WILDCARDS_MAX for component in line.split("/")):
        return False
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
