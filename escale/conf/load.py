"""Loading a configuration: files to documents, entries to values, values to settings, and all problems on the way.

Nothing is opened but configuration files, and nothing is raised: whatever is wrong is a problem in the result.  One
error anywhere means that there is no configuration.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import faults
from .checks import check_pairs, check_section
from .compose import compose_program, compose_section
from .document import Block, Document, Entry, normal
from .draft import Draft
from .insert import inserted
from .keys import OPTION, Key, Scope, find, option_name, suggestion
from .kinds import BadValue, Place
from .problems import Findings, Problem, refusal
from .read import read_document
from .secrets import Secret, exposed_mode
from .settings import Config

COMMANDS = ("run", "demo", "init", "check", "invite", "join", "keygen", "secret", "config")
"""Words that `escale` takes for a command, so that no section may be called so."""

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
        self._values: dict[tuple[int, int], tuple[bool, Any]] = {}

    def load(self, path: Path) -> Config | None:
        """The configuration; None, or one that is not to be used, if there were findings."""
        document = read_document(path, self._findings)
        if self._findings.has_errors and not document.sections:
            return None
        program = self._draft(document.common, self._level(document.common, Scope.PROGRAM), _Level(), document)
        drafts = self._sections(document)
        for further in self._included(program):
            self._level(further.common, Scope.SECTION)
            drafts += self._sections(further)
        if not drafts:
            self._findings.add(faults.NO_SECTION, document.source)
        sections = []
        for draft in drafts:
            self._check_name(draft.block)
            section = None if draft.is_broken else compose_section(draft, self._findings)
            if section is not None:
                check_section(section, draft, self._findings, self._may_lack_keys)
                sections.append((section, draft))
        check_pairs(sections, self._findings)
        return compose_program(path, program, tuple(section for section, _ in sections))

    def _included(self, program: Draft) -> list[Document]:
        pattern = program.values.get("include conf")
        if pattern is None:
            return []
        found = sorted(glob.glob(pattern))[:INCLUDED_MAX]
        own = program.block.source.path
        return [read_document(Path(name), self._findings) for name in found if Path(name) != own]

    def _check_name(self, block: Block) -> None:
        name = block.name
        if name in COMMANDS:
            self._findings.add(faults.RESERVED_NAME, block.source, block.span, section=name)
        elif not name.isprintable() or not 0 < len(name) <= NAME_LENGTH_MAX or name.startswith("-"):
            self._findings.add(faults.BAD_NAME, block.source, block.span)

    # -- from entries to rows of the key table

    def _sections(self, document: Document) -> list[Draft]:
        common = self._common(document.common)
        return [self._draft(block, self._level(block, Scope.SECTION), common, document) for block in document.sections]

    def _common(self, block: Block) -> _Level:
        """What holds for every section of a file; what is wrong there was reported when the block was looked at."""
        level = _Loader(self._environ, Findings(), self._may_lack_keys)._level(block, Scope.PROGRAM)
        level.settings = {name: found for name, found in level.settings.items() if found[0].scope is not Scope.PROGRAM}
        return level

    def _level(self, block: Block, scope: Scope) -> _Level:
        """Sort the entries by row; keys of the program are accepted if that is the scope."""
        level = _Level()
        for entry in block.entries:
            name = option_name(entry.key)
            key = find(entry.key)
            if name is not None:
                self._once(entry, level.options.get(name), block)
                level.options.setdefault(name, entry)
            elif key is None:
                self._unknown(entry)
            elif key.scope is Scope.PROGRAM and scope is not Scope.PROGRAM:
                self._findings.add(faults.PROGRAM_KEY, entry.source, entry.key_span, key=entry.key)
            else:
                self._once(entry, level.settings[key.name][1] if key.name in level.settings else None, block)
                level.settings.setdefault(key.name, (key, entry))
        return level

    def _unknown(self, entry: Entry) -> None:
        fault = faults.UNKNOWN_TABLE if isinstance(entry.value, dict) else faults.UNKNOWN_KEY
        facts = {"key": entry.key, "suggestion": suggestion(entry.key)}
        self._findings.add(fault, entry.source, entry.key_span, **facts)

    def _once(self, entry: Entry, first: Entry | None, block: Block) -> None:
        if first is None:
            return
        facts = {"key": entry.key, "other": first.key, "line": first.key_span.line, "place": block.title}
        is_same = normal(entry.key) == normal(first.key)
        fault = faults.KEY_TWICE if is_same else faults.SAME_KEY
        self._findings.add(fault, entry.source, entry.key_span, **facts)

    # -- from entries to values

    def _draft(self, block: Block, own: _Level, common: _Level, document: Document) -> Draft:
        draft = Draft(block, document.source.path.parent, self._environ)
        lookup = _lookup(block, document.common)
        for name, (key, entry) in {**common.settings, **own.settings}.items():
            if name in own.settings and name in common.settings:
                self._compare_aliases(key, entry, common.settings[name][1])
            self._add(draft, name, key, entry, lookup)
            draft.entries[name] = entry
            draft.inherited[name] = name not in own.settings
        for name, entry in {**common.options, **own.options}.items():
            value = self._value(OPTION, entry, lookup, draft)
            draft.options[name] = (value, entry)
        return draft

    def _compare_aliases(self, key: Key, entry: Entry, above: Entry) -> None:
        """0.7 took the first alias of its list that was set anywhere."""
        order = [normal(name) for name in key.names]
        if order.index(normal(above.key)) < order.index(normal(entry.key)):
            self._findings.add(faults.ALIAS_ORDER, entry.source, entry.key_span, key=entry.key, other=above.key)

    def _add(self, draft: Draft, name: str, key: Key, entry: Entry, lookup: Any) -> None:
        value = self._value(key, entry, lookup, draft)
        if value is not None or not draft.is_broken:
            draft.values[name] = value
        if isinstance(value, Secret) and (mode := exposed_mode(value, entry.source.path)):
            facts = {"mode": mode, "path": entry.source.path}
            self._findings.add(faults.SECRET_IN_OPEN_FILE, entry.source, entry.place(), **facts)

    def _value(self, key: Key, entry: Entry, lookup: Any, draft: Draft) -> Any:
        """The value; None, and the draft marked as broken, if there is none."""

        def warn(bad: BadValue) -> None:
            self._report(bad, entry)

        place = Place(entry.key, draft.base, self._environ, warn, self._may_lack_keys)
        try:
            raw = inserted(entry, lookup) if isinstance(entry.value, str) and not entry.is_native else entry.value
            return key.kind.parse(raw, place)
        except BadValue as bad:
            self._report(bad, entry)
            draft.is_broken = True
            return None

    def _report(self, bad: BadValue, entry: Entry) -> None:
        span = entry.key_span if bad.fault is faults.NO_EFFECT else entry.place(bad.start, bad.length)
        self._findings.add(bad.fault, entry.source, span, **{"key": entry.key, **bad.facts})


def _lookup(block: Block, common: Block) -> Any:
    entries = {normal(entry.key): entry for place in (common, block) for entry in place.entries}
    return entries.get
