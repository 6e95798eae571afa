"""Loading a configuration: files to documents, entries to values, values to settings, and all problems on the way.

Nothing is opened but configuration files, and nothing is raised: whatever is wrong is a problem in the result.  One
error anywhere means that there is no configuration.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import faults
from .checks import check_backup, check_pairs, check_section
from .compose import compose_program, compose_section
from .compose_backup import compose_backup
from .document import Block, Document, Entry, normal
from .draft import Draft
from .insert import Lookup, inserted
from .keys import OPTION, Key, Scope
from .kinds import BadValue, Place
from .lookup import find, option_name, suggestion
from .problems import Findings, Problem, refusal
from .read import read_document
from .secrets import Secret, exposed_mode
from .settings import BackupSection, Config, Section
from .table_backup import IN_BACKUPS, KINDS, ONLY_BACKUPS

COMMANDS = ("run", "demo", "init", "check", "invite", "join", "keygen", "secret", "config")
"""Words that `escale` takes for a command, so that no section may be called so."""

ACTS = ("create", "list", "prune", "check", "init", "passphrase", "key")
"""Words that `escalectl backup` takes for what is to be done, and not for the section whose relay is meant."""

NAME_LENGTH_MAX = 64
INCLUDED_MAX = 1000
"""Files: a pattern that finds more was not meant so."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of it: the configuration, unless there is an error among the problems."""

    config: Config | None
    problems: tuple[Problem, ...]

    def require(self) -> Config:
        """The configuration; ConfigError if there is none."""
        if self.config is None:
            raise refusal(self.problems)
        return self.config


def load(path: Path, environ: Mapping[str, str], *, may_lack_keys: bool = False) -> Loaded:
    """Read the file and those it includes.

    `may_lack_keys`: accept key files that do not exist yet, for the command that makes them.
    """
    findings = Findings()
    config = _Loader(environ, findings, may_lack_keys).load(Path(os.path.abspath(path)))
    return Loaded(None if findings.has_errors else config, findings.sorted())


@dataclass(slots=True)
class _Level:
    """The entries of one block: settings by the name of their row, parameters of the driver by their own name."""

    settings: dict[str, tuple[Key, Entry]] = field(default_factory=dict)
    options: dict[str, Entry] = field(default_factory=dict)


