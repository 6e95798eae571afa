"""Secrets: where each comes from, and fetching it at the moment it is needed.

A Secret does not hold the secret, with one exception: text that stands in the configuration file itself.  That text is
kept out of `repr` and `str`.  A source that fails is an error; no other source is tried in its place.
"""

from __future__ import annotations

import enum
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ExposedSecret, NoSecret, SecretError
from ..seal import Key
from . import faults
from .kinds import BadValue, Kind, Place
from .paths import absolute, open_mode, refuse_exposed
from .toml import type_word

COMMAND_S = 30.0
"""How long a program may take to print a secret: it may ask for a card or a PIN, but it may not hang the start."""

FILE_BYTES_MAX = 65536
"""A file of secrets is some lines; whatever is longer is another file, given by mistake."""

Ask = Callable[[str], str]
"""Asks the user for a secret with this prompt."""


class Origin(enum.Enum):
    """The sources, by the word in front of the colon."""

    FILE = "file"
    COMMAND = "command"
    ENVIRONMENT = "env"
    KEYRING = "keyring"
    CREDENTIAL = "credential"
    ASK = "ask"
    LITERAL = "literal"


_SOURCE = re.compile(rf"({'|'.join(origin.value for origin in Origin)})\s*:\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Secret:
    """A source of a secret.  `user`: whose line to look for in a file of `user:password` lines."""

    origin: Origin
    place: str = field(repr=False)
    arguments: tuple[str, ...] = field(default=(), repr=False)
    user: str | None = None

    @property
    def source(self) -> str:
        """Where it comes from, in words that can be shown."""
        match self.origin:
            case Origin.COMMAND:
                return f"command: {self.arguments[0]}" + (" ..." if self.arguments[1:] else "")
            case Origin.LITERAL:
                return "the configuration file"
            case Origin.ASK:
                return "asked at the start"
        return f"{self.origin.value}: {self.place}"

    @property
    def path(self) -> Path | None:
        """The file that holds it, if it is a file."""
        return Path(self.place) if self.origin is Origin.FILE else None

    def __str__(self) -> str:
        return f"(from {self.source})"

    def of(self, user: str | None) -> Secret:
        """The same source for this user."""
        return replace(self, user=user)

    def reveal(self, environ: Mapping[str, str], ask: Ask | None) -> str:
        """Fetch it.  `ask` is None where nobody can be asked.

        NoSecret if the source fails, ExposedSecret if others can read its file.
        """
        match self.origin:
            case Origin.LITERAL:
                return self.place
            case Origin.FILE:
                return self._line_of(Path(self.place))
            case Origin.CREDENTIAL:
                return self._credential(environ)
            case Origin.ENVIRONMENT:
                return self._variable(environ)
            case Origin.COMMAND:
                return self._printed(environ)
            case Origin.KEYRING:
                return self._in_keyring()
            case Origin.ASK:
                return self._asked(ask)

    def _line_of(self, path: Path) -> str:
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                text = file.read(FILE_BYTES_MAX).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise self._failed(error.strerror or str(error), "") from error
        if mode & 0o077:
            raise ExposedSecret(path=path, mode=f"{mode:04o}")
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        mine = [line for line in lines if self.user and line.startswith(f"{self.user}:")]
        if mine:
            return mine[0].partition(":")[2]
        if not lines[0]:
            raise self._failed("its first line is empty", "")
        return lines[0]

    def _credential(self, environ: Mapping[str, str]) -> str:
        directory = environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            advice = f"in the unit: LoadCredential={self.place}:/etc/escale/{self.place}"
            raise self._failed("this process was started without credentials of systemd", advice)
        # systemd decides who reads this directory; the mode says nothing (0440 for root's group is usual).
        try:
            first = (Path(directory) / self.place).read_text("utf-8", "surrogateescape").split("\n")[0]
        except OSError as error:
            raise self._failed(
                error.strerror or str(error), f"in the unit: LoadCredential={self.place}:FILE"
            ) from error
        return first.removesuffix("\r")

    def _variable(self, environ: Mapping[str, str]) -> str:
        if not environ.get(self.place):
            raise self._failed("it is not set, or empty", "")
        return environ[self.place]

    def _printed(self, environ: Mapping[str, str]) -> str:
        try:
            done = subprocess.run(
                self.arguments, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S
            )
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"no answer within {COMMAND_S:g} s", "") from error
        except (OSError, ValueError) as error:
            raise self._failed(getattr(error, "strerror", None) or str(error), "") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise self._failed(f"it ended with {done.returncode}" + (f": {said[-1]}" if said else ""), "")
        first = done.stdout.decode("utf-8", "surrogateescape").split("\n")[0].removesuffix("\r")
        if not first:
            raise self._failed("it printed nothing", "")
        return first

    def _in_keyring(self) -> str:
        service, _, user = self.place.rpartition("/")
        advice = "For a service write 'credential: NAME', or 'file: PATH' with mode 0600."
        try:
            import keyring
        except ImportError as error:
            raise self._failed("the package 'keyring' is not installed", "pip install keyring") from error
        try:
            found = keyring.get_password(service, user)
        except Exception as error:
            # Each desktop's backend has exceptions of its own; without a desktop session they all fail.
            raise self._failed(f"the keyring cannot be opened: {error}", advice) from error
        if not found:
            raise self._failed("the keyring has no such entry", f"keyring set {service} {user}")
        return str(found)

    def _asked(self, ask: Ask | None) -> str:
        if ask is None:
            raise self._failed("there is no terminal to ask at", "Use 'file:', 'command:' or 'credential:' instead.")
        text = ask(f"{self.place}: ")
        if not text:
            raise self._failed("nothing was typed", "")
        return text

    def _failed(self, reason: str, advice: str) -> NoSecret:
        return NoSecret(source=self.source, reason=reason, advice=advice)


