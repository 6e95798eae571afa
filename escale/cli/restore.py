"""escale-restore: get files back, from the trash and from conflict copies.

It works on the folder and on what the section remembers of it, so it needs neither a relay nor a running service, and
does not mind one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..app.choice import summed
from ..app.destination import Destination, DirectoryDestination, Fate, FolderDestination, Overwrite, Restored
from ..app.shelf import Copy, TrashShelf
from ..app.wording import Level, Line, files_text, size_text
from ..conf.settings import Section
from ..errors import EscaleError, UserError
from ..files.tree import display
from .arguments import Parser, add_common
from .exit_codes import DECISION, DONE, FAILED, INTERRUPTED, SKIPPED, USAGE
from .finds import HEAD, Find, all_finds, chosen_at, newest_first, print_finds, row
from .moment import day_text, moment, moment_or_none, paths_meant
from .render import clock_text, error_text, explain, json_line, palette_for, table
from .session import Session, WhichSection

_COMMANDS = ("list", "ls", "find", "history", "get")

_EPILOG = """commands:
  list [DAY]           when something was put away; of one day the batches
  ls [TIME] [PATH]     what was there then, as far as it was put away since; without TIME the latest of each file
  find PATTERN         where a name occurs, in any time
  history PATH         every version of one file
  get PATH ...         bring back

TIME: 2026-11-19, "2026-11-19 18:00", 3d (ago), latest, or a batch of 'list DAY'

examples:
  escale-restore notes.txt                              look everywhere, choose, bring back beside the folder
  escale-restore get projects/2024 --at 2d -n           what was there two days ago; write nothing
  escale-restore get projects/2024 --at 2d --in-place   and put it back where it was

