"""`escale check`: one line per layer, from the configuration file to what the relay really promises."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..app.build_backup import build_vault
from ..app.together import run_together
from ..app.wording import duration_text, files_text, size_text
from ..backup.objects import Kind
from ..backup.repository import NoRepository
from ..clock import Clock, SystemClock
from ..conf.settings import BackupSection, Section
from ..errors import EscaleError, LocalError, NoSuchRelay
from ..seal import Key
from ..store.blob import BlobStore
from ..store.site import Finding
from .arguments import Parser, add_common
from .exit_codes import FAILED, worst
from .render import Palette, json_line, palette_for
from .setup import Setup, load_setup, make_place, open_store, password_prompt

PROBE_BYTES = 1024 * 1024
"""Enough for a first idea of the speed, and for an overwrite that can be interrupted in the middle."""

_STRATEGIES = {"create": "exclusive creation", "listing": "claims in listings"}
_COLOURS = {"ok": "green", "note": "yellow", "failed": "red"}


@dataclass(slots=True)
class Report:
    """Lines as they are found, on standard output; counts what was wrong."""

    palette: Palette
    is_json: bool
    codes: list[int] = field(default_factory=list)
    notes: int = 0
    section: str = ""

    def line(self, layer: str, fact: str, verdict: str = "ok", extra: str = "") -> None:
        """One layer: what was looked at, and ok, note or failed."""
        self.notes += verdict == "note"
        if self.is_json:
            values = {"type": "check", "section": self.section, "layer": layer, "verdict": verdict, "fact": fact}
            print(json_line(values | ({"extra": extra} if extra else {})), flush=True)
        else:
            word = self.palette.paint(f"{verdict:6}", _COLOURS[verdict])
            print(f"{layer:26} {word}  {fact}{f'  ({extra})' if extra else ''}", flush=True)

    def fail(self, layer: str, error: EscaleError) -> None:
        """A layer that does not hold; the ones above it are not looked at."""
        self.codes.append(error.exit_code)
        self.line(layer, f"{error} ({error.code})", "failed", error.next_step)


def parser() -> Parser:
    """The options of `escale check`."""
    made = Parser(prog="escale check", description="Test the configuration, the folder and the relay, layer by layer.")
    made.add_argument("sections", metavar="SECTION", nargs="*", help="only these sections; all without")
    made.add_argument("--offline", action="store_true", help="do not speak to the relay")
    made.add_argument("--no-write", action="store_true", help="read from the relay only")
    made.add_argument("--create", action="store_true", help="make the relay's directory or bucket if it is not there")
    made.add_argument("--json", action="store_true", help="one JSON object per layer")
    add_common(made)
    return made


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The command: 0, or the code of the gravest thing found."""
    setup = load_setup(options.config, environ, None)
    sections, backups = setup.named(options.sections)
    report = Report(palette_for(sys.stdout, options.color, environ), options.json)
    report.line("conf", str(setup.instance.config))
    for warning in setup.warnings:
        report.line("conf", warning, "note")
    for section in sections:
        _check(section, report, options, environ)
    for backup in backups:
        _check_backup(backup, setup, report, options)
    code = worst(report.codes)
    if options.json:
        print(json_line({"type": "exit", "code": code}))
    else:
        print(_conclusion(report))
    return code


def _conclusion(report: Report) -> str:
    notes = f"{report.notes} note{'s' * (report.notes != 1)}, " if report.notes else ""
    wrong = len(report.codes)
    return f"{notes}{f'{wrong} thing' + 's' * (wrong != 1) if wrong else 'nothing'} wrong."


