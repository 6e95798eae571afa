"""`escale [run]`: synchronise in the foreground or in the background, for ever, once, or not really."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..app.control import serve
from ..app.daemon import Service
from ..app.instance import Instance, LockFile
from ..app.logs import Log, mute_libraries
from ..app.notify import Notifier
from ..app.once import Ending, Outcome, Way, pass_over
from ..app.wording import Level, Line, duration_text, files_text, line_of, size_text
from ..app.worker import Part
from ..clock import SystemClock
from ..events import Conflicted, Event, Item, PassBegan, Problem, Skipped, VersionTried, Waiting, silent
from ..files.tree import display
from .bars import open_bars
from .exit_codes import DONE, PENDING, SKIPPED, worst
from .render import JsonScreen, PlainScreen, Screen, is_journal, json_line, palette_for, table
from .screens import progress_screen
from .setup import Setup, load_setup

if TYPE_CHECKING:
    from .setup import Build

LISTED_MAX = 10
"""Skipped files repeated at the end of a single pass; all of them were told when they were met."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where this run shows itself: the screen, the log file, and both as one reporter."""

    screen: Screen
    log: Log | None

    def __call__(self, event: Event) -> None:
        self.screen(event)
        if self.log is not None:
            self.log(event)

    def say(self, line: Line) -> None:
        """A line that belongs to no section."""
        self.screen.say(line)
        if self.log is not None:
            self.log.write(line)

    def close(self) -> None:
        """Put the terminal back and close the log."""
        self.screen.close()
        if self.log is not None:
            self.log.close()


def run(options: argparse.Namespace, environ: Mapping[str, str], build: Build | None = None) -> int:
    """The command; EscaleError when it could not begin, ConfigError for a file with problems."""
    setup = load_setup(options.config, environ, build)
    sections, backups = setup.named(options.sections)
    if options.dry_run:
        return _preview(setup, options, environ)
    with _locked(setup.instance, options.pid_file) as locks:
        if options.daemon:
            return _in_background(setup, options, environ, locks)
        stage = _stage(setup, options, environ)
        try:
            for warning in setup.warnings:
                stage.say(Line(Level.WARNING, warning))
            # `refresh = no` of 0.7 means one pass; with sections of both kinds the others decide.
            has_schedule = any(not backup.schedule.is_never for backup in backups)
            is_once = options.once or not (has_schedule or any(section.refresh for section in sections))
            return _once(setup, options, stage) if is_once else _for_ever(setup, options, environ, stage)
        finally:
            stage.close()


class _locked:
    """The lock of the configuration, and of the pid file that was asked for."""

    def __init__(self, instance: Instance, pid_file: str | None) -> None:
        self._locks = [LockFile(instance.lock_path)]
        if pid_file:
            self._locks.append(LockFile(Path(pid_file).absolute()))

    def __enter__(self) -> Sequence[LockFile]:
        return self._locks

    def __exit__(self, *exc: object) -> None:
        for lock in self._locks:
            lock.release()


def _level(setup: Setup, options: argparse.Namespace) -> Level:
    if options.quiet:
        return Level.ERROR
    verbosity = setup.config.verbosity + options.verbose
    return Level.ERROR if verbosity == 0 else Level.INFO if verbosity == 1 else Level.DEBUG


def _stage(setup: Setup, options: argparse.Namespace, environ: Mapping[str, str]) -> Stage:
    mute_libraries()
    log = setup.open_log(options.daemon)
    return Stage(_screen(setup, options, environ), log)


def _screen(setup: Setup, options: argparse.Namespace, environ: Mapping[str, str]) -> Screen:
    clock = SystemClock()
    if options.json:
        return JsonScreen(sys.stdout, clock, on_closed=lambda: os.kill(os.getpid(), signal.SIGTERM))
    palette = palette_for(sys.stderr, options.color, environ)
    level = _level(setup, options)
    if options.progress == "auto" and sys.stderr.isatty():
        bars = open_bars(sys.stderr, level, palette, environ)
        if bars is not None:
            return bars
    has_progress = options.progress != "none"
    return PlainScreen(sys.stderr, clock, level, palette, is_journal(environ, sys.stderr), has_progress)


