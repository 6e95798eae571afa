"""Sealing: what the relay may see of a blob, and proof that it gives back what we put there.

    Key ──┬─ data key ──▶ StreamSeal: magic ‖ stream header ‖ chunk ‖ chunk ‖ … ‖ final chunk
          └─ name key ──▶ names of pages and clients on the relay (`digest.short_name`)

`StreamSeal` is libsodium's secretstream (XChaCha20-Poly1305) over chunks of 64 KiB: chunks cannot be dropped, repeated,
exchanged or added, and the end is marked.  Each chunk is authenticated together with a **context**, the place of the
blob on the relay, so that a blob which was moved to another name does not open there.  `FernetSeal` is the token of
the original program.  All seals are streams: they pull from their source and hold a few chunks, whatever the size.

The only module that imports a crypto library, and only when something is sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from .clock import Clock
from .errors import ExposedSecret, Forged, LocalError, NoLocalSpace, SecretError
from .stream import PIECE, blocks_of, pieces_of, read_exactly, stream_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC
    from cryptography.hazmat.primitives.hmac import HMAC

KEY_BYTES = 32
KEY_FILE_BYTES_MAX = 4096
"""A key file is one line; whatever is longer is another file, given by mistake."""

_KEY_TEXT = re.compile(r"(?:escale-key-1\s+)?([A-Za-z0-9_-]{43}=)")
_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ")
"""From the alphabet of base32 to Crockford's, which has no I, L, O or U to misread over the telephone."""


