"""A target: a decoder, bytes it knows, and what must hold whatever it is given.

The same targets are fed by Hypothesis (`test_targets`) and by a fuzzer that sees which lines are reached
(`atheris_driver`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .bounds import bounded


@dataclass(frozen=True, slots=True)
class Target:
    """`run` ends without an error for any bytes, or what it tests has a fault; `seeds` are bytes of honest origin.

    What it returns says whether the bytes were understood: a target that refuses its seeds would test nothing.

    `cpu_s` and `mib`: what one example may take; far more than it needs, far less than what a bomb takes.
    `examples`: how many the suite can afford.
    """

    name: str
    seeds: tuple[bytes, ...]
    run: Callable[[bytes], bool]
    cpu_s: float = 5.0
    mib: int = 64
    examples: int = 150

    def __call__(self, data: bytes) -> bool:
        with bounded(self.cpu_s, self.mib):
            return self.run(data)
