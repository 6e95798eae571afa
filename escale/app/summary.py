"""What a section looks like after a pass: its result, its status and the files that wait, from one tally."""

from __future__ import annotations

from dataclasses import replace

from ..errors import EscaleError, UserError
from ..events import PassEnded
from ..relay.client import Tally
from .status import Amount, Need, PassResult, PendingFile, Reason, SectionState, SectionStatus

EXIT_SKIPPED = 3
STANDING = frozenset({"conflict", "name"})
"""Reasons that wait for the user and for nobody else: what they are told of is in step."""

SILENT_SKIPS = frozenset({"symlink", "special", "excluded"})
"""Reasons that are the user's own arrangement: told, listed, but no reason for an exit code."""


_REASONS = {reason.value: reason for reason in Reason}


class Summary:
    """The state that other threads may read: `status` and `pending` are replaced as wholes, never changed."""

    def __init__(self, name: str, quota: int | None) -> None:
        self.status = SectionStatus(name, relay_quota=quota)
        self.pending: tuple[PendingFile, ...] = ()

    def ended(self, tally: Tally, used: int, now: float, settles_in_s: float) -> PassResult:
        """Take in a pass that came to its end at Unix time `now`, with `used` bytes on the relay."""
        self.pending = self._pending(tally, now)
        result = PassResult(
            tally.up_files,
            tally.down_files,
            len(tally.skipped),
            tally.conflicts,
            len({one.path for one in tally.waiting if one.reason not in STANDING}),
            len(tally.problems),
            self._exit_code(tally),
            settles_in_s,
        )
        here = {"queue", "held", "quota", "lock", "changing", "permission", "error", "name", "big"}
        to_send = [one for one in self.pending if one.reason.value in here]
        awaited = sorted({one.message for one in tally.waiting if one.reason == "peer"})
        self.status = replace(
            self.status,
            state=self._state(tally, result),
            to_send=Amount(len(to_send), sum(one.size for one in to_send)),
            relay_used=used,
            last_pass=now,
            awaited=tuple(awaited),
            needs=tuple(_needs_of(tally)),
        )
        return result

    def failed(self, error: EscaleError) -> None:
        """Take in a pass that failed as a whole."""
        needs = (Need(str(error), error.next_step),) if isinstance(error, UserError) else ()
        self.status = replace(self.status, state=SectionState.ERROR, needs=needs or (Need(str(error)),))

    def event(self, tally: Tally, result: PassResult, seconds: float) -> PassEnded:
        """The pass as the event that ends it."""
        return PassEnded(
            self.status.section,
            tally.up_files,
            tally.up_bytes,
            tally.down_files,
            tally.down_bytes,
            result.skipped,
            result.conflicts,
            result.waiting,
            seconds,
        )

    def _pending(self, tally: Tally, now: float) -> tuple[PendingFile, ...]:
        known = {(one.path, one.reason): one.since for one in self.pending}

        def since(path: str, reason: Reason) -> float:
            return known.get((path, reason)) or now

        found: dict[str, PendingFile] = {}
        for one in tally.waiting:
            reason = Reason(one.reason)
            found[one.path] = PendingFile(one.path, one.page, reason, since(one.path, reason), one.size, one.message)
        for path, skipped in tally.skipped.items():
            reason = _REASONS.get(skipped.reason, Reason.EXCLUDED)
            found[path] = PendingFile(path, "", reason, since(path, reason), 0, skipped.message)
        return tuple(found[path] for path in sorted(found))

    def _exit_code(self, tally: Tally) -> int:
        codes = [problem.exit_code for problem in tally.problems]
        if any(one.reason not in SILENT_SKIPS for one in tally.skipped.values()):
            codes.append(EXIT_SKIPPED)
        return max(codes, default=0)

    def _state(self, tally: Tally, result: PassResult) -> SectionState:
        if any(problem.code == "L120" for problem in tally.problems):
            return SectionState.HELD
        if tally.problems:
            return SectionState.ERROR
        return SectionState.WAITING if result.waiting or result.exit_code else SectionState.IN_STEP


def _needs_of(tally: Tally) -> list[Need]:
    """What only the user can do, each said once."""
    told = {sentence for sentence, _ in tally.needs}
    problems = [Need(problem.message, problem.advice) for problem in tally.problems if problem.message not in told]
    return [*problems, *(Need(sentence, command) for sentence, command in tally.needs)]