class _Loader:
    def __init__(self, environ: Mapping[str, str], findings: Findings, may_lack_keys: bool) -> None:
        self._environ = environ
        self._findings = findings
        self._may_lack_keys = may_lack_keys

    def load(self, path: Path) -> Config | None:
        """The configuration; None, or one that is not to be used, if there were findings."""
        document = read_document(path, self._findings)
        if self._findings.has_errors and not document.sections:
            return None
        above = _level(document.common, Scope.PROGRAM, self._findings)
        program = self._draft(document.common, above, _Level(), document)
        drafts = self._sections(document, above)
        for further in self._included(program):
            above = _level(further.common, Scope.SECTION, self._findings)
            drafts += self._sections(further, above)
        if not drafts:
            self._findings.add(faults.NO_SECTION, document.source)
        self._check_names([draft.block for draft in drafts])
        sections = []
        for draft in drafts:
            section = None if draft.is_broken or draft.is_backup else compose_section(draft, self._findings)
            if section is not None:
                check_section(section, draft, self._findings, self._may_lack_keys)
                sections.append((section, draft))
        check_pairs(sections, self._findings)
        composed = tuple(section for section, _ in sections)
        return compose_program(path, program, composed, self._backups(drafts, composed))

    def _backups(self, drafts: Sequence[Draft], sections: tuple[Section, ...]) -> tuple[BackupSection, ...]:
        """After the others, whose folders they may name."""
        backups = []
        for draft in drafts:
            is_good = draft.is_backup and not draft.is_broken
            backup = compose_backup(draft, sections, self._findings) if is_good else None
            if backup is not None:
                check_backup(backup, draft, sections, self._findings)
                backups.append(backup)
        return tuple(backups)

    def _included(self, program: Draft) -> list[Document]:
        pattern = program.values.get("include conf")
        if pattern is None:
            return []
        found = sorted(glob.glob(pattern))[:INCLUDED_MAX]
        own = program.block.source.path
        return [read_document(Path(name), self._findings) for name in found if Path(name) != own]

    def _check_names(self, blocks: Sequence[Block]) -> None:
        seen: set[str] = set()
        for block in blocks:
            name = block.name
            if name in seen:
                self._findings.add(faults.SECTION_TWICE, block.source, block.span, section=name)
            elif name in COMMANDS or name in ACTS:
                self._findings.add(faults.RESERVED_NAME, block.source, block.span, section=name)
            elif not name.isprintable() or not 0 < len(name) <= NAME_LENGTH_MAX or name.startswith("-"):
                self._findings.add(faults.BAD_NAME, block.source, block.span)
            seen.add(name)

    def _sections(self, document: Document, above: _Level) -> list[Draft]:
        shared = {name: found for name, found in above.settings.items() if found[0].scope is not Scope.PROGRAM}
        common = _Level(shared, above.options)
        return [
            self._draft(block, _level(block, Scope.SECTION, self._findings), common, document)
            for block in document.sections
        ]

    # -- from entries to values

    def _draft(self, block: Block, own: _Level, common: _Level, document: Document) -> Draft:
        draft = Draft(block, document.source.path.parent, self._environ)
        lookup = _lookup(block, document.common)
        draft.is_backup = bool(block.name) and _is_backup(own, common)
        for name, (key, entry) in {**common.settings, **own.settings}.items():
            if block.name and not self._belongs(draft, name, entry, name in own.settings):
                continue
            if name in own.settings and name in common.settings:
                self._compare_aliases(key, entry, common.settings[name][1])
            if draft.is_backup and name in KINDS:
                key = replace(key, kind=KINDS[name])
            self._add(draft, name, key, entry, lookup)
            draft.entries[name] = entry
            draft.inherited[name] = name not in own.settings
        for name, entry in {**common.options, **own.options}.items():
            value = self._value(OPTION, entry, lookup, draft)
            draft.options[name] = (value, entry)
        return draft

    def _belongs(self, draft: Draft, name: str, entry: Entry, is_own: bool) -> bool:
        """Whether the key means something for the role of the section; if it stands in it, it has to."""
        if name not in IN_BACKUPS if draft.is_backup else name in ONLY_BACKUPS:
            if is_own:
                fault = faults.NOT_IN_BACKUP if draft.is_backup else faults.ONLY_IN_BACKUP
                self._findings.add(fault, entry.source, entry.key_span, key=entry.key)
            return False
        return True

    def _compare_aliases(self, key: Key, entry: Entry, above: Entry) -> None:
        """0.7 took the first alias of its list that was set anywhere."""
        order = [normal(name) for name in key.names]
        if order.index(normal(above.key)) < order.index(normal(entry.key)):
            self._findings.add(faults.ALIAS_ORDER, entry.source, entry.key_span, key=entry.key, other=above.key)

    def _add(self, draft: Draft, name: str, key: Key, entry: Entry, lookup: Lookup) -> None:
        value = self._value(key, entry, lookup, draft)
        draft.values[name] = value
        if isinstance(value, Secret) and (mode := exposed_mode(value, entry.source.path)):
            facts = {"mode": mode, "path": entry.source.path}
            self._findings.add(faults.SECRET_IN_OPEN_FILE, entry.source, entry.place(), **facts)

    def _value(self, key: Key, entry: Entry, lookup: Lookup, draft: Draft) -> Any:
        """The value; None, and the draft marked as broken, if there is none."""

        def warn(bad: BadValue) -> None:
            self._report(bad, entry)

        place = Place(entry.key, draft.base, self._environ, warn, self._may_lack_keys)
        try:
            is_literal = not isinstance(entry.value, str) or entry.is_native or key.kind.percent_is_literal
            raw = entry.value if is_literal else inserted(entry, lookup)
            return key.kind.parse(raw, place)
        except BadValue as bad:
            self._report(bad, entry)
            draft.is_broken = True
            return None

    def _report(self, bad: BadValue, entry: Entry) -> None:
        span = entry.key_span if bad.fault is faults.NO_EFFECT else entry.place(bad.start, bad.length)
        self._findings.add(bad.fault, entry.source, span, **{"key": entry.key, **bad.facts})


def _level(block: Block, scope: Scope, findings: Findings) -> _Level:
    """Sort the entries by row; keys of the program are accepted if that is the scope."""
    level = _Level()
    for entry in block.entries:
        name, key = option_name(entry.key), find(entry.key)
        if name is not None:
            _check_once(entry, level.options.get(name), block, findings)
            level.options.setdefault(name, entry)
        elif key is None:
            fault = faults.UNKNOWN_TABLE if isinstance(entry.value, dict) else faults.UNKNOWN_KEY
            findings.add(fault, entry.source, entry.key_span, key=entry.key, suggestion=suggestion(entry.key))
        elif key.scope is Scope.PROGRAM and scope is not Scope.PROGRAM:
            findings.add(faults.PROGRAM_KEY, entry.source, entry.key_span, key=entry.key)
        elif entry.value == "" and not key.kind.may_be_empty:
            findings.add(faults.EMPTY, entry.source, entry.key_span, key=entry.key)
        else:
            _, first = level.settings.setdefault(key.name, (key, entry))
            _check_once(entry, first, block, findings)
    return level


def _is_backup(own: _Level, common: _Level) -> bool:
    found = own.settings.get("role") or common.settings.get("role")
    return found is not None and str(found[1].value).strip().lower() == "backup"


def _check_once(entry: Entry, first: Entry | None, block: Block, findings: Findings) -> None:
    if first is None or first is entry:
        return
    facts = {"key": entry.key, "other": first.key, "line": first.key_span.line, "place": block.title}
    fault = faults.KEY_TWICE if normal(entry.key) == normal(first.key) else faults.SAME_KEY
    findings.add(fault, entry.source, entry.key_span, **facts)


def _lookup(block: Block, common: Block) -> Lookup:
    entries = {normal(entry.key): entry for place in (common, block) for entry in place.entries}
    return entries.get
