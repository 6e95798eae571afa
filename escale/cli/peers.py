"""`escalectl peers`: the clients of a relay, when they were last seen, what waits for them; and forgetting one.

It asks the relay itself, so it needs no running service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..app.wording import Level, Line, duration_text, files_text, line_of, size_text
from ..errors import UserError
from ..events import Event
from ..files.tree import display
from .arguments import Parser
from .exit_codes import DECISION, DONE, USAGE
from .render import json_line, table
from .session import Command, Session
from .setup import password_prompt

if TYPE_CHECKING:
    from ..app.standing import Standing
    from ..conf.settings import Config, Section
    from ..relay.client import Client


class NoSuchClient(UserError):
    """there is no client {name} on the relay of {section}; there are: {known}"""

    code = "P402"


class OwnName(UserError):
    """{name} is this machine: it would enter itself again with its next pass"""

    code = "P403"
    advice = "To take it off: stop escale here, then on another machine: escalectl peers {section} forget {name}"


@dataclass(frozen=True, slots=True)
class _Look:
    """A section, its client, and how all clients of the relay stand."""

    section: Section
    client: Client
    standings: Sequence[Standing]


def peers(session: Session) -> int:
    """List the clients, or forget one of them."""
    options = session.options
    words = [options.repository, *options.sections] if options.repository else options.sections
    if "forget" in words[1:]:
        if len(words) != 3 or words[1] != "forget":
            session.tell(Line(Level.ERROR, "write: escalectl peers SECTION forget NAME"))
            return USAGE
        return _forget(session, words[0], words[2])
    setup = session.setup()
    for section in setup.chosen(words):
        with _looked(session, setup.config, section) as look:
            if options.json:
                for one in look.standings:
                    print(json_line({"type": "peer", "section": section.name, **asdict(one)}), file=session.output)
            else:
                print(_listing(look), file=session.output)
    return DONE


def _forget(session: Session, section: str, name: str) -> int:
    setup = session.setup()
    (chosen,) = setup.chosen([section])
    with _looked(session, setup.config, chosen) as look:
        known = {one.name: one for one in look.standings}
        if name not in known:
            raise NoSuchClient(name=display(name), section=section, known=display(", ".join(known)) or "none")
        if known[name].is_here:
            raise OwnName(name=name, section=section)
        if not _agreed(session, known[name]):
            return DECISION
        from ..app.standing import forget

        forget(look.client, name)
    if known[name].is_named:
        place = f"{display(name)} is off the roster, but still named in pullers ({chosen.origin('pullers')})"
        advice = "updates wait for it until it is taken out there, and in the files of the other clients"
        session.tell(Line(Level.WARNING, f"{place}:\n{advice}"))
    else:
        session.tell(Line(Level.INFO, f"{display(name)} is off the roster: updates do not wait for it any more"))
    session.wake(section)
    return DONE


def _agreed(session: Session, one: Standing) -> bool:
    waiting = f"{files_text(one.files)} wait for it" if one.files else "nothing waits for it"
    if session.options.yes:
        return True
    if not session.can_ask():
        session.tell(Line(Level.WARNING, f"nothing was changed ({waiting}): to forget it write --yes"))
        return False
    back = "If it comes back it enters itself again, and asks for what it has missed."
    return session.ask(f"{display(one.name)}: {waiting}. {back}\nForget it? [y/N]:") in ("y", "yes")


@contextmanager
def _looked(session: Session, config: Config, section: Section) -> Iterator[_Look]:
    from ..app.build import build_connection
    from ..app.standing import standings

    def report(event: Event) -> None:
        line = line_of(event)
        if line is not None:
            session.tell(line)

    connection = build_connection(config, section, session.environ, session.clock, password_prompt())
    try:
        client = connection.look_only(report)
        named = section.pullers if isinstance(section.pullers, tuple) else ()
        found = standings(client, connection.listing(), named, section.stale_after, report)
        yield _Look(section, client, found)
    finally:
        connection.close()


def _listing(look: _Look) -> str:
    head = f"{look.section.name}: {look.section.address.url}"
    if not look.standings:
        keeps = "nobody has come yet" if look.section.relay_format != "0.7" else "relay format 0.7 keeps no roster"
        return f"{head}\n  {keeps}"
    rows = [("  client", "last sign of life", "waits for it", "on pages", "")]
    return f"{head}\n{table([*rows, *(_row(one) for one in look.standings)])}"


def _row(one: Standing) -> tuple[str, ...]:
    seen = "never" if one.silent_s is None else "-" if one.is_here else f"{duration_text(one.silent_s)} ago"
    waiting = f"{files_text(one.files)}, {size_text(one.size)}" if one.files else "-"
    pages = ", ".join(display(page) for page in one.pages if page) or "-"
    marks = {"this machine": one.is_here, "does not receive": not one.pulls, "stale": one.is_stale}
    return (f"  {display(one.name)}", seen, waiting, pages, ", ".join(mark for mark, holds in marks.items() if holds))


def _options(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object per client")
    parser.add_argument("--yes", action="store_true", help="with forget: do not ask")


PEERS_COMMAND = Command(
    peers,
    "the clients of the relay, and what waits for them",
    _options,
    words="WORD",
    words_text="SECTION ...: only these; SECTION forget NAME: take a client off the roster that is gone for good",
)
