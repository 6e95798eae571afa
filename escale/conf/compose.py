"""Composing: from the values of a section's keys to the section, with what follows from several of them.

Here are the defaults that depend on other settings, and the keys of 0.7 that are another way to say `mode`.  The
relay's address, out of five keys, has a module of its own: `compose_address`.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import faults
from .address import RelayAddress
from .compose_address import compose_address
from .document import Entry
from .draft import Draft
from .keys import OPTION, Key, Scope
from .lookup import is_public
from .places import state_directory
from .problems import Findings, harmless
from .settings import BackupSection, Config, Effective, Origin, Section
from .table import KEYS
from .table_backup import ONLY_BACKUPS

FOLDED = ("protocol", "directory", "port", "push only", "pull only")
"""Keys whose values are in `address` and `mode`."""

LOCK_DEFAULT = 0.0
"""`lock timeout = yes`: what it means depends on the relay format; no other value is zero."""

_MEANING = {"push only": "upload", "pull only": "download"}


def compose_program(
    path: Path, draft: Draft, sections: tuple[Section, ...], backups: tuple[BackupSection, ...]
) -> Config:
    """The configuration with these sections."""
    rows = [key for key in KEYS if key.scope is Scope.PROGRAM]
    values = {key.attribute: draft.get(key.name) for key in rows}
    if values["state_dir"] is None:
        values["state_dir"] = state_directory(draft.environ)
    effective = tuple(effective_setting(key, values[key.attribute], draft) for key in rows)
    return Config(path=path, sections=sections, backups=backups, effective=effective, **values)


def compose_section(draft: Draft, findings: Findings) -> Section | None:
    """The section, or None with a finding if something is missing or does not fit together."""
    rows = [key for key in KEYS if _is_of_section(key)]
    if "local path" not in draft.values:
        draft.find(faults.NO_FOLDER, findings)
    address = compose_address(draft, findings)
    mode, mode_entry = _mode(draft, findings)
    if address is None or mode is None or "local path" not in draft.values:
        return None
    values = {key.attribute: draft.get(key.name) for key in rows}
    values |= {"address": address, "mode": mode}
    values |= _derived(draft, values)
    effective = [effective_setting(key, values[key.attribute], draft) for key in rows]
    if mode_entry is not None:
        effective = [_with_entry(one, mode_entry) if one.name == "mode" else one for one in effective]
    effective += [effective_option(name, value, entry) for name, (value, entry) in draft.options.items()]
    settings = {key.attribute: values[key.attribute] for key in rows if key.name not in (*FOLDED, "role")}
    options = MappingProxyType({name: value for name, (value, _) in draft.options.items()})
    return Section(name=draft.block.name, options=options, effective=tuple(effective), **settings)


def _is_of_section(key: Key) -> bool:
    return key.has_effect and key.scope is not Scope.PROGRAM and key is not OPTION and key.name not in ONLY_BACKUPS


def _derived(draft: Draft, values: dict[str, Any]) -> dict[str, Any]:
    """Defaults that follow from other settings, and values that mean something else beside them."""
    is_old = values["relay_format"] == "0.7"
    made: dict[str, Any] = {}
    if draft.values.get("lock timeout", LOCK_DEFAULT) == LOCK_DEFAULT:
        made["lock_timeout"] = 3 * 86400.0 if is_old else 15 * 60.0
    if "deletions" not in draft.values:
        made["deletions"] = "keep" if is_old else "trash"
    if "hidden files" not in draft.values:
        made["hidden_files"] = not is_old
    if "client name" not in draft.values:
        made["client_name"] = re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename)[:64] or "escale"
    if is_old and values["encryption"] == "on":
        made["encryption"] = "fernet"
    if is_old and values["compression"] == "auto":
        made["compression"] = "bz2"
    if values["user"] is None:
        made["user"] = values["address"].user
    for name in ("password", "passphrase"):
        if values[name] is not None:
            made[name] = values[name].of(made.get("user", values["user"]))
    return made


def _mode(draft: Draft, findings: Findings) -> tuple[str | None, Entry | None]:
    """The mode, and the entry of the older key that said it.  The section's own words count before those above it."""
    for is_inherited in (False, True):
        said = [name for name in _MEANING if draft.values.get(name) and draft.inherited[name] is is_inherited]
        if len(said) == 2:
            draft.find(faults.BOTH_WAYS_ONLY, findings, said[1])
            return None, None
        mode = draft.values.get("mode") if draft.inherited.get("mode") is is_inherited else None
        if said and mode not in (None, _MEANING[said[0]]):
            entry = draft.entries[said[0]]
            facts = {"mode": mode, "line": entry.key_span.line, "meaning": _MEANING[said[0]]}
            draft.find(faults.MODE_CONTRADICTION, findings, "mode", other=entry.key, **facts)
            return None, None
        if said:
            return _MEANING[said[0]], draft.entries[said[0]]
        if mode is not None:
            return mode, None
    return draft.get("mode"), None


def effective_setting(key: Key, value: Any, draft: Draft) -> Effective:
    """A setting of a draft as it holds."""
    entry = draft.entries.get(key.name)
    is_folded = key.name in FOLDED and entry is None
    text = key.default_shown if (value in (None, ()) and entry is None) or is_folded else _shown(key, value)
    origin = Origin(entry.source.path, entry.key_span.line) if entry else Origin()
    return Effective(key.name, key, value, harmless(text), origin)


def _shown(key: Key, value: Any) -> str:
    if isinstance(value, RelayAddress):
        return value.url
    return key.kind.show(value)


def _with_entry(effective: Effective, entry: Entry) -> Effective:
    return replace(effective, origin=Origin(entry.source.path, entry.key_span.line))


def effective_option(name: str, value: Any, entry: Entry) -> Effective:
    """A parameter of the driver as it holds."""
    text = harmless(str(value)) if is_public(entry.key) else "(not shown)"
    return Effective(f"option {name}", OPTION, value, text, Origin(entry.source.path, entry.key_span.line))
