"""How fast the way to a relay is: measured on every transfer, remembered between runs, used to choose a codec."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from ..clock import Clock
from ..errors import EscaleError
from ..files.folder import Folder
from ..files.ledger import Ledger
from ..files.tree import Entry
from ..relay.codec import SAMPLE_BLOCK_BYTES_MAX, SAMPLE_BLOCKS_MAX, choose_codec
from ..store.wrapped import Traffic

UNKNOWN_BYTES_PER_S = 10_000_000.0
"""Before the first measurement: an ordinary line, on which a fast codec is right and a slow one is not."""

_KEY = "link bytes per second"


class Link:
    """The way to one relay.  `is_local`: the relay is a directory of this machine, no transfer to save on."""

    def __init__(self, traffic: Traffic, clock: Clock, cores: int, is_local: bool) -> None:
        self._traffic = traffic
        self._clock = clock
        self._cores = cores
        self._is_local = is_local

    def bytes_per_s(self, ledger: Ledger) -> float:
        """What an upload may expect."""
        if self._is_local:
            return math.inf
        measured = self._traffic.up.rate
        return measured or float(ledger.meta(_KEY) or UNKNOWN_BYTES_PER_S)

    def remember(self, ledger: Ledger) -> None:
        """Keep what was measured for the next run."""
        if measured := self._traffic.up.rate:
            ledger.set_meta(_KEY, f"{measured:.0f}")

    def codec(self, folder: Folder, ledger: Ledger, entries: Iterable[Entry]) -> str:
        """The codec with which these files arrive first, judged by a sample of the largest."""
        largest = sorted(entries, key=lambda entry: -entry.size)
        spread = itertools.islice(largest, 0, None, max(1, len(largest) // SAMPLE_BLOCKS_MAX))
        sample = [_beginning(folder, entry.path) for entry in itertools.islice(spread, SAMPLE_BLOCKS_MAX)]
        return choose_codec(sample, self.bytes_per_s(ledger), self._cores, self._clock)


def _beginning(folder: Folder, path: str) -> bytes:
    try:
        with folder.open(path) as source:
            return source.read(SAMPLE_BLOCK_BYTES_MAX)
    except (EscaleError, OSError):
        return b""
