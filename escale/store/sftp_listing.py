"""Listings of directories over SFTP: many names, and many directories, in few turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from .sftp_requests import (
    BROKEN,
    CLOSE,
    END,
    FAILURE,
    NO_SUCH_FILE,
    OPENDIR,
    READDIR,
    Answers,
    StatusError,
    attributes,
    must_hold,
)

if TYPE_CHECKING:
    from paramiko import Message
    from paramiko.sftp_attr import SFTPAttributes

    Entry: TypeAlias = tuple[bytes, SFTPAttributes]

ENTRIES_MAX = 500_000
"""Names of a directory that we take; a relay has a handful for each page."""

READDIRS = 4
"""Reads of a directory sent together: each brings about a hundred names, and a relay has a few."""

READDIRS_OF_MANY = 2
"""The same where many directories are read together: one brings the names, the next says that these were all."""

TOGETHER = 64
"""Directories that are open at a time; servers set a limit to open files, seldom below a hundred."""


def list_directory(answers: Answers, path: str) -> list[Entry]:
    """All entries of a directory with their attributes, in no order; two turns for up to a few hundred names."""
    (listing,) = _read_together(answers, [answers.ask(OPENDIR, path).get_string()], READDIRS)
    return listing


def list_directories(answers: Answers, paths: Sequence[str]) -> Iterator[list[Entry]]:
    """The same of each directory; one that is not there, because it went away meanwhile, has none."""
    for start in range(0, len(paths), TOGETHER):
        asked = [answers.send(OPENDIR, path) for path in paths[start : start + TOGETHER]]
        handles = _handles(answers, asked)
        listings = iter(_read_together(answers, [handle for handle in handles if handle], READDIRS_OF_MANY))
        yield from (next(listings) if handle else [] for handle in handles)


def _handles(answers: Answers, asked: Sequence[int]) -> list[bytes | None]:
    """Of each directory, None of one that is absent; if one cannot be opened, those that were are closed again."""
    handles: list[bytes | None] = []
    failure: StatusError | None = None
    for number in asked:
        try:
            handles.append(answers.take(number)[1].get_string())
        except StatusError as error:
            handles.append(None)
            failure = failure if error.code == NO_SUCH_FILE else error
    if failure is not None:
        _close(answers, [handle for handle in handles if handle])
        raise failure
    return handles


def _read_together(answers: Answers, handles: Sequence[bytes], reads: int) -> list[list[Entry]]:
    """The entries of directories that are open; they are closed after it."""
    listings: list[list[Entry]] = [[] for _ in handles]
    try:
        going_on = [*zip(handles, listings, strict=True)]
        while going_on:
            asked = [[answers.send(READDIR, handle) for _ in range(reads)] for handle, _ in going_on]
            ended = [_take(answers, numbers, entries) for numbers, (_, entries) in zip(asked, going_on, strict=True)]
            going_on = [each for each, has_ended in zip(going_on, ended, strict=True) if not has_ended]
    finally:
        _close(answers, handles)
    return listings


def _take(answers: Answers, numbers: Sequence[int], entries: list[Entry]) -> bool:
    """Add what the answers bring; whether the directory has ended."""
    has_ended = False
    before = len(entries)
    for number in numbers:
        try:
            entries += _names(answers.take(number)[1])
        except StatusError as error:
            if error.code != END:
                raise
            has_ended = True
    if len(entries) == before and not has_ended:
        raise EOFError("a listing that neither goes on nor ends")
    if len(entries) > ENTRIES_MAX:
        raise StatusError(FAILURE, f"its listing has more than {ENTRIES_MAX} names")
    return has_ended


def _close(answers: Answers, handles: Sequence[bytes]) -> None:
    # Nobody waits for the answers; where the line is gone, the handles are too.
    with suppress(*BROKEN):
        for handle in handles:
            answers.send(CLOSE, handle)


def _names(message: Message) -> list[Entry]:
    entries = []
    count = message.get_int()
    must_hold(message, count)
    for _ in range(count):
        name = message.get_string()
        message.get_string()  # the line of `ls -l`
        entries.append((name, attributes(message)))
    return entries
