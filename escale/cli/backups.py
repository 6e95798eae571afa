"""`escalectl backup`: versions of backup sections, by hand: save one now, list them, let old ones go, check them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..app.backing import BackupLoop
from ..app.build_backup import build_backup
from ..app.status import Reason
from ..app.wording import Level, Line, line_of, size_text
from ..backup.machine import Machine
from ..backup.repository import NoRepository
from ..backup.snapshot import Snapshot
from ..backup.versions import Versions
from ..conf.settings import BackupSection
from ..errors import NoSuchRelay, UserError
from ..events import Event, Problem, Skipped
from ..files.tree import display
from .care import check, prune
from .exit_codes import DONE, SKIPPED, USAGE, worst
from .passphrases import key, passphrase
from .render import clock_text, explain, json_line, rfc3339, table
from .screens import progress_screen
from .session import Session
from .setup import password_prompt

HEAD = ("version", "when", "section", "host", "files", "size", "added", "paths")


class WhichAct(UserError):
    """what is to be done with the backups? one of: {known}"""

    code = "C110"
    exit_code = USAGE
    advice = "escalectl backup --help explains them"


class NoBackups(UserError):
    """no section of {config} has role = backup"""

    code = "C115"
    exit_code = USAGE
    advice = (
        "How one is written:    man escale.conf    Of the relay of another section:    escalectl backup SECTION FILE"
    )


class NothingToPreview(UserError):
    """-n says what create and prune would do, not {act}"""

    code = "C114"
    exit_code = USAGE


def run(session: Session) -> int:
    """`escalectl backup ACT [SECTION ...]`."""
    words = list(session.options.sections)
    act = words.pop(0) if words else ""
    if act not in ACTS:
        raise WhichAct(known=", ".join(ACTS))
    session.options.sections = words
    if session.options.dry_run and act not in ("create", "prune"):
        raise NothingToPreview(act=act)
    if not session.setup().config.backups:
        raise NoBackups(config=session.setup().config.path)
    code = ACTS[act](session, session.sections)
    if session.options.json:
        print(json_line({"type": "exit", "code": code}), file=session.output)
    return code


def _create(session: Session, sections: Sequence[BackupSection]) -> int:
    """Save now, whatever the schedule says; with -n only say what that would be."""
    state = session.setup().config.state_dir
    screen = progress_screen(session.options, session.environ)
    codes, ahead = [], []
    try:
        for section in sections:
            ask = password_prompt()
            loop: BackupLoop = build_backup(state, section, session.environ, session.clock, screen, ask, at_once=True)
            if session.options.dry_run:
                ahead += loop.preview()
            else:
                codes.append(loop.run_once().exit_code)
    finally:
        screen.close()
    return _tell_ahead(session, ahead) if session.options.dry_run else worst(codes)


def _tell_ahead(session: Session, events: Sequence[Event]) -> int:
    """What would be saved; 3 if a version would lack something."""
    lacks = False
    for event in events:
        lacks = lacks or isinstance(event, Problem) or (isinstance(event, Skipped) and event.reason != Reason.CHANGING)
        line = line_of(event)
        if session.options.json:
            print(json_line(event.as_json()), file=session.output)
        elif line is not None:
            print(line.text, file=session.output)
    return SKIPPED if lacks else DONE


def _init(session: Session, sections: Sequence[BackupSection]) -> int:
    """Make the repository, or accept the one that is there as the right one."""
    for section in sections:
        vault = session.vault(section)
        try:
            repository, verb = vault.open(), "accepted"
        except (NoRepository, NoSuchRelay):
            repository, verb = vault.make(Machine.this(), session.clock), "made"
        vault.remember(replace(vault.record(), repository=repository.config.id, version=""))
        repository.close()
        session.tell(Line(Level.INFO, f"{section.name}: repository {repository.config.id[:8]} at {vault.url} {verb}"))
    return DONE


def _list(session: Session, sections: Sequence[BackupSection]) -> int:
    """Every version in the stores; several sections may share one."""
    rows: list[tuple[str, ...]] = [HEAD]
    codes = [DONE]
    for section in sections:
        vault = session.vault(section)
        repository = vault.open()
        try:
            versions = Versions(repository)
            for version in versions.all():
                rows.append(version_row(section.name, version))
                if session.options.json:
                    print(json_line(version_object(section.name, version)), file=session.output)
        finally:
            repository.close()
        for error in versions.damaged:
            session.tell(explain(error))
            codes.append(SKIPPED)
    if not session.options.json and len(rows) > 1:
        print(table(rows), file=session.output)
    elif len(rows) == 1:
        session.tell(Line(Level.INFO, "there is no version yet"))
    return worst(codes)


def _prune(session: Session, sections: Sequence[BackupSection]) -> int:
    """Let old versions go, and then what no version needs any more."""
    return worst([prune(session, session.vault(section)) for section in sections])


def _check(session: Session, sections: Sequence[BackupSection]) -> int:
    """Is everything there that versions need?"""
    screen = progress_screen(session.options, session.environ)
    try:
        return worst([check(session, session.vault(section), screen) for section in sections])
    finally:
        screen.close()


def version_row(section: str, version: Snapshot) -> tuple[str, ...]:
    """Below HEAD."""
    files, size, added = _amounts(version)
    return (
        version.short,
        clock_text(version.time_ns / 1e9),
        section,
        display(version.hostname),
        "-" if files is None else str(files),
        "-" if size is None else size_text(size),
        "-" if added is None else size_text(added),
        ", ".join(map(display, version.paths)),
    )


def version_object(section: str, version: Snapshot) -> dict[str, object]:
    """The same for programs."""
    files, size, added = _amounts(version)
    return {
        "type": "version",
        "section": section,
        "id": version.id,
        "when": rfc3339(version.time_ns / 1e9),
        "host": version.hostname,
        "user": version.username,
        "paths": list(version.paths),
        "tags": list(version.tags),
        "files": files,
        "bytes": size,
        "bytes_stored": added,
        "program": version.program_version,
    }


def _amounts(version: Snapshot) -> tuple[int | None, int | None, int | None]:
    """Files, their bytes, and what was added: those who saved it may not have told."""
    summary = dict(version.rest).get("summary")
    told = summary if isinstance(summary, dict) else {}
    found = (told.get(name) for name in ("total_files_processed", "total_bytes_processed", "data_added_packed"))
    files, size, added = (one if isinstance(one, int) else None for one in found)
    return files, size, added


def _of_sections(act: Callable[[Session, Sequence[BackupSection]], int]) -> Callable[[Session, Sequence[str]], int]:
    """What is done with the sections of these names, all without."""
    return lambda session, names: act(session, session.setup().chosen_backups(names))


ACTS: dict[str, Callable[[Session, Sequence[str]], int]] = {
    "create": _of_sections(_create),
    "list": _of_sections(_list),
    "prune": _of_sections(_prune),
    "check": _of_sections(_check),
    "init": _of_sections(_init),
    "passphrase": passphrase,
    "key": key,
}
"""What can be done, with the words that follow."""
