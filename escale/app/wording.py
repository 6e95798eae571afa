"""The words of the program: sizes, times, one sentence for each event, for screens, logs and service managers alike.

Pure: nothing here knows where the words go.  Sizes count in steps of 1024 and say so in no place, as file managers do.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..events import (
    Conflicted,
    Event,
    Item,
    PageBegan,
    PageEnded,
    PageFreed,
    PassEnded,
    Problem,
    Progress,
    Skipped,
    VersionSaved,
    VersionTried,
    Waiting,
)
from ..files.tree import display
from .status import Amount, Reason, SectionState, SectionStatus


class Level(enum.IntEnum):
    """How much a line matters, in the numbers of syslog and the journal."""

    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Line:
    """One line for people."""

    level: Level
    text: str


_UNITS = ("KB", "MB", "GB", "TB")


def size_text(count: float) -> str:
    """Bytes for people: `512 B`, `47 KB`, `3.4 GB`."""
    if count < 1024:
        return f"{int(count)} B"
    power = min(int(math.log(count, 1024) + 1e-3), len(_UNITS))
    count, unit = count / 1024**power, _UNITS[power - 1]
    return f"{count:.0f} {unit}" if unit == "KB" or count >= 10 else f"{count:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """A length of time for people, with its two largest units: `0.4 s`, `7 min 2 s`, `3 d 4 h`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def counted(count: int, noun: str) -> str:
    """`1 version`, `2 versions`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def files_text(count: int) -> str:
    """`1 file`, `1903 files`."""
    return counted(count, "file")


def amount_text(amount: Amount) -> str:
    """`214 files 3.1 GB`, or a dash for nothing."""
    return f"{files_text(amount.files)} {size_text(amount.bytes)}" if amount.files else "-"


def progress_text(event: Progress, bytes_per_s: float | None) -> str:
    """How far a page is; with a rate, how long it will still take."""
    done = size_text(event.bytes_done)
    text = f"{_VERBS[event.direction]} {progress_count(event)}, {done}"
    if event.files is None or event.bytes is None:
        rate = f", {size_text(bytes_per_s)}/s" if bytes_per_s else ""
        return f"{text} so far{rate}"
    text = f"{text} of {size_text(event.bytes)}"
    if not bytes_per_s or event.bytes_done > event.bytes:
        return text
    left = (event.bytes - event.bytes_done) / bytes_per_s
    return f"{text}, {size_text(bytes_per_s)}/s, {duration_text(left)} left"


_VERBS = {
    "up": "sent",
    "down": "received",
    "save": "looked at",
    "restore": "restored",
    "check": "read",
    "prune": "read",
}
_STEPS = ("check", "prune")
"""Directions whose pages are what is counted."""


def progress_count(event: Progress) -> str:
    """`3 of 12 packs`; without a known end, `3 files`."""
    if event.direction in _STEPS:
        noun = event.page
    else:
        noun = "file" if (event.files_done if event.files is None else event.files) == 1 else "files"
    return f"{event.files_done} {noun}" if event.files is None else f"{event.files_done} of {event.files} {noun}"


def line_of(event: Event) -> Line | None:
    """The event as a line, or None where only bars and `--json` care."""
    words = _WORDS.get(type(event))
    if words is None:
        return None
    level, sentence = words
    if isinstance(event, Skipped) and event.reason == Reason.CHANGING:
        level = Level.DEBUG  # Nothing is wrong: every file that is being worked on is met so, pass after pass.
    return Line(level, f"{event.section}: {sentence(event)}")


def state_line(sections: Sequence[SectionStatus]) -> str:
    """All sections in one line, as the service manager shows it."""
    return "; ".join(_state_words(section) for section in sections)


def _state_words(section: SectionStatus) -> str:
    waiting = {SectionState.SENDING: section.to_send, SectionState.RECEIVING: section.to_receive}.get(section.state)
    text = f"{section.section} {section.state}"
    if waiting is not None and waiting.files:
        text += f" {size_text(waiting.bytes)}"
    return f"{text}: needs you" if section.needs else text


def _page(page: str) -> str:
    return f"page {display(page)}: " if page else ""


def _page_began(event: PageBegan) -> str:
    verb = "sending" if event.direction == "up" else "receiving"
    return f"{_page(event.page)}{verb} {files_text(event.files)}, {size_text(event.bytes)}"


def _page_ended(event: PageEnded) -> str:
    verb = "sent" if event.direction == "up" else "received"
    amount = f"{files_text(event.files)}, {size_text(event.bytes)}"
    return f"{_page(event.page)}{verb} {amount} in {duration_text(event.seconds)}"


def _page_freed(event: PageFreed) -> str:
    whom = f"received by {', '.join(event.consumed)}" if event.consumed else "received by all"
    return f"{_page(event.page)}{whom}; {size_text(event.bytes)} freed on the relay"


def _pass_ended(event: PassEnded) -> str:
    return (
        f"pass: sent {files_text(event.up_files)}, received {files_text(event.down_files)}, "
        f"{event.skipped} skipped, {event.waiting} waiting, {duration_text(event.seconds)}"
    )


def _version_saved(event: VersionSaved) -> str:
    news = f"{event.files_new} new, {event.files_changed} changed"
    stored = f"{size_text(event.bytes_stored)} stored in {duration_text(event.seconds)}"
    return f"version {event.id[:8]}: {files_text(event.files)}, {size_text(event.bytes)}; {news}, {stored}"


def _version_tried(event: VersionTried) -> str:
    news = f"{event.files_new} new, {event.files_changed} changed, {event.files_unchanged} unchanged"
    stored = f"{size_text(event.bytes_new)} are not in the store, and would take {size_text(event.bytes_stored)} there"
    return f"a version would have {files_text(event.files)}, {size_text(event.bytes)}: {news}; {stored}"


def _item(event: Item) -> str:
    verb = "send" if event.direction == "up" else "receive"
    return f"{verb} {event.action} {display(event.path)} {size_text(event.bytes)}"


def _skipped(event: Skipped) -> str:
    return f"skipped {display(event.path)}: {event.message} ({event.code})"


def _conflicted(event: Conflicted) -> str:
    return f"conflict: {display(event.path)} was changed in two places; both are kept, ours as {display(event.copy)}"


def _waiting(event: Waiting) -> str:
    amount = f"{files_text(event.files)}, {size_text(event.bytes)}"
    return f"{_page(event.page)}{amount} waiting ({event.reason}): {event.message}"


def _problem(event: Problem) -> str:
    text = f"{event.message} ({event.code})"
    if event.retry_s is not None:
        text += f"; next try in {duration_text(event.retry_s)}"
    return f"{text}\n{event.advice}" if event.advice else text


_WORDS: dict[type[Event], tuple[Level, Callable[..., str]]] = {
    PageBegan: (Level.INFO, _page_began),
    PageEnded: (Level.INFO, _page_ended),
    PageFreed: (Level.INFO, _page_freed),
    PassEnded: (Level.DEBUG, _pass_ended),
    VersionSaved: (Level.INFO, _version_saved),
    VersionTried: (Level.INFO, _version_tried),
    Item: (Level.DEBUG, _item),
    Skipped: (Level.WARNING, _skipped),
    Conflicted: (Level.WARNING, _conflicted),
    Waiting: (Level.DEBUG, _waiting),
    Problem: (Level.ERROR, _problem),
}
