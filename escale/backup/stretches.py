"""Stretches: packs of trees in pieces that are read at once, and left when nothing in them is waited for any more.

A directory is stored after those that are in it, and in the same pack as long as there is room.  So most of what a
directory names lies in the stretch that it came with, or in one before it; and who takes stretches from the end of a
pack to its beginning meets directories before what is in them, and reads most stretches once.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator

from .catalog import Catalog
from .fetch import Kept, Range, ranges
from .pack import BlobKind, PackedBlob

TOGETHER_BYTES = 4 << 20
"""In memory.  With twice as much the trees of a million files took as many requests, and eight mebibytes more."""

Waiting = defaultdict[int, list[PackedBlob]]
"""Trees by the number of the stretch in which they are."""


class Stretches:
    """Of one repository, for one thread.  `stretch_bytes`: as long are they at most, unless one tree is longer.

    `kept`: what was read of those that were taken last.
    """

    def __init__(self, catalog: Catalog, stretch_bytes: int) -> None:
        self.kept: Kept = {}
        self._catalog = catalog
        self._stretch_bytes = stretch_bytes
        self._stretches: dict[str, list[Range]] = {}
        self._waiting: dict[str, Waiting] = {}

    def wait_for(self, trees: Iterable[bytes]) -> dict[bytes, str]:
        """These are to be read; returns those that cannot be, with the reason."""
        failed = {}
        for tree in trees:
            found = self._catalog.find(BlobKind.TREE, tree)
            if found:
                pack, blob = found[0]
                number = bisect(self._of(pack), blob.offset, key=_offset) - 1
                self._waiting.setdefault(pack, defaultdict(list))[number].append(blob)
            else:
                failed[tree] = "no index lists it"
        return failed

    def take(self) -> list[Range]:
        """The next stretches, with what is waited for in them; none if nothing is.

        Those that are kept come first.  When others come these are let go; they are kept by whoever reads them.
        """
        chosen = [*self._here()]
        if not chosen:
            self.kept.clear()
            chosen = [*self._next()]
        return [self._taken(pack, number) for pack, number in chosen]

    def _here(self) -> Iterator[tuple[str, int]]:
        for pack, waiting in self._waiting.items():
            for number in waiting:
                if (pack, self._stretches[pack][number].offset) in self.kept:
                    yield pack, number

    def _next(self) -> Iterator[tuple[str, int]]:
        size = 0
        for pack, waiting in self._waiting.items():
            for number in sorted(waiting, reverse=True):
                if size >= TOGETHER_BYTES:
                    return
                size += self._stretches[pack][number].length
                yield pack, number

    def _taken(self, pack: str, number: int) -> Range:
        stretch, blobs = self._stretches[pack][number], self._waiting[pack].pop(number)
        if not self._waiting[pack]:
            del self._waiting[pack]
        return Range(pack, stretch.offset, stretch.length, tuple(blobs))

    def _of(self, pack: str) -> list[Range]:
        """By their order in the pack.  Only what is near a tree is in one: other programs may have put trees among
        contents."""
        found = self._stretches.get(pack)
        if found is None:
            trees = [blob for blob in self._catalog.blobs_of(pack) if blob.kind is BlobKind.TREE]
            whole = ranges({pack: trees}, self._stretch_bytes)
            found = self._stretches[pack] = [Range(pack, each.offset, each.length, ()) for each in whole]
        return found


def _offset(stretch: Range) -> int:
    return stretch.offset
