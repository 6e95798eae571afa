"""What people write for a moment and for a path, when they ask for something of the past."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..app.choice import LATEST, Moment
from ..errors import UserError
from ..files.batch import batch_time
from ..files.tree import display
from .arguments import duration

_LENGTH = re.compile(r"\d+(?:[.,]\d+)? *(?:s|min|h|d|w)")

_VERSION = re.compile(r"[0-9a-f]{6,64}")

_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


class NoMoment(UserError):
    """'{text}' is not a time"""

    code = "C109"
    exit_code = 2
    advice = 'Examples: 2026-11-19, "2026-11-19 18:00", 3d (ago), latest, a batch or a version of: escale-restore list'


def moment(text: str | None, now: float) -> Moment:
    """The moment; a day is its beginning, in local time.  NoMoment for other text."""
    made = moment_or_none(text, now) if text is not None else LATEST
    if made is None:
        raise NoMoment(text=display(text or ""))
    return made


def moment_or_none(text: str, now: float) -> Moment | None:
    """The moment, or None: then it is the name of something."""
    if text == "latest":
        return LATEST
    if _LENGTH.fullmatch(text):
        return Moment(time=now - duration(text))
    for form in _FORMS:
        with suppress(ValueError, OverflowError, OSError):
            return Moment(time=datetime.strptime(text, form).timestamp())
    return Moment(batch=text) if batch_time(text) is not None else None


@dataclass(frozen=True, slots=True)
class Point:
    """A moment, or a version of a backup by its id."""

    moment: Moment = LATEST
    version: str = ""


def point_or_none(text: str, now: float) -> Point | None:
    """The point, or None: then it is the name of something."""
    found = moment_or_none(text, now)
    if found is not None:
        return Point(found)
    return Point(version=text) if _VERSION.fullmatch(text) else None


def point(text: str | None, now: float) -> Point:
    """The point; NoMoment for other text."""
    made = point_or_none(text, now) if text is not None else Point()
    if made is None:
        raise NoMoment(text=display(text or ""))
    return made


def day_text(unix_time: float) -> str:
    """The local day."""
    return datetime.fromtimestamp(unix_time).strftime("%Y-%m-%d")


def paths_meant(word: str, root: Path) -> tuple[str, ...]:
    """The word as a path of the folder, and what it is there if it is a path of the file system."""
    plain = word.rstrip("/").removeprefix("./")
    full = os.path.abspath(word)
    for top in (str(root), os.path.realpath(root)):
        if full == top:
            return ("",)
        if full.startswith(f"{top}/"):
            return (plain, full[len(top) + 1 :])
    return (plain,)
