"""What the commands about whole relays share: the relay as a place to load and unload, a screen, a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..app.wording import Level, Line
from .arguments import Parser
from .render import Screen
from .screens import progress_screen
from .session import Session
from .setup import password_prompt

if TYPE_CHECKING:
    from ..app.carrying import Depot
    from ..conf.settings import Section


def agreed(session: Session, question: str, otherwise: str) -> bool:
    """Whether the user wants it; `otherwise` is said where nobody can be asked."""
    if session.options.yes:
        return True
    if not session.can_ask():
        session.tell(Line(Level.WARNING, f"{otherwise}: for that write --yes"))
        return False
    return session.ask(f"{question} [y/N]:") in ("y", "yes")


@contextmanager
def opened(session: Session, section: Section, may_make: bool = False) -> Iterator[Depot]:
    """The relay of a section; its store is closed at the end."""
    from ..app.carrying import open_depot

    config = session.setup().config
    depot = open_depot(config, section, session.environ, session.clock, password_prompt(), may_make)
    with closing(depot.store):
        yield depot


@contextmanager
def screen_of(session: Session) -> Iterator[Screen]:
    """Where progress is shown."""
    screen = progress_screen(session.options, session.environ)
    try:
        yield screen
    finally:
        screen.close()


def fast_option(parser: Parser, text: str) -> None:
    """-f, as escale 0.7 has it."""
    parser.add_argument("-f", "--fast", action="store_true", help=text)


def progress_option(parser: Parser) -> None:
    """How it is shown."""
    how = ("auto", "plain", "none")
    parser.add_argument("--progress", metavar="HOW", choices=how, default="auto", help="auto, plain or none")
