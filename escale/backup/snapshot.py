"""Snapshots: one version of a set of paths, by one machine at one time.  A version exists when its snapshot does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import Corrupt
from .ids import is_id
from .moments import ns_of, text_of


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A version.

    `tree`: id (hex) of the tree above all paths; `time_ns`: Unix ns when it was begun; `paths`: absolute, as the user
    named them; `parent`: the version it was compared with, or "".  `id` is the name of its object, "" until it has one.
    `rest` holds what other programs wrote beside that (a summary, the id before it was tagged), kept as it is.
    """

    tree: str
    time_ns: int
    paths: tuple[str, ...]
    hostname: str
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parent: str = ""
    program_version: str = ""
    rest: tuple[tuple[str, Any], ...] = ()
    id: str = ""

    def encode(self) -> bytes:
        """JSON as restic reads it."""
        fields: tuple[tuple[str, object, bool], ...] = (
            ("time", text_of(self.time_ns), True),
            ("parent", self.parent, False),
            ("tree", self.tree, True),
            ("paths", list(self.paths), True),
            ("hostname", self.hostname, False),
            ("username", self.username, False),
            ("uid", self.uid, False),
            ("gid", self.gid, False),
            ("excludes", list(self.excludes), False),
            ("tags", list(self.tags), False),
            ("program_version", self.program_version, False),
        )
        found = {key: value for key, value, is_always in fields if is_always or value} | dict(self.rest)
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")

    @classmethod
    def decode(cls, clear: bytes, snapshot_id: str, where: str) -> Self:
        """What restic or we wrote; Corrupt for anything else."""
        try:
            found = json.loads(clear)
            tree, parent = found["tree"], found.get("parent") or ""
            if not is_id(tree) or (parent and not is_id(parent)):
                raise ValueError("an id is none")
            known = {"time", "parent", "tree", "paths", "hostname", "username", "uid", "gid", "excludes", "tags"}
            known.add("program_version")
            return cls(
                tree=tree,
                time_ns=ns_of(found["time"]),
                paths=_texts(found.get("paths")),
                hostname=str(found.get("hostname", "")),
                username=str(found.get("username", "")),
                uid=int(found.get("uid", 0)),
                gid=int(found.get("gid", 0)),
                excludes=_texts(found.get("excludes")),
                tags=_texts(found.get("tags")),
                parent=parent,
                program_version=str(found.get("program_version", "")),
                rest=tuple((key, value) for key, value in found.items() if key not in known),
                id=snapshot_id,
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Corrupt(where=where, reason="it is not a version") from error

    def named(self, snapshot_id: str) -> Self:
        """The same, stored under this name."""
        return replace(self, id=snapshot_id)

    @property
    def short(self) -> str:
        """What people type."""
        return self.id[:8]


def _texts(found: Any) -> tuple[str, ...]:
    texts = tuple(found or ())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a list holds what is no text")
    return texts
