"""What is wrong with one file while the others go on, and what the system's errors mean to the user."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from ..errors import LocalError, NoLocalSpace
from .tree import display


@dataclass(frozen=True, slots=True)
class Trouble:
    """One file or directory that was left out, and why.

    `reason` is one word: permission, name, changing, symlink (where a file was looked for), special, big or error.
    `message` says it for the user.
    """

    path: str
    reason: str
    message: str


def trouble_from(path: str, error: OSError) -> Trouble:
    """The trouble that a system call had with the path."""
    return Trouble(path, _word(error), explanation(error))


def local_error(path: str, error: OSError) -> LocalError | NoLocalSpace:
    """The error to raise instead; its fact `word` is the trouble's reason."""
    kind = NoLocalSpace if is_disk_full(error) else LocalError
    return kind(path=display(path), reason=explanation(error), word=_word(error))


def _word(error: OSError) -> str:
    words = {
        errno.EACCES: "permission",
        errno.EPERM: "permission",
        errno.ENAMETOOLONG: "name",
        errno.ENOENT: "changing",
        errno.ELOOP: "symlink",
    }
    return words.get(error.errno or 0, "error")


def is_disk_full(error: OSError) -> bool:
    """No space, or no more of it for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def explanation(error: OSError) -> str:
    """The system's words, without numbers and paths; our own words, which may have names in them, as they are."""
    text = error.strerror or str(error) or type(error).__name__
    return text.lower() if error.errno is None or text == os.strerror(error.errno) else text
