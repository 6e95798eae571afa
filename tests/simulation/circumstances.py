"""How the world of a history is set up, drawn by a chance of its own: seeds that are `plain` have nothing special.

So a seed that once failed keeps its history when this module learns something new: it is marked in seeds.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from escale.seal import Key, Seal, StreamSeal

SEEDS_FILE = Path(__file__).parent / "seeds.txt"

QUOTAS = (76_000, 84_000)
"""From so few bytes that the small files go one by one, to so many that most go together: 64 KiB are kept free."""

KEY = Key(b"a key for simulations, 32 bytes.")


@dataclass(frozen=True)
class Circumstances:
    """What differs from history to history besides trouble.

    `quota`: bytes that may lie on the relay.  `pullers`: names of those that updates wait for,
    perhaps not all, None for the roster.  `chmods`: of what users change the permissions.
    `is_one_away`: the last machine takes no part until the end, for weeks, and is not waited for if `releases_stale`.
    Odds of each pass: `meanwhile`, that a user acts during it; `cuts_power`, that a death by the disk is a power cut.
    Odds of each step: `unmounts`, that the disk of a folder is away for a pass; `damages`, that the relay damages an
    update.
    """

    is_sealed: bool = False
    quota: int | None = None
    pullers: frozenset[str] | None = None
    is_one_away: bool = False
    releases_stale: bool = False
    meanwhile: float = 0.0
    cuts_power: float = 0.0
    unmounts: float = 0.0
    damages: float = 0.0
    chmods: tuple[str, ...] = ("file",)

    @classmethod
    def of(cls, seed: int, names: tuple[str, ...]) -> Circumstances:
        """Those of a seed; `names` of its machines."""
        if seed in _PLAIN:
            return cls()
        rng = Random(f"circumstances {seed}")
        return cls(
            is_sealed=rng.random() < 0.2,
            quota=rng.randint(*QUOTAS) if rng.random() < 0.1 else None,
            pullers=frozenset(rng.sample(names, rng.randint(1, len(names)))) if rng.random() < 0.3 else None,
            is_one_away=len(names) > 2 and rng.random() < 0.5,
            releases_stale=rng.random() < 0.5,
            meanwhile=rng.choice((0.0, 0.5)),
            cuts_power=0.5,
            unmounts=rng.choice((0.0, 0.0, 0.0, 0.05)),
            damages=rng.choice((0.0, 0.0, 0.0, 0.1)),
            chmods=("file",) if seed in _FILES else ("file", "directory"),
        )

    @property
    def seal(self) -> Seal | None:
        """None for a relay in clear."""
        return StreamSeal(KEY) if self.is_sealed else None

    @property
    def fingerprint(self) -> str:
        """Of the key, "" for a relay in clear."""
        return KEY.fingerprint if self.is_sealed else ""


def known_seeds() -> list[int]:
    """Seeds that once failed; what follows a `#` is the story of one.

    `plain` after one: without circumstances; `files`: users change the permissions of files only.
    """
    return [int(words[0]) for words in _lines()]


def _lines() -> list[list[str]]:
    lines = (line.partition("#")[0].split() for line in SEEDS_FILE.read_text().splitlines())
    return [words for words in lines if words]


def _marked(word: str) -> frozenset[int]:
    return frozenset(int(words[0]) for words in _lines() if word in words)


_PLAIN = _marked("plain")
_FILES = _marked("files")