@dataclass(frozen=True, slots=True)
class Key:
    """The secret that all clients of a sealed relay share: 32 random bytes."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.secret) == KEY_BYTES

    @classmethod
    def generate(cls) -> Key:
        """A new key from the system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str, where: str = "the key") -> Key:
        """The key in the line `escale-key-1 …`, or in the 44 characters of a Fernet key; SecretError otherwise."""
        match = _KEY_TEXT.fullmatch(text.strip())
        if not match:
            raise SecretError(what=f"{where} is not an escale key: expected one line, 'escale-key-1' and 44 characters")
        return cls(base64.urlsafe_b64decode(match[1]))

    @classmethod
    def load(cls, path: Path) -> Key:
        """The key in a file.  ExposedSecret if others can read it, SecretError if it cannot be read or is no key."""
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                text = file.read(KEY_FILE_BYTES_MAX)
        except OSError as error:
            raise SecretError(what=f"cannot read the key file {path}: {error.strerror}") from error
        if mode & 0o077:
            raise ExposedSecret(path=path, mode=f"{mode:04o}")
        return cls.parse(text.decode("ascii", "replace"), f"the file {path}")

    def text(self) -> str:
        """The line that `parse` reads."""
        return f"escale-key-1 {base64.urlsafe_b64encode(self.secret).decode()}"

    def write(self, path: Path) -> None:
        """Store the key in a new file that only its owner can read.  LocalError if there is a file already."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(self.text() + "\n")
                file.flush()
                os.fsync(descriptor)
        except FileExistsError as error:
            raise LocalError(path=path, reason="exists already, and a key is never overwritten") from error
        except OSError as error:
            raise LocalError(path=path, reason=error.strerror or "cannot be written") from error

    @property
    def fingerprint(self) -> str:
        """Eight characters such as `7Q2F-K9XA`, to compare two keys by telephone; tells nothing about the key."""
        text = base64.b32encode(self.derive(b"fingerprint", 5)).decode().translate(_CROCKFORD)
        return f"{text[:4]}-{text[4:]}"

    def derive(self, purpose: bytes, size: int = KEY_BYTES) -> bytes:
        """A key of its own for one purpose (16 bytes at most), from which this one cannot be computed."""
        return hashlib.blake2b(b"escale-key-1", key=self.secret, person=purpose, digest_size=size).digest()


class Seal(ABC):
    """Turns a blob into what may lie on the relay, and back.

    `context` says which blob it is (relay, page, role, update); unsealing wants the same text.  The streams returned
    pull from `source` as they are read, hold a bounded number of bytes, and closing them closes `source`.  `unseal`
    yields nothing that was not authenticated, and its reader raises Forged as soon as something does not fit, at the
    latest instead of the end: what was read before is genuine, but whether it is whole is known only at the end.
    """

    name_key: bytes
    """Secret for names on the relay (`digest.short_name`); empty if names are to be seen."""

    growth: ClassVar[float] = 1.001
    """How many times larger a large blob may become."""

    @abstractmethod
    def seal(self, source: BinaryIO, context: str) -> BinaryIO: ...

    @abstractmethod
    def unseal(self, source: BinaryIO, context: str) -> BinaryIO: ...

    def seal_bytes(self, data: bytes, context: str) -> bytes:
        """`seal` for what is in memory."""
        with self.seal(io.BytesIO(data), context) as stream:
            return stream.read()

    def unseal_bytes(self, data: bytes, context: str) -> bytes:
        """`unseal` for what is in memory; all of it is authenticated when this returns."""
        with self.unseal(io.BytesIO(data), context) as stream:
            return stream.read()


class NoSeal(Seal):
    """Everything in clear."""

    name_key = b""

    def seal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(pieces_of(source), source)

    def unseal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(pieces_of(source), source)


CHUNK = 64 * 1024
"""Plain bytes in a sealed chunk: 17 bytes of overhead are nothing to it, and small blobs need little memory."""

MAGIC = b"escseal\x01"
"""What a sealed blob begins with; the last byte is the version."""


class StreamSeal(Seal):
    """libsodium's secretstream, bound to the context."""

    def __init__(self, key: Key) -> None:
        self._data_key = key.derive(b"data")
        self.name_key = key.derive(b"names")

    def seal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(self._sealed(source, _bound(context)), source)

    def unseal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(self._unsealed(source, context), source)

    def _sealed(self, source: BinaryIO, bound: bytes) -> Iterator[bytes]:
        from nacl import bindings as sodium

        state = sodium.crypto_secretstream_xchacha20poly1305_state()
        yield MAGIC + sodium.crypto_secretstream_xchacha20poly1305_init_push(state, self._data_key)
        for chunk, is_last in _with_end(blocks_of(pieces_of(source), CHUNK)):
            tag = (
                sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
                if is_last
                else sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
            )
            yield sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, bound, tag)

    def _unsealed(self, source: BinaryIO, context: str) -> Iterator[bytes]:
        from nacl import bindings as sodium
        from nacl.exceptions import CryptoError

        bound = _bound(context)
        overhead = sodium.crypto_secretstream_xchacha20poly1305_ABYTES
        state = sodium.crypto_secretstream_xchacha20poly1305_state()
        header = _stream_header(source, sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES, context)
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, self._data_key)
        for chunk, is_last in _with_end(blocks_of(pieces_of(source), CHUNK + overhead)):
            if len(chunk) < overhead:
                raise Forged(where=context, reason="it is cut off")
            try:
                plain, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, bound)
            except CryptoError as error:
                raise Forged(where=context, reason="a part of it is not what was sealed there") from error
            if is_last is not (tag == sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL):
                raise Forged(where=context, reason="it is cut off" if is_last else "it goes on after its end")
            yield plain


def _stream_header(source: BinaryIO, size: int, context: str) -> bytes:
    start = read_exactly(source, len(MAGIC) + size)
    if not start.startswith(MAGIC):
        raise Forged(where=context, reason="it was not sealed by this version of escale")
    if len(start) < len(MAGIC) + size:
        raise Forged(where=context, reason="it is cut off")
    return start[len(MAGIC) :]


def _bound(context: str) -> bytes:
    return MAGIC + context.encode("utf-8", "surrogateescape")


