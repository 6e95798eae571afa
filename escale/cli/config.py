"""`escale config`: what the configuration says, what its words mean, and bringing an old one up to date."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .. import __path__ as ours
from .. import errors
from ..app.notices import NOTICES, Notice
from ..conf.faults import FAULTS, Fault, in_general
from ..conf.keys import Key
from ..conf.kinds import Patterns
from ..conf.load import load
from ..conf.lookup import find, suggestion
from ..conf.places import find_config, search_paths, shadowed
from ..conf.problems import Problem, refusal
from ..conf.reference import facts_of
from ..conf.secrets import Secret
from ..conf.settings import Config, Effective
from ..conf.table import KEYS
from ..conf.upgrade import carry_out, plan_upgrade
from ..files.rules import compile_pattern
from .arguments import Parser, add_common, first_word
from .arguments import suggestion as meant
from .exit_codes import CONFIGURATION, DONE, USAGE
from .render import json_line, table

COMMANDS = {
    "show": "the settings of this file and where each comes from",
    "explain": "what a setting or the code of a message means",
    "list": "all settings, with their defaults",
    "upgrade": "bring a file of escale 0.7 up to date",
    "path": "where the file is looked for, and which one is used",
}

PARTS_WITH_ERRORS = ("escale.relay.", "escale.backup.", "escale.app.", "escale.cli.")
"""Errors that concern one part only stand beside it, and are known once it has been imported."""

PATTERN_SAMPLES = ("*.txt", "report", "/.*\\.txt$/")
NAME_SAMPLES = ("notes.txt", "report.txt.old", "reports", "my report")
"""What `explain include` shows, so that the rule of 0.7 is seen and not only read."""


def parser(name: str = "") -> Parser:
    """The options of one of COMMANDS, or those that they have in common."""
    epilog = "commands:\n" + "\n".join(f"  {word:8} {text}" for word, text in COMMANDS.items())
    prog = f"escale config {name}".rstrip()
    made = Parser(prog=prog, description=COMMANDS.get(name, "The configuration."), epilog="" if name else epilog)
    if name == "show":
        made.add_argument("sections", metavar="SECTION", nargs="*", help="only these sections; all without")
        made.add_argument("--effective", action="store_true", help="also what is not in the file: the defaults")
    if name == "explain":
        made.add_argument("words", metavar="KEY|CODE", nargs="+", help="such as: local path, C101")
    if name == "upgrade":
        made.add_argument("-n", "--dry-run", action="store_true", help="show the change, do not make it")
        made.add_argument("--yes", action="store_true", help="do not ask")
    if name in ("show", "list"):
        made.add_argument("--json", action="store_true", help="one JSON object per setting")
    add_common(made)
    return made


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`escale config` with these arguments; returns the exit code.  EscaleError as the commands raise it."""
    words = list(arguments)
    position = first_word(words, parser())
    if position is None:
        parser().parse_args(words)
        print(parser().format_help(), end="", file=sys.stderr)
        return USAGE
    name = words.pop(position)
    if name not in COMMANDS:
        print(f"escale config: unknown command '{name}'\n{meant(name, list(COMMANDS))}", end="", file=sys.stderr)
        return USAGE
    options = parser(name).parse_intermixed_args(words)
    options.command = name
    return run(options, environ, sys.stdout, sys.stderr)


def run(options: argparse.Namespace, environ: Mapping[str, str], output: IO[str], talk: IO[str]) -> int:
    """The command in `options.command`: answers go to `output`, questions and problems to `talk`."""
    commands: dict[str, Callable[[], int]] = {
        "show": lambda: _show(options, environ, output, talk),
        "explain": lambda: _explain(" ".join(options.words), output, talk),
        "list": lambda: _list(options, output),
        "upgrade": lambda: _upgrade(options, environ, output, talk),
        "path": lambda: _path(options, environ, output),
    }
    return commands[options.command]()


def _report(problems: Iterable[Problem], talk: IO[str]) -> None:
    for problem in problems:
        print(problem.render(), file=talk)


# -- show


def _show(options: argparse.Namespace, environ: Mapping[str, str], output: IO[str], talk: IO[str]) -> int:
    loaded = load(find_config(environ, options.config), environ)
    _report(loaded.problems, talk)
    config = loaded.require()
    unknown = sorted(set(options.sections) - {section.name for section in config.everything})
    if unknown:
        print(f"escale config: there is no section '{unknown[0]}'", file=talk)
        return USAGE
    rows = [
        (section, one)
        for section, one in _settings(config)
        if (options.effective or one.origin.file) and (not options.sections or section in options.sections)
    ]
    if options.json:
        for section, one in rows:
            print(json_line(_as_json(section, one)), file=output)
        return DONE
    print(f"# {config.path}", file=output)
    for section in dict.fromkeys(section for section, _ in rows):
        lines = [(one.name, "=", one.text, f"({one.origin})") for name, one in rows if name == section]
        print(f"\n[{section}]" if section else "", file=output)
        print(table(lines), file=output)
    return DONE


def _settings(config: Config) -> Iterator[tuple[str, Effective]]:
    """All settings by section; those of the program have none."""
    yield from (("", one) for one in config.effective)
    for section in config.everything:
        yield from ((section.name, one) for one in section.effective)


def _as_json(section: str, one: Effective) -> dict[str, Any]:
    source = {"file": str(one.origin.file), "line": one.origin.line} if one.origin.file else {}
    return {"type": "setting", "section": section, "key": one.name, "value": _plain(one), "text": one.text, **source}


