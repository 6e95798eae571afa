"""How the clients of a relay stand: who takes part, who has fallen silent, and what lies there for whom.

One listing, the roster, and the indices of the updates that lie there; nothing is changed but our own memory of when a
sign of life was first seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ..errors import Missing
from ..events import Reporter
from ..relay.client import Client, problem_event
from ..relay.format1 import Format1
from ..relay.index import Update
from ..relay.plan import expected_pullers
from ..relay.relay import Survey
from ..relay.roster import Participant, Roster


@dataclass(frozen=True, slots=True)
class Lying:
    """An update that lies on the relay: its page as people call it, and the bytes of its archive."""

    page: str
    update: Update
    size: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One client.

    `silent_s`: seconds since its last sign of life was first seen here, None if it has never come.  `is_named`: our
    `pullers` names it.  `pages`, `files` and `size` (bytes on the relay): what waits for it.
    """

    name: str
    is_here: bool
    pulls: bool
    silent_s: float | None
    is_stale: bool
    is_named: bool
    pages: tuple[str, ...] = ()
    files: int = 0
    size: int = 0


def standings(
    client: Client, survey: Survey, named: Collection[str], stale_after_s: float, report: Reporter
) -> list[Standing]:
    """All clients that are on the roster or `named` by our configuration, by name."""
    present = {one.name: one for one in _participants(client, survey, report)}
    pullers = frozenset(named) if named else frozenset(one.name for one in present.values() if one.pulls)
    lying = list(_lying(client, survey))
    now = client.clock.now()
    found = []
    for name in sorted({*present, *named}):
        one = present.get(name)
        silent_s = None if one is None else now - client.ledger.sighting(one.sign_of_life, now)
        is_here = name == client.name
        waiting = [it for it in lying if name in expected_pullers(pullers, it.update.client) - it.update.consumed]
        found.append(
            Standing(
                name,
                is_here,
                one.pulls if one is not None else True,
                silent_s,
                not is_here and silent_s is not None and silent_s >= stale_after_s,
                name in named,
                tuple(sorted({it.page for it in waiting})),
                sum(len(it.update.records) for it in waiting),
                sum(it.size for it in waiting),
            )
        )
    return found


def forget(client: Client, name: str) -> None:
    """Take a client off the roster; it is no error if it is not there."""
    assert isinstance(client.relay.format, Format1), "only format 1 keeps a roster"
    Roster(client.relay, client.relay.format).forget(name)


def _participants(client: Client, survey: Survey, report: Reporter) -> Iterable[Participant]:
    if not isinstance(client.relay.format, Format1):
        return []
    roster = Roster(client.relay, client.relay.format)
    for problem in roster.refresh(survey.clients):
        report(problem_event(client.section, problem))
    return roster.participants


def _lying(client: Client, survey: Survey) -> Iterator[Lying]:
    """What vanishes while we read was received meanwhile."""
    for page, view in survey.pages.items():
        for one in view.updates:
            if not one.is_named:
                continue
            try:
                update = client.relay.read_update(page, one)
            except Missing:
                continue
            yield Lying(client.label(update.records), update, one.data.info.size if one.data else 0)
