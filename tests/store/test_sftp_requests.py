"""Packets that announce more than they hold, read without waiting for the rest."""

from __future__ import annotations

import pytest
from paramiko import Message, SFTPError, SSHException

from escale.store import sftp_requests as sftp
from escale.store.sftp_listing import list_directory
from escale.store.sftp_requests import BROKEN, StatusError, attributes
from tests.fuzz import target_listings
from tests.fuzz.bounds import bounded

MANY = (1 << 32) - 1


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def test_attributes_are_read_where_they_begin() -> None:
    message = Message(number(0x1 | 0x4 | 0x80000000) + bytes(7) + b"\x05" + number(0o100644) + number(1) + bytes(8))
    found = attributes(message)
    assert (found.st_size, found.st_mode) == (5, 0o100644)


def test_extended_attributes_without_number() -> None:
    with bounded(1.0, 16), pytest.raises(EOFError):
        attributes(Message(number(0x80000000) + number(MANY)))


@pytest.mark.parametrize("conversation", [target_listings.sftp_conversation(MANY, 0, 0, b""), b"\0\0\0\x02\x02\0"])
def test_a_listing_that_ends_too_early(conversation: bytes) -> None:
    with bounded(1.0, 16), target_listings.sftp_answers(conversation) as answers, pytest.raises(BROKEN):
        list_directory(answers(), "/relay")


def test_a_refusal_in_another_encoding() -> None:
    with target_listings.sftp_answers(target_listings.SFTP_REFUSAL) as answers, pytest.raises(StatusError) as caught:
        list_directory(answers(), "/relay")
    assert caught.value.text == "no \N{REPLACEMENT CHARACTER}"


def test_a_listing_that_is_cut_is_no_listing() -> None:
    whole = target_listings._SFTP
    with target_listings.sftp_answers(whole) as answers:
        assert [name for name, _ in list_directory(answers(), "/relay")] == [b"0.lock", b"caf\xc3\xa9"]
    for length in range(len(whole)):
        with target_listings.sftp_answers(whole[:length]) as answers, pytest.raises((*BROKEN, SFTPError, SSHException)):
            pytest.fail(f"{list_directory(answers(), '/relay')} after {length} bytes")


def test_a_listing_that_neither_goes_on_nor_ends() -> None:
    nothing = [target_listings._packet(sftp.NAME, number(each), number(0)) for each in range(2, 6)]
    handle = target_listings._packet(sftp.HANDLE, number(1), target_listings._text(b"h"))
    conversation = b"".join([target_listings._VERSION, handle, *nothing])
    with target_listings.sftp_answers(conversation) as answers, pytest.raises(EOFError, match="neither"):
        list_directory(answers(), "/relay")
