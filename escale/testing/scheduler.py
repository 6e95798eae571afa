"""Several clients at once, one step at a time: who moves next is decided by `Choices`.

Each act runs in a thread of its own that is parked ahead of every operation on its store.  Exactly one thread runs at
any moment, so nothing depends on the machine; the threads are only a way to stop blocking code in the middle.  The
thread that parks decides who goes on and wakes it up itself, so going on with the same act costs no switch.

With `skips_equivalent`, of all orders that differ only in operations that do not touch each other one is run to its
end ("sleep sets", Godefroid 1996): what one client does to one blob cannot be told from another client's reading of
another.  That holds because nothing else is shared: each machine has its own folder, ledger, clock and chance.
"""

from __future__ import annotations

import _thread
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .choices import Choices

WAIT_S_MAX = 60.0
"""Real seconds for one step: far more than any takes; a longer one is a deadlock, which must not hang the tests."""

READS = frozenset({"get", "info", "list"})
MANY = frozenset({"list", "sweep"})
"""Verbs whose name is the beginning of names."""

Step = tuple[str, str]
"""Verb and name of an operation."""


class Abandoned(BaseException):
    """The run ends here for everybody.  Not an Exception: no handler may survive it."""


class Equivalent(Exception):
    """All that this run could still do differs only in the order of independent steps from a run made before."""


class Scheduler:
    """Runs acts together; give `step` to the store of each (HookedStore's `before`).

    `trace`: every step so far, as (who, verb, name).
    """

    def __init__(self, choices: Choices, *, skips_equivalent: bool = False) -> None:
        self.trace: list[tuple[str, str, str]] = []
        self._choices = choices
        self._skips = skips_equivalent
        self._asleep: set[str] = set()
        self._actors: dict[str, _Actor] = {}
        self._here = threading.local()
        self._main = _closed()
        self._error: Exception | None = None

    def start(self, name: str, act: Callable[[], None]) -> None:
        """Begin an act: it runs up to its first step, which is nobody's business but its own."""
        actor = _Actor(name)
        self._actors[name] = actor
        _thread.start_new_thread(self._live, (actor, act))  # A Thread waits until it has started, which we do below.
        _pass(self._main)

    def run(self) -> dict[str, BaseException | None]:
        """All started acts to their ends, or to where they hang; what each that ended raised, by name."""
        self._wake(self._next())
        _pass(self._main)
        if self._error is not None:
            self.abandon()
            raise self._error
        ended = [actor for actor in self._actors.values() if actor.is_finished]
        for actor in ended:
            del self._actors[actor.name]
        return {actor.name: actor.failure for actor in ended}

    def step(self, verb: str, name: str) -> None:
        """Where the thread of an act waits for its turn; other threads pass."""
        actor: _Actor | None = getattr(self._here, "actor", None)
        if actor is not None:
            self._park(actor, (verb, name))
            self.trace.append((actor.name, verb, name))

    @property
    def here(self) -> str:
        """The act in whose thread this is asked; "" in all other threads."""
        actor: _Actor | None = getattr(self._here, "actor", None)
        return actor.name if actor is not None else ""

    def act_for(self, name: str) -> None:
        """The thread that calls this moves as that act from now on: one of its own, which it waits for meanwhile."""
        self._here.actor = self._actors[name]

    def hang(self) -> None:
        """The act that calls this goes no further until somebody lets it `resume`: a process that is paused."""
        actor: _Actor = self._here.actor
        actor.is_hanging = True
        self._park(actor, ("resume", ""))

    def resume(self, name: str) -> None:
        """The next `run` goes on with this act."""
        self._actors[name].is_hanging = False

    @property
    def hanging(self) -> list[str]:
        """Acts that hang."""
        return [actor.name for actor in self._actors.values() if actor.is_hanging]

    def abandon(self) -> None:
        """End all threads where they are: each raises Abandoned, now and at every later step."""
        for actor in [*self._actors.values()]:
            actor.is_abandoned = True
            if not actor.is_finished:
                actor.turn.release()
                _pass(self._main)
        self._actors.clear()

    def digest(self) -> str:
        """The trace in 64 hex digits: equal for equal runs."""
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()

    # -- in the thread of an act

    def _live(self, actor: _Actor, act: Callable[[], None]) -> None:
        self._here.actor = actor
        try:
            act()
        except BaseException as failure:
            actor.failure = failure
        actor.is_finished = True
        if actor.is_abandoned or actor.step is None:
            self._main.release()
        else:
            self._hand_on(actor)

    def _park(self, actor: _Actor, step: Step) -> None:
        if actor.is_abandoned:
            raise Abandoned
        is_first, actor.step = actor.step is None, step
        if is_first:
            self._main.release()
        elif self._hand_on(actor):
            return
        _pass(actor.turn)
        if actor.is_abandoned:
            raise Abandoned

    def _hand_on(self, actor: _Actor) -> bool:
        """Wake up who is next; True if it is this act itself."""
        try:
            chosen = self._next()
        except Exception as error:
            self._error = error
            chosen = None
        if chosen is actor and not actor.is_finished:
            return True
        self._wake(chosen)
        return False

    def _wake(self, actor: _Actor | None) -> None:
        (self._main if actor is None else actor.turn).release()

    def _next(self) -> _Actor | None:
        """Whose turn it is; None if nobody is left who could move."""
        ready = {actor.name: actor for actor in self._actors.values() if not (actor.is_finished or actor.is_hanging)}
        if not ready:
            return None
        if not self._skips:
            return ready[self._choices.choose(tuple(ready))]
        options = tuple(name for name in ready if name not in self._asleep)
        if not options:
            raise Equivalent
        chosen = self._choices.choose(options)
        step = ready[chosen].step
        passed = self._asleep.union(options[: options.index(chosen)])
        self._asleep = {name for name in passed if commute(ready[name].step, step)}
        return ready[chosen]


@dataclass(slots=True)
class _Actor:
    """One act in its thread."""

    name: str
    step: Step | None = None
    failure: BaseException | None = None
    is_finished: bool = False
    is_hanging: bool = False
    is_abandoned: bool = False
    turn: threading.Lock = field(default_factory=lambda: _closed())


def commute(one: Step | None, other: Step | None) -> bool:
    """Whether two operations of different clients leave and show the same in either order."""
    if one is None or other is None or (one[0] in READS and other[0] in READS):
        return True
    return not (_touches(one, other[1]) or _touches(other, one[1]))


def _touches(step: Step, name: str) -> bool:
    verb, own = step
    return name.startswith(own) if verb in MANY else name == own


def _closed() -> threading.Lock:
    """A gate that somebody has to open."""
    gate = threading.Lock()
    gate.acquire()
    return gate


def _pass(gate: threading.Lock) -> None:
    """Wait until the gate opens, and close it again."""
    if not gate.acquire(timeout=WAIT_S_MAX):
        raise TimeoutError("an act does not come to its next step")
