"""Looking at a whole folder without reading a single user file.

One `lstat` per path, no recursion (trees may be hundreds of levels deep), no symbolic link is ever followed.  The only
files that are read are ignore files, because they decide what else is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import LocalError
from .ignore import IGNORE_BYTES_MAX, Ignore
from .known import Known
from .names import clashes
from .rules import Rules
from .tree import Entry, display, path_bytes, path_text
from .trouble import Trouble, explanation, trouble_from


@dataclass(frozen=True, slots=True)
class Scan:
    """What a folder holds at the moment.

    `entries`: the files, directories and symbolic links that take part; the digest of a file is None where the content
    has to be hashed again.  A directory that cannot be read is not among them: nobody knows what is in it.
    `unsettled`: files that are being written: not to be sent, and not missing either; each has a problem "changing".
    `problems`: what was left out and is not merely excluded by a rule.
    `complete`: False if a directory could not be read, so that nothing may be called missing.
    `rules`: those of the section with the ignore files of this folder.
    `clashes`: pairs of paths that take part and that other file systems take for one.
    """

    entries: dict[str, Entry]
    unsettled: frozenset[str]
    problems: tuple[Trouble, ...]
    complete: bool
    rules: Rules
    clashes: tuple[tuple[str, str], ...] = ()


def scan(root: bytes, rules: Rules, known: Mapping[str, Known], now_ns: int, settle_ns: int) -> Scan:
    """Look at everything below `root`; LocalError if that directory itself cannot be read.

    `known` is the stat cache.  A file changed less than `settle_ns` before `now_ns` is unsettled, unless its content is
    known all the same.
    """
    return _Walk(root, rules, known, now_ns, settle_ns).run()


class _Walk:
    """One scan in progress."""

    def __init__(self, root: bytes, rules: Rules, known: Mapping[str, Known], now_ns: int, settle_ns: int) -> None:
        self.root = root
        self.rules = rules
        self.known = known
        self.now_ns = now_ns
        self.settle_ns = settle_ns
        self.entries: dict[str, Entry] = {}
        self.unsettled: set[str] = set()
        self.problems: list[Trouble] = []
        self.clashes: list[tuple[str, str]] = []
        self.complete = True

    def run(self) -> Scan:
        pending = [("", 0)]
        while pending:
            pending.extend(self._directories_in(*pending.pop()))
        return Scan(
            self.entries,
            frozenset(self.unsettled),
            tuple(self.problems),
            self.complete,
            self.rules,
            tuple(self.clashes),
        )

    def _directories_in(self, directory: str, mode: int) -> list[tuple[str, int]]:
        """Take note of one directory and of what is in it; the directories in it that may be entered, with modes."""
        try:
            items = self._listing(directory)
        except OSError as error:
            self._unreadable(directory, error)
            return []
        if directory and self.rules.carries_directories:
            self.entries[directory] = Entry.directory(directory, mode)
        prefix = f"{directory}/" if directory else ""
        directories = []
        names = []
        for item in items:
            path = prefix + path_text(item.name)
            is_directory = item.is_dir(follow_symlinks=False)
            takes_part = self.rules.enter(path) if is_directory else self.rules.why_not_file(path) is None
            if not takes_part or (status := self._status(path, item)) is None:
                continue
            names.append(item.name)
            if stat.S_ISDIR(status.st_mode):
                directories.append((path, status.st_mode & 0o777))
            else:
                self._not_a_directory(path, item, status)
        self.clashes += [(prefix + one, prefix + other) for one, other in clashes(names)]
        return directories

    def _listing(self, directory: str) -> list[os.DirEntry[bytes]]:
        """What is in the directory, after its ignore file was read."""
        full = self.root + b"/" + path_bytes(directory) if directory else self.root
        with os.scandir(full) as items:
            found = list(items)
        if self.rules.ignore_file:
            name = path_bytes(self.rules.ignore_file)
            for item in found:
                if item.name == name and item.is_file(follow_symlinks=False):
                    self._read_ignore_file(directory, item.path)
        return found

    def _read_ignore_file(self, directory: str, full: bytes) -> None:
        """A directory whose ignore file cannot be read is not entered: we would send what the user wants kept here."""
        with open(os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(IGNORE_BYTES_MAX + 1)
        if len(content) > IGNORE_BYTES_MAX:
            raise OSError(errno.EFBIG, f"{self.rules.ignore_file} has more than {IGNORE_BYTES_MAX} bytes")
        ignore = Ignore.parse(directory, content)
        self.rules = self.rules.with_ignore(ignore)
        path = f"{directory}/{self.rules.ignore_file}" if directory else self.rules.ignore_file
        for line in ignore.unreadable_lines:
            self.problems.append(
                Trouble(path, "error", f"line {line} is not a pattern: {display(ignore.lines[line - 1])}")
            )

    def _status(self, path: str, item: os.DirEntry[bytes]) -> os.stat_result | None:
        try:
            return item.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None  # It was deleted since the directory was listed.
        except OSError as error:
            self.problems.append(trouble_from(path, error))
            self.complete = self.complete and not item.is_dir(follow_symlinks=False)
            return None

    def _not_a_directory(self, path: str, item: os.DirEntry[bytes], status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            self._link(path, item, status)
        elif not stat.S_ISREG(status.st_mode):
            self.problems.append(Trouble(path, "special", "it is a device, a pipe or a socket"))
        elif reason := self.rules.why_not_size(status.st_size):
            self.problems.append(Trouble(path, "big", reason))
        else:
            self._regular_file(path, status)

    def _link(self, path: str, item: os.DirEntry[bytes], status: os.stat_result) -> None:
        try:
            target = path_text(os.readlink(item.path))
        except FileNotFoundError:
            return
        except OSError as error:
            self.problems.append(trouble_from(path, error))
            return
        self.entries[path] = Entry.link(path, target, status.st_mtime_ns)

    def _regular_file(self, path: str, status: os.stat_result) -> None:
        known = self.known.get(path)
        digest = known.digest if known and known.tells(status) else None
        if digest is None and self._is_unsettled(status):
            self.unsettled.add(path)
            self.problems.append(Trouble(path, "changing", "it was changed a moment ago"))
            return
        self.entries[path] = Entry(path, status.st_size, status.st_mtime_ns, status.st_mode & 0o777, digest)

    def _is_unsettled(self, status: os.stat_result) -> bool:
        """Time stamps in the future say nothing about an edit going on, and would keep the file out for long."""
        ages_ns = (self.now_ns - status.st_mtime_ns, self.now_ns - status.st_ctime_ns)
        return any(0 <= age_ns < self.settle_ns for age_ns in ages_ns)

    def _unreadable(self, directory: str, error: OSError) -> None:
        if not directory:
            raise LocalError(path=os.fsdecode(self.root), reason=explanation(error)) from error
        if isinstance(error, FileNotFoundError):
            return  # It was deleted since its parent was listed.
        self.problems.append(trouble_from(directory, error))
        self.complete = False
