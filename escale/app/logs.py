"""The log file, and the place where tracebacks of unexpected errors are kept.

The loop reports events; this module turns them into records of the logging library, so that libraries below us which
log land in the same place.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from datetime import datetime
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path

from ..errors import LocalError
from ..events import Event, Problem, Progress
from .wording import Level, Line, line_of

REPORT_BYTES_MAX = 1024 * 1024
"""The file of saved tracebacks starts anew beyond this: old ones do not help."""

_NUMBERS = {
    Level.ERROR: logging.ERROR,
    Level.WARNING: logging.WARNING,
    Level.INFO: logging.INFO,
    Level.DEBUG: logging.DEBUG,
}


class Log:
    """The log of this process; a reporter of events, and a writer of lines.  `level` is a word of `log level`."""

    def __init__(self, handler: logging.Handler, level: str = "info") -> None:
        self._handler = handler
        logging.getLogger().handlers = [handler]
        self._logger = logging.getLogger("escale")
        self._logger.setLevel(level.upper())

    def __call__(self, event: Event) -> None:
        line = line_of(event)
        if line is not None and not isinstance(event, Progress):
            self.write(line)

    def write(self, line: Line) -> None:
        """One line, at its level."""
        self._logger.log(_NUMBERS[line.level], "%s", line.text)

    def fileno(self) -> int | None:
        """The descriptor to keep open in the background, if there is one."""
        stream = getattr(self._handler, "stream", None)
        return stream.fileno() if stream is not None else None

    def close(self) -> None:
        """Flush and close."""
        mute_libraries()
        self._handler.close()


class JsonFormatter(logging.Formatter):
    """One object per record, for collectors of logs."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        return json.dumps({"time": time, "level": record.levelname.lower(), "message": record.getMessage()})


def file_handler(path: Path, bytes_max: int, kept: int, as_json: bool = False) -> logging.Handler:
    """A log file that rotates by itself, or with `kept` = 0 one that logrotate may move.

    LocalError if it cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Names of files are nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        handler: logging.Handler = (
            RotatingFileHandler(path, maxBytes=bytes_max, backupCount=kept, encoding="utf-8", errors="backslashreplace")
            if kept
            else WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace")
        )
    except OSError as error:
        raise LocalError(path=path, reason=error.strerror or str(error)) from error
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JsonFormatter() if as_json else plain)
    return handler


def mute_libraries() -> None:
    """Nobody hears what libraries log; without this they write to standard error behind our back."""
    logging.getLogger().handlers = [logging.NullHandler()]


def keep_traceback(path: Path, section: str, error: BaseException, now: float) -> Problem:
    """Save where an unexpected error came from, and say where that was saved (X900)."""
    text = "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = "w" if path.exists() and path.stat().st_size > REPORT_BYTES_MAX else "a"
        with open(path, mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"--- {datetime.fromtimestamp(now).astimezone().isoformat()} {section}\n{text}\n")
        place = f"The details are in {path}; please report them."
    except OSError as failure:
        place = f"The details could not be saved in {path}: {failure.strerror}."
    return Problem(section, "X900", f"unexpected error: {type(error).__name__}: {error}", place)
