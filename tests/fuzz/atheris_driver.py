"""The targets under atheris, which sees which lines an input reaches and keeps those that reach new ones.

    pip install atheris
    python -m tests.fuzz.atheris_driver TARGET [-max_total_time=180 ...]      (the options are libFuzzer's)
    python -m tests.fuzz.atheris_driver                                       names the targets

Each fault is told once, by the place where it arose, with an input that shows it; the search goes on.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import atheris

LIBRARIES = ["escale", "tarfile", "json", "ftplib", "email", "tomli", "configupdater", "pathspec", "paramiko.message"]
"""What is watched: ours, and the parsers written in Python that we lean on."""

with atheris.instrument_imports(include=LIBRARIES):
    from .all_targets import TARGETS


def main(arguments: list[str]) -> None:
    """Run one target until libFuzzer's options say stop."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit("targets: " + " ".join(TARGETS))
    target = TARGETS[arguments[1]]
    told: set[str] = set()

    def try_one(data: bytes) -> None:
        try:
            target(data)
        except Exception as error:
            place = f"{type(error).__name__} at {_place(error)}"
            if place not in told:
                told.add(place)
                print(f"FAULT {place}: {error!s:.200}\n  input: {data[:2000]!r}", flush=True)

    with tempfile.TemporaryDirectory(prefix="escale-corpus-") as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([arguments[0], *arguments[2:], corpus], try_one)
        atheris.Fuzz()


def _place(error: Exception) -> str:
    """Where it was raised, as far as it is a line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "escale" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


if __name__ == "__main__":
    main(sys.argv)