def _plain(one: Effective) -> object:
    """A value as JSON has it; whatever is not plain, by its text."""
    value = one.value
    if isinstance(value, tuple):
        return list(value)
    if value is None or (isinstance(value, bool | int | float) and not one.name.startswith("option ")):
        return value
    return {"from": value.source} if isinstance(value, Secret) else one.text


# -- explain and list


def _explain(word: str, output: IO[str], talk: IO[str]) -> int:
    key = find(word)
    if key is not None:
        print(_key_text(key), file=output)
        return DONE
    text = _code_text(word.upper())
    if text:
        print(text, file=output)
        return DONE
    hint = suggestion(word).strip()
    print(f"escale config: there is neither a setting nor a code '{word}'{'; ' + hint if hint else ''}", file=talk)
    return USAGE


def _key_text(key: Key) -> str:
    lines = [key.name, f"  {key.text}", ""]
    lines += [f"  {line}" for line in table(facts_of(key)).splitlines()]
    if isinstance(key.kind, Patterns):
        lines += ["", "  what such a pattern matches:"]
        lines += [f"    {line}" for line in table(list(_pattern_rows())).splitlines()]
    return "\n".join(lines)


def _pattern_rows() -> Iterator[tuple[str, ...]]:
    yield ("", *NAME_SAMPLES)
    for pattern in PATTERN_SAMPLES:
        matches = compile_pattern(pattern).match
        yield (pattern, *("yes" if matches(name) else "no" for name in NAME_SAMPLES))


def _code_text(code: str) -> str:
    """All that is known of a code: the faults of configurations, the classes of errors, and what else is told."""
    for part in pkgutil.walk_packages(ours, "escale."):
        if part.name.startswith(PARTS_WITH_ERRORS):
            importlib.import_module(part.name)
    faults = [_fault_lines(fault) for fault in FAULTS if fault.code == code]
    classes = [_class_lines(error) for error in _error_classes(errors.EscaleError) if error.code == code]
    keys = [key.name for key in KEYS if code in key.codes]
    about = [f"  settings that may meet it: {', '.join(keys)}"] if keys else []
    notices = [_notice_lines(notice) for notice in NOTICES if notice.code == code]
    lines = [line for group in (*faults, *classes, *notices) for line in group]
    return "\n".join([code, *lines, *about]) if lines else ""


def _fault_lines(fault: Fault) -> list[str]:
    lines = [f"  {fault.severity.value}: {in_general(fault.message)}"]
    hints = [text for text in (in_general(fault.hint), fault.why) if text]
    return lines + [f"    {text}" for text in hints]


def _class_lines(error: type[errors.EscaleError]) -> list[str]:
    first, _, rest = (error.__doc__ or "").partition("\n")
    lines = [f"  {in_general(first)}", *(f"    {line.strip()}" for line in rest.splitlines() if line.strip())]
    lines += [f"    {line}" for line in in_general(error.advice).splitlines()]
    return [*lines, f"    the command ends with {error.exit_code}"]


def _notice_lines(notice: Notice) -> list[str]:
    return [f"  {notice.message}", *(f"    {line}" for line in notice.why.splitlines())]


def _error_classes(root: type[errors.EscaleError]) -> Iterator[type[errors.EscaleError]]:
    """The class and those below it; of a code that is inherited only the class that brought it in."""
    for child in root.__subclasses__():
        if "code" in child.__dict__:
            yield child
        yield from _error_classes(child)
    if root is errors.EscaleError:
        yield root


def _list(options: argparse.Namespace, output: IO[str]) -> int:
    if options.json:
        for key in KEYS:
            facts = {"key": key.name, "aliases": list(key.aliases), "scope": key.scope.name.lower()}
            facts |= {"kind": key.kind.word, "rule": key.kind.rule, "default": key.default_shown, "text": key.text}
            print(
                json_line({"type": "key", **facts, "since": key.since.value, "applies": key.applies.value}), file=output
            )
        return DONE
    rows = [(key.name, key.kind.word, key.since.value, key.default_shown) for key in KEYS]
    print(table([("KEY", "VALUE", "SINCE", "DEFAULT"), *rows]), file=output)
    return DONE


# -- upgrade and path


def _upgrade(options: argparse.Namespace, environ: Mapping[str, str], output: IO[str], talk: IO[str]) -> int:
    plan, problems = plan_upgrade(find_config(environ, options.config))
    if any(problem.is_error for problem in problems):
        _report(problems, talk)
        raise refusal(problems)
    if not plan.diff:
        print(f"{plan.path}: nothing to change", file=output)
        return DONE
    print(plan.diff, file=output)
    if options.dry_run or not (options.yes or _agreed(talk)):
        return DONE
    kept = carry_out(plan)
    print(f"written; the old file is {kept}", file=talk)
    return _remaining(plan.path, environ, talk)


def _agreed(talk: IO[str]) -> bool:
    """Whether the user says yes; without a terminal nobody is asked."""
    if not sys.stdin.isatty():
        print("nothing was changed: to change it write --yes", file=talk)
        return False
    print("Write it? [y/N]: ", end="", file=talk, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remaining(path: Path, environ: Mapping[str, str], talk: IO[str]) -> int:
    """What an upgrade leaves to its user."""
    loaded = load(path, environ)
    _report(loaded.problems, talk)
    return DONE if loaded.config else CONFIGURATION


def _path(options: argparse.Namespace, environ: Mapping[str, str], output: IO[str]) -> int:
    paths = [Path(options.config).absolute()] if options.config else list(search_paths(environ))
    used = next((path for path in paths if path.exists()), None)
    for path in paths:
        print(f"{'*' if path == used else ' '} {path}", file=output)
    if used is not None and (beside := shadowed(used, environ)):
        print(f"{beside} is not read: {used.name} beside it is", file=output)
    return DONE
