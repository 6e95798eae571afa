"""What a user reads when something is wrong: one sentence, an exit code, never a traceback."""

from __future__ import annotations

from .program import Ending


def complaints(ending: Ending) -> list[str]:
    """The lines of standard error by which the program complains; what is indented below them explains."""
    return [line for line in ending.stderr.splitlines() if line.startswith("escale: ")]


def expect_sentence(ending: Ending, code: int, *words: str) -> str:
    """The one complaint of a run that ended with `code`, in which all `words` occur; with its explanation."""
    ending.expect(code)
    told = complaints(ending)
    assert len(told) == 1, f"{len(told)} complaints instead of one\n{ending}"
    start = ending.stderr.index(told[0])
    whole = told[0] + "".join(f"\n{line}" for line in _indented(ending.stderr[start + len(told[0]) + 1 :]))
    for word in words:
        assert word in whole, f"{word!r} is not in the complaint\n{ending}"
    return whole


def _indented(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        if not line.startswith("  "):
            break
        lines.append(line)
    return lines