def _announce(setup: Setup, options: argparse.Namespace, stage: Stage) -> None:
    if isinstance(stage.screen, JsonScreen):
        start = {"type": "start", "schema": 1, "version": __version__, "config": str(setup.instance.config)}
        stage.screen.write(
            {**start, "sections": [part.name for part in setup.parts(options.sections)], "pid": os.getpid()}
        )


def _concluded(stage: Stage, code: int) -> int:
    if isinstance(stage.screen, JsonScreen):
        stage.screen.write({"type": "exit", "code": code})
    return code


def _for_ever(setup: Setup, options: argparse.Namespace, environ: Mapping[str, str], stage: Stage) -> int:
    clock = SystemClock()

    def reread() -> Sequence[Part]:
        return setup.again().parts(options.sections)

    service = Service(
        setup.instance,
        setup.parts(options.sections),
        reread,
        stage,
        stage.say,
        clock,
        Notifier(environ, clock, os.getpid()),
        setup.config.keep_alive if options.auto_restart is None else options.auto_restart,
    )
    service.listen()
    _announce(setup, options, stage)
    control = serve(setup.instance.sockets(environ, setup.control_socket), service) if setup.has_control else None
    try:
        return _concluded(stage, service.run())
    finally:
        if control is not None:
            control.close()


def _in_background(
    setup: Setup, options: argparse.Namespace, environ: Mapping[str, str], locks: Sequence[LockFile]
) -> int:
    """Everything that can be refused was checked before: from here on nobody is looking.

    python-daemon closes descriptors it was not told of, resets the umask to 0 and drops standard error; hence
    `files_preserve`, `umask` and `stderr`.  The log keeps its descriptor, so it is opened before.
    """
    import daemon  # type: ignore[import-untyped]

    log = setup.open_log(True)
    stage = Stage(_Nowhere(), log)
    kept = [lock.fileno() for lock in locks]
    stream = None
    if log is not None and (number := log.fileno()) is not None:
        kept.append(number)
        stream = os.fdopen(os.dup(number), "a")
    context = daemon.DaemonContext(
        files_preserve=kept, umask=0o077, stderr=stream, signal_map={}, prevent_core=False, detach_process=True
    )
    with context:
        for lock in locks:
            lock.write_pid()
        return _for_ever(setup, options, environ, stage)


class _Nowhere:
    """The screen of a process without a terminal."""

    def __call__(self, event: Event) -> None:
        return

    def say(self, line: Line) -> None:
        return

    def close(self) -> None:
        return


def _once(setup: Setup, options: argparse.Namespace, stage: Stage) -> int:
    _announce(setup, options, stage)
    skipped: list[Skipped] = []

    def report(event: Event) -> None:
        if isinstance(event, PassBegan):
            skipped[:] = [one for one in skipped if one.section != event.section]
        if isinstance(event, Skipped):
            skipped.append(event)
        stage(event)

    parts = setup.parts(options.sections, at_once=True)
    ending = pass_over(parts, report, setup.instance.report_path, options.timeout)
    if not options.json:
        _summarise(ending, skipped, stage, options)
    code = worst(outcome.exit_code for outcome in ending.outcomes)
    return _concluded(stage, code if ending.cut_short is None else ending.cut_short)


def _summarise(ending: Ending, skipped: Sequence[Skipped], stage: Stage, options: argparse.Namespace) -> None:
    """What made the exit code is repeated in the last lines, where it is found."""
    for outcome in ending.outcomes:
        mine = [event for event in skipped if event.section == outcome.section]
        stage.say(Line(Level.INFO, "\n".join([_summary(outcome), *_skipped_lines(mine)])))
    if ending.cut_short == 1:
        stage.say(Line(Level.ERROR, f"gave up after {duration_text(options.timeout)}; what had arrived has arrived"))


def _summary(outcome: Outcome) -> str:
    if outcome.problem is not None:
        return f"{outcome.section}: failed ({outcome.problem.code})"
    if outcome.tally.versions:
        # What it is was said when it was saved.
        return f"{outcome.section}: saved as version {outcome.tally.versions[-1].id[:8]}"
    sent, received = _way_text("sent", outcome.tally.up), _way_text("received", outcome.tally.down)
    state = outcome.status.state.value if outcome.status is not None else "done"
    return f"{outcome.section}: {sent}; {received}; {state}"


