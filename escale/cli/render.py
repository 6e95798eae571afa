"""Where events and answers become visible: plain lines, bars on a terminal, JSON objects, tables.

Data goes to standard output, talk to standard error.  Screens are called from the threads of all sections, so each
has a lock, and they never raise: a terminal that went away must not end a pass.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol

from ..app.wording import Level, Line, line_of, progress_text
from ..clock import Clock
from ..errors import EscaleError
from ..events import Event, Progress
from ..files.tree import path_bytes

SUMMARY_S = 60.0
"""Plain progress: at most one line per section in this time."""

JSON_PROGRESS_S = 1.0
"""At most one progress object per section and direction in this time."""

COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours, or none; words carry the meaning, colours only help the eye."""

    is_on: bool = False

    def paint(self, text: str, colour: str) -> str:
        """The text in one of COLOURS."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.is_on and colour else text


def palette_for(stream: IO[str], when: str, environ: Mapping[str, str]) -> Palette:
    """Whether to colour what goes to this stream: `when` is auto, always or never."""
    if when != "auto":
        return Palette(when == "always")
    if environ.get("NO_COLOR"):
        return Palette(False)
    if environ.get("FORCE_COLOR"):
        return Palette(True)
    return Palette(stream.isatty() and environ.get("TERM") != "dumb")


class Screen(Protocol):
    """Shows events and lines."""

    def __call__(self, event: Event) -> None:
        """An event; a reporter."""
        ...

    def say(self, line: Line) -> None:
        """A line that belongs to no event."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class Meter:
    """Bytes per second of a page from its progress events; forgets when another page begins."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[tuple[str, str], tuple[str, float, int]] = {}

    def rate(self, event: Progress) -> float | None:
        """The mean since the first event of this page, None before there is one."""
        key, now = (event.section, event.direction), self._clock.monotonic()
        page, began, done = self._first.get(key, ("", 0.0, 0))
        if key not in self._first or page != event.page or event.bytes_done < done:
            self._first[key] = (event.page, now, event.bytes_done)
            return None
        return (event.bytes_done - done) / (now - began) if now > began else None


class PlainScreen:
    """One line per event worth one; a summary once a minute while data moves."""

    def __init__(
        self, stream: IO[str], clock: Clock, loudest: Level, palette: Palette, is_journal: bool, has_progress: bool
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._level = loudest
        self._palette = palette
        self._is_journal = is_journal
        self._has_progress = has_progress
        self._meter = Meter(clock)
        self._shown: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        line = self._summary(event) if isinstance(event, Progress) else line_of(event)
        if line is not None:
            self.say(line)

    def say(self, line: Line) -> None:
        if line.level > self._level:
            return
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(self._formed(line) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing to put back."""

    def _summary(self, event: Progress) -> Line | None:
        with self._lock:
            rate, now = self._meter.rate(event), self._clock.monotonic()
            if not self._has_progress or now - self._shown.setdefault(event.section, now) < SUMMARY_S:
                return None
            self._shown[event.section] = now
        return Line(Level.INFO, f"{event.section}: {progress_text(event, rate)}")

    def _formed(self, line: Line) -> str:
        if self._is_journal:
            return f"<{line.level.value}>{line.text.replace(chr(10), '; ')}"
        return error_text(line, self._palette)


class JsonScreen:
    """One object per event on standard output; lines that belong to no event are left out.

    `on_closed` is called when nobody reads any more.
    """

    def __init__(self, stream: IO[str], clock: Clock, on_closed: Callable[[], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._on_closed = on_closed
        self._meter = Meter(clock)
        self._shown: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            values = self._progress(event) if isinstance(event, Progress) else event.as_json()
        if values is not None:
            self.write(values)

    def say(self, line: Line) -> None:
        """Not an object, so not here."""

    def write(self, values: Mapping[str, Any]) -> None:
        """One object, at once visible to the reader."""
        with self._lock:
            try:
                self._stream.write(json_line(values) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self._on_closed()

    def close(self) -> None:
        """Nothing to put back."""

    def _progress(self, event: Progress) -> dict[str, Any] | None:
        rate, now = self._meter.rate(event), self._clock.monotonic()
        key = (event.section, event.direction)
        is_last = event.bytes is not None and event.bytes_done >= event.bytes
        if not is_last and now - self._shown.get(key, -JSON_PROGRESS_S) < JSON_PROGRESS_S:
            return None
        self._shown[key] = now
        values = event.as_json()
        if rate:
            values["bytes_per_s"] = int(rate)
            if event.bytes is not None:
                values["eta_s"] = max(0, int((event.bytes - event.bytes_done) / rate))
        return values


def json_line(values: Mapping[str, Any]) -> str:
    """One JSON object on one line: times in RFC 3339, and `path_b64` beside a path that is not UTF-8."""
    made = dict(values)
    if isinstance(made.get("time"), float):
        made["time"] = rfc3339(made["time"])
    made = {key: round(value, 3) if isinstance(value, float) else value for key, value in made.items()}
    for key in ("path", "kept", "copy"):
        text = made.get(key)
        if isinstance(text, str) and not _is_utf8(text):
            made[f"{key}_b64"] = base64.b64encode(path_bytes(text)).decode("ascii")
            made[key] = path_bytes(text).decode("utf-8", "replace")
    return json.dumps(made)


def rfc3339(unix_time: float) -> str:
    """Local time with its offset."""
    return datetime.fromtimestamp(unix_time).astimezone().isoformat(timespec="seconds")


def clock_text(unix_time: float) -> str:
    """Local time for people, to the minute."""
    return datetime.fromtimestamp(unix_time).strftime("%Y-%m-%d %H:%M")


def error_text(line: Line, palette: Palette) -> str:
    """The line for a screen: errors say who speaks, further lines are indented."""
    first, *rest = line.text.splitlines() or [""]
    if line.level <= Level.ERROR:
        first = f"{palette.paint('escale:', 'red')} {first}"
    elif line.level == Level.WARNING:
        first = palette.paint(first, "yellow")
    return "\n".join([first, *(f"      {text}" for text in rest)])


def explain(error: EscaleError) -> Line:
    """An error as the command that it ends shows it."""
    advice = f"\n{error.next_step}" if error.next_step else ""
    return Line(Level.ERROR, f"{error} ({error.code}){advice}")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns separated by two spaces, as wide as they need to be; nothing is cut."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def is_journal(environ: Mapping[str, str], stream: IO[str]) -> bool:
    """Whether this stream is the one that systemd connected with the journal."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
