"""`escalectl conflicts`: list the conflicts of a folder, look at their two versions, keep one or both.

It works on the folder itself, so it needs no running service; with one, what was settled goes out with its next pass.
Versions are called by the client they come from and their time, never by a side of the screen.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..app.build import open_folder
from ..app.conflicts import Conflict, Numbering, conflicts_in
from ..app.settlement import Settlement, Side, side_of
from ..app.wording import Level, Line, size_text
from ..conf.settings import Section
from ..errors import LocalError
from ..files.folder import Folder
from ..files.tree import Entry, Kind, display
from .exit_codes import DECISION, DONE, USAGE
from .render import clock_text, json_line, rfc3339, table
from .session import Session, WhichSection
from .setup import Setup

WORDS = "[SECTION] [show N | diff N | keep N ... plain|CLIENT|both]"

COMPARED_BYTES_MAX = 1 << 20
"""Larger texts are not compared line by line: the time for it grows faster than they do."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """One section while its conflicts are looked at."""

    section: Section
    folder: Folder
    entries: Mapping[str, Entry]
    numbering: Numbering


def run(session: Session) -> int:
    """The command: `[SECTION] [list | show N | diff N | keep N... SIDE]`."""
    setup = session.setup()
    names, verb, words = _sorted_out(session, [section.name for section in setup.config.sections])
    if verb == "list" and not words:
        return _list(session, setup, setup.chosen(names))
    actions = {"show": _show, "diff": _diff, "keep": _keep}
    if verb not in actions or len(words) < 1 + (verb == "keep"):
        session.tell(Line(Level.ERROR, f"escalectl conflicts {WORDS}"))
        return USAGE
    sections = setup.chosen(names)
    if len(sections) != 1:
        raise WhichSection(known=", ".join(section.name for section in sections))
    with _desk(session, setup, sections[0]) as desk:
        return actions[verb](session, desk, words)


def _sorted_out(session: Session, known: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Sections, verb and the rest; a word that is a section and a verb is a section in the first place."""
    options = session.options
    words = list(options.sections)
    names = [options.repository] if options.repository else []
    if words and not names and (words[0] in known or words[0] not in ("list", "show", "diff", "keep")):
        names.append(words.pop(0))
    return names, words.pop(0) if words else "list", words


@contextmanager
def _desk(session: Session, setup: Setup, section: Section) -> Iterator[_Desk]:
    folder, ledger = open_folder(setup.config, section, session.clock)
    try:
        entries = folder.scan().entries
        yield _Desk(section, folder, entries, Numbering(ledger, section.name, conflicts_in(entries)))
    finally:
        ledger.close()


def _list(session: Session, setup: Setup, sections: Sequence[Section]) -> int:
    count = failed = 0
    for section in sections:
        try:
            with _desk(session, setup, section) as desk:
                found = list(desk.numbering)
                desk.numbering.shown()
        except LocalError as error:
            session.tell(Line(Level.ERROR, f"{section.name}: {error} ({error.code})"))
            failed = error.exit_code
            continue
        count += len(found)
        _print_list(session, section.name, found, len(sections) > 1)
    if not count and not failed and not session.options.json:
        session.tell(Line(Level.INFO, "no conflicts"))
    return failed or (DECISION if count else DONE)


def _print_list(session: Session, section: str, found: Sequence[tuple[int, Conflict]], is_one_of_many: bool) -> None:
    if session.options.json:
        for number, one in found:
            print(json_line(_object(section, number, one)), file=session.output)
    elif found:
        if is_one_of_many:
            print(f"{section}:", file=session.output)
        rows = [(f"{number:2}", display(one.path), *_facts("plain", one.plain), *_facts(one.client, one.copy))
                for number, one in found]  # fmt: skip
        print(table(rows), file=session.output)
        number, one = found[0]
        print(_choices(section, number, one), file=session.output)


def _facts(name: str, entry: Entry | None) -> tuple[str, str, str]:
    if entry is None:
        return name, "-", "is gone"
    return name, clock_text(entry.mtime_ns / 1e9) if entry.kind is not Kind.DIRECTORY else "-", _what(entry)


def _what(entry: Entry) -> str:
    if entry.kind is Kind.LINK:
        return f"link to {display(entry.target)}"
    return "directory" if entry.kind is Kind.DIRECTORY else size_text(entry.size)


def _choices(section: str, number: int, conflict: Conflict) -> str:
    verbs = (f"diff {number}", *(f"keep {number} {side}" for side in ("plain", conflict.client, "both")))
    return f"escalectl conflicts {section} {' | '.join(verbs)}"