def _way_text(verb: str, way: Way) -> str:
    text = f"{verb} {files_text(way.files)}"
    if way.files:
        text += f", {size_text(way.bytes)}" + (f" in {duration_text(way.seconds)}" if verb == "sent" else "")
    if way.names > 0:
        text += f", {way.names} {'name' if way.names == 1 else 'names'}"
    if way.deletions:
        text += f", {way.deletions} {'deletion' if way.deletions == 1 else 'deletions'}"
    return text


def _skipped_lines(skipped: Sequence[Skipped]) -> list[str]:
    if not skipped:
        return []
    if len(skipped) == 1:
        return [f"1 file skipped: {display(skipped[0].path)}: {skipped[0].message}"]
    lines = [f"  {display(event.path)}: {event.message}" for event in skipped[:LISTED_MAX]]
    rest = [f"  and {len(skipped) - LISTED_MAX} more"] if len(skipped) > LISTED_MAX else []
    return [f"{len(skipped)} files skipped:", *lines, *rest]


def _preview(setup: Setup, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Name, then count, then say that nothing was changed; the words go to standard output, they are the answer."""
    mute_libraries()
    parts = setup.parts(options.sections)
    events = _previewed(parts, options, environ)
    if options.json:
        for event in events:
            print(json_line(event.as_json()))
    else:
        print(_preview_text(events, len(parts) > 1, any(not part.by_name for part in parts)))
    code = PENDING if options.exit_code and any(map(_is_to_do, events)) else DONE
    if any(isinstance(event, Skipped) for event in events) and code == DONE and options.exit_code:
        code = SKIPPED
    if options.json:
        print(json_line({"type": "exit", "code": code}))
    return code


def _previewed(parts: Sequence[Part], options: argparse.Namespace, environ: Mapping[str, str]) -> list[Event]:
    """What all of them would do; for versions much has to be read, and how far that is shows on the screen."""
    events: list[Event] = []
    for part in parts:
        screen = progress_screen(options, environ) if part.by_name and not options.json else None
        loop = part.open(SystemClock(), screen or silent)
        try:
            events += loop.preview()
        finally:
            loop.close()
            if screen is not None:
                screen.close()
    return events


def _is_to_do(event: Event) -> bool:
    return isinstance(event, Item | Conflicted) or (isinstance(event, VersionTried) and event.bytes_new > 0)


def _preview_text(events: Sequence[Event], has_sections: bool, has_relay: bool) -> str:
    """A line for each version and for each file that would travel; then the sum, and that nothing was changed."""
    told = (line_of(event) for event in events if isinstance(event, VersionTried | Problem))
    lines = [line.text for line in told if line is not None]
    rows = [row if has_sections else row[1:] for row in map(_preview_row, events) if row]
    total = _travel_total(events) if has_relay else ""
    return "\n".join([*lines, *([table(rows)] if rows else []), f"{total}Nothing was changed."])


def _travel_total(events: Sequence[Event]) -> str:
    up = [event for event in events if isinstance(event, Item) and event.direction == "up"]
    down = [event for event in events if isinstance(event, Item) and event.direction == "down"]
    conflicts = sum(isinstance(event, Conflicted) for event in events)
    skipped = sum(isinstance(event, Skipped) for event in events)
    return (
        f"total: send {files_text(len(up))} {size_text(sum(item.bytes for item in up))}, "
        f"receive {files_text(len(down))} {size_text(sum(item.bytes for item in down))}, "
        f"{conflicts} conflicts, {skipped} skipped. "
    )


def _preview_row(event: Event) -> tuple[str, ...]:
    if isinstance(event, Item):
        verb = "send" if event.direction == "up" else "receive"
        return (event.section, verb, event.action, display(event.path), size_text(event.bytes))
    if isinstance(event, Conflicted):
        return (event.section, "conflict", "", display(event.path), f"both are kept, ours as {display(event.copy)}")
    if isinstance(event, Skipped):
        return (event.section, "skip", event.reason, display(event.path), event.message)
    if isinstance(event, Waiting):
        return (event.section, "wait", event.reason, f"page {display(event.page)}", event.message)
    return ()
