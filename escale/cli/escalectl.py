"""escalectl: look at and steer a running escale."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ..app.status import BackupStatus, PendingFile, Reason, SectionState, SectionStatus, ServiceStatus, read_status
from ..app.wording import Level, Line, amount_text, duration_text, files_text, size_text, state_line
from ..errors import EscaleError, NotRunning
from ..files.tree import display
from .arguments import Parser, add_common, duration, first_word, per_cent, suggestion
from .carry import CARRY_COMMANDS
from .decisions import ADOPTED, APPROVE_COMMAND, adopt
from .exit_codes import CONFIGURATION, DECISION, DONE, FAILED, NOT_RUNNING, PENDING
from .peers import PEERS_COMMAND
from .render import Palette, clock_text, error_text, explain, json_line, table
from .session import Command, Session, answered

POLL_S = 0.2
"""Between two looks at the service while somebody waits for it."""

STOP_S = 90.0
"""Longer than the service gives its workers."""

_ALIASES = {"list-pending": "pending"}

_COLOURS = {
    SectionState.IN_STEP: "green",
    SectionState.ERROR: "red",
    SectionState.WAITING: "yellow",
    SectionState.HELD: "yellow",
    SectionState.OFF: "yellow",
}


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """The command; returns the exit code."""
    environ = os.environ if environ is None else environ
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(options, environ)
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    command: Command = options.command
    try:
        session = Session(options, environ, sys.stdout, sys.stderr)
    except EscaleError as error:
        print(error_text(explain(error), Palette()), file=sys.stderr)
        return error.exit_code
    try:
        code = command.run(session)
        sys.stdout.flush()
        return code
    except NotRunning as error:
        return _not_running(session, error)
    except EscaleError as error:
        for problem in error.facts.get("problems", ()):
            print(problem.render(), file=sys.stderr)
        session.tell(explain(error))
        return error.exit_code


def _not_running(session: Session, error: NotRunning) -> int:
    known = read_status(session.instance.status_path)
    text = f"{error} ({error.code})\n{error.next_step}"
    if known is not None:
        age = duration_text(max(0.0, session.clock.now() - known.time))
        text += f"\nlast known state (status file, {age} old): {state_line(known.sections)}"
    session.tell(Line(Level.ERROR, f"{text}\nTry:    escale -d -c {session.instance.config}"))
    return NOT_RUNNING


def status(session: Session) -> int:
    """How everything is."""
    options = session.options
    try:
        report, is_running = session.connect().status(), True
    except NotRunning:
        known = read_status(session.instance.status_path)
        if not options.json or known is None:
            raise
        report, is_running = known, False
    wanted = set(session.sections)
    report = replace(report, sections=tuple(s for s in report.sections if not wanted or s.section in wanted))
    if wanted - {section.section for section in report.sections}:
        return _no_section(session, report)
    if options.json:
        print(json.dumps({**report.as_json(), "running": is_running}), file=session.output)
    elif options.short:
        for section in report.sections:
            word = section.state.short
            print(word if len(report.sections) == 1 else f"{section.section} {word}", file=session.output)
    else:
        print(_status_text(report, session), file=session.output)
    if not is_running:
        return NOT_RUNNING
    return _verdict(report.sections) if options.check else DONE


def _no_section(session: Session, report: ServiceStatus) -> int:
    session.tell(Line(Level.ERROR, f"there is no section {', '.join(session.sections)} in {report.config}"))
    return FAILED


def _verdict(sections: Sequence[SectionStatus]) -> int:
    if any(section.needs or section.state in (SectionState.ERROR, SectionState.OFF) for section in sections):
        return DECISION
    return DONE if all(section.state is SectionState.IN_STEP for section in sections) else PENDING


def _status_text(report: ServiceStatus, session: Session) -> str:
    now = session.clock.now()
    up = duration_text(report.time - report.started)
    head = f"escale {report.version} on {report.host}, process {report.pid}, up {up}, {report.config}"
    synced = [section for section in report.sections if section.backup is None]
    saved = [section for section in report.sections if section.backup is not None]
    lines = _coloured(
        session, ("section", "state", "to send", "to receive", "relay", "last pass", "peers"), synced, now
    )
    lines += [""] if synced and saved else []
    lines += _coloured(session, ("backup", "state", "versions", "newest", "next", "last rehearsal"), saved, now)
    needs = [(f"  {s.section}", display(need.sentence), need.command) for s in report.sections for need in s.needs]
    needs += [("  conf", sentence, f"escale check -c {report.config}") for sentence in report.problems]
    tail = ["", session.colours.paint("needs you", "bold"), table(needs)] if needs else []
    return "\n".join([head, "", *lines, *tail])


def _coloured(session: Session, head: tuple[str, ...], sections: Sequence[SectionStatus], now: float) -> list[str]:
    if not sections:
        return []
    first, *rest = table([head, *(_row(section, now) for section in sections)]).splitlines()
    return [
        first,
        *(
            line.replace(section.state, session.colours.paint(section.state, _COLOURS.get(section.state, "")), 1)
            if section.state not in section.section
            else line
            for line, section in zip(rest, sections, strict=True)
        ),
    ]


def _backup_row(section: SectionStatus, backup: BackupStatus, now: float) -> tuple[str, ...]:
    newest = "-" if backup.newest is None else f"{duration_text(max(0.0, now - backup.newest))} old"
    following = "-" if backup.next_run is None else clock_text(backup.next_run)
    rehearsed = "never" if backup.rehearsed is None else f"{duration_text(max(0.0, now - backup.rehearsed))} ago"
    return (section.section, section.state.value, str(backup.versions), newest, following, rehearsed)


def _row(section: SectionStatus, now: float) -> tuple[str, ...]:
    if section.backup is not None:
        return _backup_row(section, section.backup, now)
    used = "-" if section.relay_used is None else size_text(section.relay_used)
    if section.relay_used is not None and section.relay_quota is not None:
        used = f"{used} of {size_text(section.relay_quota)}"
    last = "-" if section.last_pass is None else f"{duration_text(max(0.0, now - section.last_pass))} ago"
    pullers = len(section.received_by) + len(section.awaited)
    peers = f"{len(section.received_by)} of {pullers}" if pullers else "-"
    sent, received = amount_text(section.to_send), amount_text(section.to_receive)
    return (section.section, section.state.value, sent, received, used, last, peers)


def pending(session: Session) -> int:
    """Why each file is not there yet."""
    options = session.options
    lists, problems = session.connect().pending(session.sections)
    if problems:
        session.tell(Line(Level.ERROR, "; ".join(problems)))
        return FAILED
    found = [(name, file) for name, files in lists.items() for file in files if _is_wanted(file, options)]
    if options.json:
        for name, file in found:
            print(json_line({"type": "pending", "section": name, **asdict(file)}), file=session.output)
    elif options.null:
        session.output.flush()
        for _, file in found:
            sys.stdout.buffer.write(os.fsencode(file.path) + b"\0")
    elif found:
        print(_pending_text([file for _, file in found], session.clock.now()), file=session.output)
    else:
        session.tell(Line(Level.INFO, "nothing is pending"))
    return PENDING if found and options.check else DONE


def _is_wanted(file: PendingFile, options: argparse.Namespace) -> bool:
    return options.reason in (None, file.reason) and options.page in (None, file.page)


def _pending_text(files: Sequence[PendingFile], now: float) -> str:
    rows = [("reason", "since", "page", "file", "size")]
    for file in files:
        since = "-" if file.since is None else _since(file.since, now)
        name = f"{display(file.path)}  ({display(file.message)})" if file.message else display(file.path)
        rows.append((file.reason.value, since, display(file.page) or "-", name, size_text(file.size)))
    reasons = sorted({file.reason for file in files})
    meanings = "; ".join(f"{reason}: {reason.meaning}" for reason in reasons)
    return f"{table(rows)}\n{files_text(len(files))}, {size_text(sum(file.size for file in files))}.  {meanings}"


def _since(since: float, now: float) -> str:
    return "now" if now - since < 5 else clock_text(since)


def conflicts(session: Session) -> int:
    """List and settle conflicts."""
    from .conflicts import run  # Looks at the folder itself, which takes more to import than asking the service.

    return run(session)


def backup(session: Session) -> int:
    """Versions of backup sections; or as in 0.7 the relay of a section into an archive."""
    from . import backups, carry  # They speak to the stores themselves.

    return carry.backup(session) if carry.is_archive_form(session, backups.ACTS) else backups.run(session)


def sync(session: Session) -> int:
    """Do a pass now; with --adopt, say first what is right."""
    if session.options.adopt:
        return adopt(session, session.options.adopt)
    return answered(session, session.connect().request("sync", session.sections), FAILED)


def reload(session: Session) -> int:
    """Read the configuration again."""
    return answered(session, session.connect().request("reload"), CONFIGURATION)


def stop(session: Session) -> int:
    """End the service, and wait until it has ended."""
    remote = session.connect()
    remote.request("stop")
    deadline = session.clock.monotonic() + STOP_S
    while remote.is_running():
        if session.clock.monotonic() > deadline:
            session.tell(Line(Level.ERROR, "it has not ended yet; it finishes the step in hand"))
            return FAILED
        session.clock.sleep(POLL_S)
    session.tell(Line(Level.INFO, "stopped"))
    return DONE


def wait(session: Session) -> int:
    """Wait until a pass that began after this call has left every section in step."""
    remote, clock, options = session.connect(), session.clock, session.options
    code = answered(session, remote.request("sync", session.sections), FAILED)
    if code != DONE:
        return code
    wanted = set(session.sections)
    deadline = None if options.timeout is None else clock.monotonic() + options.timeout
    while True:
        sections = [s for s in remote.status().sections if not wanted or s.section in wanted]
        if all(section.state is SectionState.IN_STEP for section in sections):
            session.tell(Line(Level.INFO, state_line(sections)))
            return DONE
        if deadline is not None and clock.monotonic() >= deadline:
            late = f"not in step after {duration_text(options.timeout)}: {state_line(sections)}"
            session.tell(Line(Level.WARNING, late))
            return _verdict(sections) or PENDING
        clock.sleep(POLL_S)


def _status_options(parser: Parser) -> None:
    _answer_options(parser)
    parser.add_argument("--short", action="store_true", help="one word per section")


def _pending_options(parser: Parser) -> None:
    _answer_options(parser)
    parser.add_argument("--reason", choices=[reason.value for reason in Reason], help="only files with this reason")
    parser.add_argument("--page", help="only files of this page")
    parser.add_argument("-0", "--null", action="store_true", help="paths only, each ended by a zero byte")


def _answer_options(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="objects instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 0 in step, 4 pending, 5 a decision is needed")


def _sync_options(parser: Parser) -> None:
    texts = "; ".join(f"{word}: {text}" for word, text in ADOPTED.items())
    parser.add_argument("--adopt", metavar="SIDE", choices=[*ADOPTED], help=texts)


def _conflicts_options(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one object per conflict")


def _backup_options(parser: Parser) -> None:
    add = parser.add_argument
    add("--json", action="store_true", help="objects instead of tables")
    add("-f", "--fast", action="store_true", help=argparse.SUPPRESS)  # 0.7, of the archive of a relay
    add(
        "-n",
        "--dry-run",
        action="store_true",
        help="create, prune: say what would be saved, or which versions would go; change nothing",
    )
    add("--host", metavar="NAME", default="", help="prune: the versions of another machine, which only adds")
    add("--yes", action="store_true", help="prune: do not ask, however many versions go")
    add(
        "--read-data",
        metavar="PERCENT",
        nargs="?",
        const=100.0,
        default=0.0,
        type=per_cent,
        help="check: read so much of the data to its end; all of it without a number",
    )
    add("--repair", action="store_true", help="check: mend what can be mended, alone in the repository")
    add("--new", metavar="FILE", help="passphrase, key add: the new one is its first line; without it you are asked")
    add("--progress", metavar="HOW", choices=("auto", "plain", "none"), default="auto", help="auto, plain or none")


def _wait_options(parser: Parser) -> None:
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="give up after TIME (exit 4 or 5)")


COMMANDS = {
    "status": Command(status, "how everything is, and what needs you", _status_options),
    "pending": Command(pending, "why each file is not there yet", _pending_options),
    "peers": PEERS_COMMAND,
    "conflicts": Command(
        conflicts,
        "two edits of one path: look at both, keep one or both",
        _conflicts_options,
        "WORD",
        "[SECTION] [show N | diff N | keep N ... plain|CLIENT|both]; without words the list",
    ),
    "sync": Command(sync, "do a pass now", _sync_options),
    "wait": Command(wait, "wait until everything is in step", _wait_options),
    "approve": APPROVE_COMMAND,
    "backup": Command(
        backup,
        "versions: save one now, list them, let old ones go, check them",
        _backup_options,
        "ACT",
        "create | list | prune | check | init, and the sections; all with role = backup without;"
        " passphrase SECTION: another one; key list | add SECTION | remove SECTION ID;"
        " or SECTION ARCHIVE: the relay of a section into a new tar file",
    ),
    **CARRY_COMMANDS,
    "stop": Command(stop, "end the service"),
    "reload": Command(reload, "read the configuration again"),
}
"""What `escalectl` can be told, in the order of its help."""


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    words = [_ALIASES.get(word, word) for word in arguments]
    lines = "\n".join(f"  {name:9} {command.text}" for name, command in COMMANDS.items())
    top = Parser(
        prog="escalectl",
        usage="escalectl COMMAND [-c FILE] [SECTION ...] [--json] ...",
        description="Look at and steer a running escale.",
        epilog=f"commands:\n{lines}\n\nescalectl COMMAND --help explains one command.  Manual: man escalectl",
    )
    _add_places(top)
    add_common(top)
    position = first_word(words, top)
    if position is None:
        top.parse_args(words)
        top.error("which command?")
    name = words.pop(position)
    if name not in COMMANDS:
        top.error(f"unknown command '{name}'\n{suggestion(name, [*COMMANDS])}".rstrip())
    return _command_parser(name, COMMANDS[name]).parse_intermixed_args(words)


def _command_parser(name: str, command: Command) -> Parser:
    parser = Parser(prog=f"escalectl {name}", description=f"{command.text[0].upper()}{command.text[1:]}.")
    parser.set_defaults(command=command, json=False)
    parser.add_argument("sections", metavar=command.words, nargs="*", help=command.words_text)
    _add_places(parser)
    command.add_options(parser)
    add_common(parser)
    return parser


def _add_places(parser: Parser) -> None:
    parser.add_argument("--socket", metavar="PATH", help="control socket of the service")
    parser.add_argument("-r", "--repository", metavar="SECTION", help=argparse.SUPPRESS)


if __name__ == "__main__":
    sys.exit(main())
