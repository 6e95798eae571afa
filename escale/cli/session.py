"""Session: one call of `escalectl`, with everything that its commands need; and what a command is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..app.control import Remote
from ..app.instance import Instance
from ..app.wording import Level, Line
from ..clock import Clock, SystemClock
from ..conf.places import state_directory
from ..errors import NotRunning, UserError
from .arguments import Parser
from .exit_codes import DONE
from .render import error_text, palette_for
from .setup import Setup, find_instance, load_setup, password_prompt

if TYPE_CHECKING:
    from ..app.vault import Vault
    from ..conf.settings import BackupSection, Section
    from ..files.ledger import Ledger


class WhichSection(UserError):
    """which section? one of: {known}"""

    code = "C108"
    exit_code = 2


class Session:
    """What every command needs: options, the places to look at, time, and where to write."""

    def __init__(
        self,
        options: argparse.Namespace,
        environ: Mapping[str, str],
        output: IO[str],
        talk: IO[str],
        is_bare: bool = False,
    ) -> None:
        """`is_bare`: there need not be a configuration, and nothing of it is used."""
        self.options = options
        self.environ = environ
        self.clock: Clock = SystemClock()
        self.output = output
        self.colours = palette_for(output, options.color, environ)
        self._talk = talk
        self._talk_colours = palette_for(talk, options.color, environ)
        nowhere = Instance(Path("/nonexistent/escale.conf"), state_directory(environ))
        self.instance, self._configured = (nowhere, None) if is_bare else find_instance(options.config, environ)

    def connect(self) -> Remote:
        """The running service; NotRunning if there is none."""
        given = self.options.socket or self._configured
        return Remote(self.instance.sockets(self.environ, given), self.instance.config)

    @property
    def sections(self) -> list[str]:
        """The sections asked for; none means all."""
        return [*self.options.sections, *([self.options.repository] if self.options.repository else [])]

    def tell(self, line: Line) -> None:
        """Talk, not data."""
        if not self.options.quiet or line.level <= Level.ERROR:
            print(error_text(line, self._talk_colours), file=self._talk)

    def setup(self) -> Setup:
        """The configuration itself, for commands that need no running service; ConfigError if it has errors."""
        return load_setup(self.options.config, self.environ, may_lack_keys=True)

    def one_section(self) -> Section:
        """The section that is named, or the only one there is; WhichSection, UnknownSection, ConfigError."""
        chosen = self.setup().chosen(self.sections)
        if len(chosen) != 1:
            raise WhichSection(known=", ".join(section.name for section in chosen))
        return chosen[0]

    def ledger(self, section: Section) -> Ledger | None:
        """What the section remembers on this machine; None if it never ran here.  Close it."""
        from ..app.build import ledger_path
        from ..files.ledger import Ledger

        path = ledger_path(self.instance.state, section)
        if not path.exists():
            return None
        ledger = Ledger(path)
        if ledger.damaged:
            self.tell(Line(Level.ERROR, f"the ledger was damaged and lies aside as {ledger.damaged} (L150)"))
        return ledger

    def vault(self, section: BackupSection) -> Vault:
        """Where the versions of a section are, with what this machine remembers of them."""
        from ..app.build_backup import build_vault

        return build_vault(self.setup().config.state_dir, section, self.environ, self.clock, password_prompt())

    def wake(self, section: str) -> None:
        """Let the running service do a pass of this section, or say that it takes effect with the next one."""
        try:
            answered(self, self.connect().request("sync", [section]), DONE)
        except NotRunning:
            self.tell(Line(Level.INFO, "no escale is running here; it takes effect at the next pass"))

    def can_ask(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin is not None and sys.stdin.isatty()

    def ask(self, question: str) -> str:
        """The answer, in small letters; empty if there is none."""
        print(question, end=" ", file=self._talk, flush=True)
        return sys.stdin.readline().strip().lower()


def _no_options(parser: Parser) -> None:
    """Most commands have none of their own."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command does, says of itself, and takes: free words, which are sections for most, and options."""

    run: Callable[[Session], int]
    text: str
    add_options: Callable[[Parser], None] = _no_options
    words: str = "SECTION"
    words_text: str = "only these sections; all without"


def answered(session: Session, reply: Mapping[str, object], failed: int) -> int:
    """The exit code for the reply of a service; what it refused is told."""
    if reply.get("ok"):
        return DONE
    problems = reply.get("problems")
    session.tell(Line(Level.ERROR, "\n".join(map(str, problems)) if isinstance(problems, list) else "refused"))
    return failed
