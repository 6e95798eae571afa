"""Summary: what a run of saving found and stored, in numbers; restic shows them beside the version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .moments import text_of
from .writer import Written


@dataclass(slots=True)
class Counts:
    """Of files, and of everything else but directories (`others`).  `bytes`: of the files, new or not; `bytes_read`: of
    those that had to be read."""

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    directories_new: int = 0
    directories_changed: int = 0
    directories_unmodified: int = 0
    others: int = 0
    bytes: int = 0
    bytes_read: int = 0

    @property
    def files(self) -> int:
        """All of them."""
        return self.files_new + self.files_changed + self.files_unmodified

    def summary(self, begun_ns: int, ended_ns: int, written: Written) -> dict[str, Any]:
        """As restic calls it."""
        return {
            "backup_start": text_of(begun_ns),
            "backup_end": text_of(ended_ns),
            "files_new": self.files_new,
            "files_changed": self.files_changed,
            "files_unmodified": self.files_unmodified,
            "dirs_new": self.directories_new,
            "dirs_changed": self.directories_changed,
            "dirs_unmodified": self.directories_unmodified,
            "data_blobs": written.data_blobs,
            "tree_blobs": written.tree_blobs,
            "data_added": written.raw_bytes,
            "data_added_packed": written.stored_bytes,
            "total_files_processed": self.files,
            "total_bytes_processed": self.bytes,
        }
