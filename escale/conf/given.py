"""A repository that is given on the command line, on a machine that has no configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from .compose_backup import compose_backup
from .document import Block, Entry
from .draft import Draft
from .kinds import BadValue, Place
from .lookup import find
from .problems import Findings, Source, Span, refusal
from .secrets import Origin, Secret
from .settings import BackupSection
from .table_backup import KINDS

NAME = "repository"


def given_repository(
    url: str, settings: Sequence[str], key_file: Path | None, environ: Mapping[str, str]
) -> BackupSection:
    """The section that has this store; `settings` are lines `name = value` as in the file, `key_file` has the
    repository's password in its first line; without it the user is asked.  ConfigError."""
    base = Path.cwd()
    source = Source(Path("--set"), tuple(settings))
    draft = Draft(Block(source, NAME, Span(1, 1)), base, environ)
    draft.is_backup = True
    if key_file is None:
        draft.values["passphrase"] = Secret(Origin.ASK, "password of the repository")
    else:
        draft.values["passphrase"] = Secret(Origin.FILE, str(base / key_file))
    draft.values["local path"] = (Path("/"),)
    _set(draft, "address", url)
    for line in settings:
        name, separator, value = line.partition("=")
        if not separator:
            raise ConfigError(what=f"--set is followed by 'name = value', not by '{line}'")
        _set(draft, name.strip(), value.strip())
    findings = Findings()
    section = compose_backup(draft, (), findings)
    if section is None:
        raise refusal(findings.sorted())
    return section


def _set(draft: Draft, name: str, text: str) -> None:
    if name.lower().startswith("option "):
        option = name.split(None, 1)[1]
        draft.options[option] = (text, Entry(draft.block.source, name, Span(1, 1), text, (), 1))
        return
    key = find(name)
    if key is None:
        raise ConfigError(what=f"there is no setting '{name}'")
    kind = KINDS.get(key.name, key.kind)
    try:
        draft.values[key.name] = kind.parse(text, Place(name, draft.base, draft.environ, lambda bad: None))
    except BadValue as bad:
        facts = {"key": name, **bad.facts}
        raise ConfigError(what=bad.fault.message.format(**facts)) from None
