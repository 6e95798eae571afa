"""`escalectl approve` and `escalectl sync --adopt`: what only the user can decide about deletions.

A decision is a fact of the section's ledger, so it needs no running service; with one it is acted on at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..app.guard import APPROVE, REFUSE, HeldDeletion
from ..app.presence import ADOPT_LOCAL, ADOPT_RELAY
from ..app.wording import Level, Line, files_text, size_text
from ..files.ledger import Ledger
from ..files.tree import display
from .arguments import Parser
from .exit_codes import DECISION, DONE, FAILED
from .render import clock_text, table
from .session import Command, Session

GROUPS_MAX = 20
"""Directories named before the question: what fits on a small screen."""

_DECIDED = {
    APPROVE: "approved: they are deleted on the others, too",
    REFUSE: "refused: they are brought back here",
}

ADOPTED = {
    ADOPT_RELAY: "the relay is right: what is missing here is fetched, what was deleted there goes to the trash",
    ADOPT_LOCAL: "this folder is right: what is missing here was deleted, what is here stays and is sent",
}
"""What can be adopted, and what it means."""


# -- approve


def approve(session: Session) -> int:
    """Show the deletions that are held, and take the decision."""
    section = session.one_section()
    ledger = session.ledger(section)
    held = HeldDeletion.load(ledger) if ledger is not None else None
    if ledger is None or held is None:
        session.tell(Line(Level.INFO, f"{section.name}: nothing is held"))
        return DONE
    sizes = {path: base.entry.size for path, base in ledger.bases().items()}
    print(_summary(held, sizes, section.name), file=session.output)
    print(_all_of(held, sizes) if session.options.show else _groups(held, sizes), file=session.output)
    decision = None if session.options.show else _decision(session, _known_decision(held, ledger))
    if decision is None:
        return DECISION
    held.decide(ledger, decision)
    ledger.close()
    session.tell(Line(Level.INFO, f"{section.name}: {_DECIDED[decision]}"))
    session.wake(section.name)
    return DONE


def _decision(session: Session, known: str | None) -> str | None:
    if session.options.refuse:
        return REFUSE
    if session.options.yes:
        return APPROVE
    if known is not None:
        return known
    if not session.can_ask():
        session.tell(Line(Level.WARNING, "nothing was decided: write --yes or --refuse"))
        return None
    answer = session.ask("Really delete them on the others, too? [y/N/r = no, bring them back here]:")
    return {"y": APPROVE, "yes": APPROVE, "r": REFUSE}.get(answer)


def _known_decision(held: HeldDeletion, ledger: Ledger) -> str | None:
    said = ledger.meta("decision")
    return next((word for word in _DECIDED if said == f"{word} {held.id}"), None)


def _summary(held: HeldDeletion, sizes: Mapping[str, int], section: str) -> str:
    size = sum(sizes.get(path, 0) for path in held.paths)
    share = f"{len(held.paths)} of {files_text(held.agreed)}, {size_text(size)}"
    return f"{section}: {share}, were deleted here; held since {clock_text(held.since)}, not yet deleted on the others"


def _all_of(held: HeldDeletion, sizes: Mapping[str, int]) -> str:
    return table([(f"  {display(path)}", size_text(sizes.get(path, 0))) for path in held.paths])


def _groups(held: HeldDeletion, sizes: Mapping[str, int]) -> str:
    """By directory, two levels down or, if those are too many, by those at the top; the largest first."""
    for levels in (2, 1):
        files = Counter(_directory(path, levels) for path in held.paths)
        if len(files) <= GROUPS_MAX:
            break
    size = Counter[str]()
    for path in held.paths:
        size[_directory(path, levels)] += sizes.get(path, 0)
    shown = files.most_common(GROUPS_MAX)
    rows = [(f"  {display(name)}", files_text(count), size_text(size[name])) for name, count in shown]
    left = len(files) - len(shown)
    more = [f"  and {left} more directories"] if left else []
    return "\n".join([table(rows), *more, "All of them: --show"])


def _directory(path: str, levels: int) -> str:
    return "".join(f"{name}/" for name in path.split("/")[:-1][:levels]) or "./"


def _approve_options(parser: Parser) -> None:
    parser.add_argument("--show", action="store_true", help="list the files, decide nothing (exit 5)")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--yes", action="store_true", help="delete them on the others, too, without asking")
    chosen.add_argument("--refuse", action="store_true", help="bring them back here")


APPROVE_COMMAND = Command(
    approve,
    "decide about deletions that are held",
    _approve_options,
    words_text="the section; needed if there are more",
)


# -- adopt


def adopt(session: Session, decision: str) -> int:
    """Say what is right where escale cannot know: a folder without its marker, or one that was away for too long."""
    section = session.one_section()
    ledger = session.ledger(section)
    if ledger is None:
        sentence = f"{section.name} has never run here: its first pass brings both sides together, nothing is deleted"
        session.tell(Line(Level.ERROR, sentence))
        return FAILED
    ledger.set_meta("adopt", decision)
    ledger.close()
    session.tell(Line(Level.INFO, f"{section.name}: {ADOPTED[decision]}"))
    session.wake(section.name)
    return DONE
