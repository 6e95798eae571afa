"""Bars on a terminal: what is drawn for each kind of progress, and that nothing is left of it."""

from __future__ import annotations

import io

import pytest

from escale.app.wording import Level
from escale.cli.bars import open_bars
from escale.cli.render import Palette
from escale.events import PassEnded, Progress, VersionSaved


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(*events: Progress | PassEnded | VersionSaved) -> str:
    stream = Terminal()
    bars = open_bars(stream, Level.INFO, Palette(), {"TERM": "xterm", "COLUMNS": "120"})
    assert bars is not None
    for event in events:
        bars(event)
        bars._bars.refresh()
    bars.close()
    return stream.getvalue()


def test_each_step_of_a_prune_has_a_bar_of_its_own(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = drawn(
        Progress("docs", "prune", "directories", 10, 40, 1_000, 4_000),
        Progress("docs", "prune", "packs", 1, 3, 1 << 20, 3 << 20),
    )
    assert "docs  prune  10 of 40 directories" in text and "25%" in text and "1000 B of 4 KB" in text
    assert "docs  prune  1 of 3 packs" in text and "33%" in text
    # The last picture has one bar only: that of the step that is going on.
    assert "directories" not in text[text.rindex("packs") - 60 :]


@pytest.mark.parametrize("direction", ["up", "save", "prune"])
def test_a_pass_that_ends_takes_its_bars_away(monkeypatch, direction):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ended = PassEnded("docs", 1, 1, 0, 0, 0, 0, 0, 1.0)
    saved = VersionSaved("docs", "1" * 64, 1, 1, 0, 1, 1, 1.0)
    text = drawn(Progress("docs", direction, "", 1, 4, 1, 4), ended, saved)
    assert f"docs  {direction}  1 of 4" in text
    assert f"docs  {direction}" not in text[text.index("version 11111111") :]


def test_a_terminal_that_cannot_move_its_cursor_gets_no_bars():
    assert open_bars(Terminal(), Level.INFO, Palette(), {"TERM": "dumb"}) is None
