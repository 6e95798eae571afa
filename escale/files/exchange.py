"""Renaming that destroys nothing: into a free place only, or in exchange for what is there.

A replacing rename destroys whatever lies at the target at that very moment, and nobody can know what that is: between
the last look and the rename somebody may have saved.  After an exchange the old file is in our hands, whatever it is.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from .tree import name_bytes

NO_REPLACE = 1
EXCHANGE = 2

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems without hard links (FAT, some of FUSE) refuse them; EPERM also for directories."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open directory: where something lies, or could lie.  Good as long as the descriptor is."""

    parent: int
    name: bytes

    @classmethod
    def of(cls, parent: int, path: str) -> Spot:
        """The place of a path whose directory is open."""
        return cls(parent, name_bytes(path))

    def status(self) -> os.stat_result | None:
        """What lies there, links not followed; None for nothing."""
        try:
            return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)
        except FileNotFoundError:
            return None


def exchange(one: Spot, other: Spot) -> bool:
    """Swap what lies in two places, of whatever kinds; False where the file system cannot do that."""
    return _rename(one, other, EXCHANGE)


def move(source: Spot, target: Spot) -> None:
    """Rename what is ours into a place that must be free: FileExistsError if it is not.

    Without the system's help a hard link takes the place, which cannot replace anything either; where there are no
    hard links a look must do.
    """
    if _rename(source, target, NO_REPLACE):
        return
    try:
        os.link(source.name, target.name, src_dir_fd=source.parent, dst_dir_fd=target.parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_after_a_look(source, target)
    else:
        os.unlink(source.name, dir_fd=source.parent)


def take(source: Spot, target: Spot) -> None:
    """Rename whatever lies in a place of the user's to where nobody but us puts things; FileExistsError.

    A link would not do here: between linking and unlinking the user could save, and that would be unlinked.
    """
    if not _rename(source, target, NO_REPLACE):
        _rename_after_a_look(source, target)


def _rename_after_a_look(source: Spot, target: Spot) -> None:
    if target.status() is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(source.name, target.name, src_dir_fd=source.parent, dst_dir_fd=target.parent)


def _rename(source: Spot, target: Spot, flags: int) -> bool:
    system_call = renameat2()
    if system_call is None:
        return False
    if system_call(source.parent, source.name, target.parent, target.name, flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


@functools.cache
def renameat2() -> Callable[..., int] | None:
    """The system call of Linux, by way of the C library; None on other systems."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function
