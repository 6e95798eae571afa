"""The reference of the configuration, made from the key table: `python -m escale.conf.reference markdown` or `man`.

doc/reference/configuration.md and doc/man/escale.conf.5 are its output; a test compares them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby

from .faults import FAULTS, in_general
from .keys import Applies, Key
from .table import KEYS

RULES = (
    "A file whose name ends in .toml is TOML; every other one is INI, as 0.7 reads it.",
    "INI: `name = value` or `name : value`; # or ; at the start of a line is a comment, further right it belongs to the"
    " value. A value may go on in indented lines. `%%` is one per cent sign, `%(other key)s` inserts the value of"
    " another key.",
    "TOML: keys above the sections stand at the top, a section is `[repository.NAME]`, spaces in names become dashes,"
    ' secrets are tables such as `{ command = ["pass", "show", "x"] }`, parameters of the driver are in a table'
    " `option` of the section.",
    "In names of keys, case, spaces, dashes and underscores do not matter.",
    "A section sets a key, else the part above the sections does, else the default holds.",
    "Paths are absolute, begin with ~/, or are relative to the file in which they stand.",
    "Times: a number with s, min, h, d or w; a number alone is seconds. Sizes: a number with B, KB, MB, GB, TB or PB,"
    " in steps of 1024; a number alone is MB. Kb, Mb, Gb are bits.",
    "Patterns: * stands for anything and nothing else is special; a pattern matches names that begin with it. Between"
    " slashes stands a regular expression of Python, matched at the beginning, too.",
    "Secrets: `file: PATH` (mode 0600; the first line, or the line of the user), `command: PROGRAM ARGUMENTS` (no"
    " shell; the first line it prints), `env: NAME`, `keyring: SERVICE/USER`, `credential: NAME` (of systemd), `ask:`,"
    " `literal: TEXT`; anything else is a file if there is one of that name, or the secret itself.",
    "The local folder is created at the first start if its parent exists; so is the directory of a relay with"
    " `protocol = file`.",
    "An unknown key is an error. Nothing starts while there is an error; all of them are listed.",
)
"""What holds for all keys, for the documentation."""

_APPLIES = {
    Applies.RELOAD: "takes effect when the file is read again (HUP)",
    Applies.RESTART: "takes effect when the section starts",
}


def facts_of(key: Key) -> list[tuple[str, str]]:
    """What the documentation says of a key, one line each."""
    facts = [("default", key.default_shown), ("value", key.kind.rule), ("stands in", key.scope.value)]
    if key.aliases:
        facts.insert(0, ("also called", ", ".join(key.aliases)))
    facts.append(("since", key.since.value))
    if key.has_effect:
        facts.append(("when", _APPLIES[key.applies]))
    if key.codes:
        facts.append(("messages", ", ".join(key.codes)))
    return facts


def codes() -> Iterator[tuple[str, str, str]]:
    """Each code with its severities and its wordings."""
    for code, group in groupby(sorted(FAULTS, key=lambda fault: fault.code), key=lambda fault: fault.code):
        faults = list(group)
        severities = "/".join(sorted({fault.severity.value for fault in faults}))
        yield code, severities, " / ".join(dict.fromkeys(in_general(fault.message) for fault in faults))


def markdown() -> str:
    """The reference page."""
    lines = ["# The configuration file", "", "<!-- Made by `python -m escale.conf.reference markdown`. -->", ""]
    lines += ["## Rules", "", *(f"- {rule}" for rule in RULES), ""]
    for group, keys in groupby(KEYS, key=lambda key: key.group):
        lines += [f"## {group}", ""]
        for key in keys:
            lines += [f"### `{key.name}`", "", key.text, ""]
            lines += [f"- {name}: {text}" for name, text in facts_of(key)]
            lines.append("")
    lines += ["## Messages", "", "| code | | text |", "|---|---|---|"]
    lines += [f"| {code} | {severity} | {text} |" for code, severity, text in codes()]
    return "\n".join(lines) + "\n"


def man() -> str:
    """The manual page escale.conf(5)."""
    lines = ['.\\" Made by `python -m escale.conf.reference man`.', '.TH ESCALE.CONF 5 "" "escale" "File formats"']
    lines += [".SH NAME", "escale.conf \\- configuration of escale(1)"]
    lines += [".SH DESCRIPTION", *_paragraphs(RULES)]
    for group, keys in groupby(KEYS, key=lambda key: key.group):
        lines.append(f".SH {_roff(group.upper())}")
        for key in keys:
            lines += [".TP", f".B {_roff(key.name)}", _roff(key.text)]
            for name, text in facts_of(key):
                lines += [".br", f".I {_roff(name)}:", _roff(text)]
    lines.append(".SH MESSAGES")
    for code, severity, text in codes():
        lines += [".TP", f".B {code}", _roff(f"{text} ({severity})")]
    lines += [".SH SEE ALSO", ".BR escale (1),", ".BR escalectl (1)"]
    return "\n".join(lines) + "\n"


def _paragraphs(texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        yield ".PP"
        yield _roff(text)


def _roff(text: str) -> str:
    """Text for roff: code in bold, dashes as they are typed, nothing taken for a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


FORMS: dict[str, Callable[[], str]] = {"markdown": markdown, "man": man}


def main(arguments: list[str]) -> int:
    """Print the form that is named."""
    if len(arguments) != 1 or arguments[0] not in FORMS:
        print(f"usage: python -m escale.conf.reference {'|'.join(FORMS)}", file=sys.stderr)
        return 2
    print(FORMS[arguments[0]](), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
