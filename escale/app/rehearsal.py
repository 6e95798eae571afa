"""Rehearsal: restoring some files as if all were lost, from nothing but the store and the password, and comparing."""

from __future__ import annotations

import filecmp
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..backup.node import NodeType
from ..backup.versions import Found
from ..clock import Clock
from ..errors import UserError
from ..files.overwrite import Overwrite
from .bringing import Told, bring
from .record import Rehearsal
from .vault import Vault
from .vision import Vision


class NothingToRehearse(UserError):
    """there is no version in {where} to try"""

    code = "B421"
    advice = "Save one first:    escalectl backup create"


@dataclass(slots=True)
class Rehearsed:
    """What came of it: of `version`, so many files and bytes came back; `compared` of them are unchanged on this
    machine and were read for comparison.  `failed`: paths with the reason."""

    version: str = ""
    files: int = 0
    bytes: int = 0
    compared: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def rehearse(
    vault: Vault, scratch: Path, count: int, bytes_max: int, clock: Clock, rng: random.Random, told: Told
) -> Rehearsed:
    """Bring `count` files of a random version back below `scratch`, which is ours; what came of it is remembered.

    Nothing that this machine knows of the store is used, its catalog included.  Files beyond `bytes_max` altogether are
    left out, but for the first.
    """
    bare = replace(vault, cache=None)
    repository = bare.open()
    try:
        vision = Vision(bare, repository)
        if not vision.snapshots:
            raise NothingToRehearse(where=vault.url)
        version = rng.choice(vision.snapshots)
        done = Rehearsed(version.short)
        chosen = _chosen(vision.below(vision.meant(version, ".")), count, bytes_max, rng)
        restored = bring(vision, chosen, "", scratch, Overwrite.NEVER, told)
        done.files, done.bytes = restored.files, restored.bytes
        done.failed += restored.missing
        done.failed += [(str(error.facts.get("where", "")), str(error)) for error in vision.damaged]
        for found in chosen:
            _compare(found, scratch, done)
    finally:
        repository.close()
    trial = Rehearsal(clock.now(), done.files, done.bytes, 1, len(done.failed))
    vault.remember(replace(vault.record(), rehearsal=trial))
    return done


def _chosen(found: Iterable[Found], count: int, bytes_max: int, rng: random.Random) -> list[Found]:
    """So many files at random, each as likely as any other, whatever their number."""
    chosen: list[Found] = []
    seen = 0
    for one in found:
        if one.node.type is not NodeType.FILE:
            continue
        seen += 1
        if len(chosen) < count:
            chosen.append(one)
        elif (place := rng.randrange(seen)) < count:
            chosen[place] = one
    kept: list[Found] = []
    size = 0
    for one in chosen:
        if kept and size + one.node.size > bytes_max:
            continue
        kept.append(one)
        size += one.node.size
    return sorted(kept, key=lambda one: one.path)


def _compare(found: Found, scratch: Path, done: Rehearsed) -> None:
    """With the file it was made of, if that has not changed since."""
    source, copy = Path("/", found.path), scratch / found.path
    try:
        status = os.lstat(source)
        if (status.st_size, status.st_mtime_ns) != (found.node.size, found.node.mtime_ns) or not copy.exists():
            return
        done.compared += 1
        if not filecmp.cmp(source, copy, shallow=False):
            done.failed.append((found.path, "the file on this machine has the same times and other content"))
    except OSError:
        return  # It is gone, or not ours to read: there is nothing to compare with.
