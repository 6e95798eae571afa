"""Which files take part: the filters of the original, hidden names, a size limit, and ignore files.

A path takes part if each of its directories may be entered and the file itself passes.  The same rules hold for what
is scanned and for what arrives; were they different, a file that arrives could look missing in the next scan.
Symbolic links are judged as files, by their names.  A directory takes part if it may be entered, unless the section
chooses files by their names: then most directories would be empty, and they are made where a file needs them.

Patterns are the original's: `*` stands for anything, and what matches the *beginning* is enough, so `exclude = a`
excludes everything that begins with `a`.  Between slashes stands a regular expression, anchored in the same way.
File patterns see the base name; directory patterns see the directory relative to the folder, once for each level.
"""

from __future__ import annotations

import functools
import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .ignore import Ignore
from .tree import PRIVATE, Kind, parent_of


@functools.cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The expression whose `match` decides; re.error for a bad one between slashes.

    The closing slash may be missing, as in the original.
    """
    if pattern.startswith("/"):
        return re.compile(pattern[1:].removesuffix("/"))
    # A name may contain line feeds, and `*` stands for them too.
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rules:
    """The filters of one section; those not given let everything pass, except that hidden names stay out.

    `extensions` with or without the dot; `size_max` in bytes; `ignore_file` is the base name of the ignore files, ""
    for none, and `ignores` are those found so far, by directory.  re.error for a pattern that does not compile.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_directory: tuple[str, ...] = ()
    exclude_directory: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    hidden: bool = False
    size_max: int | None = None
    ignore_file: str = ".escaleignore"
    ignores: Mapping[str, Ignore] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pattern in (*self.include, *self.exclude, *self.include_directory, *self.exclude_directory):
            compile_pattern(pattern)

    def with_ignore(self, ignore: Ignore) -> Rules:
        """The same rules and one more ignore file."""
        return replace(self, ignores={**self.ignores, ignore.directory: ignore})

    @property
    def carries_directories(self) -> bool:
        """Whether directories take part for themselves, the empty ones too."""
        return not self.include and not self.extensions

    def why_not(self, path: str, size: int, kind: Kind = Kind.FILE) -> str | None:
        """The rule that keeps the path out, in words, or None; `size` in bytes, of files only.

        What is gone may have been anything: it is out if it would be out both as a file and as a directory.
        """
        if kind is Kind.DIRECTORY:
            return self.why_not_directory(path)
        if kind is Kind.GONE and self.why_not_directory(path) is None:
            return None
        reason = self._why_not_reach(path) or self.why_not_file(path)
        return reason or (self.why_not_size(size) if kind is Kind.FILE else None)

    def why_not_directory(self, path: str) -> str | None:
        """The rule that keeps the directory itself out, in words, or None; files in it may take part all the same."""
        reason = self._why_not_reach(path) or self.why_not_enter(path)
        return reason or (None if self.carries_directories else "directories are made only for the files chosen")

    def enter(self, directory: str) -> bool:
        """Whether a directory, whose parents may be entered, may be entered too."""
        return self.why_not_enter(directory) is None

    def why_not_enter(self, directory: str) -> str | None:
        """The rule that keeps the directory out; its parents are not looked at."""
        if not directory:
            return None
        if directory == PRIVATE:
            return "escale's own directory"
        if not self.hidden and directory.startswith(".", directory.rfind("/") + 1):
            return f"hidden files = no: the directory {directory}"
        if self.include_directory and _first_match(self.include_directory, directory) is None:
            return f"not in include directory: {directory}"
        if (pattern := _first_match(self.exclude_directory, directory)) is not None:
            return f"exclude directory = {pattern}: {directory}"
        return self._ignored(directory, "/")

    def why_not_file(self, path: str) -> str | None:
        """The rule about its name that keeps the file out; its directories are not looked at."""
        name = path[path.rfind("/") + 1 :]
        if name == self.ignore_file:
            return None
        if not self.hidden and name.startswith("."):
            return "hidden files = no"
        if path == PRIVATE:
            return "escale's own directory"
        if self.extensions and not self._has_extension(name):
            return "not in file extension"
        if self.include and _first_match(self.include, name) is None:
            return "not in include"
        if (pattern := _first_match(self.exclude, name)) is not None:
            return f"exclude = {pattern}"
        return self._ignored(path, "")

    def why_not_size(self, size: int) -> str | None:
        """The rule about its size that keeps a file of `size` bytes out."""
        if self.size_max is not None and size > self.size_max:
            return f"max file size = {self.size_max} bytes: it has {size}"
        return None

    def _why_not_reach(self, path: str) -> str | None:
        """The rule that keeps one of its parents out."""
        for at, character in enumerate(path):
            if character == "/" and (reason := self.why_not_enter(path[:at])):
                return reason
        return None

    def _has_extension(self, name: str) -> bool:
        extension = os.path.splitext(name)[1]
        return any(extension == ("." + wanted.removeprefix(".")) for wanted in self.extensions)

    def _ignored(self, path: str, mark: str) -> str | None:
        """The line that ignores the path, asking the nearest ignore file first; the first that knows it decides."""
        if not self.ignores:
            return None
        directory = path
        while directory:
            directory = parent_of(directory)
            ignore = self.ignores.get(directory)
            verdict = ignore.verdict(path + mark) if ignore else None
            if ignore and verdict:
                is_ignored, line = verdict
                source = f"{directory}/{self.ignore_file}" if directory else self.ignore_file
                return f"{source}, line {line}: {ignore.lines[line - 1]}" if is_ignored else None
        return None


def _first_match(patterns: tuple[str, ...], text: str) -> str | None:
    for pattern in patterns:
        if compile_pattern(pattern).match(text):
            return pattern
    return None
