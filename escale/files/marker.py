"""The marker of a folder: a file that is there whenever the folder really is.

A mount point without its disk is an empty directory.  It has no marker, so nobody takes it for a folder whose files
were all deleted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .directories import Directories
from .staging import write_all
from .tree import PRIVATE
from .trouble import local_error

NAME = "folder"

BYTES_MAX = 1 << 16
"""Far more than we ever write; what is larger is not a marker."""

_NEW = NAME + ".new"


def identity_of(root: Path) -> str | None:
    """The identity that was given to the folder; None if it has no marker, or there is no folder.  LocalError."""
    try:
        with Directories(root) as directories:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(NAME, flags, dir_fd=directories.open(PRIVATE))
        with open(descriptor, "rb") as file:
            return _decode(file.read(BYTES_MAX))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise local_error(f"{root}/{PRIVATE}/{NAME}", error) from error


def mark(root: Path, identity: str) -> None:
    """Give the folder this identity, durably and in the place of a former one.  NoLocalSpace, LocalError."""
    try:
        with Directories(root) as directories:
            private = directories.open(PRIVATE, make=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(_NEW, flags, 0o644, dir_fd=private)
            try:
                write_all(descriptor, json.dumps({"identity": identity}).encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(_NEW, NAME, src_dir_fd=private, dst_dir_fd=private)
            os.fsync(private)
            os.fsync(directories.open(""))
    except OSError as error:
        raise local_error(f"{root}/{PRIVATE}/{NAME}", error) from error


def _decode(raw: bytes) -> str | None:
    """What is damaged is no marker: better to ask the user once more than to believe it."""
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    identity = facts.get("identity") if isinstance(facts, dict) else None
    return identity if isinstance(identity, str) else None
