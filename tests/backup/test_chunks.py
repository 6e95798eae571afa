"""Chunks: all bytes, in order, within the limits; few new ones after an edit; the same average for ever."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise

import pytest

from escale.backup.chunks import Chunker, chunker_of, seed_of, source_bytes

from .places import Place


def noise(size: int, seed: int = 1) -> bytes:
    return hashlib.shake_128(bytes([seed])).digest(size)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 4096, 40_000, 1_000_000])
def test_the_pieces_are_the_content(size):
    content = noise(size)
    pieces = [*Chunker(4096, 1).cut(io.BytesIO(content), size)]
    assert b"".join(pieces) == content
    assert all(0 < len(piece) <= 8 * 4096 for piece in pieces)
    assert all(len(piece) >= 1024 for piece, _ in pairwise(pieces))


@pytest.mark.parametrize("told", [0, 10, 1024, 5000, 1_000_000])
def test_a_file_that_is_not_as_long_as_it_said(told):
    content = noise(70_000)
    assert b"".join(Chunker(4096, 1).cut(io.BytesIO(content), told)) == content


def test_small_files_are_one_piece():
    assert [*Chunker(65536, 1).cut(io.BytesIO(b"a" * 16384), 16384)] == [b"a" * 16384]


def test_the_cuts_are_the_same_for_ever():
    """Other cuts would store everything a second time."""
    pieces = [len(piece) for piece in Chunker(65536, 5).cut(io.BytesIO(noise(1 << 20)), 1 << 20)]
    assert pieces == GOLDEN


GOLDEN = [47438, 76492, 81203, 65559, 88801, 90996, 28039, 69633, 68436, 84761, 77155, 72585, 68421, 64874, 64183]


def test_an_edit_changes_few_pieces():
    content = noise(4 << 20)
    edited = content[: 2 << 20] + b"one word more" + content[2 << 20 :]
    chunker = Chunker(65536, 5)
    before = {*chunker.cut(io.BytesIO(content), len(content))}
    after = {*chunker.cut(io.BytesIO(edited), len(edited))}
    assert len(after - before) <= 3 < len(before) / 10


def test_another_key_cuts_elsewhere():
    one, other = Place(), Place()
    assert seed_of(one.master) != seed_of(other.master)
    content = noise(1 << 20)
    cuts = [
        [len(piece) for piece in Chunker(65536, seed_of(place.master)).cut(io.BytesIO(content), len(content))]
        for place in (one, other)
    ]
    assert cuts[0] != cuts[1]


def test_the_average_is_fixed_by_the_first_who_asks(tmp_path):
    place = Place()
    first = chunker_of(place.repository(), [str(tmp_path)])
    assert chunker_of(place.repository(), ["/nowhere"]).average == first.average
    assert b"average" not in place.blobs["x-escale/config"][0]


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damaged_parameters_are_written_anew(tmp_path, how):
    place = Place()
    first = chunker_of(place.repository(), [str(tmp_path)])
    place.damage("x-escale/config", how)
    assert chunker_of(place.repository(), [str(tmp_path)]).average == first.average
    assert chunker_of(place.repository(), ["/nowhere"]).average == first.average


def test_the_bytes_of_a_source(tmp_path):
    (tmp_path / "file").write_bytes(noise(1 << 20))
    assert source_bytes([str(tmp_path)]) >= 1 << 20
    assert source_bytes([str(tmp_path / "nothing")]) == 0
