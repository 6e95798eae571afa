"""The commands of `escale-restore` over backups: list, ls, find, history, diff, verify, rehearse."""

from __future__ import annotations

import random
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..app.rehearsal import Rehearsed, rehearse
from ..app.vision import Sighting, Vision
from ..app.wording import Level, Line, files_text, size_text
from ..backup.node import Node, NodeType
from ..backup.snapshot import Snapshot
from ..backup.versions import Found, NoVersion
from ..files.tree import display
from .backups import HEAD, version_object, version_row
from .care import check
from .exit_codes import DONE, FAILED, SKIPPED, worst
from .moment import Point, point
from .render import clock_text, explain, json_line, rfc3339, table
from .screens import progress_screen
from .session import Session
from .visions import Visions

BACKUP = "backup"
_LETTERS = {NodeType.DIRECTORY: "/", NodeType.LINK: "@", NodeType.FIFO: "|", NodeType.SOCKET: "="}


def version_of(vision: Vision, at: Point) -> Snapshot | None:
    """The version of a point; None if the repository has none of then."""
    try:
        return vision.at(at.version or None, at.moment.time)
    except NoVersion:
        if ":" in at.version:
            raise
        return None


def list_versions(session: Session, visions: Visions) -> int:
    """All of them."""
    rows: list[tuple[str, ...]] = [HEAD]
    for vision in visions:
        for version in vision.snapshots:
            rows.append(version_row(vision.vault.section, version))
            if session.options.json:
                print(json_line(version_object(vision.vault.section, version)), file=session.output)
    if not session.options.json and len(rows) > 1:
        print(table(rows), file=session.output)
    return tell_damage(session, visions)


def tell_damage(session: Session, visions: Visions) -> int:
    """What could not be read: 3 if there is anything."""
    found = {str(error): error for vision in visions for error in vision.damaged}
    for error in found.values():
        session.tell(explain(error))
    return SKIPPED if found else DONE


# -- ls


def list_directory(session: Session, visions: Visions, at: Point, path: str) -> int | None:
    """What was in a directory, or all that was below it; None if no version has it."""
    is_found = False
    for vision in visions:
        version = version_of(vision, at)
        for found in vision.meant(version, path) if version else []:
            is_found = True
            assert version is not None, "it was found there"
            _print_directory(session, vision, version, found)
    return tell_damage(session, visions) if is_found else None


def _print_directory(session: Session, vision: Vision, version: Snapshot, found: Found) -> None:
    base = vision.base(version)
    if found.node.type is not NodeType.DIRECTORY:
        inside = [found]
    elif session.options.recursive:
        inside = [one for one in vision.below([found]) if one.path != found.path]
    else:
        inside = vision.inside(found)
    if session.options.json:
        for one in inside:
            print(json_line(node_object(vision, version, one.path, one.node)), file=session.output)
        return
    session.tell(Line(Level.INFO, f"version {version.short} of {clock_text(version.time_ns / 1e9)}, /{found.path}"))
    rows = [_ls_row(one, base) for one in inside]
    if rows:
        print(table(rows), file=session.output)


def _ls_row(found: Found, base: str) -> tuple[str, ...]:
    node = found.node
    size = size_text(node.size) if node.type is NodeType.FILE else "-"
    name = display(_told(found.path, base)) + _LETTERS.get(node.type, "")
    target = f" -> {display(node.target)}" if node.type is NodeType.LINK else ""
    return (stat.filemode(node.mode)[1:], size, clock_text(node.mtime_ns / 1e9), f"{name}{target}")


def _told(path: str, base: str) -> str:
    return path[len(base) + 1 :] if base and path.startswith(f"{base}/") else f"/{path}"


def node_object(vision: Vision, version: Snapshot, path: str, node: Node | None) -> dict[str, object]:
    """A path of a version for programs."""
    values: dict[str, object] = {
        "type": "node",
        "section": vision.vault.section,
        "from": BACKUP,
        "version": version.id,
        "when": rfc3339(version.time_ns / 1e9),
        "path": f"/{path}",
        "kind": "gone" if node is None else node.type.value,
    }
    if node is not None:
        values |= {"size": node.size, "mtime": rfc3339(node.mtime_ns / 1e9), "mode": f"{node.mode:04o}"}
    return values


# -- find and history


