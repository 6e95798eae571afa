"""No decoder crashes, hangs, fills the memory or writes outside the folder, whatever was done to its bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given

from .all_targets import TARGETS
from .mutate import mutated
from .profile import fuzzing
from .target import Target

FAULTS = {
    "ignore": "a character range that Python's expressions refuse, as in `[z-a]`, ends the scan with re.error",
}
"""By target, what is not mended yet; the mark has to go with the fault."""


def params() -> list[object]:
    """The targets, those with a known fault marked."""
    marks = {name: [pytest.mark.xfail(strict=True, reason=reason)] for name, reason in FAULTS.items()}
    return [pytest.param(target, id=name, marks=marks.get(name, [])) for name, target in TARGETS.items()]


@pytest.mark.parametrize("target", params())
def test_changed_bytes_do_no_harm(target: Target) -> None:
    @fuzzing(target.examples)
    @given(mutated(target.seeds))
    @example(b"")
    def harmless(data: bytes) -> None:
        target(data)

    understood = [target(seed) for seed in target.seeds]
    assert any(understood)
    harmless()
