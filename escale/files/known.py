"""What a file looked like when its content was hashed, and whether that still tells its content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

GRANULARITY_NS = 2_000_000_000
"""The coarsest time stamps of a file system we meet: FAT's two seconds (kernel ticks and NFS are finer)."""


@dataclass(frozen=True, slots=True)
class Known:
    """A digest, the marks that an edit of the file changes, and when the content was read.

    `seen_ns` is a time, by our clock, *before* the first byte was read.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: str
    seen_ns: int

    @classmethod
    def of(cls, status: os.stat_result, digest: str, seen_ns: int) -> Self:
        """A file of this status has this digest."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, digest, seen_ns)

    def tells(self, status: os.stat_result) -> bool:
        """Whether a file that has this status now has our digest for certain.

        The marks must be the same and old enough: an edit in the same tick of the file system's clock as the one before
        leaves all marks as they are, so a file that had just been changed when it was hashed has to be hashed once more
        ("racily clean" in git).
        """
        if max(self.mtime_ns, self.ctime_ns) >= self.seen_ns - GRANULARITY_NS:
            return False
        marks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return marks == (self.size, self.mtime_ns, self.ctime_ns, self.inode)
