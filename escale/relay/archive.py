"""Update archives: a compressed tar of the files of an update, packed and unpacked as a stream.

Packing, `Packer` is a readable stream that opens, reads and hashes each file once, as the relay asks for bytes.  What
the tar says of a file is what we read, so a file that changes meanwhile is left out, or, when it is too large to hold
back until its end is seen, becomes a member that no index names.

Unpacking, `members` trusts nothing: whatever is not a regular file at a path inside a folder is refused, headers and
content are counted against what the index promised, and the end marker must be there.

The only module that imports tarfile.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import BinaryIO

from ..digest import digest_of, hasher
from ..errors import Changing, Corrupt, LocalError
from ..files.source import Source
from ..files.tree import Entry, display, path_bytes, validate_path
from ..stream import PIECE, PieceReader, Readable
from .compression import compress, decompress

WHOLE_MAX = 1024 * 1024
"""Bytes of a file that is read wholly before its header is written, so that it can still be left out."""

HEADER_BYTES_MAX = 16 * 1024
"""Headers of one member: four times what the longest path takes.  tarfile holds them in memory and searches them."""

_DIGITS_TOO_MANY = re.compile(rb"[0-9]{256}")
"""More than any honest header has in a row (a name ends after 255).  Before Python 3.11.10 and 3.12.6 tarfile takes
time quadratic in such a run: a second for 32 KiB."""

_BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * _BLOCK)
"""How a tar ends."""

_SECOND = 1_000_000_000
_MTIME_SECONDS_MAX = 2**63 // _SECOND
"""What the kernel takes as nanoseconds in 64 bits."""

_HOSTILE = (tarfile.TarError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)
"""What tarfile and the decoding of its fields raise for crafted headers; an OSError is the source's and stays one."""


def plain_size_max(entries: Iterable[Entry]) -> int:
    """The most bytes an honest tar of these entries holds, headers and members for their directories included."""
    return 2 * tarfile.RECORDSIZE + sum(
        _padded(entry.size) + (1 + entry.path.count("/")) * (8 * _BLOCK + 2 * len(path_bytes(entry.path)))
        for entry in entries
    )


class Packer(io.BufferedReader):
    """The compressed archive of some files as a stream to be read once.

    `entries` are packed in their order, from the files that `open_source` opens, which raises LocalError for a file it
    cannot open.  `progress` is called with the files and the plain bytes done so far.  At the end of the stream
    `packed` has, by path, what was really read, with its digest, and `skipped` why a file is not in it: Changing if it
    did not hold still; `garbage` is the plain bytes of members that nobody is to be told of (add them to
    `plain_size_max`).  Close it, also when it was not read to its end.
    """

    packed: dict[str, Entry]
    skipped: dict[str, LocalError]
    garbage: int

    def __init__(
        self,
        entries: Sequence[Entry],
        open_source: Callable[[str], Source],
        algorithm: str,
        codec: str,
        workers: int,
        progress: Callable[[int, int], None],
    ) -> None:
        self.packed = {}
        self.skipped = {}
        self.garbage = 0
        self._entries = entries
        self._open_source = open_source
        self._algorithm = algorithm
        self._progress = progress
        self._bytes_done = 0
        super().__init__(PieceReader(compress(self._tar(), codec, workers)), PIECE)

    def _tar(self) -> Iterator[bytes]:
        for count, entry in enumerate(self._entries, 1):
            try:
                source = self._open_source(entry.path)
            except LocalError as error:
                self.skipped[entry.path] = error
            else:
                with source:
                    yield from (self._whole if source.entry.size <= WHOLE_MAX else self._streamed)(source)
            self._progress(count, self._bytes_done)
        yield END

    def _whole(self, source: Source) -> Iterator[bytes]:
        entry = source.entry
        try:
            data = source.read(entry.size + 1)
        except OSError as error:
            self.skipped[entry.path] = _unreadable(entry, error)
            return
        if len(data) != entry.size or not source.is_unchanged():
            self.skipped[entry.path] = Changing(entry.path)
            return
        self.packed[entry.path] = replace(entry, digest=digest_of([data], self._algorithm))
        self._bytes_done += entry.size
        yield header(entry) + data + padding(entry.size)

    def _streamed(self, source: Source) -> Iterator[bytes]:
        """The header promises a size and the member keeps to it, come what may; only then is it named or not."""
        entry, digest = source.entry, hasher(self._algorithm)
        head = header(entry)
        yield head
        left = entry.size
        try:
            while left and (piece := source.read(min(PIECE, left))):
                digest.update(piece)
                left -= len(piece)
                yield piece
                self._bytes_done += len(piece)
                self._progress(len(self.packed) + len(self.skipped), self._bytes_done)
        except OSError as error:
            self.skipped[entry.path] = _unreadable(entry, error)
        yield from zeros(left)
        yield padding(entry.size)
        if left == 0 and source.is_unchanged():
            self.packed[entry.path] = replace(entry, digest=digest.hexdigest())
        else:
            self.skipped.setdefault(entry.path, Changing(entry.path))
            self.garbage += len(head) + _padded(entry.size)


def _unreadable(entry: Entry, error: OSError) -> LocalError:
    return LocalError(path=entry.path, reason=error.strerror or "cannot be read")


