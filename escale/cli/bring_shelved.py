"""`escale-restore get` from the trash and from conflict copies."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..app.destination import Destination, DirectoryDestination, Fate, FolderDestination, Restored
from ..app.shelf import Copy
from ..app.wording import Level, Line, files_text, size_text
from ..conf.settings import Section
from ..files.overwrite import Overwrite
from ..files.tree import display
from .bring_back import NobodyToAsk
from .exit_codes import DONE, FAILED, SKIPPED
from .finds import Find
from .render import clock_text, json_line
from .session import Session


def bring_shelved(session: Session, finds: Sequence[Find]) -> int:
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
    text = f"{counts[Fate.RESTORED]} of {amount} {verb} to {display(place)}" + _rest(counts)
    session.tell(Line(Level.INFO, text))
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
