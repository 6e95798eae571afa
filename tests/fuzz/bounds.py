"""What one example may take: processor time and memory.

Time is that of the process, so a busy machine finds nothing that is not there; what waits without computing is left to
the time limit of the test.  Memory is the peak of the resident set, which the kernel lets us begin anew: it also sees
what the libraries in C take.  Memory that an earlier example gave back may be used again unseen, so the bound is met by
what is much too large, not measured to the byte.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"


class TooSlow(AssertionError):
    """An example took more processor time than it may."""


@contextmanager
def bounded(cpu_s: float, mib: int) -> Iterator[None]:
    """AssertionError if what is done inside takes more; for the main thread, and not within itself."""
    _CLEAR_REFS.write_text(_CLEAR_PEAK)
    before = _mib("VmRSS")
    previous = signal.signal(signal.SIGPROF, _stop)
    # Again and again, in case a library swallows the first.
    signal.setitimer(signal.ITIMER_PROF, cpu_s, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    taken = _mib("VmHWM") - before
    assert taken <= mib, f"it took {taken} MiB more than it gave back"


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def _mib(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) // 1024
