"""Who saves: the machine and the user, as snapshots, key files and locks name them."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Machine:
    """`hostname` and `username` tell versions of several machines in one repository apart."""

    hostname: str
    username: str
    uid: int
    gid: int
    pid: int

    @classmethod
    def this(cls) -> Self:
        """The one that runs us."""
        try:
            username = getpass.getuser()
        except (KeyError, OSError):
            # A container's user need not have a name.
            username = ""
        return cls(socket.gethostname(), username, os.getuid(), os.getgid(), os.getpid())

    def is_dead(self, hostname: str, pid: int) -> bool:
        """Whether that process is known not to be any more; of other machines nobody knows."""
        if hostname != self.hostname or pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
