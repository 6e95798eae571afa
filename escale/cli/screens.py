"""The screen of a command that works by itself, without a service: bars, lines or objects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ..app.wording import Level
from ..clock import SystemClock
from .bars import open_bars
from .render import JsonScreen, PlainScreen, Screen, is_journal, palette_for


def progress_screen(options: argparse.Namespace, environ: Mapping[str, str]) -> Screen:
    """By the options --json, --progress, --quiet, --verbose and --color."""
    clock = SystemClock()
    if options.json:
        return JsonScreen(sys.stdout, clock, on_closed=_nobody_reads)
    palette = palette_for(sys.stderr, options.color, environ)
    level = Level.ERROR if options.quiet else Level.DEBUG if options.verbose else Level.INFO
    if options.progress == "auto" and sys.stderr.isatty():
        bars = open_bars(sys.stderr, level, palette, environ)
        if bars is not None:
            return bars
    has_progress = options.progress != "none"
    return PlainScreen(sys.stderr, clock, level, palette, is_journal(environ, sys.stderr), has_progress)


def _nobody_reads() -> None:
    raise BrokenPipeError
