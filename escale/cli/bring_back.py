"""`escale-restore get` from backups: what is meant, how much it is, back with progress, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..app.bringing import Amount, Told, amount_of, bring, bring_in_place, relative, roots_of
from ..app.vision import Vision
from ..app.wording import Level, Line, duration_text, files_text, size_text
from ..backup.node import NodeType
from ..backup.restore import Restored
from ..backup.snapshot import Snapshot
from ..backup.versions import Found
from ..clock import Clock
from ..errors import UserError
from ..events import Progress
from ..files.overwrite import Overwrite
from ..files.tree import display
from .exit_codes import DONE, FAILED, SKIPPED, USAGE
from .moment import Point
from .render import Screen, clock_text, json_line
from .screens import progress_screen
from .session import Session, WhichSection
from .versions import BACKUP, tell_damage, version_of
from .visions import Visions

TELL_S = 0.1
"""Between two looks at how far it is."""


class NobodyToAsk(UserError):
    """{amount} into {place}: there is nobody to ask"""

    code = "C111"
    exit_code = USAGE
    advice = "--yes says that it is right; -n shows what would be done"


def get_from_backups(session: Session, words: Sequence[str], at: Point, visions: Visions) -> int | None:
    """Bring these paths back as they were; None if no version has one of them."""
    able: list[tuple[Vision, Snapshot, list[Found]]] = []
    for vision in visions:
        version = version_of(vision, at)
        if version is None:
            continue
        found = [vision.meant(version, word) for word in words]
        if all(found):
            able.append((vision, version, list({one.path: one for group in found for one in group}.values())))
    if not able:
        tell_damage(session, visions)
        return None
    if len(able) > 1:
        raise WhichSection(known=", ".join(vision.vault.section for vision, _, _ in able))
    code = bring_back(session, *able[0])
    return max(code, tell_damage(session, visions)) if code in (DONE, SKIPPED) else code


def bring_back(session: Session, vision: Vision, version: Snapshot, found: list[Found]) -> int:
    """These of a version: 3 if some could not be, 1 if none."""
    options = session.options
    base = vision.base(version)
    target = _target(session, vision, version)
    amount = _amount(vision, version, found)
    text = f"{files_text(amount.files)}, {size_text(amount.bytes)}"
    place = "the places they were saved from" if options.in_place else display(str(target))
    source = f"version {version.short} of {clock_text(version.time_ns / 1e9)}"
    if options.dry_run:
        return _preview(session, vision, found, base, f"{text} of {source} would be restored to {place}")
    if options.in_place and not _may(session, text, place):
        return DONE
    session.tell(Line(Level.INFO, f"{source}, saved on {display(version.hostname)}"))
    screen = progress_screen(options, session.environ)
    began = session.clock.monotonic()
    try:
        told = _teller(session.clock, screen, vision.vault.section, amount)
        done = _brought(session, vision, version, found, target, told)
    finally:
        screen.close()
    if options.in_place and not options.from_url:
        _wake(session, version)
    return _told(session, vision, done, amount, place, session.clock.monotonic() - began)


def _brought(
    session: Session, vision: Vision, version: Snapshot, found: list[Found], target: Path, told: Told
) -> list[Restored]:
    if not session.options.in_place:
        base = vision.base(version)
        return [bring(vision, vision.below(found), base, target, Overwrite(session.options.overwrite), told)]
    now = session.clock.now()
    groups = roots_of(vision, version.paths, found)
    return [bring_in_place(vision, vision.below(group), root, now, told) for root, group in groups.items()]


def _wake(session: Session, version: Snapshot) -> None:
    """What came back into a folder that is kept in step travels at once, if a service runs."""
    for section in session.setup().config.sections:
        if any(
            section.local_path.is_relative_to(path) or Path(path).is_relative_to(section.local_path)
            for path in version.paths
        ):
            session.wake(section.name)


def _teller(clock: Clock, screen: Screen, section: str, amount: Amount) -> Told:
    """Called for each file; of a hundred thousand small ones nobody wants to see each."""
    shown = clock.monotonic() - TELL_S

    def told(files: int, size: int) -> None:
        nonlocal shown
        if clock.monotonic() - shown < TELL_S:
            return
        shown = clock.monotonic()
        screen(Progress(section, "restore", "", files, max(files, amount.files), size, max(size, amount.bytes)))

    return told


def _amount(vision: Vision, version: Snapshot, found: list[Found]) -> Amount:
    """Of a whole version its summary tells; anything else is counted."""
    summary = dict(version.rest).get("summary")
    if {one.path for one in found} == {path.strip("/") for path in version.paths} and isinstance(summary, dict):
        files, size = summary.get("total_files_processed"), summary.get("total_bytes_processed")
        if isinstance(files, int) and isinstance(size, int):
            return Amount(files, size)
    return amount_of(vision.below(found))


def _target(session: Session, vision: Vision, version: Snapshot) -> Path:
    if session.options.to:
        return Path(session.options.to).expanduser()
    when = "".join(c for c in clock_text(version.time_ns / 1e9) if c.isdigit())
    return Path(f"restored-{vision.vault.section}-{when[:8]}-{when[8:]}")


def _may(session: Session, amount: str, place: str) -> bool:
    if session.options.yes:
        return True
    if not session.can_ask():
        raise NobodyToAsk(amount=amount, place=place)
    question = f"{amount} into {place}; what is there goes to .escale/trash there. Go on? [y/N]:"
    return session.ask(question) in ("y", "yes")


def _preview(session: Session, vision: Vision, found: list[Found], base: str, text: str) -> int:
    for one in relative(vision.below(found), base):
        if session.options.json:
            values = {"type": "restored", "section": vision.vault.section, "path": one.path, "fate": "restored"}
            print(json_line({**values, "from": BACKUP, "reason": ""}), file=session.output)
        elif one.node.type is not NodeType.DIRECTORY:
            print(display(one.path), file=session.output)
    session.tell(Line(Level.INFO, f"{text}. Nothing was written."))
    return DONE


def _told(
    session: Session, vision: Vision, parts: Sequence[Restored], amount: Amount, place: str, seconds: float
) -> int:
    files, size = sum(done.files for done in parts), sum(done.bytes for done in parts)
    missing = [one for done in parts for one in done.missing]
    kept = [path for done in parts for path in done.kept]
    imperfect = [one for done in parts for one in done.imperfect]
    fates = [(path, "failed", reason) for path, reason in missing] + [
        (path, "kept", "something is there") for path in kept
    ]
    fates += [(path, "imperfect", f"without its {what}") for path, what in imperfect]
    for path, fate, reason in fates:
        if session.options.json:
            values = {"type": "restored", "section": vision.vault.section, "path": path, "fate": fate}
            print(json_line({**values, "from": BACKUP, "reason": reason}), file=session.output)
        else:
            session.tell(Line(Level.WARNING, f"{display(path)}: {reason}"))
    here = sum(done.here for done in parts)
    # Links count here, and not in what a version tells of itself.
    wanted = files_text(max(amount.files, files + len(missing) + len(kept)))
    text = f"{files} of {wanted}, {size_text(size)} restored to {place} in {duration_text(seconds)}"
    text += f"; {size_text(here)} were there already" if here else ""
    text += "; all checksums right" if not missing else f"; {len(missing)} missing"
    text += f"; {len(kept)} left as they are" if kept else ""
    session.tell(Line(Level.INFO, text))
    if missing and not files:
        return FAILED
    return SKIPPED if missing or kept else DONE
