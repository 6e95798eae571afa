"""Sealed streams: what the relay changed does not open, and what a holder of the key made up does no harm."""

from __future__ import annotations

import base64
import hmac
import io
from functools import cache, partial

from nacl import bindings as sodium

from escale.errors import Forged
from escale.seal import CHUNK, MAGIC, FernetSeal, Key, Seal, StreamSeal
from escale.testing.clock import SimClock

from .scratch import scratch
from .target import Target

KEY = Key(bytes(range(32)))
PLACE = "the update data of page 0"
CHUNKS_MAX = 20
"""Chunks made of one input: three bytes ask for 64 KiB, and it is not for us to fill the memory."""

PLAINS = (b"", b"short", b"0123456789abcdef" * 64, bytes(range(256)) * (2 * CHUNK // 256 + 1))


@cache
def _fernet() -> FernetSeal:
    return FernetSeal(KEY, SimClock(), scratch("seal"))


def _seals() -> dict[str, Seal]:
    return {"stream": StreamSeal(KEY), "fernet": _fernet()}


def unseal(kind: str, data: bytes) -> bool:
    """Forged, after nothing but the beginning of what was sealed; or all of it."""
    found = b""
    is_whole = False
    with _seals()[kind].unseal(io.BytesIO(data), PLACE) as stream:
        try:
            while piece := stream.read(1000):
                found += piece
            is_whole = True
        except Forged:
            pass
    assert not found or any(plain.startswith(found) for plain in PLAINS)
    assert found in PLAINS or not is_whole
    return is_whole


def unseal_own(kind: str, data: bytes) -> bool:
    """From somebody who has the key: Forged or any bytes, nothing else, and not more than there were."""
    try:
        found = _seals()[kind].unseal_bytes(data, PLACE)
    except Forged:
        return False
    assert len(found) <= len(data)
    return True


def signed(data: bytes) -> bytes:
    """A token with a right signature, whatever is in it."""
    return base64.urlsafe_b64encode(data + hmac.digest(KEY.secret[:16], data, "sha256"))


def pushed(data: bytes) -> bytes:
    """A stream of chunks made under the key: each takes a tag and a length from the bytes, as long as they last."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    key = KEY.derive(b"data")
    sealed = [MAGIC + sodium.crypto_secretstream_xchacha20poly1305_init_push(state, key)]
    source = io.BytesIO(data)
    while len(sealed) <= CHUNKS_MAX and (head := source.read(3)):
        size = int.from_bytes(head[1:], "big")
        chunk = source.read(size) if size < CHUNK - 1 else bytes(CHUNK)
        bound = MAGIC + PLACE.encode() if head[0] & 4 == 0 else b"elsewhere"
        sealed.append(sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, bound, head[0] & 3))
    return b"".join(sealed)


_FERNET_PLAIN = base64.urlsafe_b64decode(_fernet().seal_bytes(PLAINS[2], PLACE))[:-32]
_CHUNKS = (b"\x03\x00\x05hello", b"\x00\xff\xff" * 2 + b"\x03\x00\x00", b"\x01\xff\xff\x02\xff\xff\x07\x00\x01x", b"")

TARGETS = (
    *(
        Target(f"seal-{kind}", tuple(seal.seal_bytes(plain, PLACE) for plain in PLAINS), partial(unseal, kind))
        for kind, seal in _seals().items()
    ),
    Target("seal-fernet-own", (_FERNET_PLAIN, b""), lambda data: unseal_own("fernet", signed(data))),
    Target("seal-stream-own", _CHUNKS, lambda data: unseal_own("stream", pushed(data))),
)
