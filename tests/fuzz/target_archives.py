"""Archives of all codecs, unpacked and installed into a folder beside a canary."""

from __future__ import annotations

import bz2
import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import zstandard

from escale.digest import digest_of
from escale.errors import Corrupt, LocalError
from escale.files.folder import Folder, Staging
from escale.files.tree import Entry
from escale.relay.archive import Member, members

from .ground import Ground
from .target import Target

SIZE_MAX = 1 << 20
"""Plain bytes that the index promised."""

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
CODECS: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "bz2": bz2.compress, "zstd": zstandard.compress}

_CHECKSUM = slice(148, 156)
_MAGIC = slice(257, 262)


@cache
def ground() -> Ground:
    """One for the process: it is made when the first archive is tried."""
    return Ground()


def install(data: bytes) -> bool:
    """Corrupt at any moment; what came before is installed, and nothing else is anywhere."""
    folder = ground().fresh()
    is_whole = False
    with suppress(Corrupt), folder.staging() as staging:
        for member in members(io.BytesIO(data), SIZE_MAX, "the archive", 2):
            assert 0 <= member.size <= SIZE_MAX and 0 <= member.mode <= 0o777
            with suppress(LocalError):
                _install(folder, staging, member)
        is_whole = True
    ground().must_be_whole()
    return is_whole


def _install(folder: Folder, staging: Staging, member: Member) -> None:
    content = member.stream.read()
    entry = Entry(member.path, member.size, member.mtime_ns, member.mode, digest_of([content]))
    staged = staging.add(entry, io.BytesIO(content))
    there, _ = folder.hash([member.path])
    folder.install([staged], {member.path: there.get(member.path)})


def mended(data: bytes) -> bytes:
    """With right checksums in all headers, which would keep every change from being looked at."""
    pieces = []
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        if len(block) == BLOCK and block[_MAGIC] == b"ustar":
            total = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
            block = block[:148] + b"%06o\0 " % total + block[156:]
        pieces.append(block)
    return b"".join(pieces)


def _honest(name: str, content: bytes, **fields: object) -> bytes:
    """One member as a client writes it; further fields are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + content + bytes(-len(content) % BLOCK)


_TAR = (
    _honest("a", b"new content")
    + _honest("d/new " + "é" * 60, b"x" * 700, mode=0o4777)
    + _honest("d", b"", type=tarfile.DIRTYPE)
    + _honest("n/m/o", b"", pax_headers={"mtime": "1700000000.123456789", "comment": "c"})
    + END
)
_GNU = (
    _honest("link/escaped", b"x")
    + _honest("l", b"", type=tarfile.SYMTYPE, linkname="../canary")
    + _honest("h", b"", type=tarfile.LNKTYPE, linkname="a")
    + END
)
_LONG_NAME = (
    _honest("././@LongLink", b"long/" * 40 + b"\0", type=tarfile.GNUTYPE_LONGNAME) + _honest("short", b"abc") + END
)
_GOLDEN = tuple(path.read_bytes() for path in sorted((Path(__file__).parent.parent / "formats").glob("archive-1.tar*")))
_SEEDS = (_TAR, _GNU, _LONG_NAME)


def _packed(pack: Callable[[bytes], bytes], data: bytes) -> bool:
    return install(pack(mended(data)))


TARGETS = (
    Target("archive", (*_GOLDEN, *(pack(_TAR) for pack in CODECS.values())), install, examples=120),
    *(Target(f"archive-{codec}-mended", _SEEDS, partial(_packed, pack), examples=80) for codec, pack in CODECS.items()),
)
