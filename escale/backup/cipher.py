"""restic's cipher: AES-256 in counter mode, authenticated by Poly1305-AES (encrypt, then authenticate).

Sealed bytes are IV (16) + ciphertext + tag (16).  From "Repository Format" in restic's design document; the MAC is
D. J. Bernstein's Poly1305-AES (2005), whose one-time key is r and AES_k(IV).
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from ..errors import Corrupt

IV_BYTES = 16
TAG_BYTES = 16
OVERHEAD = IV_BYTES + TAG_BYTES
"""Bytes by which sealed is longer than clear."""

KEY_BYTES = 64


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """The secret of a repository, or of one of its key files: 32 bytes for AES, 16 for k and 16 for r of the MAC."""

    encrypt: bytes
    mac_k: bytes
    mac_r: bytes

    @classmethod
    def generate(cls) -> Self:
        """A new one, from the system's randomness."""
        return cls.of_bytes(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def of_bytes(cls, raw: bytes) -> Self:
        """From 64 bytes, as a key derivation yields them."""
        return cls(raw[:32], raw[32:48], _clamped(raw[48:64]))

    def seal(self, clear: bytes) -> bytes:
        """Encrypted and authenticated."""
        iv = secrets.token_bytes(IV_BYTES)
        encryptor = Cipher(algorithms.AES(self.encrypt), modes.CTR(iv)).encryptor()
        hidden = encryptor.update(clear) + encryptor.finalize()
        return b"".join((iv, hidden, self._mac(iv, hidden)))

    def sealer(self) -> Sealer:
        """For sealing much; for one thread."""
        return Sealer(self)

    def open(self, sealed: bytes | memoryview, where: str) -> bytes:
        """What was sealed; Corrupt if it was not sealed with this key, or was changed since."""
        return Opener(self).open(sealed, where)

    def opener(self) -> Opener:
        """For opening much; for one thread."""
        return Opener(self)

    def encode(self) -> bytes:
        """As it stands, sealed, in a key file."""
        text = {"mac": {"k": _text(self.mac_k), "r": _text(self.mac_r)}, "encrypt": _text(self.encrypt)}
        return json.dumps(text, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, where: str) -> Self:
        """What `encode`, or restic, wrote; Corrupt for anything else."""
        try:
            found = json.loads(data)
            parts = (found["encrypt"], found["mac"]["k"], found["mac"]["r"])
            encrypt, mac_k, mac_r = (base64.b64decode(part, validate=True) for part in parts)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Corrupt(where=where, reason="it holds no key") from error
        if (len(encrypt), len(mac_k), len(mac_r)) != (32, 16, 16):
            raise Corrupt(where=where, reason="its key is of another length")
        return cls(encrypt, mac_k, mac_r)

    def _mac(self, iv: bytes, hidden: bytes) -> bytes:
        return Poly1305.generate_tag(self._mac_key(iv), hidden)

    def _mac_key(self, iv: bytes) -> bytes:
        # One block, so that no mode has a say; restic does the same.
        encryptor = Cipher(algorithms.AES(self.mac_k), modes.ECB()).encryptor()
        return self.mac_r + encryptor.update(iv) + encryptor.finalize()


class Sealer:
    """Seals as its key does, in a third of the time for small blobs: what OpenSSL prepares for a key is kept."""

    def __init__(self, master: MasterKey) -> None:
        self._mac_r = master.mac_r
        self._hiding = Cipher(algorithms.AES(master.encrypt), modes.CTR(bytes(IV_BYTES))).encryptor()
        self._block = Cipher(algorithms.AES(master.mac_k), modes.ECB()).encryptor()

    def seal(self, clear: bytes) -> bytes:
        """Encrypted and authenticated."""
        iv = secrets.token_bytes(IV_BYTES)
        self._hiding.reset_nonce(iv)
        hidden = self._hiding.update(clear)
        tag = Poly1305.generate_tag(self._mac_r + self._block.update(iv), hidden)
        return b"".join((iv, hidden, tag))


class Opener:
    """Opens as its key does, in half of the time for small blobs: what OpenSSL prepares for a key is kept."""

    def __init__(self, master: MasterKey) -> None:
        self._mac_r = master.mac_r
        self._showing = Cipher(algorithms.AES(master.encrypt), modes.CTR(bytes(IV_BYTES))).decryptor()
        self._block = Cipher(algorithms.AES(master.mac_k), modes.ECB()).encryptor()

    def open(self, sealed: bytes | memoryview, where: str) -> bytes:
        """What was sealed; Corrupt if it was not sealed with this key, or was changed since."""
        if len(sealed) < OVERHEAD:
            raise Corrupt(where=where, reason="it is cut short")
        iv, hidden, tag = bytes(sealed[:IV_BYTES]), sealed[IV_BYTES:-TAG_BYTES], bytes(sealed[-TAG_BYTES:])
        try:
            Poly1305.verify_tag(self._mac_r + self._block.update(iv), hidden, tag)
        except InvalidSignature as error:
            raise Corrupt(where=where, reason="it was not written with the key of this repository") from error
        self._showing.reset_nonce(iv)
        return self._showing.update(hidden)


def _clamped(r: bytes) -> bytes:
    """The bits that Poly1305 wants clear, cleared, as restic writes them into its key files."""
    masks = (255, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15)
    return bytes(byte & mask for byte, mask in zip(r, masks, strict=True))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
