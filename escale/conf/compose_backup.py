"""Composing a section with role = backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from . import faults
from .compose import effective_option, effective_setting
from .compose_address import compose_address
from .draft import Draft
from .keys import OPTION, Key
from .problems import Findings
from .settings import BackupSection, Section
from .table import KEYS
from .table_backup import IN_BACKUPS, KINDS

_FOLDED = ("protocol", "directory", "port", "role", "of", "local path")
"""Keys whose values are in `address` and `paths`, and the one that made it a backup section."""

ROWS: tuple[Key, ...] = tuple(
    replace(key, kind=KINDS.get(key.name, key.kind)) for key in KEYS if key.name in IN_BACKUPS and key is not OPTION
)


def compose_backup(draft: Draft, sections: Sequence[Section], findings: Findings) -> BackupSection | None:
    """The section, or None with a finding.  `sections`: those whose folder it may name with `of`."""
    paths = _paths(draft, sections, findings)
    if "address" not in draft.values and "directory" not in draft.values:
        draft.find(faults.NO_STORE, findings)
        return None
    address = compose_address(draft, findings)
    if draft.values.get("passphrase") is None:
        draft.find(faults.NO_BACKUP_PASSPHRASE, findings)
        return None
    if address is None or not paths:
        return None
    values = {key.attribute: draft.get(key.name) for key in ROWS} | {"address": address}
    values["user"] = values["user"] or address.user
    values["hidden_files"] = draft.values.get("hidden files", True)
    if values["password"] is not None:
        values["password"] = values["password"].of(values["user"])
    effective = [effective_setting(key, values[key.attribute], draft) for key in ROWS]
    effective += [effective_option(name, value, entry) for name, (value, entry) in draft.options.items()]
    settings = {key.attribute: values[key.attribute] for key in ROWS if key.name not in _FOLDED}
    options = MappingProxyType({name: value for name, (value, _) in draft.options.items()})
    return BackupSection(name=draft.block.name, paths=paths, options=options, effective=tuple(effective), **settings)


def _paths(draft: Draft, sections: Sequence[Section], findings: Findings) -> tuple[Path, ...]:
    given: tuple[Path, ...] = draft.values.get("local path") or ()
    other: str = draft.values.get("of") or ""
    if given and other:
        draft.find(faults.PATH_AND_OF, findings, "of")
        return ()
    if not other:
        if not given:
            draft.find(faults.NO_PATHS, findings)
        return given
    found = next((section.local_path for section in sections if section.name == other), None)
    if found is None:
        known = ", ".join(section.name for section in sections) or "none"
        draft.find(faults.UNKNOWN_OF, findings, "of", other=other, known=known)
        return ()
    return (found,)
