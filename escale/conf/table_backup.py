"""The rows of the key table that concern backups, and which of the other rows mean something for them."""

from __future__ import annotations

from .keeping import KeepRules
from .keys import Applies, Key, Since
from .kinds import Flag, Text, choice
from .paths import FolderPaths
from .schedule import ScheduleKind
from .secrets import SecretKind

_BACKUP = "Backups"
NEW = Since.NEW
RESTART = Applies.RESTART

BACKUP = (
    Key(
        "role",
        _BACKUP,
        choice("sync", "backup"),
        "Whether the section keeps a folder in step (sync), or saves versions of folders into a store (backup). A"
        " backup section has `path`, `store` with what belongs to it (`user`, `password`, `keyfile`, ...), `passphrase`"
        " (that of the repository), `schedule`, `keep`, and the settings of `What: which files`.",
        "sync",
        since=NEW,
        applies=RESTART,
    ),
    Key(
        "of",
        _BACKUP,
        Text(),
        "With role = backup: the section whose folder is saved, instead of `path`.",
        since=NEW,
        applies=RESTART,
    ),
    Key(
        "schedule",
        _BACKUP,
        ScheduleKind(),
        "With role = backup: when to save. Times are those of this machine. A run that was missed, however often, is"
        " made up once; `no` leaves it to `escalectl backup create`.",
        "daily",
        since=NEW,
    ),
    Key(
        "keep",
        _BACKUP,
        KeepRules(),
        "With role = backup: which versions stay; a version stays if any rule wants it. Days, weeks and months are"
        " those of UTC, and the last version of each is the one that stays.",
        "7 daily, 4 weekly, 12 monthly",
        since=NEW,
    ),
    Key(
        "prune",
        _BACKUP,
        Flag(),
        "With role = backup: whether versions that no rule keeps are let go after saving, at most once a day. `no` for"
        " `escalectl backup prune` by hand.",
        "yes",
        since=NEW,
    ),
    Key(
        "may delete",
        _BACKUP,
        Flag(),
        "With role = backup: `no` for a machine whose credentials only add to the store. It then removes nothing but"
        " its own locks and replaces nothing, and another machine prunes: `escalectl backup prune --host NAME`.",
        "yes",
        since=NEW,
        applies=RESTART,
    ),
)

ONLY_BACKUPS = frozenset(key.name for key in BACKUP) - {"role"}
"""Keys that mean nothing in other sections."""

KINDS = {"local path": FolderPaths(), "passphrase": SecretKind()}
"""What these keys take in a backup section: several folders, and the password of a repository, which is any text."""

IN_BACKUPS = frozenset(
    {
        *(key.name for key in BACKUP),
        *("local path", "protocol", "address", "directory", "port", "option NAME", "proxy", "connect timeout"),
        *("timeout", "max retries", "user", "password", "certfile", "keyfile", "host key", "verify ssl", "ca file"),
        *("ssl version", "passphrase", "file extension", "include", "exclude", "include directory"),
        *("exclude directory", "ignore file", "hidden files", "max file size", "verbosity"),
    }
)
"""Keys that mean something in a backup section."""
