"""escale: the command.  Finds out which command is meant, and turns whatever happens into words and an exit code.

Commands are imported when they are used: `--help` has to be quicker than the libraries of the storages.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import EscaleError
from .arguments import Parser, add_common, duration, first_word, take_environment
from .exit_codes import DONE, INTERRUPTED

if TYPE_CHECKING:
    from ..conf.problems import Problem
    from .setup import Build

COMMANDS = {
    "run": "synchronise; the same as without a command",
    "demo": "two clients and a relay in a temporary folder, to see it work",
    "check": "test the configuration, the folder and the relay",
    "keygen": "make or show an encryption key",
    "config": "show, explain or upgrade settings",
}

RESTART = ("-r", "--auto-restart")

_EPILOG = "commands:\n" + "\n".join(f"  {name:8} {text}" for name, text in list(COMMANDS.items())[1:])
_EPILOG += """

examples:
  escale demo                      see it work, without a network
  escale -c work.conf --once       one pass, then exit
  escale -c work.conf work         only the section [work], until Ctrl-C

Running services: escalectl.  Manual: man escale
"""


def main() -> int:
    """The entry point; returns the exit code.

    Does not return if a step had to be left in its thread: it would hold up the end, and the next start mends it.
    """
    code = run_command(sys.argv[1:], os.environ)
    if threading.active_count() > 1:
        sys.stderr.flush()
        os._exit(code)
    return code


def run_command(arguments: Sequence[str], environ: Mapping[str, str], build: Build | None = None) -> int:
    """The command with these arguments; returns the exit code.  `build` makes the engine of a section."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(list(arguments), environ, build)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: list[str], environ: Mapping[str, str], build: Build | None) -> int:
    parser = run_parser()
    position = first_word(arguments, parser, RESTART)
    word = arguments[position] if position is not None else ""
    name = "run" if position is None or word not in COMMANDS else arguments.pop(position)
    try:
        return _dispatch(name, arguments, environ, build)
    except EscaleError as error:
        return _explain(error, arguments, environ, said=name == "config")
    except BrokenPipeError:
        raise
    except Exception as error:
        return _unexpected(error, arguments, environ)


def _dispatch(name: str, arguments: list[str], environ: Mapping[str, str], build: Build | None) -> int:
    if name == "run":
        parser = run_parser()
        take_environment(parser, environ)
        options = parser.parse_intermixed_args(_with_restart_time(arguments))
        _complain_about(options, parser)
        from .run import run

        return run(options, environ, build)
    if name == "demo":
        from . import demo

        return demo.run(demo.parser().parse_args(arguments), environ)
    if name == "check":
        from . import check

        return check.run(check.parser().parse_intermixed_args(arguments), environ)
    if name == "keygen":
        from . import keygen

        return keygen.run(keygen.parser().parse_intermixed_args(arguments), environ)
    from . import config

    return config.main(arguments, environ)


def run_parser() -> Parser:
    """The options of `escale [run]`."""
    parser = Parser(
        prog="escale",
        usage="escale [-c FILE] [-n] [--once] [SECTION ...]\n       escale COMMAND ...",
        description="Keep folders in step between machines that can reach the same storage but not\n"
        "each other. Without a command: synchronise in the foreground until Ctrl-C.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("sections", metavar="SECTION", nargs="*", help="only these sections of the file")
    add("-n", "--dry-run", action="store_true", help="show what one pass would do, change nothing")
    add("--exit-code", action="store_true", help="with --dry-run: exit 4 if there is something to do")
    add("--once", action="store_true", help="one pass in each direction, then exit")
    add("--timeout", metavar="TIME", type=duration, help="with --once: give up after TIME")
    add("-d", "--daemon", action="store_true", help="go to the background (systemd: leave this out)")
    add("--pid-file", metavar="FILE", help="write the process number there, too")
    add(
        *RESTART,
        metavar="[SEC]",
        type=duration,
        help="go on SEC seconds after a failure, instead of longer and longer waits",
    )
    add("--json", action="store_true", help="one JSON object per event on standard output")
    add(
        "--progress",
        metavar="HOW",
        choices=("auto", "plain", "none"),
        default="auto",
        help="auto (bars on a terminal), plain or none",
    )
    add("-y", "--accept-license", action="store_true", help=argparse.SUPPRESS)
    add_common(parser)
    return parser


def _with_restart_time(arguments: Sequence[str]) -> list[str]:
    """`-r work` means the section, not a time; argparse would take whatever follows."""
    made = []
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        is_alone = word in RESTART and not following[:1].isdigit()
        made.append("--auto-restart=0" if is_alone else word)
    return made


def _complain_about(options: argparse.Namespace, parser: Parser) -> None:
    if options.dry_run and (options.once or options.daemon):
        parser.error("--dry-run goes neither with --once nor with --daemon")
    if options.once and options.daemon:
        parser.error("--once and --daemon exclude each other")
    if options.timeout is not None and not options.once:
        parser.error("--timeout needs --once")
    if options.json and options.daemon:
        parser.error("--json and --daemon exclude each other: nobody reads standard output")


def _explain(error: EscaleError, arguments: Sequence[str], environ: Mapping[str, str], said: bool = False) -> int:
    """Say what ended the command; the problems of a configuration come first, unless the command has `said` them."""
    from .render import error_text, explain, json_line, palette_for

    problems = () if said else error.facts.get("problems", ())
    if "--json" in arguments:
        for problem in problems:
            print(json_line({"type": "problem", "code": problem.code, "message": problem.message, **_place(problem)}))
        print(json_line({"type": "problem", "code": error.code, "message": str(error), "advice": error.next_step}))
        print(json_line({"type": "exit", "code": error.exit_code}))
    else:
        for problem in problems:
            print(problem.render(), file=sys.stderr)
        print(error_text(explain(error), palette_for(sys.stderr, "auto", environ)), file=sys.stderr)
    return error.exit_code


def _place(problem: Problem) -> dict[str, object]:
    place = {"file": str(problem.file), "line": problem.line, "column": problem.column}
    return {**place, "severity": problem.severity.value, "advice": problem.hint}


def _unexpected(error: Exception, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """A mistake of ours: two sentences for the user, the traceback in a file, or here with -vv."""
    if any(word == "-vv" for word in arguments) or arguments.count("-v") + arguments.count("--verbose") > 1:
        raise error
    from ..app.logs import keep_traceback
    from ..clock import SystemClock
    from ..conf.places import state_directory

    problem = keep_traceback(state_directory(environ) / "errors.log", "escale", error, SystemClock().now())
    return _explain(_Told(what=problem.message, advice_text=problem.advice), arguments, environ)


class _Told(EscaleError):
    """{what}"""

    advice = "{advice_text}"


if __name__ == "__main__":
    sys.exit(main())
