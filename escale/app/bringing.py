"""Bringing: files of a version back to a directory, or to where they were, with what is there put aside first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..backup.fetch import Fetch
from ..backup.node import NodeType
from ..backup.restore import Restore, Restored
from ..backup.versions import Found
from ..errors import LocalError
from ..files.batch import Batch, batch_name
from ..files.exchange import Spot, move
from ..files.overwrite import Overwrite
from .vision import Vision

Told = Callable[[int, int], None]
"""Called with the files and bytes that are back."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Files and their bytes."""

    files: int
    bytes: int


def amount_of(found: Iterable[Found]) -> Amount:
    """How much there is; directories do not count."""
    files = size = 0
    for one in found:
        if one.node.type is not NodeType.DIRECTORY:
            files += 1
            size += one.node.size
    return Amount(files, size)


def relative(found: Iterable[Found], base: str) -> Iterator[Found]:
    """The same with paths relative to `base`; what is not below it is left out, and so is itself."""
    beginning = f"{base}/" if base else ""
    for one in found:
        if one.path != base and one.path.startswith(beginning):
            yield Found(one.path[len(beginning) :], one.node)


def bring(
    vision: Vision, found: Iterable[Found], base: str, target: Path, overwrite: Overwrite, told: Told
) -> Restored:
    """Below a directory, which is made; LocalError, NoLocalSpace."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(path=target, reason=error.strerror or str(error)) from error
    with Fetch(vision.repository, vision.vault.connections) as fetch:
        return Restore(vision.repository, target, fetch, overwrite, report=told).run(relative(found, base))


def bring_in_place(vision: Vision, found: Iterable[Found], root: str, now: float, told: Told) -> Restored:
    """Below `root` as it was when it was saved; what is replaced goes to its trash, in a batch of its own."""
    target = Path("/", root)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(path=target, reason=error.strerror or str(error)) from error
    with ExitStack() as stack:
        batch = stack.enter_context(Batch(target, batch_name(now)))
        fetch = stack.enter_context(Fetch(vision.repository, vision.vault.connections))

        def put_aside(parent: int, name: bytes, path: str) -> None:
            move(Spot(parent, name), batch.spot(path))

        restore = Restore(vision.repository, target, fetch, Overwrite.ALWAYS, put_aside, told)
        return restore.run(relative(found, root))


def roots_of(vision: Vision, paths: Iterable[str], found: Iterable[Found]) -> dict[str, list[Found]]:
    """What is to be brought back in place, by the folder that it was saved with."""
    roots = sorted((path.strip("/") for path in paths), key=len, reverse=True)
    groups: dict[str, list[Found]] = {}
    for one in found:
        root = next((root for root in roots if not root or one.path == root or one.path.startswith(f"{root}/")), None)
        if root is None:
            root = os.path.dirname(one.path)
        elif one.path == root and one.node.type is not NodeType.DIRECTORY:
            root = os.path.dirname(root)  # What was saved is one file.
        groups.setdefault(root, []).append(one)
    return groups
