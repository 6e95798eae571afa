"""`escalectl backup SECTION ARCHIVE`, `restore`, `migrate` and `fix`: a relay as a whole.

The commands of escale 0.7 of these names.  What they carry is the relay, not the folder: for versions of files there
are `escalectl backup create` and `escale-restore`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..app.instance import LockFile
from ..app.wording import Level, Line, size_text
from ..errors import UserError
from ..files.tree import display
from .arguments import Parser
from .exit_codes import DECISION, DONE, SKIPPED, USAGE
from .mend import FIX_COMMAND
from .render import clock_text
from .session import Command, Session
from .setup import load_setup
from .whole import agreed, fast_option, opened, progress_option, screen_of

if TYPE_CHECKING:
    from ..app.carrying import Carried, Depot
    from ..conf.settings import Section

_PLACE = ("address", "protocol", "directory", "port")
_LOGIN = ("user", "password", "keyfile", "certfile", "host key")


class HowToWrite(UserError):
    """write: escalectl {usage}"""

    code = "C112"
    exit_code = USAGE


# -- archives


def is_archive_form(session: Session, acts: Container[str]) -> bool:
    """Whether `escalectl backup` is meant as escale 0.7 had it: a section, and a file for its relay."""
    words = _words(session)
    return len(words) == 2 and words[0] not in acts and session.options.sections[0] not in acts


def backup(session: Session) -> int:
    """The relay of a section into an archive."""
    from ..app.carrying import archive_relay

    section, archive = _section_and(session, "backup SECTION ARCHIVE")
    path = Path(archive).absolute()
    with screen_of(session) as screen, opened(session, section) as depot:
        done = archive_relay(depot, path, session.clock, screen)
    _tell_amount(session, section, done, f"of {depot.store.url} are in {display(archive)}")
    return _tell_rest(session, section, done)


def restore(session: Session) -> int:
    """The relay of a section out of an archive."""
    from ..app.carrying import look_into, restore_relay

    section, archive = _section_and(session, "restore SECTION ARCHIVE")
    with screen_of(session) as screen, opened(session, section, may_make=True) as depot:
        crate = look_into(Path(archive), depot, screen)
        restore_relay(crate, depot, session.options.fast, screen)
    size = size_text(sum(parcel.size for parcel in crate.parcels))
    what = f"{len(crate.parcels)} blobs, {size}, as they were {clock_text(crate.taken)}"
    text = f"{section.name}: {what}, are on {depot.store.url}\nWho knew it later tells so (P431) and writes it again."
    session.tell(Line(Level.INFO, text))
    return DONE


def _words(session: Session) -> list[str]:
    """The free words; the section may have been given as an option."""
    options = session.options
    return [*([options.repository] if options.repository else []), *options.sections]


def _section_and(session: Session, usage: str) -> tuple[Section, str]:
    words = _words(session)
    if len(words) != 2:
        raise HowToWrite(usage=usage)
    (section,) = session.setup().chosen(words[:1])
    return section, words[1]


def _tell_amount(session: Session, section: Section, done: Carried, where: str) -> None:
    count = len(done.parcels)
    blobs = "1 blob" if count == 1 else f"{count} blobs"
    session.tell(Line(Level.INFO, f"{section.name}: {blobs}, {size_text(done.size)}, {where}"))


def _tell_rest(session: Session, section: Section, done: Carried) -> int:
    """What the user should know of the state it was in."""
    if done.foreign:
        text = f"{section.name}: {done.foreign} blobs there are none of escale's, and were left out"
        session.tell(Line(Level.WARNING, text))
    if done.locked and section.relay_format == "0.7":
        pages = display(", ".join(done.locked))
        text = f"{section.name}: somebody was at work on page {pages}: what he wrote may be in part only"
        session.tell(Line(Level.WARNING, text))
        return SKIPPED
    return DONE


# -- another place


def migrate(session: Session) -> int:
    """The relay of a section to another place."""
    section, there = _destination(session)
    lock = LockFile(session.instance.lock_path)
    try:
        # In this order: what cannot be reached is told before a directory is made.
        with opened(session, section) as source, opened(session, there, may_make=True) as target:
            code = _migrate(session, section, source, target)
    finally:
        lock.release()
    print(_what_to_change(section, there), file=session.output)
    return code


def _migrate(session: Session, section: Section, source: Depot, target: Depot) -> int:
    from ..app.carrying import empty_relay, migrate_relay, take_memory_along

    with screen_of(session) as screen:
        done = migrate_relay(source, target, session.options.fast, screen)
    if done.was_there:
        text = f"{section.name}: it is at {target.store.url} already; nothing was carried"
        session.tell(Line(Level.INFO, text))
        if done.only_here:
            text = f"{done.only_here} blobs of the old place are not there: taken by clients, or written since"
            session.tell(Line(Level.WARNING, f"{section.name}: {text}"))
    else:
        _tell_amount(session, section, done, f"carried to {target.store.url}, and found there")
    if take_memory_along(source, target):
        text = f"{section.name}: what this machine remembers of the relay holds there, too"
        session.tell(Line(Level.INFO, text))
    code = _tell_rest(session, section, done)
    if not session.options.move:
        return code
    question = f"Empty {source.store.url}? Clients that are not told of the new place stop there."
    if not agreed(session, question, "the old place was not emptied"):
        return DECISION
    left = empty_relay(source, target)
    session.tell(Line(Level.INFO, f"{section.name}: {source.store.url} is empty, but for a note of the new place"))
    if left:
        names = display(", ".join(left[:5]))
        session.tell(Line(Level.WARNING, f"{section.name}: {len(left)} blobs that did not travel stay there: {names}"))
        return SKIPPED
    return code


def _destination(session: Session) -> tuple[Section, Section]:
    """The section, and the same with its relay where it goes: a URL, another section, or a configuration file."""
    from ..conf.elsewhere import section_elsewhere

    words = [*_words(session), *([session.options.to] if session.options.to else [])]
    if len(words) != 2:
        raise HowToWrite(usage="migrate SECTION DESTINATION [--move]")
    setup = session.setup()
    (section,) = setup.chosen(words[:1])
    known = {one.name: one for one in setup.config.sections}
    if words[1].endswith((".conf", ".toml")) and "://" not in words[1]:
        (there,) = load_setup(words[1], session.environ, may_lack_keys=True).chosen([section.name])
    elif words[1] in known:
        other, client = known[words[1]], section.client_name
        there = replace(other, name=section.name, local_path=section.local_path, client_name=client)
    else:
        there = section_elsewhere(section, words[1], session.environ)
    if there.address.url == section.address.url:
        raise HowToWrite(usage="migrate SECTION DESTINATION [--move]   (it is at that place already)")
    return section, there


def _what_to_change(section: Section, there: Section) -> str:
    """For every machine of the group: their configurations differ in where things stand, not in what they say."""
    same_server = (there.user, there.password, there.options) == (section.user, section.password, section.options)
    settings = [name for name in (*_PLACE, *(() if same_server else _LOGIN)) if section.origin(name).file]
    lines = [f"     {name:12} ({section.origin(name)})" for name in settings]
    return "\n".join(
        [
            "On every machine, while no escale runs there:",
            f"  1  escalectl migrate {section.name} {there.address.url}",
            f"  2  in its configuration, in [{section.name}], take out",
            *lines,
            "     and write",
            f"     address = {there.address.url}",
            *([] if same_server else ["     with the login of the new place"]),
        ]
    )


def _restore_options(parser: Parser) -> None:
    fast_option(parser, "do not read back what was written")
    progress_option(parser)


def _migrate_options(parser: Parser) -> None:
    parser.add_argument("--to", metavar="DESTINATION", help="the same as the second word")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--copy", action="store_true", help="leave the old place as it is (the default)")
    kind.add_argument("-m", "--move", action="store_true", help="empty the old place when the new one was read back")
    fast_option(parser, "do not read back what was written")
    parser.add_argument("--yes", action="store_true", help="with --move: do not ask")
    progress_option(parser)


CARRY_COMMANDS = {
    "restore": Command(
        restore,
        "the relay of a section from an archive of escalectl backup; for files: escale-restore",
        _restore_options,
        "WORD",
        "SECTION ARCHIVE; the relay has to be empty",
    ),
    "migrate": Command(
        migrate,
        "the relay of a section to another place",
        _migrate_options,
        "WORD",
        "SECTION DESTINATION: an address, another section, or a configuration file that has the same section",
    ),
    "fix": FIX_COMMAND,
}
"""What `escalectl` can be told of whole relays, beside `backup SECTION ARCHIVE`."""
