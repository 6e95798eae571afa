"""`escalectl fix`: take away what nobody can read on a relay, and write again what is known here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..app.instance import LockFile
from ..app.wording import Level, Line
from ..errors import Corrupt, NotRunning, UserError
from ..files.tree import display
from .arguments import Parser
from .exit_codes import DECISION, DONE, FAILED, LOCKED, USAGE, worst
from .render import explain, table
from .session import Command, Session, answered
from .setup import password_prompt
from .whole import agreed, fast_option, opened, progress_option, screen_of

if TYPE_CHECKING:
    from ..app.mending import Damage
    from ..conf.settings import Section
    from ..events import Event
    from ..relay.client import Client
    from ..relay.relay import Survey


class NoSuchPage(UserError):
    """the relay has no page {page}; it has: {known}"""

    code = "C113"
    exit_code = USAGE


PASSES_MAX = 3
"""After mending: the first pass still tells of what is gone, the next ones write what others miss."""


def fix(session: Session) -> int:
    """Take away what nobody can read on the relay, and write again what is known here."""
    section = session.one_section()
    is_marked = _is_marked(session, section)
    if session.options.dry_run and not is_marked:
        return DECISION
    if not is_marked:
        return _passes(session, section)
    found, lost = _damages(session, section)
    if found:
        print(
            table([("what", "page", "blob"), *((one.what, one.page, one.name) for one in found)]), file=session.output
        )
    for page in lost:
        print(f"the relay has lost page {display(page)}", file=session.output)
    if not found and not lost:
        session.tell(Line(Level.INFO, f"{section.name}: everything on the relay can be read"))
    if session.options.dry_run:
        return DECISION if found or lost else DONE
    if (found or lost) and not agreed(session, "Remove it, and write it again?", "nothing was removed"):
        return DECISION
    busy = _mend(session, section, found, lost)
    if busy:
        pages = display(", ".join(busy))
        session.tell(Line(Level.WARNING, f"{section.name}: others are at work on page {pages}; try again later"))
    return worst([LOCKED if busy else DONE, _passes(session, section)])


def _is_marked(session: Session, section: Section) -> bool:
    """Whether the relay says what it is.  Where it does not, a pass has to come first: it fills an empty relay, and
    writes the marker again if it was here before."""
    from ..app.carrying import NothingThere
    from ..app.connection import MarkerLost

    with opened(session, section) as depot:
        try:
            depot.marker()
        except (NothingThere, MarkerLost, Corrupt) as error:
            if depot.form.overwrites:
                return True
            session.tell(replace(explain(error), level=Level.WARNING))
            return False
    return True


def _damages(session: Session, section: Section) -> tuple[list[Damage], list[str]]:
    from ..app.mending import damages, lost_pages

    wanted = session.options.page
    with _client(session, section) as (client, survey):
        lost = lost_pages(client, survey)
        for page in wanted:
            if page not in survey.pages and page not in lost:
                raise NoSuchPage(page=display(page), known=display(", ".join(sorted({*survey.pages, *lost}))) or "none")
        found = [one for one in damages(client, survey, session.options.fast) if not wanted or one.page in wanted]
    return found, [page for page in lost if not wanted or page in wanted]


def _mend(session: Session, section: Section, found: list[Damage], lost: list[str]) -> list[str]:
    from ..app.mending import remove, rewrite
    from ..relay.relay import PageView

    with _client(session, section) as (client, _):
        for page in lost:
            rewrite(client, PageView(page))
        return remove(client, found)


@contextmanager
def _client(session: Session, section: Section) -> Iterator[tuple[Client, Survey]]:
    from ..app.build import build_connection
    from ..app.wording import line_of

    def report(event: Event) -> None:
        line = line_of(event)
        if line is not None:
            session.tell(line)

    config = session.setup().config
    connection = build_connection(config, section, session.environ, session.clock, password_prompt())
    try:
        yield connection.look_only(report), connection.listing()
    finally:
        connection.close()


def _passes(session: Session, section: Section) -> int:
    """By the service that runs here, or by ourselves: until nothing is told of what was lost."""
    from ..app.build import build_section

    try:
        return answered(session, session.connect().request("sync", [section.name]), FAILED)
    except NotRunning:
        pass
    lock = LockFile(session.instance.lock_path)
    try:
        with screen_of(session) as screen:
            config, ask = session.setup().config, password_prompt()
            with closing(build_section(config, section, session.environ, session.clock, screen, ask)) as loop:
                for _ in range(PASSES_MAX):
                    code = loop.run_once().exit_code
                    if code == DONE:
                        break
                return code
    finally:
        lock.release()


def _fix_options(parser: Parser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="show what cannot be read, change nothing")
    fast_option(parser, "do not look into the content of updates")
    add = parser.add_argument
    add("-p", "--page", metavar="PAGE", nargs="+", action="extend", default=[], help="look at these pages only")
    add("-u", "--update", action="store_true", help=argparse.SUPPRESS)  # 0.7: what can be read stays, as it always does
    parser.add_argument("--yes", action="store_true", help="do not ask")
    progress_option(parser)


FIX_COMMAND = Command(
    fix,
    "take away what cannot be read on a relay, and write it again",
    _fix_options,
    words_text="the section; needed if there are more",
)