def _check(section: Section, report: Report, options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    report.section = section.name
    if not options.json:
        print(f"\n[{section.name}]")
    with _layer(report, "secrets"):
        report.line("secrets", _secrets_text(section, environ))
    with _layer(report, "folder"):
        report.line("folder", _folder_text(section.local_path))
    if options.offline:
        return
    with _layer(report, "relay"):
        if options.create:
            make_place(section, environ)
        _check_relay(section, environ, report, may_write=not options.no_write)


def _check_backup(section: BackupSection, setup: Setup, report: Report, options: argparse.Namespace) -> None:
    """Secrets, what is saved, and whether the repository opens."""
    report.section = section.name
    if not options.json:
        print(f"\n[{section.name}]")
    vault = None
    with _layer(report, "secrets"):
        vault = build_vault(None, section, setup.environ, SystemClock(), password_prompt())
        vault.password()
        report.line("secrets", f"passphrase from {section.passphrase.source}")
    for path in section.paths:
        with _layer(report, "path"):
            if not os.path.lexists(path) or not os.access(path, os.R_OK):
                raise LocalError(path=path, reason="is not there, or may not be read")
            report.line("path", str(path))
    if vault is None or options.offline:
        return
    with _layer(report, "store"):
        if options.create:
            make_place(section, setup.environ)
        try:
            with closing(vault.open()) as repository:
                count = sum(1 for _ in repository.objects.list(Kind.SNAPSHOT))
                report.line("store", f"{vault.url}  repository {repository.config.id[:8]}, {count} versions")
        except (NoRepository, NoSuchRelay) as error:
            if section.address.scheme != "file" and isinstance(error, NoSuchRelay):
                raise
            report.line("store", f"{vault.url}: a repository will be made at the first run", "note")


@contextmanager
def _layer(report: Report, layer: str) -> Iterator[None]:
    """An error of ours ends the layer, not the command."""
    try:
        yield
    except EscaleError as error:
        report.fail(layer, error)


def _secrets_text(section: Section, environ: Mapping[str, str]) -> str:
    """Where the secrets come from, after each was fetched; the error of the first that cannot be had comes through."""
    found = []
    if section.password is not None:
        section.password.reveal(environ, None)
        found.append(f"password from {section.password.source}")
    if section.passphrase is not None and section.encryption != "off":
        key = Key.parse(section.passphrase.reveal(environ, None), section.passphrase.source)
        found.append(f"key {key.fingerprint} from {section.passphrase.source}")
    return ", ".join(found) or "none needed"


def _folder_text(folder: Path) -> str:
    if not folder.exists():
        if not os.access(folder.parent, os.W_OK):
            raise LocalError(path=folder.parent, reason="may not be written, and the folder has to be created there")
        return f"{folder} will be created"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise LocalError(path=folder, reason="may not be read and written")
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(place, name)).st_size
    return f"{folder}  {files_text(files)}, {size_text(size)}"


def _check_relay(section: Section, environ: Mapping[str, str], report: Report, may_write: bool) -> None:
    clock = SystemClock()
    where = section.address
    if where.scheme == "file" and not Path(where.path).exists() and Path(where.path).parent.is_dir():
        report.line("relay", f"{where.path} will be created")
        return
    with open_store(section, environ) as store:
        began = clock.monotonic()
        blobs = list(store.list())
        seconds = duration_text(clock.monotonic() - began)
        report.line("relay", store.url)
        report.line("  list", f"{len(blobs)} objects, {size_text(sum(blob.size for blob in blobs))}", "ok", seconds)
    if may_write:
        _certify(lambda: open_store(section, environ), clock, report)
    else:
        report.line("  write", "not tried (--no-write)", "note")


def _certify(open_one: Callable[[], BlobStore], clock: Clock, report: Report) -> None:
    """Race the relay, and say in words what it keeps and what it does not."""
    from ..store.probe import probe

    def show(finding: Finding) -> None:
        report.line(f"  {finding.name}", finding.words, "ok" if finding.ok else "note")

    certificate = probe(open_one, run_together, random.Random(), clock, show, PROBE_BYTES)
    if certificate.is_sound:
        report.line("  verdict", f"a relay; pages are locked by {_STRATEGIES[certificate.strategy]}")
    else:
        report.codes.append(FAILED)
        report.line("  verdict", "this storage cannot be a relay: it loses or mixes what was written", "failed")
