"""Kinds of values that name files and directories, or an address to go through."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from . import faults
from .faults import Fault
from .kinds import BadValue, Kind, Place


def home(environ: Mapping[str, str]) -> str:
    """The user's home directory."""
    return environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir


def absolute(text: str, base: Path, environ: Mapping[str, str]) -> Path:
    """A path of the file: absolute, below `~`, or relative to the file's directory."""
    if text == "~" or text.startswith("~/"):
        text = home(environ) + text[1:]
    return Path(os.path.normpath(base / text))


class FolderPath(Kind):
    """The folder: a directory, or one that can be made."""

    word = "directory"
    possible = (faults.NO_DIRECTORY, faults.NOT_A_DIRECTORY)

    def read(self, text: str, place: Place) -> Path:
        path = absolute(text, place.base, place.environ)
        if os.path.lexists(path) and not os.path.isdir(path):
            raise BadValue(faults.NOT_A_DIRECTORY, path=path)
        if not os.path.isdir(path) and not os.path.isdir(path.parent):
            raise BadValue(faults.NO_DIRECTORY, path=path)
        return path

    @property
    def rule(self) -> str:
        return "it exists, or its parent does: then it is created at the first start"


class FolderPaths(Kind):
    """Folders and files between commas, on any disks; whether they are there is seen when they are saved."""

    word = "list of paths"
    possible = (faults.WRONG_TYPE,)

    def read(self, text: str, place: Place) -> tuple[Path, ...]:
        words = [word.strip() for word in re.split(r"[,\n]", text)]
        return tuple(dict.fromkeys(absolute(word, place.base, place.environ) for word in words if word))

    def native(self, raw: object, place: Place) -> tuple[Path, ...]:
        if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
            raise BadValue(faults.WRONG_TYPE, kind="a list of texts", type=type(raw).__name__)
        return tuple(dict.fromkeys(absolute(one, place.base, place.environ) for one in raw if one))

    def show(self, value: Any) -> str:
        return ", ".join(map(str, value))

    @property
    def rule(self) -> str:
        return "paths between commas"


class FilePath(Kind):
    """A file that exists."""

    word = "file"
    possible: ClassVar[tuple[Fault, ...]] = (faults.NO_FILE,)

    def read(self, text: str, place: Place) -> Path:
        path = absolute(text, place.base, place.environ)
        if not os.path.isfile(path):
            raise BadValue(faults.NO_FILE, path=path, advice="")
        return path

    @property
    def rule(self) -> str:
        return "it exists"


class PrivateFile(FilePath):
    """A file that exists and that only its owner can read."""

    possible = (faults.NO_FILE, faults.EXPOSED_FILE)

    def read(self, text: str, place: Place) -> Path:
        path = super().read(text, place)
        refuse_exposed(path)
        return path

    @property
    def rule(self) -> str:
        return "it exists, and others cannot read it (mode 0600)"


def refuse_exposed(path: Path) -> None:
    """BadValue if others can read the file."""
    mode = open_mode(path)
    if mode:
        raise BadValue(faults.EXPOSED_FILE, path=path, mode=mode)


def open_mode(path: Path) -> int:
    """The permission bits of a file that others can read; 0 if they cannot, or if it cannot be told."""
    try:
        mode = os.stat(path).st_mode & 0o777
    except OSError:
        return 0
    return mode if mode & 0o077 else 0


@dataclass(frozen=True, slots=True)
class PathOrWord(Kind):
    """A path, or one of some words."""

    words: tuple[str, ...] = ()
    word = "path"

    def read(self, text: str, place: Place) -> Path | str:
        if text.lower() in self.words:
            return text.lower()
        return absolute(text, place.base, place.environ)

    @property
    def rule(self) -> str:
        return f"a path, or {', '.join(self.words)}" if self.words else "a path; directories are created"


class HostKey(Kind):
    """What proves that an SSH server is the right one."""

    word = "fingerprint or file"
    possible = (faults.NO_FILE,)

    def read(self, text: str, place: Place) -> str:
        if text.lower() == "accept-new" or re.fullmatch(r"SHA256:[A-Za-z0-9+/]+=*", text):
            return text
        path = absolute(text, place.base, place.environ)
        if not os.path.isfile(path):
            raise BadValue(faults.NO_FILE, path=path, advice="a fingerprint is written SHA256:...")
        return str(path)

    @property
    def rule(self) -> str:
        return "SHA256:... (a fingerprint), a known_hosts file, or accept-new to trust the first key seen"


class ProxyUrl(Kind):
    """A proxy."""

    word = "URL"
    possible = (faults.NOT_A_URL,)
    _schemes = ("http://", "https://", "socks5://")

    def read(self, text: str, place: Place) -> str:
        if text.lower() != "none" and not text.lower().startswith(self._schemes):
            raise BadValue(faults.NOT_A_URL, schemes=", ".join(self._schemes))
        return text.lower() if text.lower() == "none" else text

    @property
    def rule(self) -> str:
        return f"begins with {', '.join(self._schemes)}; none ignores the environment"


class Pattern(Kind):
    """Further files to read, by name with * in it."""

    word = "path with *"

    def read(self, text: str, place: Place) -> str:
        return str(absolute(text, place.base, place.environ))

    def show(self, value: Any) -> str:
        return str(value)

    @property
    def rule(self) -> str:
        return "for example conf.d/*.conf; what is read there does not include further files"
