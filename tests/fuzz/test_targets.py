"""No decoder crashes, hangs, fills the memory or writes outside the folder, whatever was done to its bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given

from .all_targets import TARGETS
from .mutate import mutated
from .profile import fuzzing
from .target import Target


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_changed_bytes_do_no_harm(target: Target) -> None:
    @fuzzing(target.examples)
    @given(mutated(target.seeds))
    @example(b"")
    def harmless(data: bytes) -> None:
        target(data)

    understood = [target(seed) for seed in target.seeds]
    assert any(understood)
    harmless()