def _with_end(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk with whether it is the last; an empty last one if there are none at all."""
    held: bytes | None = None
    for chunk in chunks:
        if held is not None:
            yield held, False
        held = chunk
    yield held or b"", True


FERNET_VERSION = b"\x80"
_FERNET_HEADER_BYTES = 1 + 8 + 16
_HMAC_BYTES = 32
_AES_BLOCK_BITS = 128


class FernetSeal(Seal):
    """The format of the original: a whole blob is one Fernet token.

    A token proves only who wrote it: `context` is ignored, a relay can exchange two tokens of one key.  As nothing may
    be released before the signature at the very end was checked, `unseal` spools the token to an unnamed file in
    `directory` (NoLocalSpace).  Composed here because the library's Fernet class holds everything in memory.
    """

    growth = 1.334

    def __init__(self, key: Key, clock: Clock, directory: Path) -> None:
        self._signing, self._encrypting = key.secret[:16], key.secret[16:]
        self._clock = clock
        self._directory = directory
        self.name_key = key.derive(b"names")

    def seal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(_base64_of(self._token(source)), source)

    def unseal(self, source: BinaryIO, context: str) -> BinaryIO:
        return stream_of(self._plain(source, context), source)

    def _token(self, source: BinaryIO) -> Iterator[bytes]:
        from cryptography.hazmat.primitives.padding import PKCS7

        vector = secrets.token_bytes(16)
        signature, encryptor = self._hmac(), self._cipher(vector).encryptor()
        padder = PKCS7(_AES_BLOCK_BITS).padder()
        head = FERNET_VERSION + max(0, int(self._clock.now())).to_bytes(8, "big") + vector
        signature.update(head)
        yield head
        for piece in pieces_of(source):
            sealed = encryptor.update(padder.update(piece))
            signature.update(sealed)
            yield sealed
        sealed = encryptor.update(padder.finalize()) + encryptor.finalize()
        signature.update(sealed)
        yield sealed + signature.finalize()

    def _plain(self, source: BinaryIO, context: str) -> Iterator[bytes]:
        from cryptography.hazmat.primitives.padding import PKCS7

        with tempfile.TemporaryFile(dir=self._directory) as spool:
            size = self._spool(source, spool, context)
            spool.seek(0)
            head = spool.read(_FERNET_HEADER_BYTES)
            decryptor = self._cipher(head[9:]).decryptor()
            unpadder = PKCS7(_AES_BLOCK_BITS).unpadder()
            left = size - _FERNET_HEADER_BYTES
            try:
                while left:
                    piece = spool.read(min(PIECE, left))
                    left -= len(piece)
                    yield unpadder.update(decryptor.update(piece))
                yield unpadder.update(decryptor.finalize()) + unpadder.finalize()
            except ValueError as error:
                raise Forged(where=context, reason="its signature is right but its content is not") from error

    def _spool(self, source: BinaryIO, spool: BinaryIO, context: str) -> int:
        """Write the decoded token, return its size without the signature, which has been verified."""
        from cryptography.exceptions import InvalidSignature

        signature, size, tail = self._hmac(), 0, b""
        for piece in _decoded(source, context):
            piece = tail + piece
            signed, tail = piece[:-_HMAC_BYTES], piece[-_HMAC_BYTES:]
            signature.update(signed)
            size += len(signed)
            self._write(spool, signed)
        try:
            signature.verify(tail)
        except InvalidSignature as error:
            raise Forged(where=context, reason="its signature does not fit") from error
        spool.seek(0)
        if size <= _FERNET_HEADER_BYTES or spool.read(1) != FERNET_VERSION:
            raise Forged(where=context, reason="it is not a Fernet token")
        return size

    def _write(self, spool: BinaryIO, data: bytes) -> None:
        try:
            spool.write(data)
        except OSError as error:
            raise NoLocalSpace(path=self._directory, reason=error.strerror) from error

    def _hmac(self) -> HMAC:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.hmac import HMAC

        return HMAC(self._signing, SHA256())

    def _cipher(self, vector: bytes) -> Cipher[CBC]:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES128
        from cryptography.hazmat.primitives.ciphers.modes import CBC

        return Cipher(AES128(self._encrypting), CBC(vector))


def _base64_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks_of(pieces, PIECE // 4 * 3):
        yield base64.urlsafe_b64encode(block)


_WHITE_SPACE = b" \t\r\n"
_STANDARD = bytes.maketrans(b"-_", b"+/")


def _decoded(source: BinaryIO, context: str) -> Iterator[bytes]:
    """Base64 to bytes; a final line break, which an editor or a mail may have added, does no harm."""
    text = (piece.translate(_STANDARD, _WHITE_SPACE) for piece in pieces_of(source))
    for block in blocks_of(text, PIECE):
        try:
            yield binascii.a2b_base64(block, strict_mode=True)
        except ValueError as error:
            raise Forged(where=context, reason="it is not a Fernet token") from error
