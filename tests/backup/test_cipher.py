"""Cipher: known answers, and no byte of what was sealed can change unnoticed."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from escale.backup.cipher import OVERHEAD, MasterKey
from escale.errors import Corrupt

KEY = MasterKey.of_bytes(bytes(range(64)))


@pytest.mark.parametrize(
    ("k", "r", "nonce", "message", "tag"),
    [
        # The four examples of D. J. Bernstein's paper, appendix B.
        (
            "ec074c835580741701425b623235add6",
            "851fc40c3467ac0be05cc20404f3f700",
            "fb447350c4e868c52ac3275cf9d4327e",
            "f3f6",
            "f4c633c3044fc145f84f335cb81953de",
        ),
        (
            "75deaa25c09f208e1dc4ce6b5cad3fbf",
            "a0f3080000f46400d0c7e9076c834403",
            "61ee09218d29b0aaed7e154a2c5509cc",
            "",
            "dd3fab2251f11ac759f0887129cc2ee7",
        ),
        (
            "6acb5f61a7176dd320c5c1eb2edcdc74",
            "48443d0bb0d21109c89a100b5ce2c208",
            "ae212a55399729595dea458bc621ff0e",
            "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
            "0ee1c16bb73f0f4fd19881753c01cdbe",
        ),
        (
            "e1a5668a4d5b66a5f68cc5424ed5982d",
            "12976a08c4426d0ce8a82407c4f48207",
            "9ae831e743978d3a23527c7128149e3a",
            "ab0812724a7f1e342742cbed374d94d136c6b8795d45b3819830f2c04491faf0"
            "990c62e48b8018b2c3e4a0fa3134cb67fa83e158c994d961c4cb21095c1bf9",
            "5154ad0d2cb26e01274fc51148491f1b",
        ),
    ],
)
def test_the_mac_is_that_of_the_paper(k, r, nonce, message, tag):
    key = MasterKey(bytes(32), bytes.fromhex(k), bytes.fromhex(r))
    # Zeros under this key and IV are what becomes of the message backwards.
    stream = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes.fromhex(nonce))).encryptor()
    clear = stream.update(bytes.fromhex(message))
    assert key.open(bytes.fromhex(nonce + message + tag), "here") == clear


@given(st.binary(max_size=3000))
def test_what_was_sealed_opens(clear):
    sealed = KEY.seal(clear)
    assert len(sealed) == len(clear) + OVERHEAD
    assert KEY.open(sealed, "here") == clear
    assert KEY.open(memoryview(sealed), "here") == clear


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_a_sealer_seals_as_its_key(clears):
    sealer = KEY.sealer()
    sealed = [sealer.seal(clear) for clear in clears]
    assert [KEY.open(one, "here") for one in sealed] == clears
    assert len({one[:16] for one in sealed}) == len(sealed)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_an_opener_opens_as_its_key_also_after_what_was_changed(clears):
    opener = KEY.opener()
    for clear in clears:
        sealed = KEY.seal(clear)
        with pytest.raises(Corrupt):
            opener.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "here")
        assert opener.open(sealed, "here") == opener.open(memoryview(sealed), "here") == clear


def test_the_same_is_never_sealed_the_same():
    assert KEY.seal(b"same") != KEY.seal(b"same")


@pytest.mark.parametrize("at", range(OVERHEAD + 5))
def test_every_flipped_bit_is_noticed(at):
    sealed = KEY.seal(b"clear")
    for bit in range(8):
        changed = bytearray(sealed)
        changed[at] ^= 1 << bit
        with pytest.raises(Corrupt):
            KEY.open(bytes(changed), "here")


@pytest.mark.parametrize("length", range(OVERHEAD + 5))
def test_what_was_cut_does_not_open(length):
    with pytest.raises(Corrupt):
        KEY.open(KEY.seal(b"clear")[:length], "here")


def test_another_key_does_not_open():
    with pytest.raises(Corrupt):
        MasterKey.generate().open(KEY.seal(b"clear"), "here")


def test_a_key_can_be_written_down():
    assert MasterKey.decode(KEY.encode(), "here") == KEY
    found = json.loads(KEY.encode())
    assert base64.b64decode(found["encrypt"]) == bytes(range(32))
    assert base64.b64decode(found["mac"]["k"]) == bytes(range(32, 48))
    assert len(base64.b64decode(found["mac"]["r"])) == 16


def test_a_key_does_not_show_itself():
    assert "encrypt" not in repr(KEY) and str(bytes(range(4)))[2:-1] not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"mac":{"k":"","r":""},"encrypt":""}',
        b'{"mac":{"k":1,"r":2},"encrypt":3}',
        b'{"mac":[],"encrypt":"AA=="}',
        KEY.encode().replace(b"=", b"!"),
        KEY.encode()[:-1],
    ],
)
def test_what_is_no_key(text):
    with pytest.raises(Corrupt):
        MasterKey.decode(text, "here")
