"""A section on the way from entries to settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .document import Block, Entry
from .faults import Fault
from .keys import Key
from .kinds import FLAGS, Place
from .problems import Findings
from .table import KEYS


@dataclass(slots=True)
class Draft:
    """A section, or the program's settings, before it is put together.

    `values` are those that are set, by name of the row; `entries` where; `inherited` whether above the sections.
    """

    block: Block
    base: Path
    environ: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    inherited: dict[str, bool] = field(default_factory=dict)
    options: dict[str, tuple[Any, Entry]] = field(default_factory=dict)
    is_broken: bool = False
    is_backup: bool = False

    def get(self, key: str) -> Any:
        """The value of a key, or its default from the table."""
        if key in self.values:
            return self.values[key]
        return self.default(_ROWS[key])

    def default(self, key: Key) -> Any:
        """The default from the table; None where it is not a plain value."""
        if key.default is None:
            return None
        return key.kind.parse(key.default, Place(key.name, self.base, self.environ, _no_warning))

    def says_no(self, key: str) -> bool:
        """Whether the key is written as no; for kinds that read `no` as something else."""
        entry = self.entries.get(key)
        return entry is not None and FLAGS.get(str(entry.value).lower()) is False

    def find(self, fault: Fault, findings: Findings, key: str | None = None, **facts: object) -> None:
        """Report a fault at the value of a key, or at the section's header."""
        entry = self.entries.get(key) if key else None
        source, span = (entry.source, entry.place()) if entry else (self.block.source, self.block.span)
        usual = {"section": self.block.name, "key": entry.key if entry else key}
        findings.add(fault, source, span, **{**usual, **facts})


_ROWS = {key.name: key for key in KEYS}


def _no_warning(bad: Exception) -> None:
    raise AssertionError(f"a default in the key table is not a good value: {bad}")
