"""UploadLimit: what refusals teach, and for how long."""

from __future__ import annotations

from escale.files.tree import Entry
from escale.relay.budget import MEMBER_OVERHEAD, UNLIMITED
from escale.relay.limit import MEMORY_S, UploadLimit


def entries(*sizes: int) -> list[Entry]:
    return [Entry(f"f{number}", size, 1, 0o644) for number, size in enumerate(sizes)]


def learned(limit: UploadLimit, *sizes: int) -> UploadLimit:
    found = limit.after_refusal(entries(*sizes), 1000.0)
    assert found is not None
    return found


def test_half_of_what_was_refused_goes_next():
    limit = learned(UploadLimit(), 600_000, 400_000)
    assert limit.together == 500_000 + MEMBER_OVERHEAD
    assert learned(limit, 300_000, 100_000).together == 200_000 + MEMBER_OVERHEAD
    assert limit.alone == UNLIMITED


def test_one_file_alone_keeps_those_of_its_size_back_and_no_smaller_ones():
    limit = learned(learned(UploadLimit(), 2_000_000), 3_000_000)
    assert limit.alone == 2_000_000
    assert limit.together == UNLIMITED


def test_nothing_is_smaller_than_one_empty_file():
    assert UploadLimit().after_refusal(entries(0), 1000.0) is None


def test_it_is_remembered_for_a_day():
    limit = learned(UploadLimit(), 600_000, 400_000)
    assert UploadLimit.read(str(limit), 1000.0 + MEMORY_S - 1) == limit
    assert UploadLimit.read(str(limit), 1000.0 + MEMORY_S) == UploadLimit()
    assert UploadLimit.read(str(limit), 0.0) == UploadLimit(), "a clock that was set back must not keep it for years"
    assert UploadLimit.read(None, 1000.0) == UploadLimit()


def test_the_users_own_limit_counts_as_well():
    assert UploadLimit(together=10).within(7).together == 7
    assert UploadLimit(together=10).within(70).together == 10