def header(entry: Entry) -> bytes:
    """The blocks in front of a member's content: pax, so that names are bytes and times are exact; no owner in it."""
    info = tarfile.TarInfo(entry.path)
    info.size, info.mode = entry.size, entry.mode
    info.mtime, fraction = divmod(entry.mtime_ns, _SECOND)
    if fraction:
        info.pax_headers = {"mtime": f"{Decimal(entry.mtime_ns).scaleb(-9):f}"}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def padding(size: int) -> bytes:
    """The zeros behind a member's content."""
    return bytes(-size % _BLOCK)


def zeros(count: int) -> Iterator[bytes]:
    """What stands for content that has gone after its header was written."""
    for done in range(0, count, PIECE):
        yield bytes(min(PIECE, count - done))


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive.  `stream` has exactly `size` bytes, and can be read until the next member is asked for."""

    path: str
    size: int
    mode: int
    mtime_ns: int
    stream: Readable


def members(source: BinaryIO, size_max: int, where: str, workers: int) -> Iterator[Member]:
    """The files of an archive of any codec, in its order; reads `source` to its end and does not close it.

    Corrupt, naming `where`, for everything an honest client does not write, and for more than `size_max` plain bytes
    (`plain_size_max`).  Members seen before that are as they were written, so their digests decide about them.  A path
    may come twice.
    """
    with decompress(source, where, workers) as plain:
        tape = _Tape(plain, size_max, where)
        archive: tarfile.TarFile | None = None
        while True:
            tape.header_left = HEADER_BYTES_MAX
            try:
                archive = archive or tarfile.TarFile(fileobj=tape, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
                info = archive.next()
                member = _member(info, archive, tape) if info else None
            except _HOSTILE as error:
                raise Corrupt(where=where, reason="it is not a tar archive that we can read") from error
            if info is None:
                break
            if member is not None:
                yield member
            archive.members = []  # type: ignore[attr-defined]  # tarfile would remember them all
        tape.expect_end()


def _member(info: tarfile.TarInfo, archive: tarfile.TarFile, tape: _Tape) -> Member | None:
    """The member as a file, None for a directory; Corrupt for everything else."""
    path = info.name.removeprefix("./")
    if info.isdir():
        return None
    if not info.isreg() or info.issparse():
        raise Corrupt(where=tape.where, reason=f"{display(path[:200])!r} in it is {_kind(info)}")
    if archive.pax_headers or info.size < 0:
        raise Corrupt(where=tape.where, reason="it has headers that no client writes")
    validate_path(path, tape.where)
    tape.expect_at_most(info.size)
    return Member(path, info.size, info.mode & 0o777, _mtime_ns(info), _Content(tape, info.size))


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "a link"
    return "a sparse file" if info.issparse() else "a device or something unknown"


def _mtime_ns(info: tarfile.TarInfo) -> int:
    """From the text of the pax header: tarfile's float has no room for nanoseconds."""
    seconds = Decimal(info.pax_headers.get("mtime", info.mtime))
    if not abs(seconds) < _MTIME_SECONDS_MAX:
        raise ValueError("a time out of range")
    return int(seconds.scaleb(9))


class _Tape:
    """The plain tar, as far as tarfile needs a file: it goes forwards only and counts what passes.

    What tarfile itself reads are headers; the content goes past it, through `_Content`.
    """

    def __init__(self, plain: BinaryIO, size_max: int, where: str) -> None:
        self._plain = plain
        self._size_max = size_max
        self._position = 0
        self._last = b""
        self.where = where
        self.header_left = HEADER_BYTES_MAX

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        """Header bytes, few enough to be held in memory."""
        self.header_left -= size
        if size < 0 or self.header_left < 0:
            raise Corrupt(where=self.where, reason=f"a header in it has more than {HEADER_BYTES_MAX} bytes")
        self._last = self.take(size)
        if _DIGITS_TOO_MANY.search(self._last):
            raise Corrupt(where=self.where, reason="it has headers that no client writes")
        return self._last

    def seek(self, position: int) -> None:
        """Skip what nobody wanted to read."""
        if position < self._position:
            raise Corrupt(where=self.where, reason="it has headers that no client writes")
        while self._position < position:
            self.take_some(min(PIECE, position - self._position))

    def take(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        data = self._plain.read(size)
        self._position += len(data)
        self.expect_at_most(0)
        return data

    def take_some(self, size: int) -> bytes:
        """The next bytes of a content, which must be there."""
        data = self.take(size)
        if not data:
            raise Corrupt(where=self.where, reason="it is cut off")
        return data

    def expect_at_most(self, more: int) -> None:
        """What was read and so many bytes more must not exceed the limit."""
        if self._position + more > self._size_max:
            raise Corrupt(where=self.where, reason="it holds more than its index says")

    def expect_end(self) -> None:
        """tarfile stops at a block of zeros, but also where the file ends or a header is damaged."""
        if self._last + self.take(_BLOCK) != END:
            raise Corrupt(where=self.where, reason="it is cut off or damaged inside")
        while rest := self.take(PIECE):
            if rest.count(0) != len(rest):
                raise Corrupt(where=self.where, reason="it goes on after its end")


class _Content:
    """The bytes of one member.  Reading it after the tape has moved on is our mistake, and noticed."""

    __slots__ = ("_left", "_position", "_tape")

    def __init__(self, tape: _Tape, size: int) -> None:
        self._tape = tape
        self._left = size
        self._position = tape.tell()

    def read(self, size: int = -1, /) -> bytes:
        if self._position != self._tape.tell():
            raise ValueError("the archive has moved on to another member")
        size = self._left if size < 0 else min(size, self._left)
        if not size:
            return b""
        data = self._tape.take_some(size)
        self._left -= len(data)
        self._position += len(data)
        return data
