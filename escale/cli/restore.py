"""escale-restore: get files back, from the trash, from conflict copies, from backups.

It works on the folder, on what the section remembers of it, and on the stores of backups; so it needs neither a relay
nor a running service, and does not mind one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from ..app.choice import summed
from ..app.shelf import TrashShelf
from ..app.vision import Sighting, Vision
from ..app.wording import Level, Line, size_text
from ..errors import EscaleError, UserError
from ..files.overwrite import Overwrite
from ..files.tree import display
from .arguments import Parser, add_common, per_cent
from .bring_back import bring_back, get_from_backups
from .bring_shelved import bring_shelved
from .exit_codes import DECISION, DONE, INTERRUPTED, USAGE
from .finds import HEAD, Find, all_finds, chosen_at, newest_first, print_finds, row
from .moment import day_text, paths_meant, point, point_or_none
from .render import error_text, explain, json_line, palette_for, table
from .session import Session, WhichSection
from .versions import (
    BACKUP,
    diff,
    histories,
    list_directory,
    list_versions,
    node_object,
    rehearse_all,
    sighting_row,
    sightings,
    tell_damage,
    verify,
)
from .visions import Visions

_EPILOG = """commands:
  list [DAY]                 when something was put away, of one day the batches; and the versions of backups
  ls [TIME] [PATH]           what was there then
  find PATTERN               where a name occurs, in any time
  history PATH               every version of one file
  diff TIME [TIME] [PATH]    what changed between two versions of a backup
  get PATH ...               bring back; . is all
  verify [--read-data N%]    is everything there that the versions need
  rehearse                   bring a random sample back elsewhere, and compare

TIME: 2026-11-19, "2026-11-19 18:00", 3d (ago), latest, a version, or a batch of 'list DAY'
What is in the trash or a conflict copy comes from there, the rest from backups; --source says where to look.

On a machine that has nothing but the password:
  escale-restore --from sftp://me@host/versions --key FILE list

examples:
  escale-restore notes.txt                              look everywhere, choose, bring back beside the folder
  escale-restore get projects/2024 --at 2d -n           what was there two days ago; write nothing
  escale-restore get projects/2024 --at 2d --in-place   and put it back where it was

