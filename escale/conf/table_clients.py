"""The rows of the key table that concern the other clients: which way files travel, who is waited for, deletions."""

from __future__ import annotations

from .keys import Key, Scope, Since
from .kinds import Flag, choice
from .limits import DeletionLimit
from .pullers import COUNT, Pullers
from .quantities import Duration, Size

NEW = Since.NEW
BOTH = Scope.BOTH

_WHICH_WAY = "Direction and clients"

DIRECTION = (
    Key(
        "mode",
        _WHICH_WAY,
        choice(
            "shared",
            "upload",
            "download",
            "conservative",
            synonyms={
                "share": "shared",
                "sharing": "shared",
                "protective": "conservative",
                "preservative": "conservative",
            },
        ),
        "Which way files travel: both (shared), only from here (upload), only to here (download), or both without ever"
        " replacing a file here (conservative).",
        "shared",
        aliases=("synchronization mode",),
    ),
    Key(
        "push only",
        _WHICH_WAY,
        Flag(),
        "The same as `mode = upload`. The alias says that the folder is only read.",
        "no",
        aliases=("read only",),
    ),
    Key(
        "pull only",
        _WHICH_WAY,
        Flag(),
        "The same as `mode = download`. The alias says that the folder is only written.",
        "no",
        aliases=("write only",),
    ),
    Key(
        "pullers",
        _WHICH_WAY,
        Pullers(),
        "For whom an update waits on the relay: `pullers = anna, bert` names clients, those that have never come"
        " included; `pullers = 2` is the same as `puller count = 2`.",
        default_text="all clients known on the relay; with relay format 0.7: one",
    ),
    Key(
        "puller count",
        _WHICH_WAY,
        COUNT,
        "How many clients must have received a file before it leaves the relay, whoever they are.",
        default_text="(see pullers)",
    ),
    Key(
        "stale after",
        _WHICH_WAY,
        Duration("1 h", "60 d"),
        "A client that has given no sign of life for this long is told of.",
        "7 d",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "on stale",
        _WHICH_WAY,
        choice("hold", "release"),
        "Whether updates go on waiting for such a client (hold), or leave the relay without it (release); it asks for"
        " them when it is back.",
        "hold",
        scope=BOTH,
        since=NEW,
    ),
)

_GONE = "Deletions and the trash"

DELETIONS = (
    Key(
        "deletions",
        _GONE,
        choice("trash", "propagate", "keep"),
        "Whether deletions travel. What was deleted on another machine goes to the trash here (trash), is in the trash"
        " only until the next pass (propagate), or stays, and what was deleted here comes back (keep, as in 0.7).",
        default_text="trash; with relay format 0.7: keep, and nothing else",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "max delete",
        _GONE,
        DeletionLimit(),
        "When more files than this are deleted here between two passes, or all of them, the deletions wait until"
        " `escalectl approve SECTION`.",
        "25% or 50",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "trash keep",
        _GONE,
        Duration("1 h", "3650 d", zero="no limit"),
        "How long `.escale/trash` in the folder keeps what a sync has deleted or replaced.",
        "30 d",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "trash size",
        _GONE,
        Size(zero="no limit"),
        "How much the trash keeps; beyond it the oldest goes first.",
        "20 GB",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "deletion memory",
        _GONE,
        Duration("1 d", "3650 d"),
        "How long the relay remembers that a file was deleted. A machine that was away for longer asks what is right"
        " before it goes on, instead of bringing the files back.",
        "365 d",
        scope=BOTH,
        since=NEW,
    ),
)
