"""Moving bars on a terminal, drawn by rich (extra `ui`); without it, `open_bars` says so and lines do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from ..app.wording import Level, Line, line_of, progress_count, size_text
from ..events import Event, PageEnded, PassEnded, Progress
from .render import Palette, error_text

_STYLES = {Level.ERROR: "red", Level.WARNING: "yellow"}

UPDATES_PER_S = 10.0
UPDATES_PER_S_REMOTE = 2.0
"""Over SSH every redraw is traffic."""


class BarScreen:
    """One bar per section and direction that moves; events scroll above them as lines."""

    def __init__(self, stream: IO[str], loudest: Level, palette: Palette, environ: Mapping[str, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._level = loudest
        self._palette = palette
        self._tasks: dict[tuple[str, str], Any] = {}
        self._pages: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(18),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(compact=True),
            console=Console(file=stream, no_color=not palette.is_on, highlight=False),
            refresh_per_second=UPDATES_PER_S_REMOTE if "SSH_TTY" in environ else UPDATES_PER_S,
            transient=True,
        )
        self._bars.start()

    def __call__(self, event: Event) -> None:
        with self._lock, suppress(OSError, ValueError):
            if isinstance(event, Progress):
                self._move(event)
            elif isinstance(event, PageEnded):
                self._remove(event.section, event.direction)
            elif isinstance(event, PassEnded):
                for direction in ("up", "down", "save", "prune"):
                    self._remove(event.section, direction)
        line = line_of(event)
        if line is not None:
            self.say(line)

    def say(self, line: Line) -> None:
        if line.level <= self._level:
            with self._lock, suppress(OSError, ValueError):
                text = error_text(line, Palette())
                self._bars.console.print(text, style=_STYLES.get(line.level), markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bars away."""
        with suppress(OSError, ValueError):
            self._bars.stop()

    def _move(self, event: Progress) -> None:
        key = (event.section, event.direction)
        if self._pages.get(key, event.page) != event.page:
            # A bar that goes back to its beginning would take the time so far for that of the new page.
            self._remove(*key)
        self._pages[key] = event.page
        text = f"{event.section}  {event.direction}  {progress_count(event)}"
        done = size_text(event.bytes_done) + ("" if event.bytes is None else f" of {size_text(event.bytes)}")
        if key in self._tasks:
            self._bars.update(
                self._tasks[key], description=text, completed=event.bytes_done, total=event.bytes, done=done
            )
        else:
            # A new task is drawn at once, so it has to be complete.
            self._tasks[key] = self._bars.add_task(text, completed=event.bytes_done, total=event.bytes, done=done)

    def _remove(self, section: str, direction: str) -> None:
        task = self._tasks.pop((section, direction), None)
        if task is not None:
            self._bars.remove_task(task)
            self._bars.refresh()


def open_bars(stream: IO[str], loudest: Level, palette: Palette, environ: Mapping[str, str]) -> BarScreen | None:
    """The bars, or None where rich is not installed or the terminal cannot move its cursor."""
    if environ.get("TERM") == "dumb":
        return None
    try:
        return BarScreen(stream, loudest, palette, environ)
    except ImportError:
        return None
