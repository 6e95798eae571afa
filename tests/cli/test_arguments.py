"""Where the command word is, and which code speaks for several sections."""

import pytest

from escale.cli.arguments import duration, first_word
from escale.cli.escale import RESTART, run_parser
from escale.cli.exit_codes import worst


@pytest.mark.parametrize(
    ("arguments", "position"),
    [
        ([], None),
        (["check"], 0),
        (["-c", "check", "work"], 2),
        (["--config=check", "work"], 1),
        (["-v", "--color", "never", "check"], 3),
        (["-r", "work"], 1),
        (["-r", "30", "work"], 2),
        (["--", "check"], None),
        (["-n"], None),
        (["--timeout"], None),
    ],
)
def test_the_first_free_word(arguments, position):
    assert first_word(arguments, run_parser(), RESTART) == position


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5 h", 5400), ("2,5min", 150), ("7 D", 604800)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 3], 3), ([3, 13], 13), ([13, 12], 12), ([0, 4, 3], 3), ([1, 14], 1), ([12, 78], 78)],
)
def test_the_worst(codes, code):
    assert worst(codes) == code
