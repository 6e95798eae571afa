"""Two clients at work at the same time, in every order of their operations on the relay."""

from __future__ import annotations

from random import Random

import pytest

from escale.testing.choices import Choices

from .interleavings import Exploration, variants
from .machines import memory_directory

DRAWN = 60
"""Orders of each history that has too many of them for a test; `python -m tests.simulation --orders` runs more."""

WHOLLY = ("the first two clients", "one path, two edits", "edit and deletion")


@pytest.mark.parametrize("small", [one for one in variants() if one.name in WHOLLY], ids=lambda small: small.name)
def test_no_order_breaks_a_promise(small):
    with memory_directory() as directory:
        exploration = Exploration(directory / "world", small)
        try:
            for _ in exploration.run():
                pass
        finally:
            print(*exploration.scheduler.trace, sep="\n")
            exploration.close()
    assert exploration.count.schedules > 200


@pytest.mark.parametrize("small", variants(every=True), ids=lambda small: small.name)
def test_no_drawn_order_breaks_a_promise(small):
    with memory_directory() as directory:
        exploration = Exploration(directory / "world", small)
        digests = set()
        try:
            for number in range(DRAWN):
                exploration.run_one(Choices(Random(f"{small.name} {number}")), skips_equivalent=False)
                digests.add(exploration.scheduler.digest())
        finally:
            print(*exploration.scheduler.trace, sep="\n")
            exploration.close()
    assert len(digests) > DRAWN // 2, "they differ"
