"""Chunks: where the content of a file is cut, so that an edit changes few pieces of it.

FastCDC (Xia et al. 2020), by pyfastcdc.  restic's format leaves open where to cut; a repository keeps the average for
its life, as pieces cut in another way would all be new.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Protocol, runtime_checkable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import Corrupt, Missing, NoSuchRelay, Refused
from .cipher import MasterKey
from .config import AVERAGE_MAX, AVERAGES, average_for
from .objects import EXTRA
from .repository import Repository

CHUNK_BYTES_MAX = 8 << 20
"""restic's own limit for a blob."""

PARAMETERS = "config"
"""In x-escale/: the average, sealed."""

_SEED_BITS = 63
"""pyfastcdc shifts the seed by one within 64 bits."""


class Content(Protocol):
    """What is cut: a file, or something that yields the zeros of its holes without reading them."""

    def readinto(self, target: memoryview, /) -> int: ...


@runtime_checkable
class Holed(Content, Protocol):
    """A content that knows where it has holes."""

    def hole_end(self, offset: int, /) -> int:
        """Where the zeros end that begin at `offset`; `offset` itself if there are none."""
        ...

    def seek(self, offset: int, /) -> None:
        """Go on there."""
        ...


class Chunker:
    """Cuts with an average of `average` bytes.  The seed of a repository keeps others from telling well-known files by
    the lengths of their pieces, as far as that goes.  Used by one thread at a time."""

    def __init__(self, average: int, seed: int) -> None:
        self.average = average
        self.least = average // 4
        self.most = min(CHUNK_BYTES_MAX, 8 * average)
        # Compiled, and of no use to a command that only asks.
        from pyfastcdc import FastCDC

        self._cutter = FastCDC(
            average, min_size=self.least, max_size=self.most, normalized_chunking=2, seed=seed % (1 << _SEED_BITS)
        )

    def cut(self, file: Content, size: int) -> Iterator[bytes]:
        """The pieces of what `file` yields; those of files up to a quarter of the average are one piece anyway.

        Of a long hole the same object comes again and again.
        """
        if size <= self.least:
            buffer = bytearray(size + 1)
            count = file.readinto(memoryview(buffer))
            if 0 < count <= size and not file.readinto(memoryview(bytearray(1))):
                yield bytes(memoryview(buffer)[:count])
                return
            if not count:
                return
            file = _Continued(memoryview(buffer)[:count], file)
        if isinstance(file, Holed):
            yield from self._cut_holed(file)
        else:
            yield from (bytes(chunk.data) for chunk in self._cutter.cut_stream(file))

    def _cut_holed(self, file: Holed) -> Iterator[bytes]:
        """A cut depends only on what follows the one before: a piece that would be all zeros is known before."""
        zeros, offset, is_done = bytes(self.most), 0, False
        while not is_done:
            is_done = True
            for chunk in self._cutter.cut_stream(file):
                piece = bytes(chunk.data)
                offset += len(piece)
                yield piece
                if piece == zeros and (count := (file.hole_end(offset) - offset) // self.most):
                    yield from repeat(piece, count)
                    offset += count * self.most
                    file.seek(offset)
                    is_done = False
                    break


class _Continued:
    """A file that turned out to be longer than it said, from its beginning."""

    def __init__(self, begun: memoryview, rest: Content) -> None:
        self._begun = begun
        self._rest = rest

    def readinto(self, target: memoryview, /) -> int:
        if not self._begun:
            return self._rest.readinto(target)
        count = min(len(target), len(self._begun))
        target[:count] = self._begun[:count]
        self._begun = self._begun[count:]
        return count


def seed_of(master: MasterKey) -> int:
    """The same for all who have the key."""
    secret = master.encrypt + master.mac_k + master.mac_r
    return int.from_bytes(HKDF(SHA256(), 8, None, b"escale chunks").derive(secret), "big")


def chunker_of(repository: Repository, paths: Iterable[str]) -> Chunker:
    """That of this repository; the first who asks fixes its average, by the size of what lies below `paths`.

    Parameters that are damaged are written anew: then what is saved next may be stored a second time, no more.
    """
    place = repository.objects.store.within(EXTRA)
    seed = seed_of(repository.master)
    try:
        sealed = place.read_bytes(PARAMETERS, 1 << 16)
        return Chunker(_average_in(sealed, repository.master, f"{place.url}/{PARAMETERS}"), seed)
    except (Missing, NoSuchRelay, Corrupt):
        average = average_for(source_bytes(paths))
    # Who only adds cannot mend what is damaged there.
    with suppress(Refused):
        place.write_bytes(PARAMETERS, repository.master.seal(json.dumps({"average": average}).encode()))
    return Chunker(average, seed)


def source_bytes(paths: Iterable[str]) -> int:
    """How much there is below the paths, or any number below the first limit when it is certainly less than that."""
    paths = list(paths)
    used = 0
    for device_path in {os.stat(path).st_dev: path for path in paths if os.path.exists(path)}.values():
        status = os.statvfs(device_path)
        used += (status.f_blocks - status.f_bfree) * status.f_frsize
    if used <= AVERAGES[0][0]:
        # One question instead of one for each file.
        return used
    return sum(_bytes_below(path) for path in paths)


def _bytes_below(path: str) -> int:
    found, pending = 0, [path]
    while pending:
        try:
            status = os.lstat(where := pending.pop())
            if stat.S_ISDIR(status.st_mode):
                pending += [os.path.join(where, name) for name in os.listdir(where)]
            else:
                found += status.st_blocks * 512
        except OSError:
            continue
    return found


def _average_in(sealed: bytes, master: MasterKey, where: str) -> int:
    try:
        average = json.loads(master.open(sealed, where))["average"]
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(where=where, reason="it does not hold the parameters of a repository") from error
    if type(average) is not int or not 1 << 12 <= average <= AVERAGE_MAX or average & (average - 1):
        raise Corrupt(where=where, reason="its average is none")
    return average