@dataclass(frozen=True, slots=True)
class SecretKind(Kind):
    """A secret source.  `is_key`: the secret is an escale key, so that text can be told from a mistyped path."""

    is_key: bool = False
    word = "secret"
    possible = (faults.NO_SECRET, faults.NO_FILE, faults.EXPOSED_FILE, faults.SECRET_IN_OPEN_FILE)

    def read(self, text: str, place: Place) -> Secret:
        found = _SOURCE.fullmatch(text)
        if found:
            return self._from(Origin(found[1]), found[2], place)
        path = absolute(text, place.base, place.environ)
        if os.path.isfile(path):
            return self._from(Origin.FILE, text, place)
        return self._from(Origin.LITERAL, text, place)

    def native(self, raw: object, place: Place) -> Secret:
        if not isinstance(raw, dict) or len(raw) != 1:
            raise BadValue(faults.WRONG_TYPE, kind="text, or a table with one source", type=type_word(raw))
        name, value = next(iter(raw.items()))
        if name not in {origin.value for origin in Origin}:
            sources = ", ".join(origin.value for origin in Origin)
            raise BadValue(faults.NO_SECRET, reason="there is no such source", advice=f"sources: {sources}")
        if name == Origin.COMMAND.value and isinstance(value, list) and all(isinstance(one, str) for one in value):
            return self._command(value, place)
        if name == Origin.ASK.value and value is True:
            value = ""
        if not isinstance(value, str):
            raise BadValue(faults.WRONG_TYPE, kind="text", type=type_word(value))
        return self._from(Origin(name), value, place)

    def show(self, value: Any) -> str:
        return str(value)

    @property
    def rule(self) -> str:
        return "file:, command:, env:, keyring:, credential:, ask: or literal: and what belongs to it"

    def _from(self, origin: Origin, text: str, place: Place) -> Secret:
        match origin:
            case Origin.ASK:
                return Secret(origin, place.key)
            case Origin.COMMAND:
                try:
                    return self._command(shlex.split(text), place)
                except ValueError as error:
                    raise BadValue(
                        faults.NO_SECRET, reason=f"the command is not complete: {error}", advice=""
                    ) from None
            case Origin.FILE:
                return Secret(origin, str(self._file(text, place)))
            case Origin.LITERAL:
                return Secret(origin, self._checked(text))
            case Origin.KEYRING if "/" not in text.strip("/"):
                raise BadValue(faults.NO_SECRET, reason="it is written keyring: SERVICE/USER", advice="")
            case Origin.CREDENTIAL if "/" in text:
                raise BadValue(faults.NO_SECRET, reason="it is written credential: NAME, without a path", advice="")
        if not text:
            raise BadValue(faults.NO_SECRET, reason=f"nothing follows '{origin.value}:'", advice="")
        return Secret(origin, text)

    def _command(self, words: Sequence[str], place: Place) -> Secret:
        if not words:
            raise BadValue(faults.NO_SECRET, reason="nothing follows 'command:'", advice="")
        first = words[0]
        program = str(absolute(first, place.base, place.environ)) if "/" in first else first
        return Secret(Origin.COMMAND, "", (program, *words[1:]))

    def _file(self, text: str, place: Place) -> Path:
        path = absolute(text, place.base, place.environ)
        if not os.path.isfile(path):
            if self.is_key and place.may_lack_keys:
                return path
            advice = "create one with: escale keygen" if self.is_key else "it has one line, and mode 0600"
            raise BadValue(faults.NO_FILE, path=path, advice=advice)
        refuse_exposed(path)
        return path

    def _checked(self, text: str) -> str:
        if not text:
            raise BadValue(faults.NO_SECRET, reason="it is empty", advice="")
        if self.is_key:
            try:
                Key.parse(text)
            except SecretError:
                reason, advice = "this is neither a file nor an escale key", "create one with: escale keygen"
                raise BadValue(faults.NO_SECRET, reason=reason, advice=advice) from None
        return text


def exposed_mode(secret: Secret, file: Path) -> int:
    """The mode of the configuration file if the secret stands in it and others can read it, else 0."""
    return open_mode(file) if secret.origin is Origin.LITERAL else 0