Manual: man escale-restore
"""


class NothingFound(UserError):
    """{what} is neither in the trash nor among the conflict copies of {sections}"""

    code = "L134"
    advice = "See what there is: escale-restore list      escale-restore find '*PART OF NAME*'"


class WhatToRestore(UserError):
    """what is to be restored? {lacking}"""

    code = "C110"
    exit_code = USAGE
    advice = "Try:    escale-restore --help"


class NobodyToAsk(UserError):
    """{amount} into {place}: there is nobody to ask"""

    code = "C111"
    exit_code = USAGE
    advice = "--yes says that it is right; -n shows what would be done"


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
        usage="escale-restore [-c FILE] [-s SECTION] NAME\n       escale-restore [-c FILE] [-s SECTION] COMMAND ...",
        description="Get files back: from the trash, from conflict copies.\n"
        "With only a file name it looks everywhere and offers what it finds.",
        epilog=_EPILOG,
    )
    add = made.add_argument
    add("words", metavar="NAME | COMMAND ...", nargs="*", help="a file name, or a command with what it needs")
    add("-s", "--section", help="only this section")
    add("--source", choices=("all", "trash", "conflict"), default="all", help="look only there")
    add("--at", metavar="TIME", help="as it was then (default: the latest version)")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--to", metavar="DIR", help="where to put it (default: ./restored-SECTION-TIME)")
    where.add_argument(
        "--in-place", action="store_true", help="into the synchronised folder; what is there goes to the trash"
    )
    add("--overwrite", choices=[one.value for one in Overwrite], default="never", help="with --to; default never")
    add("-n", "--dry-run", action="store_true", help="say what would be done, write nothing")
    add("--json", action="store_true", help="objects instead of tables; the last one is the exit")
    add("--yes", action="store_true", help="do not ask")
    add_common(made)
    made.set_defaults(socket=None)
    return made


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    session = Session(options, environ, sys.stdout, sys.stderr)
    words = list(options.words)
    if not words:
        raise WhatToRestore(lacking="A NAME or a COMMAND is needed")
    verb = words.pop(0) if words[0] in _COMMANDS else ""
    commands = {"list": _list, "ls": _ls, "find": _find, "history": _history, "get": _get, "": _offer}
    with all_finds(session) as finds:
        code = commands[verb](session, words, finds)
    if options.json:
        print(json_line({"type": "exit", "code": code}), file=session.output)
    return code


def _list(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """Days, or the batches of one day."""
    day = _one(words, "list [DAY]") if words else None
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
    elif len(rows) == 1:
        _tell(session, "nothing is in the trash, and there are no conflict copies" + (f" of {day}" if day else ""))
    return DONE


def _ls(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """What was there at a time, or the latest version of everything."""
    words = list(words)
    at = moment(session.options.at, session.clock.now())
    if words and session.options.at is None and (given := moment_or_none(words[0], session.clock.now())):
        at = given
        words.pop(0)
    path = _one(words, "ls [TIME] [PATH]") if words else "."
    print_finds(session, chosen_at([find for find in finds if find.is_below(path)], at))
    return DONE


def _find(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """Every version of every file that may be meant."""
    name = _one(words, "find PATTERN")
    found = [find for find in finds if find.is_called(name)]
    if not found:
        raise _nothing(name, finds, session)
    print_finds(session, sorted(found, key=lambda find: (find.section.name, find.copy.path, -find.copy.when)))
    return DONE


def _history(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """Every version of one path."""
    path = _one(words, "history PATH")
    found = [find for find in finds if find.copy.path in paths_meant(path, find.root)]
    if not found:
        raise _nothing(path, finds, session)
    print_finds(session, newest_first(found))
    return DONE


def _offer(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """Show what the name may mean and let the user choose; where nobody can be asked, show it and exit 5."""
    name = _one(session.options.words, "NAME")
    found = [find for find in finds if find.is_called(name)]
    if not found:
        if any(find.is_below(name) for find in finds):
            raise WhatToRestore(lacking=f"{display(name)} was a directory: escale-restore get {display(name)}")
        raise _nothing(name, finds, session)
    found = newest_first(found)
    if session.options.json or not session.can_ask():
        print_finds(session, found)
        _tell(session, "which one? escale-restore get PATH --at TIME")
        return DECISION
    rows = [("#", *HEAD), *((str(number), *row(find)) for number, find in enumerate(found, 1))]
    print(table(rows), file=session.output)
    number = _answer(session, len(found))
    return _bring(session, [found[number - 1]]) if number else DONE


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


def _get(session: Session, words: Sequence[str], finds: Sequence[Find]) -> int:
    """Bring back these paths as they were."""
    if not words:
        raise WhatToRestore(lacking="get PATH ...; all of it is: get .")
    at = moment(session.options.at, session.clock.now())
    chosen: dict[tuple[str, str], Find] = {}
    for word in words:
        found = chosen_at([find for find in finds if find.is_below(word)], at)
        if not found:
            raise _nothing(word, finds, session)
        chosen |= {(find.section.name, find.copy.path): find for find in found}
    sections = {section for section, _ in chosen}
    if len(sections) > 1:
        raise WhichSection(known=", ".join(sorted(sections)))
    return _bring(session, list(chosen.values()))


def _bring(session: Session, finds: Sequence[Find]) -> int:
    """Put these back; 3 if some of them could not be, 1 if none."""
    options, first = session.options, finds[0]
    target = _target_directory(options, first.section, [find.copy for find in finds])
    amount = f"{files_text(len(finds))}, {size_text(sum(find.copy.size for find in finds))}"
    place = f"the folder of {first.section.name}" if options.in_place else str(target)
    if options.in_place and not options.dry_run and not options.yes:
        if not session.can_ask():
            raise NobodyToAsk(amount=amount, place=place)
        if session.ask(f"{amount} into {place}; what is there goes to the trash. Go on? [y/N]:") not in ("y", "yes"):
            return DONE
    destination = _destination(options, first, target)
    done = [_one_back(session, destination, find) for find in finds]
    counts = {fate: sum(one.fate is fate for one in done) for fate in Fate}
    verb = "would be restored" if options.dry_run else "restored"
    _tell(session, f"{counts[Fate.RESTORED]} of {amount} {verb} to {display(place)}" + _rest(counts))
    if options.in_place and counts[Fate.RESTORED] and not options.dry_run:
        session.wake(first.section.name)
    if counts[Fate.FAILED] == len(done):
        return FAILED
    return SKIPPED if counts[Fate.KEPT] or counts[Fate.FAILED] else DONE


def _rest(counts: Mapping[Fate, int]) -> str:
    words = {Fate.SAME: "are like that already", Fate.KEPT: "left as they are", Fate.FAILED: "failed"}
    return "".join(f"; {counts[fate]} {text}" for fate, text in words.items() if counts[fate])


def _one_back(session: Session, destination: Destination, find: Find) -> Restored:
    is_dry = session.options.dry_run
    done = destination.would(find.copy) if is_dry else destination.take(find.shelf, find.copy)
    if session.options.json:
        values = {"type": "restored", "section": find.section.name, "path": done.copy.path, "fate": done.fate.value}
        print(json_line({**values, "from": find.copy.shelf, "reason": done.reason}), file=session.output)
    elif done.fate in (Fate.KEPT, Fate.FAILED):
        session.tell(Line(Level.WARNING, f"{display(done.copy.path)}: {done.reason}"))
    elif is_dry and done.fate is Fate.RESTORED:
        print(display(done.copy.path), file=session.output)
    return done


def _destination(options: argparse.Namespace, find: Find, target: Path) -> Destination:
    if options.in_place:
        return FolderDestination(find.folder, find.section.client_name)
    return DirectoryDestination(target, Overwrite(options.overwrite), find.folder.algorithm)


def _target_directory(options: argparse.Namespace, section: Section, copies: Sequence[Copy]) -> Path:
    if options.to:
        return Path(options.to).expanduser()
    when = "".join(c for c in clock_text(max(copy.when for copy in copies)) if c.isdigit())
    return Path(f"restored-{section.name}-{when[:8]}-{when[8:]}")


def _one(words: Sequence[str], usage: str) -> str:
    if len(words) != 1:
        raise WhatToRestore(lacking=f"escale-restore {usage}")
    return words[0]


def _nothing(name: str, finds: Sequence[Find], session: Session) -> NothingFound:
    section = session.options.section
    return NothingFound(what=display(name), sections=f"section {section}" if section else "any section")


def _tell(session: Session, text: str) -> None:
    session.tell(Line(Level.INFO, text))


if __name__ == "__main__":
    sys.exit(main())
