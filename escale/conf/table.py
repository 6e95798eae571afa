"""The key table: every setting there is."""

from __future__ import annotations

from .keys import Applies, Key, Scope, Since, no_effect
from .kinds import Flag, Number, Patterns, Text, Words, choice
from .paths import PathOrWord, Pattern
from .quantities import KB, Duration, Size
from .table_backup import BACKUP
from .table_clients import DELETIONS, DIRECTION
from .table_relay import IDENTITY, PLACES, RELAY

NEW = Since.NEW
PROGRAM, BOTH = Scope.PROGRAM, Scope.BOTH
RESTART = Applies.RESTART

_WHEN = "Rhythm"

_RHYTHM = (
    Key(
        "refresh",
        _WHEN,
        Duration("1 s", "1 d", {True: 30.0, False: None}),
        "How often to look for changes, here and on the relay; `no` is one pass, then the end.",
        "30 s",
        scope=BOTH,
    ),
    Key(
        "settle",
        _WHEN,
        Duration("0 s", "1 h"),
        "A file is sent when it has not changed for this long.",
        "3 s",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "lock timeout",
        _WHEN,
        Duration("1 min", "30 d", {True: 0.0, False: None}),
        "When the lock of a client that gives no sign of life is taken over; `no` is never.",
        default_text="15 min; with relay format 0.7: 3 d",
    ),
    Key(
        "keep alive",
        _WHEN,
        Duration("0 s", "1 d", {True: 0.0, False: None}),
        "Start a section that failed again after this time, instead of after growing waits; `yes` is at once.",
        "no",
        scope=PROGRAM,
    ),
)

_WHAT = "What: which files"

_FILES = (
    Key(
        "file extension",
        _WHAT,
        Words(),
        "Only files with these endings, with or without the dot.",
        "",
        default_text="(all)",
        aliases=("file type",),
    ),
    Key(
        "include",
        _WHAT,
        Patterns(),
        "Only files whose name matches.",
        "",
        default_text="(all)",
        aliases=("include files", "pattern", "filter"),
    ),
    Key("exclude", _WHAT, Patterns(), "Not the files whose name matches.", "", aliases=("exclude files",)),
    Key(
        "include directory",
        _WHAT,
        Patterns(),
        "Only directories that match; the pattern sees the path inside the folder, once for each level.",
        "",
        default_text="(all)",
        aliases=("include directories",),
    ),
    Key(
        "exclude directory",
        _WHAT,
        Patterns(),
        "Not the directories that match, and nothing below them.",
        "",
        aliases=("exclude directories",),
    ),
    Key(
        "ignore file",
        _WHAT,
        Text(),
        "A file of this name, in any directory of the folder, excludes what it lists, in the syntax of .gitignore. It"
        " is itself synchronised.",
        ".escaleignore",
        since=NEW,
    ),
    Key(
        "hidden files",
        _WHAT,
        Flag(),
        "Whether names that begin with a dot take part.",
        default_text="yes; with relay format 0.7: no",
        since=NEW,
    ),
    Key("max file size", _WHAT, Size(), "Larger files are skipped, and listed as skipped.", since=NEW),
)

_HOUSE = "Housekeeping"

_HOUSEKEEPING = (
    Key(
        "log file",
        _HOUSE,
        PathOrWord(("journal", "stderr", "none")),
        "Where the log goes.",
        default_text="standard error; in the background NAME.log in the state directory",
        scope=PROGRAM,
    ),
    Key(
        "log level",
        _HOUSE,
        choice("debug", "info", "warning", "error", "critical"),
        "What is worth a line in the log file.",
        "info",
        scope=PROGRAM,
    ),
    Key(
        "log rotate",
        _HOUSE,
        Number(0, 100),
        "How many old log files are kept; 0 leaves it to logrotate.",
        "3",
        scope=PROGRAM,
    ),
    Key("log size", _HOUSE, Size(64 * KB), "A log file is put aside at this size.", "1 MB", scope=PROGRAM, since=NEW),
    Key(
        "log format",
        _HOUSE,
        choice("text", "json"),
        "How the lines of the log file look.",
        "text",
        scope=PROGRAM,
        since=NEW,
    ),
    Key(
        "verbosity",
        _HOUSE,
        Number(0, 3),
        "How much is said on the screen: 0 errors, 1 the usual, 2 and 3 everything.",
        "1",
        aliases=("verbosity level",),
        scope=BOTH,
    ),
    Key(
        "state dir",
        _HOUSE,
        PathOrWord(),
        "Where escale remembers what was synchronised; on a local disk.",
        default_text="$STATE_DIRECTORY, else $XDG_STATE_HOME/escale, else ~/.local/state/escale",
        scope=PROGRAM,
        since=NEW,
        applies=RESTART,
    ),
    Key(
        "control socket",
        _HOUSE,
        PathOrWord(("off",)),
        "Where escalectl finds the running process.",
        default_text="in $RUNTIME_DIRECTORY, else in $XDG_RUNTIME_DIR/escale, else in the state directory",
        scope=PROGRAM,
        since=NEW,
        applies=RESTART,
    ),
    Key("include conf", _HOUSE, Pattern(), "Further files whose sections are read as well.", scope=PROGRAM, since=NEW),
)

_ACCEPTED = (
    no_effect("rclone binary", "rclone is not used; `rclone serve webdav` makes its remotes reachable.", scope=BOTH),
    no_effect("drive binary", "The program `drive` is not used.", scope=BOTH),
    no_effect("priority", "0.7 documented it and never read it."),
    no_effect("pull overwrite", "A file that was changed here is never overwritten unseen: both versions are kept."),
    no_effect(
        "allow page deletion",
        "Files that are missing are asked for in a way that needs no permission.",
        ("page deletion",),
    ),
    no_effect("retry on error", "Which errors pass by themselves is known for each protocol.", ("retryonerror",)),
    no_effect("upload max wait", "A page that is locked is passed over and its turn comes again."),
    no_effect("split size", "It had no effect in 0.7 either.", ("min split size", "split")),
    no_effect("max pending transfers", "What is pending is limited by maxpagesize and disk quota."),
    no_effect("checksum cache", "What is known of each file is kept in the state directory."),
    no_effect("modification time", "Times are always kept.", ("timestamp", "mtime")),
    no_effect("cache dir", "There is no cache; see state dir.", ("cache",), BOTH),
    no_effect("maintainer", "No mail is sent.", ("email",), BOTH),
    no_effect("client count", "A note of the 0.7 wizard for itself."),
    no_effect("upload count", "A note of the 0.7 wizard for itself."),
    no_effect("homogeneous clients", "A note of the 0.7 wizard for itself."),
)

KEYS: tuple[Key, ...] = (
    *PLACES,
    *IDENTITY,
    *DIRECTION,
    *DELETIONS,
    *_RHYTHM,
    *_FILES,
    *RELAY,
    *BACKUP,
    *_HOUSEKEEPING,
    *_ACCEPTED,
)
"""All rows, in the order in which they are documented."""