Manual: man escale-restore
"""


REHEARSAL_BYTES = 1 << 30
"""At most, whatever the number of files: a rehearsal is to be done often."""


class NothingFound(UserError):
    """{what} is neither in the trash nor among the conflict copies of {sections}{backups}"""

    code = "L134"
    advice = "See what there is: escale-restore list      escale-restore find '*PART OF NAME*'"


class WhatToRestore(UserError):
    """what is to be restored? {lacking}"""

    code = "C110"
    exit_code = USAGE
    advice = "Try:    escale-restore --help"


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """The command; returns the exit code."""
    environ = os.environ if environ is None else environ
    options = parser().parse_intermixed_args(sys.argv[1:] if arguments is None else arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(options, environ)
        sys.stdout.flush()
        return code
    except EscaleError as error:
        for problem in error.facts.get("problems", ()):
            print(problem.render(), file=sys.stderr)
        print(error_text(explain(error), palette_for(sys.stderr, options.color, environ)), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> Parser:
    """The options of `escale-restore`."""
    made = Parser(
        prog="escale-restore",
        usage="escale-restore [-c FILE] [-s SECTION] NAME\n"
        "       escale-restore [-c FILE] [-s SECTION | --from URL --key FILE] COMMAND ...",
        description="Get files back: from the trash, from conflict copies, from backups.\n"
        "With only a file name it looks everywhere and offers what it finds.",
        epilog=_EPILOG,
    )
    add = made.add_argument
    add("words", metavar="NAME | COMMAND ...", nargs="*", help="a file name, or a command with what it needs")
    add("-s", "--section", help="only this section")
    add("--source", choices=("all", "trash", "conflict", "backup"), default="all", help="look only there")
    add("--from", metavar="URL", dest="from_url", help="a repository, on a machine without a configuration")
    add("--key", metavar="FILE", help="with --from: the file that has its password in the first line")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="with --from: a setting, such as user=me")
    add("--at", metavar="TIME", help="as it was then (default: the latest version)")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--to", metavar="DIR", help="where to put it (default: ./restored-SECTION-TIME)")
    where.add_argument(
        "--in-place", action="store_true", help="where it was; what is there goes to the trash of that folder"
    )
    add("--overwrite", choices=[one.value for one in Overwrite], default="never", help="with --to; default never")
    add("-R", "--recursive", action="store_true", help="ls of a backup: all that is below")
    add("--files", metavar="N", type=int, default=20, help="rehearse: how many files (default: 20)")
    add(
        "--read-data",
        metavar="N%",
        nargs="?",
        const=100.0,
        default=0.0,
        type=per_cent,
        help="verify: read so much of it",
    )
    add("-n", "--dry-run", action="store_true", help="say what would be done, write nothing")
    add("--json", action="store_true", help="objects instead of tables; the last one is the exit")
    add("--yes", action="store_true", help="do not ask")
    add("--progress", metavar="HOW", choices=("auto", "plain", "none"), default="auto", help="auto, plain or none")
    add_common(made)
    made.set_defaults(socket=None, repair=False, size=REHEARSAL_BYTES)
    return made


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    session = Session(options, environ, sys.stdout, sys.stderr, is_bare=bool(options.from_url))
    words = list(options.words)
    if not words:
        raise WhatToRestore(lacking="A NAME or a COMMAND is needed")
    verb = words.pop(0) if words[0] in _COMMANDS else ""
    with all_finds(session) as finds, Visions(session, is_alone=not finds) as visions:
        code = _COMMANDS.get(verb, _offer)(session, words, finds, visions)
    if options.json:
        print(json_line({"type": "exit", "code": code}), file=session.output)
    return code


def _list(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """Days, or the batches of one day; and versions."""
    day = _one(words, "list [DAY]") if words else None
    has_days = _list_days(session, finds, day)
    if not visions or day is not None:
        return DONE
    if has_days and not session.options.json:
        print(file=session.output)
    return list_versions(session, visions)


def _list_days(session: Session, finds: Sequence[Find], day: str | None) -> bool:
    rows: list[tuple[str, ...]] = [("when", "section", "from", "batches", "files", "size")]
    for section in dict.fromkeys(find.section.name for find in finds):
        copies = [find.copy for find in finds if find.section.name == section]
        copies = [copy for copy in copies if day in (None, day_text(copy.when))]
        names = [day_text(copy.when) if day is None else copy.place for copy in copies]
        for one in summed(copies, names):
            if session.options.json:
                values = {"type": "shelved", "section": section, "when": one.name, "from": one.shelf}
                print(json_line({**values, "files": one.files, "bytes": one.bytes}), file=session.output)
            count = str(one.batches) if one.shelf == TrashShelf.name else "-"
            rows.append((display(one.name), section, one.shelf, count, str(one.files), size_text(one.bytes)))
    if len(rows) > 1 and not session.options.json:
        print(table(rows), file=session.output)
    elif len(rows) == 1 and _has_trash(session, day):
        _tell(session, "nothing is in the trash, and there are no conflict copies" + (f" of {day}" if day else ""))
    return len(rows) > 1


def _has_trash(session: Session, day: str | None) -> bool:
    """Whether anybody would look for trash here: it belongs to what is synchronised."""
    options = session.options
    if options.from_url or options.source == BACKUP:
        return False
    return day is not None or bool(session.setup().config.sections)


def _ls(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """What was there at a time, or the latest version of everything."""
    words = list(words)
    at = point(session.options.at, session.clock.now())
    if words and session.options.at is None and (given := point_or_none(words[0], session.clock.now())):
        at = given
        words.pop(0)
    path = _one(words, "ls [TIME] [PATH]") if words else "."
    chosen = [] if at.version else chosen_at([find for find in finds if find.is_below(path)], at.moment)
    if chosen or not visions:
        print_finds(session, chosen)
        return DONE
    code = list_directory(session, visions, at, path)
    if code is None:
        raise _nothing(path, visions, session)
    return code


def _find(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """Every version of every file that may be meant."""
    name = _one(words, "find PATTERN")
    found = [find for find in finds if find.is_called(name)]
    found = sorted(found, key=lambda find: (find.section.name, find.copy.path, -find.copy.when))
    return _print_both(session, found, sightings(visions, name), name, visions)


def _history(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """Every version of one path."""
    path = _one(words, "history PATH")
    found = [find for find in finds if find.copy.path in paths_meant(path, find.root)]
    return _print_both(session, newest_first(found), histories(visions, path), path, visions)


def _print_both(
    session: Session, found: Sequence[Find], seen: Sequence[tuple[Vision, Sighting]], name: str, visions: Visions
) -> int:
    """What lies on shelves and what is in backups, in one table."""
    if not found and not seen:
        raise _nothing(name, visions, session)
    newest = sorted(seen, key=lambda one: -one[1].version.time_ns)
    if session.options.json:
        if found:
            print_finds(session, found)
        for vision, one in newest:
            print(json_line(node_object(vision, one.version, one.path, one.node)), file=session.output)
    else:
        rows = [row(find) for find in found] + [sighting_row(vision, one) for vision, one in newest]
        print(table([HEAD, *rows]), file=session.output)
    return tell_damage(session, visions)


def _offer(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """Show what the name may mean and let the user choose; where nobody can be asked, show it and exit 5."""
    name = _one(session.options.words, "NAME")
    found = newest_first([find for find in finds if find.is_called(name)])
    seen = [one for one in reversed(sightings(visions, name)) if one[1].node is not None]
    if not found and not seen:
        if any(find.is_below(name) for find in finds):
            raise WhatToRestore(lacking=f"{display(name)} was a directory: escale-restore get {display(name)}")
        raise _nothing(name, visions, session)
    if session.options.json or not session.can_ask():
        _print_both(session, found, seen, name, visions)
        _tell(session, "which one? escale-restore get PATH --at TIME")
        return DECISION
    rows = [row(find) for find in found] + [sighting_row(vision, one) for vision, one in seen]
    print(table([("#", *HEAD), *((str(number), *cells) for number, cells in enumerate(rows, 1))]), file=session.output)
    number = _answer(session, len(rows))
    if not number:
        return DONE
    if number <= len(found):
        return bring_shelved(session, [found[number - 1]])
    vision, one = seen[number - len(found) - 1]
    return bring_back(session, vision, one.version, vision.meant(one.version, f"/{one.path}"))


def _answer(session: Session, count: int) -> int:
    """A number from 1, or 0 for none of them."""
    while True:
        answer = session.ask("Which one (q: none)? [1]:")
        if answer in ("q", "n", "no", "quit"):
            return 0
        if answer == "":
            return 1
        if answer.isdecimal() and 1 <= int(answer) <= count:
            return int(answer)


def _get(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    """Bring back these paths as they were: from the shelves if all of them lie there, else from a backup."""
    if not words:
        raise WhatToRestore(lacking="get PATH ...; all of it is: get .")
    at = point(session.options.at, session.clock.now())
    chosen: dict[tuple[str, str], Find] = {}
    for word in words:
        found = [] if at.version else chosen_at([find for find in finds if find.is_below(word)], at.moment)
        if not found and visions:
            code = get_from_backups(session, words, at, visions)
            if code is not None:
                return code
        if not found:
            raise _nothing(word, visions, session)
        chosen |= {(find.section.name, find.copy.path): find for find in found}
    sections = {section for section, _ in chosen}
    if len(sections) > 1:
        raise WhichSection(known=", ".join(sorted(sections)))
    if visions:
        _tell(session, "from the trash and conflict copies; a backup may have more of it: --source backup")
    return bring_shelved(session, list(chosen.values()))


def _diff(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    if not 1 <= len(words) <= 3:
        raise WhatToRestore(lacking="escale-restore diff TIME [TIME] [PATH]")
    code = diff(session, words, visions)
    if code is None:
        raise _nothing(" ".join(words), visions, session)
    return code


def _verify(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    return verify(session, _some(visions))


def _rehearse(session: Session, words: Sequence[str], finds: Sequence[Find], visions: Visions) -> int:
    return rehearse_all(session, _some(visions))


def _some(visions: Visions) -> Visions:
    if not visions:
        raise WhatToRestore(lacking="no section has role = backup; --from URL names a repository")
    return visions


def _one(words: Sequence[str], usage: str) -> str:
    if len(words) != 1:
        raise WhatToRestore(lacking=f"escale-restore {usage}")
    return words[0]


def _nothing(name: str, visions: Visions, session: Session) -> NothingFound:
    section = session.options.section
    sections = f"section {section}" if section else "any section"
    return NothingFound(what=display(name), sections=sections, backups=", nor in a backup" if visions else "")


def _tell(session: Session, text: str) -> None:
    session.tell(Line(Level.INFO, text))


_COMMANDS = {
    "list": _list,
    "ls": _ls,
    "find": _find,
    "history": _history,
    "get": _get,
    "diff": _diff,
    "verify": _verify,
    "rehearse": _rehearse,
}


if __name__ == "__main__":
    sys.exit(main())
