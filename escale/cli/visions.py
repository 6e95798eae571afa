"""The backups that an `escale-restore` may look into, opened when the first of them is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..app.build_backup import build_vault
from ..app.vault import Vault
from ..app.vision import Vision
from ..conf.given import given_repository
from ..conf.settings import BackupSection
from ..errors import EscaleError
from .render import explain
from .session import Session
from .setup import password_prompt


class Visions:
    """A context manager; iterated, it has a Vision for each repository that can be opened.

    `is_alone`: there is no other place where anything may be found, so what cannot be opened ends the command.
    """

    def __init__(self, session: Session, is_alone: bool) -> None:
        self._session = session
        self._stack = ExitStack()
        self._opened: list[Vision] | None = None
        self._sections, self._roots, state = _chosen(session)
        self._state = state
        self._is_alone = is_alone and len(self._sections) == 1

    def __enter__(self) -> Visions:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def __bool__(self) -> bool:
        """Whether there is any; nothing is opened."""
        return bool(self._sections)

    def __iter__(self) -> Iterator[Vision]:
        if self._opened is None:
            self._opened = [vision for vault in self.vaults() if (vision := self._open(vault)) is not None]
        return iter(self._opened)

    def vaults(self) -> list[Vault]:
        """All of them, not opened."""
        session = self._session
        return [
            build_vault(self._state, section, session.environ, session.clock, password_prompt())
            for section in self._sections
        ]

    def _open(self, vault: Vault) -> Vision | None:
        try:
            repository = vault.open()
            self._stack.callback(repository.close)
            return Vision(vault, repository, self._roots)
        except EscaleError as error:
            if self._is_alone:
                raise
            self._session.tell(explain(error))
            return None


def _chosen(session: Session) -> tuple[Sequence[BackupSection], list[str], Path | None]:
    """Sections, folders that paths may be meant in, and where this machine remembers things."""
    options = session.options
    if options.from_url:
        key = Path(options.key).expanduser() if options.key else None
        return [given_repository(options.from_url, options.set, key, session.environ)], [], None
    if options.source not in ("all", "backup"):
        return [], [], None
    setup = session.setup()
    sections, backups = setup.named([options.section] if options.section else [])
    roots = [str(section.local_path) for section in sections]
    if options.section and sections:
        # The backups that have this folder.
        folder = sections[0].local_path
        backups = [one for one in setup.config.backups if any(map(folder.is_relative_to, one.paths))]
    return backups, roots, setup.config.state_dir
