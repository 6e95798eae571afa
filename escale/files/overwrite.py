"""What becomes of files that are where others are brought back to."""

from __future__ import annotations

import enum


class Overwrite(enum.StrEnum):
    """Which of those that are there may be replaced; the values are what users write."""

    NEVER = "never"
    OLDER = "older"
    ALWAYS = "always"
