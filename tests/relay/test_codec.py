"""The choice of a codec: arithmetic on figures, and measuring with a clock of our own."""

import os
import random

import pytest

from escale.relay.codec import NONE, CodecFigures, choose_codec, fastest

MB = 1e6
TEXT = [NONE, CodecFigures("zstd", 0.35, 200 * MB, 600 * MB, 2, 1), CodecFigures("bz2", 0.25, 10 * MB, 30 * MB, 2, 2)]
RANDOM = [NONE, CodecFigures("zstd", 1.0, 900 * MB, 2000 * MB, 2, 1), CodecFigures("bz2", 1.004, 9 * MB, 20 * MB, 2, 2)]


@pytest.mark.parametrize(
    ("link", "codec"),
    [
        (float("inf"), "none"),
        (2000 * MB, "none"),
        (100 * MB, "zstd"),
        (10 * MB, "zstd"),
        (5 * MB, "bz2"),
        (0.1 * MB, "bz2"),
    ],
)
def test_text_goes_by_the_link(link: float, codec: str) -> None:
    assert fastest(TEXT, link) == codec


@pytest.mark.parametrize("link", [0.1 * MB, 10 * MB, 1000 * MB])
def test_what_cannot_be_compressed_is_not(link: float) -> None:
    assert fastest(RANDOM, link) == "none"


def test_a_small_gain_is_no_gain() -> None:
    assert fastest([NONE, CodecFigures("zstd", 0.97, 1e9, 1e9)], MB) == "none"
    assert fastest([NONE, CodecFigures("zstd", 0.94, 1e9, 1e9)], MB) == "zstd"


def test_the_slowest_stage_decides() -> None:
    figures = CodecFigures("bz2", 0.5, 10 * MB, 8 * MB, packs_on=2, unpacks_on=1)
    assert figures.seconds_per_byte(100 * MB) == pytest.approx(1 / (8 * MB))
    assert figures.seconds_per_byte(1 * MB) == pytest.approx(0.5 / MB)


class SteppingClock:
    """Moves by a fixed step at each look."""

    def __init__(self, step: float) -> None:
        self.time, self.step = 0.0, step

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        self.time += self.step
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


RNG = random.Random(1)
WORDS = b" ".join(RNG.choices([RNG.randbytes(RNG.randint(2, 8)) for _ in range(500)], k=20_000))


def test_measured_samples_are_chosen_for() -> None:
    """GIVEN a slow link, THEN the smallest wins; given a slow machine (1 s a step) and a quick link, none does."""
    assert choose_codec([WORDS], 1000.0, 2, SteppingClock(1e-6)) == "bz2"
    assert choose_codec([WORDS], 100 * MB, 2, SteppingClock(1.0)) == "none"
    assert choose_codec([os.urandom(100_000)], 1000.0, 2, SteppingClock(1e-6)) == "none"


@pytest.mark.parametrize("sample", [[], [b""]])
def test_nothing_to_measure_is_not_compressed(sample: list[bytes]) -> None:
    assert choose_codec(sample, MB, 2, SteppingClock(0.0)) == "none"


def test_a_clock_that_stands_still_does_no_harm() -> None:
    assert choose_codec([WORDS], MB, 2, SteppingClock(0.0)) in ("zstd", "bz2")
