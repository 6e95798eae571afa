"""The words, as the user reads them."""

import pytest

from escale.app.status import Amount, Need, SectionState, SectionStatus
from escale.app.wording import Level, duration_text, line_of, progress_text, size_text, state_line
from escale.events import Conflicted, PageBegan, PageEnded, PageFreed, PassBegan, Problem, Progress, Skipped


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KB"),
        (48211, "47 KB"),
        (1024**2 - 1, "1.0 MB"),
        (8.1 * 1024**2, "8.1 MB"),
        (3.4 * 1024**3, "3.4 GB"),
        (5000 * 1024**4, "5000 TB"),
    ],
)
def test_sizes(count, text):
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (40, "40 s"),
        (422, "7 min 2 s"),
        (240, "4 min"),
        (273600, "3 d 4 h"),
        (86401, "1 d"),
    ],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (PageBegan("work", "up", "2024", 1903, 1024**3), "work: page 2024: sending 1903 files, 1.0 GB"),
        (PageEnded("work", "down", "", 1, 2048, 9, 422.0), "work: received 1 file, 2 KB in 7 min 2 s"),
        (
            PageFreed("work", "2024", 4096, ("nas", "studio")),
            "work: page 2024: received by nas, studio; 4 KB freed on the relay",
        ),
        (
            Skipped("work", "a\nb", "changing", "L203", "is being written"),
            "work: skipped a\\nb: is being written (L203)",
        ),
        (
            Conflicted("work", "n.txt", "n.txt", "n.conflict.txt"),
            "work: conflict: n.txt was changed in two places; both are kept, ours as n.conflict.txt",
        ),
        (
            Problem("work", "R301", "cannot reach it", "Kept and sent later.", 300.0),
            "work: cannot reach it (R301); next try in 5 min\nKept and sent later.",
        ),
    ],
)
def test_events(event, text):
    assert line_of(event).text == text


def test_a_pass_that_begins_is_not_worth_a_line():
    assert line_of(PassBegan("work", 1.0)) is None


def test_a_file_that_is_being_worked_on_is_no_warning():
    assert line_of(Skipped("work", "a", "changing", "L203", "x")).level is Level.DEBUG


def test_problems_are_errors_and_skipped_files_warnings():
    assert line_of(Problem("work", "R301", "x")).level is Level.ERROR
    assert line_of(Skipped("work", "a", "big", "L1", "x")).level is Level.WARNING


def test_progress_says_how_long_it_will_take_when_it_knows():
    event = Progress("work", "up", "p", 412, 1903, 1024**3, 3 * 1024**3)
    assert progress_text(event, None) == "sent 412 of 1903 files, 1.0 GB of 3.0 GB"
    assert progress_text(event, 8 * 1024**2).endswith(", 8.0 MB/s, 4 min 16 s left")


def test_progress_says_what_is_counted():
    assert progress_text(Progress("w", "save", "", 1, None, 5, None), None) == "looked at 1 file, 5 B so far"
    assert progress_text(Progress("w", "up", "p", 1, 1, 5, 5), None) == "sent 1 of 1 file, 5 B of 5 B"
    assert progress_text(Progress("w", "prune", "packs", 3, 12, 5, 9), None) == "read 3 of 12 packs, 5 B of 9 B"
    event = Progress("w", "check", "directories", 3, 12, 5, 9)
    assert progress_text(event, 2.0) == "read 3 of 12 directories, 5 B of 9 B, 2 B/s, 2.0 s left"


def test_the_line_for_the_service_manager():
    sections = [
        SectionStatus("work", SectionState.IN_STEP),
        SectionStatus("photos", SectionState.SENDING, Amount(2, 1024**3)),
        SectionStatus("lab", SectionState.ERROR, needs=(Need("x"),)),
    ]
    assert state_line(sections) == "work in step; photos sending 1.0 GB; lab error: needs you"