def sightings(visions: Visions, name: str) -> list[tuple[Vision, Sighting]]:
    """Every content of every file that may be meant, in all repositories."""
    return [(vision, one) for vision in visions for one in vision.find(name)]


def histories(visions: Visions, path: str) -> list[tuple[Vision, Sighting]]:
    """Every content of one path, in all repositories."""
    return [(vision, one) for vision in visions for one in vision.history(path)]


def sighting_row(vision: Vision, one: Sighting) -> tuple[str, ...]:
    """Below the head of what was found on shelves."""
    when, node = clock_text(one.version.time_ns / 1e9), one.node
    size = "gone" if node is None else "link" if node.type is NodeType.LINK else size_text(node.size)
    path = _told(one.path, vision.base(one.version))
    return (when, vision.vault.section, BACKUP, size, display(path), f"version {one.version.short}")


# -- diff


def diff(session: Session, words: Sequence[str], visions: Visions) -> int | None:
    """What changed: TIME [TIME] [PATH]; with one time up to the newest version.  None if nothing can be compared."""
    words, now = list(words), session.clock.now()
    first = point(words.pop(0), now)
    second = Point()
    if words and (len(words) > 1 or not _is_path(words[0])):
        second = point(words.pop(0), now)
    path = words.pop(0) if words else "."
    is_compared = False
    for vision in visions:
        before, after = version_of(vision, first), version_of(vision, second)
        if before is None or after is None:
            continue
        is_compared = True
        _print_changes(session, vision, before, after, path)
    return tell_damage(session, visions) if is_compared else None


def _is_path(word: str) -> bool:
    return "/" in word or word.startswith(".") or not word[:1].isalnum()


def _print_changes(session: Session, vision: Vision, before: Snapshot, after: Snapshot, path: str) -> None:
    counts = dict.fromkeys("+-MTU", 0)
    base = vision.base(after)
    for sign, changed, node in vision.changes(before, after, path):
        counts[sign] += 1
        if session.options.json:
            values = node_object(vision, after, changed, node) | {"type": "change", "sign": sign, "before": before.id}
            print(json_line(values), file=session.output)
        else:
            mark = "/" if node is not None and node.type is NodeType.DIRECTORY else ""
            print(f"{sign}  {display(_told(changed, base))}{mark}", file=session.output)
    text = ", ".join(f"{counts[sign]} {word}" for sign, word in zip("+-MTU", _WORDS, strict=True) if counts[sign])
    session.tell(Line(Level.INFO, f"{before.short} to {after.short}: {text or 'nothing changed'}"))


_WORDS = ("new", "gone", "changed", "of another kind", "with other attributes only")


# -- verify and rehearse


def verify(session: Session, visions: Visions) -> int:
    """Is everything there that versions need?"""
    screen = progress_screen(session.options, session.environ)
    try:
        return worst([check(session, vault, screen) for vault in visions.vaults()])
    finally:
        screen.close()


def rehearse_all(session: Session, visions: Visions) -> int:
    """Bring a random sample back elsewhere, and compare."""
    codes = []
    for vault in visions.vaults():
        with tempfile.TemporaryDirectory(prefix="escale-rehearsal-", dir=session.options.to) as scratch:
            count, bytes_max = session.options.files, session.options.size
            done = rehearse(
                vault, Path(scratch), count, bytes_max, session.clock, random.SystemRandom(), lambda files, size: None
            )
        codes.append(_tell_rehearsed(session, vault.section, done))
    return worst(codes)


def _tell_rehearsed(session: Session, section: str, done: Rehearsed) -> int:
    if session.options.json:
        values = {"version": done.version, "files": done.files, "bytes": done.bytes, "compared": done.compared}
        failed = [{"path": path, "reason": reason} for path, reason in done.failed]
        print(json_line({"type": "rehearsed", "section": section, **values, "failed": failed}), file=session.output)
    for path, reason in done.failed:
        session.tell(Line(Level.ERROR, f"{section}: {display(path)}: {reason}"))
    text = f"{files_text(done.files)}, {size_text(done.bytes)} of version {done.version} restored and verified"
    compared = f"; {done.compared} compared with the files here" if done.compared else ""
    verdict = f"; {len(done.failed)} failed" if done.failed else ""
    session.tell(Line(Level.INFO, f"{section}: {text}{compared}{verdict}"))
    return FAILED if done.failed and not done.files else SKIPPED if done.failed else DONE
