"""Exchanging two files in one step, so that what was replaced is still there to be looked at.

A replacing rename destroys whatever lies at the target at that very moment, and nobody can know what that is: between
the last look and the rename somebody may have saved.  After an exchange the old file is in our hands, whatever it is.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable

_AT_FDCWD = -100
EXCHANGE = 2

_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def exchange(ours: bytes, parent: int, name: bytes) -> bool:
    """Swap the file `ours` (a full path) and `name` in the open directory `parent`; False where that is impossible."""
    system_call = renameat2()
    if system_call is None:
        return False
    if system_call(_AT_FDCWD, ours, parent, name, EXCHANGE) == 0:
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
