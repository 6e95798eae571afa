"""`escale keygen`: make an encryption key, or show what is needed to compare or to copy one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import LocalError, SecretError
from .arguments import Parser, add_common
from .exit_codes import DONE, USAGE
from .setup import load_setup


def parser() -> Parser:
    """The options of `escale keygen`."""
    made = Parser(
        prog="escale keygen",
        usage="escale keygen SECTION | --output FILE  [--show] [--fingerprint]",
        description="Make a key file that only you can read. All clients of a relay need a copy of it:\n"
        "without it nobody can read the relay, you included.",
    )
    made.add_argument("section", metavar="SECTION", nargs="?", help="where its 'passphrase = file: ...' says")
    made.add_argument("--output", metavar="FILE", help="write the key there")
    made.add_argument("--show", action="store_true", help="print the key that exists")
    made.add_argument("--fingerprint", action="store_true", help="print the fingerprint of the key that exists")
    add_common(made)
    return made


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The command.  SecretError when the key exists already, or does not where it should be shown."""
    from ..seal import Key

    if bool(options.section) == bool(options.output):
        print("escale keygen: which key? Give a SECTION or --output FILE", file=sys.stderr)
        return USAGE
    path = _path(options, environ)
    if options.show or options.fingerprint:
        key = Key.load(path)
        print(key.text() if options.show else key.fingerprint)
        return DONE
    if path.exists():
        raise SecretError(what=f"{path} exists already; a new key would shut out what was sealed with it")
    key = Key.generate()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LocalError(path=path.parent, reason=error.strerror or str(error)) from error
    key.write(path)
    if not options.quiet:
        print(f"key written to {path}    fingerprint  {key.fingerprint}")
        print("Keep a copy somewhere else: without it the relay cannot be read by anyone.")
    return DONE


def _path(options: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    if options.output:
        return Path(options.output).expanduser().absolute()
    (section,) = load_setup(options.config, environ, may_lack_keys=True).chosen([options.section])
    path = section.passphrase.path if section.passphrase is not None else None
    if path is None:
        raise SecretError(what=f"[{options.section}] does not say 'passphrase = file: PATH'; use --output FILE")
    return path
