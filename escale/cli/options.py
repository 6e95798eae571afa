"""The commands of `escale`, and the options of the one that needs no name: `escale [run]`."""

from __future__ import annotations

import argparse

from .arguments import Parser, add_common, duration

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
    add("-n", "--dry-run", action="store_true", help="show what one pass, or a backup, would do; change nothing")
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
