"""Keys: one row for each setting.  The loader, the help and the documentation are made from this table.

The rows stand in `table`; here is what a row is, and how a row is found.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .kinds import Kind, NoEffect, Option
from .secrets import SecretKind


class Scope(enum.Enum):
    """Where a key may stand.  Above the sections, a key of a section is the default for all of them."""

    PROGRAM = "above the sections"
    SECTION = "section"
    BOTH = "section, usually above all"


class Applies(enum.Enum):
    """When a changed value takes effect in a running escale."""

    RELOAD = "reload"
    RESTART = "restart"


class Since(enum.Enum):
    """Whether files of 0.7 have the key."""

    OLD = "0.7"
    NEW = "new"
    NO_EFFECT = "no effect"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    `default` is spelled as in the file and read like a value; where the default follows from something else it is None
    and `default_text` says what it is.
    """

    name: str
    group: str
    kind: Kind
    text: str
    default: str | None = None
    default_text: str = ""
    aliases: tuple[str, ...] = ()
    scope: Scope = Scope.SECTION
    since: Since = Since.OLD
    applies: Applies = Applies.RELOAD

    @property
    def attribute(self) -> str:
        """Its name in Config and Section."""
        return self.name.replace(" ", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)

    @property
    def has_effect(self) -> bool:
        """Whether it is more than accepted."""
        return self.since is not Since.NO_EFFECT

    @property
    def is_secret(self) -> bool:
        """Whether its value may not be shown."""
        return isinstance(self.kind, SecretKind)

    @property
    def default_shown(self) -> str:
        """The default as the documentation gives it."""
        return self.default_text or self.default or "(none)"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that a value of it may meet."""
        return tuple(sorted({fault.code for fault in self.kind.possible}))


def no_effect(name: str, text: str, aliases: tuple[str, ...] = (), scope: Scope = Scope.SECTION) -> Key:
    """A row for a setting of 0.7 that is accepted and means nothing; `text` says why."""
    return Key(name, NO_EFFECT_GROUP, NoEffect(), text, None, "", aliases, scope, Since.NO_EFFECT)


WHERE = "Where: folder and relay"
NO_EFFECT_GROUP = "Accepted from 0.7, without effect"

OPTION = Key(
    "option NAME",
    WHERE,
    Option(),
    "A parameter that is passed unchanged to the storage driver, for example `option endpoint_url ="
    " https://minio.example.org:9000`. NAME must be one that the driver knows. In TOML: a table `option` in the"
    " section.",
    since=Since.NEW,
)
