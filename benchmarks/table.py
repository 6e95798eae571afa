"""Results as a table that is also Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from .cases import Result
from .contenders import Escale
from .meter import Figures

HEADINGS = (
    "case",
    "relay",
    "ms",
    "who",
    "steps",
    "seconds",
    "least",
    "CPU",
    "flush",
    "up",
    "down",
    "turns",
    "MiB",
    "ratio",
)
MILLION = 1_000_000
MEBIBYTE = 1024 * 1024


def table(results: Sequence[Result]) -> str:
    """One row per contender: of each step the median of the runs, joined by a stroke.

    `least`: the sum of the steps, each in its fastest run.  `CPU`, `flush`: seconds.  `up`, `down`: megabytes on the
    wire.  `MiB`: the peak of memory.  `ratio`: how many times as long as ours all steps took.
    """
    ours = {_key(result): _total(result, median) for result in results if result.contender == Escale.name}
    rows = [HEADINGS, *(_row(result, ours.get(_key(result))) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Every single run."""
    return [asdict(result) for result in results]


def _key(result: Result) -> tuple[str, str, int]:
    return result.case, result.relay, result.round_trip_ms


def _row(result: Result, ours: float | None) -> tuple[str, ...]:
    total = _total(result, median)
    return (
        result.case,
        result.relay,
        str(result.round_trip_ms),
        result.contender,
        " / ".join(result.steps),
        _cells(result, lambda run: run.wall_s, "{:.2f}"),
        f"{_total(result, min):.2f}",
        _cells(result, lambda run: run.cpu_s, "{:.1f}"),
        _cells(result, lambda run: run.flush_s, "{:.1f}"),
        _cells(result, lambda run: run.up, "{:.2f}", MILLION),
        _cells(result, lambda run: run.down, "{:.2f}", MILLION),
        _cells(result, lambda run: run.turns, "{:.0f}"),
        f"{max(run.peak for runs in result.steps.values() for run in runs) / MEBIBYTE:.0f}",
        f"{total / ours:.1f}" if ours else "",
    )


def _cells(result: Result, value: Callable[[Figures], float | None], form: str, unit: float = 1) -> str:
    values = [[found for run in runs if (found := value(run)) is not None] for runs in result.steps.values()]
    return " / ".join(form.format(median(each) / unit) if each else "-" for each in values)


def _total(result: Result, of: Callable[[list[float]], float]) -> float:
    return sum(of([run.wall_s for run in runs]) for runs in result.steps.values())
