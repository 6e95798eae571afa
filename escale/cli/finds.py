"""What was found on the shelves of the sections that a command asks, narrowed down, and as a table or objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..app.build import open_folder
from ..app.choice import Moment, choose
from ..app.shelf import Copy, Shelf, shelves
from ..app.wording import Level, Line, size_text
from ..conf.settings import Section
from ..files.folder import Folder
from ..files.tree import Kind, display
from .moment import paths_meant
from .render import clock_text, json_line, rfc3339, table
from .session import Session


@dataclass(frozen=True, slots=True)
class Find:
    """A copy with where it was found."""

    section: Section
    folder: Folder
    shelf: Shelf
    copy: Copy

    @property
    def root(self) -> Path:
        """The folder of its section."""
        return self.section.local_path

    def is_called(self, name: str) -> bool:
        """Whether somebody who asks for this name may mean it."""
        return any(self.copy.is_called(one) for one in paths_meant(name, self.root))

    def is_below(self, path: str) -> bool:
        """Whether it is that path or lay below it; "." is the folder."""
        return path == "." or any(self.copy.is_below(one) for one in paths_meant(path, self.root))


@contextmanager
def all_finds(session: Session) -> Iterator[list[Find]]:
    """All that lies on the shelves of the sections; their ledgers are open meanwhile."""
    options = session.options
    if options.from_url or options.source == "backup":
        yield []
        return
    setup = session.setup()
    with ExitStack() as stack:
        found = []
        for section in setup.named([options.section] if options.section else [])[0]:
            folder, ledger = open_folder(setup.config, section, session.clock)
            stack.callback(ledger.close)
            if not folder.exists():
                sentence = f"{section.name}: there is no folder {section.local_path}"
                session.tell(Line(Level.WARNING, sentence))
                continue
            for shelf in shelves(folder, section.client_name):
                if session.options.source in ("all", shelf.name):
                    found += [Find(section, folder, shelf, copy) for copy in shelf.copies()]
        yield found


HEAD = ("when", "section", "from", "size", "file", "")


def row(find: Find) -> tuple[str, ...]:
    """Below HEAD."""
    copy = find.copy
    size = "link" if copy.kind is Kind.LINK else size_text(copy.size)
    return (clock_text(copy.when), find.section.name, copy.shelf, size, display(copy.path), copy.note)


def print_finds(session: Session, finds: Sequence[Find]) -> None:
    """As a table, or as objects."""
    if session.options.json:
        for find in finds:
            print(json_line(_object(find)), file=session.output)
    elif finds:
        print(table([HEAD, *map(row, finds)]), file=session.output)
    else:
        session.tell(Line(Level.INFO, "nothing was put away since then"))


def _object(find: Find) -> dict[str, object]:
    copy = find.copy
    return {
        "type": "copy",
        "section": find.section.name,
        "from": copy.shelf,
        "place": display(copy.place),
        "path": copy.path,
        "when": rfc3339(copy.when),
        "kind": copy.kind.value,
        "size": copy.size,
        "mtime": rfc3339(copy.mtime_ns / 1e9),
        "client": copy.client,
        "note": copy.note,
        "digest": copy.digest,
    }


def chosen_at(finds: Sequence[Find], at: Moment) -> list[Find]:
    """What was there at the moment: one copy of each path and section."""
    chosen = []
    for section in dict.fromkeys(find.section.name for find in finds):
        of_copy = {find.copy: find for find in finds if find.section.name == section}
        chosen += [of_copy[copy] for copy in choose(of_copy, at)]
    return chosen


def newest_first(finds: Sequence[Find]) -> list[Find]:
    """In the order in which people look for them."""
    return sorted(finds, key=lambda find: (-find.copy.when, find.copy.path, find.copy.place))
