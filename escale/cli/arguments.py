"""Command lines: parsers that suggest what was meant, options from the environment, and finding the command word."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

from .. import __version__

_YES = dict.fromkeys(("1", "yes", "on", "true"), True) | dict.fromkeys(("0", "no", "off", "false", ""), False)
_DURATION = re.compile(r"(\d+(?:[.,]\d+)?) *(s|min|h|d|w)?")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, with "did you mean", and with help that keeps its line breaks."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, add_help=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, what may have been meant, and where to read on; exit code 2."""
        hint = self._suggestion(message)
        self.exit(2, f"{self.prog}: {message}\n{hint}Try:  {self.prog} --help\n")

    def _suggestion(self, message: str) -> str:
        unknown = re.match(r"unrecognized arguments: (-\S+)", message)
        if unknown is None:
            return ""
        known = [option for action in self._actions for option in action.option_strings]
        return suggestion(unknown[1].partition("=")[0], known)


def suggestion(word: str, known: Sequence[str]) -> str:
    """A line "did you mean ...?", or nothing."""
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return f"      did you mean '{close[0]}'?\n" if close else ""


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    group = parser.add_argument_group("common options")
    group.add_argument("-c", "--config", metavar="FILE", help="configuration file (.conf or .toml)")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice for debugging")
    group.add_argument("-q", "--quiet", action="store_true", help="errors only")
    group.add_argument(
        "--color", metavar="WHEN", choices=("auto", "always", "never"), default="auto", help="auto, always or never"
    )
    group.add_argument(
        "-V", "--version", action="version", version=f"escale {__version__}", help="print the version and exit"
    )
    group.add_argument("-h", "--help", action="help", help="print this text and exit")


def duration(text: str) -> float:
    """Seconds from `90`, `90 s`, `15 min`, `1.5 h`."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a length of time; examples: 30 s, 15 min, 12 h")
    return float(found[1].replace(",", ".")) * _SECONDS[found[2] or "s"]


def per_cent(text: str) -> float:
    """A number up to 100 from `5%`, `2.5`."""
    try:
        found = float(text.strip().removesuffix("%").replace(",", "."))
    except ValueError:
        found = -1.0
    if not 0 <= found <= 100:
        raise argparse.ArgumentTypeError(f"'{text}' is no share; examples: 5%, 100%")
    return found


def take_environment(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Let ESCALE_NAME give the default of every long option `--name`."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or action.dest in ("help", "version"):
            continue
        for option in action.option_strings:
            variable = f"ESCALE_{option[2:].replace('-', '_').upper()}"
            if option.startswith("--") and variable in environ:
                action.default = _from_environment(parser, action, variable, environ[variable])


def _from_environment(parser: argparse.ArgumentParser, action: argparse.Action, variable: str, text: str) -> object:
    if action.nargs == 0:
        value = _YES.get(text.strip().lower())
        if value is None and not (text.isdigit() and action.dest == "verbose"):
            parser.error(f"{variable} is yes or no, not '{text}'")
        return int(text or 0) if action.dest == "verbose" and text.isdigit() else value
    if action.choices is not None and text not in action.choices:
        parser.error(f"{variable}={text}: choose from {', '.join(map(str, action.choices))}")
    return text


def first_word(arguments: Sequence[str], parser: argparse.ArgumentParser, optional: Container[str] = ()) -> int | None:
    """Where the first free word is, or None: options may stand before it, and some of them take a value.

    The value of options in `optional` may be missing; there a word belongs to the option if it begins with a digit.
    """
    valued = {name for action in parser._actions if action.nargs != 0 for name in action.option_strings}
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            return None
        if not word.startswith("-") or word == "-":
            return position
        following = arguments[position + 1 : position + 2]
        takes_next = word in valued and (word not in optional or (following and following[0][:1].isdigit()))
        position += 2 if takes_next else 1
    return None
