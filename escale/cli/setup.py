"""From a configuration file to what the commands work with: its instance, its sections as parts, its log."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..app.instance import Instance
from ..app.logs import Log, file_handler
from ..app.worker import Loop, Part
from ..clock import SystemClock
from ..conf.load import load
from ..conf.places import find_config, shadowed, state_directory
from ..conf.problems import Problem
from ..conf.settings import BackupSection, Common, Config, Section
from ..errors import ConfigError, UnknownSection
from ..events import Reporter

if TYPE_CHECKING:
    from ..store.blob import BlobStore

Build = Callable[[Config, Section, Mapping[str, str], SystemClock, Reporter], Loop]
"""Makes the engine of a section."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration without errors, and the environment it is used in.  `build` makes the engine of a section."""

    config: Config
    problems: tuple[Problem, ...]
    environ: Mapping[str, str]
    build: Build | None = None

    @property
    def instance(self) -> Instance:
        """The places of the running process."""
        return Instance(self.config.path, self.config.state_dir)

    @property
    def control_socket(self) -> str | None:
        """Where the file wants the control socket, if it says so."""
        return _configured_socket(self.config)

    @property
    def has_control(self) -> bool:
        """Whether the running process can be asked and told."""
        return self.config.control_socket != "off"

    @property
    def warnings(self) -> list[str]:
        """What is not wrong but worth knowing."""
        found = [problem.render() for problem in self.problems]
        if beside := shadowed(self.config.path, self.environ):
            found.append(f"{beside} is not read: {self.config.path} was found first")
        return found

    def chosen(self, names: Sequence[str]) -> list[Section]:
        """The sections of these names in the order of the file, all without names; UnknownSection."""
        known = [section.name for section in self.config.sections]
        for name in names:
            if name not in known:
                raise UnknownSection(name=name, known=", ".join(known))
        return [section for section in self.config.sections if not names or section.name in names]

    def chosen_backups(self, names: Sequence[str]) -> list[BackupSection]:
        """The backup sections of these names in the order of the file, all without names; UnknownSection."""
        known = [section.name for section in self.config.backups]
        for name in names:
            if name not in known:
                raise UnknownSection(name=name, known=", ".join(known) or "none with role = backup")
        return [section for section in self.config.backups if not names or section.name in names]

    def named(self, names: Sequence[str]) -> tuple[list[Section], list[BackupSection]]:
        """The sections of these names, of both kinds; UnknownSection."""
        known = [section.name for section in self.config.everything]
        for name in names:
            if name not in known:
                raise UnknownSection(name=name, known=", ".join(known))
        wanted = set(names or known)
        return (
            [section for section in self.config.sections if section.name in wanted],
            [section for section in self.config.backups if section.name in wanted],
        )

    def parts(self, names: Sequence[str], at_once: bool = False) -> list[Part]:
        """What the workers of these sections are made of; `at_once`: backups do not wait until they are due."""
        sections, backups = self.named(names)
        return [*map(self._part, sections), *(self._backup_part(section, at_once) for section in backups)]

    def again(self) -> Setup:
        """The same file as it is now; ConfigError with all its problems in words if it has errors."""
        try:
            return load_setup(str(self.config.path), self.environ, self.build)
        except ConfigError as error:
            problems = [problem.render() for problem in error.facts.get("problems", ())]
            raise ConfigError(what="\n".join(problems) or str(error)) from error

    def open_log(self, is_background: bool) -> Log | None:
        """The log file, or None where the screen is the log.  In the background there is always a file."""
        config = self.config
        path = config.log_file if isinstance(config.log_file, Path) else None
        if path is None and is_background and config.log_file != "none":
            path = config.state_dir / f"{self.instance.name}.log"
        if path is None:
            return None
        as_json = config.log_format == "json"
        return Log(file_handler(path, config.log_size, config.log_rotate, as_json), config.log_level)

    def _part(self, section: Section) -> Part:
        # Where in the file a value stands does not matter: a new comment above must not restart the section.
        return Part(
            section.name, replace(section, effective=()), lambda clock, reporter: self._open(section, clock, reporter)
        )

    def _backup_part(self, section: BackupSection, at_once: bool) -> Part:
        def opened(clock: SystemClock, reporter: Reporter) -> Loop:
            from ..app.build_backup import build_backup

            state, ask = self.config.state_dir, password_prompt()
            return build_backup(state, section, self.environ, clock, reporter, ask, at_once)

        return Part(section.name, replace(section, effective=()), opened, by_name=True)

    def _open(self, section: Section, clock: SystemClock, reporter: Reporter) -> Loop:
        build = self.build or _engine()
        return build(self.config, section, self.environ, clock, reporter)


def load_setup(
    given: str | None, environ: Mapping[str, str], build: Build | None = None, *, may_lack_keys: bool = False
) -> Setup:
    """Find and read the configuration.  NoConfiguration, or ConfigError with all its problems."""
    loaded = load(find_config(environ, given), environ, may_lack_keys=may_lack_keys)
    return Setup(loaded.require(), loaded.problems, environ, build)


def find_instance(given: str | None, environ: Mapping[str, str]) -> tuple[Instance, str | None]:
    """The places of a configuration, and its control socket if it names one; works for a file with errors, too."""
    path = find_config(environ, given)
    config = load(path, environ).config
    if config is None:
        return Instance(path, state_directory(environ)), None
    return Instance(config.path, config.state_dir), _configured_socket(config)


def open_store(section: Common, environ: Mapping[str, str]) -> BlobStore:
    """The relay of a section."""
    from ..app.build import open_relay_store

    return open_relay_store(section, environ, password_prompt())


def make_place(section: Common, environ: Mapping[str, str]) -> None:
    """Make the directory or bucket of a section's relay; no error if it is there."""
    from ..app.build import relay_address
    from ..store.remote import create_relay

    create_relay(relay_address(section, environ, password_prompt()))


def _configured_socket(config: Config) -> str | None:
    return str(config.control_socket) if isinstance(config.control_socket, Path) else None


def _engine() -> Build:
    from ..app.build import build_section

    return partial(build_section, ask=password_prompt())


def password_prompt() -> Callable[[str], str] | None:
    """How to ask for a password: at the terminal, if there is one."""
    return getpass.getpass if sys.stdin is not None and sys.stdin.isatty() else None
