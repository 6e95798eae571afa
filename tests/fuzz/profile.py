"""How long the fuzzers run: in the suite seconds, always the same examples; `FUZZ=10000 pytest tests/fuzz` searches.

To make a finding small takes long; in the suite it is not done.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

FUZZ = int(os.environ.get("FUZZ", "0"))
"""Examples for each fuzzer, chosen anew each time; 0 for the small number of the suite."""


def fuzzing(examples: int) -> settings:
    """The settings of one fuzzer, which tries so many examples in the suite."""
    return settings(
        max_examples=FUZZ or examples,
        derandomize=not FUZZ,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if FUZZ else [])],
        # A fuzzer has a bound of its own for each example, in processor time: other work on the machine is no finding.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
