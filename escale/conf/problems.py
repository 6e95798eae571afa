"""Problems: a fault and where it was found, printed with the line and a mark under the place.

Secrets stay out: the text of a line is shown only as far as `Source.shown` lets it be seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from .faults import Fault, Severity

_CREDENTIALS = re.compile(r"(?<![^\s/:@'\"=(])[^\s/:@'\"=(]*:(?!//).*@")
"""It begins where a word begins: from every letter of a word the search would be quadratic in its length."""

_WORDS_BESIDE = 6
"""Width of the column with line numbers."""


def harmless(text: str) -> str:
    """The text without the `user:password@` of addresses in it, and without control characters."""
    hidden = _CREDENTIALS.sub("***@", text) if "@" in text else text
    return "".join(character if character.isprintable() else " " for character in hidden)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line: `line` and `column` count from 1, in characters."""

    line: int
    column: int
    length: int = 1


@dataclass(slots=True)
class Source:
    """One file as read.  `hidden`: by line, the column from which its text is not shown; `ending` ends its lines."""

    path: Path
    lines: Sequence[str] = ()
    hidden: dict[int, int] = field(default_factory=dict)
    ending: str = "\n"

    def hide(self, line: int, column: int) -> None:
        """From this column on the line holds, or may hold, a secret."""
        self.hidden[line] = min(column, self.hidden.get(line, column))

    def shown(self, line: int) -> str:
        """The line as it may be printed, or nothing if the file has no such line."""
        if not 0 < line <= len(self.lines):
            return ""
        text = self.lines[line - 1]
        end = self.hidden.get(line)
        return harmless(text if end is None else f"{text[: end - 1]}***").rstrip()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `line` and `column` count from 1 and are 0 where the whole file is meant."""

    file: Path
    line: int
    column: int
    code: str
    severity: Severity
    message: str
    hint: str = ""
    source_line: str = ""
    length: int = 1

    @property
    def is_error(self) -> bool:
        """Whether escale does not start because of it."""
        return self.severity is Severity.ERROR

    def render(self) -> str:
        """The lines that the user sees."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        lines = [f"{place}: {self.severity.value} {self.code}: {self.message}"]
        margin = " " * _WORDS_BESIDE
        if self.source_line:
            # What is meant may lie in the part that is not shown.
            column = min(self.column, len(self.source_line) + 1)
            marks = max(1, min(self.length, len(self.source_line) - column + 1))
            lines.append(f"{self.line:>{_WORDS_BESIDE}} | {self.source_line}")
            lines.append(f"{margin} | {' ' * (column - 1)}{'^' * marks}")
        if self.hint:
            lines.append(f"{margin} = {self.hint}")
        return "\n".join(lines)


class Findings:
    """Collects problems while a configuration is read."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def add(self, fault: Fault, source: Source, span: Span | None = None, **facts: object) -> None:
        """Note a fault at a place, or in the file as a whole."""
        line, column, length = (span.line, span.column, span.length) if span else (0, 0, 1)
        self._problems.append(
            Problem(
                source.path,
                line,
                column,
                fault.code,
                fault.severity,
                harmless(fault.message.format(**facts)),
                harmless(fault.hint.format(**facts)),
                source.shown(line),
                length,
            )
        )

    @property
    def has_errors(self) -> bool:
        """Whether one of them keeps escale from starting."""
        return any(problem.is_error for problem in self._problems)

    def sorted(self) -> tuple[Problem, ...]:
        """In order of file and place, the files in order of appearance; the same problem is listed once."""
        order = {path: at for at, path in enumerate(dict.fromkeys(problem.file for problem in self._problems))}
        unique = dict.fromkeys(self._problems)
        return tuple(sorted(unique, key=lambda one: (order[one.file], one.line, one.column)))


def refusal(problems: Sequence[Problem]) -> ConfigError:
    """The error that ends a command because of these problems, which have been printed before."""
    count = sum(problem.is_error for problem in problems)
    errors = "1 error" if count == 1 else f"{count} errors"
    return ConfigError(what=f"{errors} in the configuration; nothing was started", problems=tuple(problems))
