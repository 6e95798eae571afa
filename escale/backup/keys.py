"""Key files: the master key of a repository, sealed with what scrypt makes of a password; there may be several."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ..errors import Corrupt, SecretError
from .cipher import KEY_BYTES, MasterKey
from .machine import Machine
from .moments import text_of

SCRYPT_N = 1 << 15
SCRYPT_R = 8
SCRYPT_P = 3
"""What restic's calibration finds on today's machines: about half a second and 32 MiB."""

SALT_BYTES = 64
SCRYPT_MEMORY_MAX = 1 << 30
"""Bytes; a key file is not trusted before it has been opened, and 128 * N * r of them are taken."""

SCRYPT_P_MAX = 64


class WrongPassword(SecretError):
    """no key file of the repository {where} opens with this password"""

    code = "K220"
    advice = "Nothing was changed. The password is that of `passphrase` in the section, or of --key FILE."


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Who made it and how the password becomes a key; `data` is the sealed master key."""

    created: str
    username: str
    hostname: str
    n: int
    r: int
    p: int
    salt: bytes
    data: bytes

    def encode(self) -> bytes:
        """The JSON that is stored under its SHA-256."""
        fields = {
            "created": self.created,
            "username": self.username,
            "hostname": self.hostname,
            "kdf": "scrypt",
            "N": self.n,
            "r": self.r,
            "p": self.p,
            "salt": base64.b64encode(self.salt).decode("ascii"),
            "data": base64.b64encode(self.data).decode("ascii"),
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, raw: bytes, where: str) -> KeyFile:
        """Corrupt for what no program writes, and for what would take more memory than SCRYPT_MEMORY_MAX."""
        try:
            found: Any = json.loads(raw)
            n, r, p = (int(found[name]) for name in ("N", "r", "p"))
            salt, data = (base64.b64decode(found[name], validate=True) for name in ("salt", "data"))
            texts = [str(found.get(name, "")) for name in ("created", "username", "hostname")]
            kdf = found["kdf"]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not a key file") from error
        is_sound = n >= 2 and n & (n - 1) == 0 and r >= 1 and 1 <= p <= SCRYPT_P_MAX
        # The last is scrypt's own condition (RFC 7914, 2).
        if kdf != "scrypt" or not is_sound or 128 * n * r > SCRYPT_MEMORY_MAX or n.bit_length() > 16 * r:
            raise Corrupt(where=where, reason="its key derivation is of another kind, or takes too much memory")
        return cls(texts[0], texts[1], texts[2], n, r, p, salt, data)

    def open(self, password: str, where: str) -> MasterKey | None:
        """The master key, or None if this password is not the one."""
        derived = _derived(password, self.salt, self.n, self.r, self.p)
        try:
            clear = derived.open(self.data, where)
        except Corrupt:
            return None
        return MasterKey.decode(clear, where)


def lock_away(master: MasterKey, password: str, machine: Machine, now: float) -> KeyFile:
    """A new key file for this password."""
    salt = secrets.token_bytes(SALT_BYTES)
    derived = _derived(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    data = derived.seal(master.encode())
    created = text_of(round(now * 1e9))
    return KeyFile(created, machine.username, machine.hostname, SCRYPT_N, SCRYPT_R, SCRYPT_P, salt, data)


def _derived(password: str, salt: bytes, n: int, r: int, p: int) -> MasterKey:
    # The bytes as they were typed, or stand in a file, as restic takes them.
    secret = password.encode("utf-8", "surrogateescape")
    return MasterKey.of_bytes(Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(secret))
