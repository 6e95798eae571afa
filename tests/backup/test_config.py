"""The config: an identity that stays, and versions that we do not write are left alone."""

from __future__ import annotations

import json

import pytest

from escale.backup.config import AVERAGE_MAX, AVERAGES, Config, OtherVersion, average_for
from escale.errors import Corrupt

from . import golden

GOOD = {"version": 2, "id": "ab" * 32, "chunker_polynomial": "3da3358b4dc173"}


@pytest.mark.parametrize(
    ("name", "begins"), [("restic-0.19.1", "c07f536b"), ("restic-0.14.0", "612b5f34"), ("escale-1", "35ac8932")]
)
def test_golden_configs(name, begins):
    repository = golden.opened(golden.HERE / name)
    assert repository.config.id.startswith(begins)
    assert repository.config.version == 2
    clear = repository.master.open(repository.objects.read_config(), "here")
    assert repository.config.encode() == clear.rstrip()


def test_what_is_written_can_be_read():
    config = Config.generate()
    assert Config.decode(config.encode(), "here") == config
    assert Config.generate().id != config.id


@pytest.mark.parametrize("version", [0, 1, 3, 99])
def test_other_versions_are_refused_in_a_sentence(version):
    with pytest.raises(OtherVersion, match="format"):
        Config.decode(json.dumps(GOOD | {"version": version}).encode(), "here")


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000]
    + [json.dumps(GOOD | change).encode() for change in ({"id": "x"}, {"id": 5}, {"version": "two"}, {"version": None})]
    + [b'{"version":1e999,"id":"x","chunker_polynomial":"1"}'],
)
def test_what_is_no_config(text):
    with pytest.raises(Corrupt):
        Config.decode(text, "here")


def test_larger_sources_have_larger_chunks():
    sizes = [0, 64 << 30, (64 << 30) + 1, 256 << 30, 1 << 40, (2 << 40) + 1, 1 << 60]
    averages = [average_for(size) for size in sizes]
    assert averages == [64 << 10, 64 << 10, 128 << 10, 128 << 10, 256 << 10, AVERAGE_MAX, AVERAGE_MAX]
    assert all(average & (average - 1) == 0 for _, average in AVERAGES)
