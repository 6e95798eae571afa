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
from .arguments import Parser, first_word, take_environment
from .exit_codes import DONE, INTERRUPTED
from .options import COMMANDS, RESTART, run_parser

if TYPE_CHECKING:
    from ..conf.problems import Problem
    from .setup import Build


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
