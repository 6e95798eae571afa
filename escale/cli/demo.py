"""`escale demo`: two clients and a relay in a temporary folder, and somebody who works with them.

The engine is the real one and so is the configuration file; only the user is played.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..app.wording import duration_text
from ..errors import EscaleError
from ..seal import Key
from .arguments import Parser, add_common
from .exit_codes import DONE, FAILED, USAGE
from .options import run_parser
from .scenes import both_edit, emptied, folder_renamed, interrupted, many_files, without_the_key
from .theatre import NAMES, SceneFailed, Theatre

_HEAD = """# Written by `escale demo`.
log file    = none
refresh     = 2 s
settle      = 0 s
compression = zstd
state dir   = state
"""

_SECTION = """
[{name}]
local path  = {name}
protocol    = file
directory   = {relay}
client name = {name}
index       = yes
"""

_SEALED = """encryption  = on
passphrase  = file: {key}
"""


def parser() -> Parser:
    """The options of `escale demo`."""
    made = Parser(prog="escale demo", description="Two clients and a relay in a temporary folder, to see it work.")
    made.add_argument("--dir", metavar="DIR", help="where to put the folder (default: the place for temporary files)")
    made.add_argument("--keep", action="store_true", help="do not remove it at the end")
    made.add_argument("--clients", metavar="N", type=int, default=2, help=f"2 to {len(NAMES)} clients (2)")
    made.add_argument("--files", metavar="N", type=int, default=200, help="files that alice writes (200)")
    made.add_argument("--encrypt", action="store_true", help="seal everything, and look at the relay without the key")
    made.add_argument("--stay", action="store_true", help="leave it running and play: folders to drop files into")
    add_common(made)
    return made


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The command: 0 if all scenes went as expected, 1 if one did not."""
    if not 2 <= options.clients <= len(NAMES) or not 1 <= options.files <= 100_000:
        print(f"escale demo: --clients takes 2 to {len(NAMES)}, --files 1 to 100000", file=sys.stderr)
        return USAGE
    if options.dir:
        Path(options.dir).mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="escale-demo-", dir=options.dir))
    is_kept = options.keep or options.stay
    try:
        code = _play(place, options, environ)
        return _stay(place, environ) if options.stay and code == DONE else code
    finally:
        if not is_kept:
            shutil.rmtree(place, ignore_errors=True)


def _play(place: Path, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    theatre = Theatre(place, options, _own_environment(environ))
    _set_up(theatre)
    kept = "--stay" if options.stay else "kept" if options.keep else "removed at the end; --keep to keep it"
    print(f"escale demo: {options.clients} clients and a relay in {place} ({kept})\n")
    print("  alice/ --> relay/ <-- bob/      the two never talk to each other\n")
    began = theatre.clock.monotonic()
    scenes = [many_files, both_edit, interrupted, folder_renamed, emptied]
    scenes += [without_the_key] if options.encrypt else []
    for number, scene in enumerate(scenes, 1):
        theatre.title(number, str(scene.__doc__).partition("\n")[0])
        try:
            scene(theatre)
        except (SceneFailed, EscaleError) as failure:
            _report_failure(number, failure)
            return FAILED
    seconds = duration_text(theatre.clock.monotonic() - began)
    print(f"\nAll {len(scenes)} scenes as expected, {seconds}.")
    if options.keep or options.stay:
        print(f"The configuration it used:  escale config show -c {theatre.conf}")
    print("\nNext:  escale demo --stay     leave it running and play: two folders to drop files into")
    return DONE


def _own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the user's settings: what the demo needs stands in its own file."""
    return {name: value for name, value in environ.items() if not name.startswith("ESCALE_")}


def _report_failure(number: int, failure: Exception) -> None:
    if isinstance(failure, SceneFailed):
        print(
            f"\nscene {number} failed\n   expected: {failure.expected}\n   found:    {failure.found}", file=sys.stderr
        )
    else:
        print(f"\nscene {number} failed: {failure}", file=sys.stderr)


def _set_up(theatre: Theatre) -> None:
    """The folders and the configuration file."""
    text = _HEAD
    key = theatre.place / "demo.key"
    if theatre.options.encrypt:
        Key.generate().write(key)
    for name in theatre.names:
        (theatre.place / name).mkdir()
        text += _SECTION.format(name=name, relay=theatre.relay)
        text += _SEALED.format(key=key) if theatre.options.encrypt else ""
    theatre.relay.mkdir()
    theatre.conf.write_text(text, encoding="utf-8")


def _stay(place: Path, environ: Mapping[str, str]) -> int:
    from .run import run as run_for_ever

    print(f"\nPut a file into {place}/alice and see it arrive in {place}/bob.  Ctrl-C ends it.\n", flush=True)
    return run_for_ever(run_parser().parse_args(["-c", str(place / "demo.conf")]), _own_environment(environ))
