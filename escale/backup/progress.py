"""Progress: how far a run of saving, restoring, pruning or checking is, as a value that screens and logs render."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`files_done`, `bytes_done`: looked at, or brought back, so far; `bytes_moved`: of these, what had to be read and
    stored, or fetched and written.  `files_known`, `bytes_known`: how many there are in all, None while nobody knows;
    while saving they are those of the version before.  `path`: what is being worked on.  `noun`: what is counted; a run
    of more than one step counts something else in each."""

    files_done: int = 0
    files_known: int | None = None
    bytes_done: int = 0
    bytes_known: int | None = None
    bytes_moved: int = 0
    path: str = ""
    noun: str = "files"


Report = Callable[[Progress], None]
"""Called often, from the thread that works; whoever draws decides how often he draws."""


def silent(progress: Progress) -> None:
    """For runs that nobody watches."""