def _object(section: str, number: int, one: Conflict) -> dict[str, Any]:
    return {
        "type": "conflict",
        "section": section,
        "number": number,
        "path": one.path,
        "copy": one.copy.path,
        "client": one.client,
        "when": rfc3339(one.when),
        "plain_version": _version(one.plain),
        "copy_version": _version(one.copy),
    }


def _version(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"kind": entry.kind.value, "size": entry.size, "mtime": rfc3339(entry.mtime_ns / 1e9)}


def _show(session: Session, desk: _Desk, words: Sequence[str]) -> int:
    """Both versions, their names, and what can be done."""
    for which in words:
        number, conflict = desk.numbering.find(which)
        if session.options.json:
            print(json_line(_object(desk.section.name, number, conflict)), file=session.output)
            continue
        rows = [("", *_facts("plain", conflict.plain), display(conflict.path)),
                ("", *_facts(conflict.client, conflict.copy), display(conflict.copy.path))]  # fmt: skip
        print(f"{number}  {display(conflict.path)}, in conflict since {clock_text(conflict.when)}", file=session.output)
        print(table(rows), file=session.output)
        print(_choices(desk.section.name, number, conflict), file=session.output)
    desk.numbering.shown()
    return DONE


def _diff(session: Session, desk: _Desk, words: Sequence[str]) -> int:
    """From the plain version to the conflict copy."""
    for which in words:
        _, conflict = desk.numbering.find(which)
        for line in difference(desk.folder, conflict):
            print(line, file=session.output)
    desk.numbering.shown()
    return DONE


def difference(folder: Folder, conflict: Conflict) -> Iterator[str]:
    """The lines of a unified diff, safe for a terminal; one sentence where there is nothing to compare by lines."""
    plain, copy = conflict.plain, conflict.copy
    if plain is None or not (plain.is_file and copy.is_file):
        one = "is gone" if plain is None else _what(plain)
        yield f"{display(conflict.path)}: plain {one}, {conflict.client} {_what(copy)}"
        return
    path = display(conflict.path)
    if _is_same(folder, plain, copy):
        yield f"{path}: both versions are the same"
        return
    texts = [_text(folder, plain), _text(folder, copy)]
    if texts[0] is None or texts[1] is None:
        yield f"{path}: binary or large, {plain.size} and {copy.size} bytes"
        return
    names = (f"{path} (plain)", f"{path} ({conflict.client})")
    times = (rfc3339(plain.mtime_ns / 1e9), rfc3339(copy.mtime_ns / 1e9))
    for line in difflib.unified_diff(texts[0], texts[1], names[0], names[1], times[0], times[1], lineterm=""):
        yield _safe(line)


def _is_same(folder: Folder, plain: Entry, copy: Entry) -> bool:
    if plain.size != copy.size:
        return False
    hashed, troubles = folder.hash([plain.path, copy.path])
    for trouble in troubles:
        raise LocalError(path=display(trouble.path), reason=trouble.message)
    return hashed[plain.path].same_content(hashed[copy.path])


def _text(folder: Folder, entry: Entry) -> list[str] | None:
    """Its lines, None if it is no text or too large; an empty last one tells that it ends with a line feed."""
    if entry.size > COMPARED_BYTES_MAX:
        return None
    with folder.open(entry.path) as source:
        content = source.read(COMPARED_BYTES_MAX)
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return None


def _safe(line: str) -> str:
    """What is in a file must not steer the terminal."""
    return "\t".join(display(part) for part in line.split("\t"))


def _keep(session: Session, desk: _Desk, words: Sequence[str]) -> int:
    """Settle these conflicts, all of them the same way; all are looked up before the first is settled."""
    *wanted, word = words
    found = [desk.numbering.find(which)[1] for which in wanted]
    sides = [side_of(word, one, desk.section.client_name) for one in found]
    for one in found:
        desk.numbering.must_be_as_shown(one)
    settlement = Settlement(desk.folder, desk.entries, desk.section.client_name)
    for one, side in zip(found, sides, strict=True):
        path = settlement.keep(one, side)
        session.tell(Line(Level.INFO, _settled(one, side, path)))
    session.wake(desk.section.name)
    return DONE


def _settled(conflict: Conflict, side: Side, path: str) -> str:
    name, client = display(conflict.path), conflict.client
    if side is Side.BOTH:
        return f"{name}: both kept, {client}'s is {display(path)} now"
    if side is Side.COPY:
        return f"{name}: {client}'s version kept" + ("; the other one is in the trash" if conflict.plain else "")
    kept = "the plain version kept" if conflict.plain else "left deleted"
    return f"{name}: {kept}; {client}'s is in the trash"
