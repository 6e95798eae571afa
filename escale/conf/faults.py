"""Everything that can be wrong with a configuration: code, message, what to do, and the longer explanation.

`{braces}` are filled from the facts at the place where the fault is found.  One code may have several wordings.  Codes
never change their meaning; `escale config explain CODE` and the manual are made from this list.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Severity(enum.Enum):
    """An error keeps escale from starting, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """One wording of one code; `hint` is the line below the source line, `why` is for those who ask."""

    code: str
    message: str
    hint: str = ""
    why: str = ""
    severity: Severity = Severity.ERROR


W = Severity.WARNING


def in_general(text: str) -> str:
    """A message or a hint without the facts of one case, for the documentation."""
    text = re.sub(r"\{(?:advice|suggestion|without|reason)\}", "...", text)
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: found[1].upper(), text).removeprefix("...").strip()


# -- the file

UNREADABLE = Fault(
    "C002", "cannot read {path}: {reason}", "{advice}", "The file must be readable for the user who runs escale."
)
INI_SYNTAX = Fault(
    "C003",
    "this line is neither 'key = value', '[section]' nor a comment",
    "comments start with # or ; at the beginning of the line",
    "A value may go on in the following lines if these are indented.",
)
TOML_SYNTAX = Fault("C003", "{reason}", "TOML needs quotes around text; the INI form does not")
TOO_LARGE = Fault("C003", "this file has {size} bytes; a configuration has at most {limit}", "is it the right file?")
SECTION_TWICE = Fault("C004", "section [{section}] appears twice", "give each section its own name")
KEY_TWICE = Fault("C005", "'{key}' is set twice in {place}", "keep one of the two lines; the other is line {line}")
NO_SECTION = Fault(
    "C006",
    "no [section] found: nothing to synchronise",
    "add a section: [work], local path = ..., address = ...; 'conf.example' has some to copy",
)
NOT_UTF8 = Fault(
    "C007", "this file is not UTF-8 (byte 0x{byte:02X} at this place)", "run: iconv -f latin1 -t utf-8 {path}"
)
SECRET_IN_OPEN_FILE = Fault(
    "C008",
    "this file holds a secret and other users can read it (mode {mode:04o})",
    "run: chmod 600 {path}   or move the secret to 'file:', 'command:', 'keyring:' or 'credential:'",
)
LONE_PERCENT = Fault(
    "C009",
    "a single % is not allowed here",
    "write %% for one per cent sign",
    "%(other key)s inserts the value of another key of the section or above the sections, as in 0.7.",
)
BAD_INSERTION = Fault("C009", "'%({key})s' cannot be inserted: {reason}", "write %% for one per cent sign")

# -- keys and sections

UNKNOWN_KEY = Fault(
    "C101",
    "unknown setting '{key}'",
    "{suggestion}a setting for the storage driver is written 'option NAME = value'",
    "0.7 handed unknown settings to the driver without a word, so that a slip of the finger had no effect and no"
    " message. 'escale config upgrade' turns private settings into 'option NAME'.",
)
UNKNOWN_TABLE = Fault("C101", "unknown setting '{key}'", "a section is written [repository.{key}]")
SAME_KEY = Fault("C102", "'{key}' and '{other}' (line {line}) are the same setting", "keep one of them")
PROGRAM_KEY = Fault("C103", "'{key}' concerns the whole program", "move it above the first [section] of the main file")
NO_FOLDER = Fault(
    "C104", "[{section}] does not say which folder to synchronise", "add a line: local path = /path/to/folder"
)
NO_RELAY = Fault("C104", "[{section}] does not say where the relay is", "add a line: address = sftp://host/folder")
NO_EFFECT = Fault(
    "C105",
    "'{key}' has no effect{reason}",
    "the line can be deleted",
    "The setting is accepted so that files of 0.7 load unchanged.",
    W,
)
PORT_TWICE = Fault("C106", "port {port} here and port {other} in the address", "keep one of them")
PROTOCOL_TWICE = Fault("C106", "protocol {protocol} here and {other} in the address", "keep one of them")
ALIAS_ORDER = Fault(
    "C106",
    "'{key}' here wins over '{other}' above the sections; escale 0.7 did the reverse",
    "use one name for the setting in both places",
    severity=W,
)
RESERVED_NAME = Fault("C107", "a section cannot be called '{section}': it is a command", "rename it, e.g. [{section}1]")
BAD_NAME = Fault(
    "C107",
    "this cannot be the name of a section",
    "a name has 1 to 64 characters, does not begin with a dash, and is written on one line",
)

# -- values

NOT_A_FLAG = Fault("C201", "'{key}' is yes or no, not '{value}'", "{suggestion}also accepted: on/off, true/false, 1/0")
NOT_A_NUMBER = Fault("C202", "'{key}' must be a whole number, not '{value}'")
NOT_A_DURATION = Fault(
    "C203", "'{value}' is not a length of time", "examples: 30 s, 15 min, 12 h, 7 d; a number alone means seconds"
)
NOT_A_SIZE = Fault("C204", "'{value}' is not a size", "examples: 200 MB, 2 GB, 1.5 TB; a decimal comma is accepted")
NOT_A_SIZE_UNIT = Fault("C204", "'{value}' is not a unit of size", "units: B, KB, MB, GB, TB, PB; 1 KB is 1024 bytes")
NOT_A_CHOICE = Fault("C205", "'{value}' is not a value of '{key}'", "{suggestion}possible values: {values}")
NOT_SERVED = Fault("C205", "'{key} = {value}' is not supported", "{advice}")
NO_DIRECTORY = Fault("C206", "neither {path} nor its parent directory exists", "create it with: mkdir -p {path}")
NOT_A_DIRECTORY = Fault("C206", "{path} is not a directory")
NO_FILE = Fault("C206", "the file {path} does not exist", "{advice}")
BAD_EXPRESSION = Fault(
    "C207",
    "'{value}' is not a valid regular expression: {reason}",
    "a pattern between slashes is a regular expression; without slashes only * is special",
)
PASSWORD_IN_ADDRESS = Fault("C208", "the password does not belong in the address", "put it in 'password = file: ...'")
NOT_AN_ADDRESS = Fault(
    "C208", "'{value}' is not an address: {reason}", "examples: sftp://host/folder, s3://bucket/prefix, /mnt/relay"
)
NO_SECRET = Fault(
    "C210",
    "no secret: {reason}",
    "{advice}",
    "A secret is 'file: PATH', 'command: PROGRAM ARGUMENTS', 'env: NAME', 'keyring: SERVICE/USER', 'credential: NAME',"
    " 'ask:' or 'literal: TEXT'; anything else is a file if there is one of that name, or the secret itself.",
)
OUT_OF_RANGE = Fault("C211", "'{key}' must be between {least} and {most}, not {value}")
NOT_A_LIMIT = Fault(
    "C212",
    "'{value}' is no limit for deletions",
    "examples: 25% or 50 (the larger of the two counts), 10%, 200, off",
)
NOT_A_RULE = Fault(
    "C213",
    "'{value}' does not say which versions to keep: {reason}",
    "example: 7 daily, 4 weekly, 12 monthly, within 30 d",
)
NOT_A_SCHEDULE = Fault(
    "C214",
    "'{value}' is not a schedule",
    "examples: hourly, daily 03:00, weekly Sun 04:30, monthly 1, every 6 h, no",
    "The shortest time between two runs is 5 min.",
)
NOT_A_URL = Fault("C215", "'{key}' must start with {schemes}")
BITS = Fault("C216", "'{unit}' means bits: {value} is only {bytes}", "write '{number} {better}' for bytes", severity=W)
NO_UNIT = Fault(
    "C217",
    "'{key} = {value}' has no unit; escale 0.7 read this as {value} MB",
    "write '{value} MB' or '{value} GB'",
    "The 0.7 manual and its wizard spoke of GB, its code read MB.  We read MB, too.",
    W,
)
ONLY_STAR = Fault(
    "C218",
    "'{value}': only * is special here, the other signs are taken literally",
    "as a regular expression: /.../",
    severity=W,
)
BAD_CLIENT_NAME = Fault(
    "C219", "'{value}' cannot be a client name", "use 1 to 64 letters, digits, dots, dashes and underscores only"
)
OLD_TLS = Fault("C222", "'{value}' is read as TLS: versions before 1.2 are not safe", "write TLS", severity=W)
BAD_USER = Fault("C223", "this cannot be a user name", "it has no colon and no line break")
WRONG_TYPE = Fault("C224", "'{key}' takes {kind}, not {type}")
CONTROL_CHARACTER = Fault("C225", "the value of '{key}' has a control character in it")
EMPTY = Fault("C226", "'{key}' has no value and counts as not set", "give it a value, or delete the line", severity=W)

# -- values that do not go together

BOTH_WAYS_ONLY = Fault(
    "C301", "[{section}] is both 'push only' and 'pull only'", "keep one, or neither for two-way synchronisation"
)
MODE_CONTRADICTION = Fault(
    "C302", "'mode = {mode}' contradicts '{other}' (line {line})", "'{other} = yes' means 'mode = {meaning}'"
)
NO_PASSPHRASE = Fault(
    "C303",
    "encryption is on in [{section}] but there is no passphrase",
    "run: escale keygen {section}   and write: passphrase = file: PATH",
)
USELESS_KEYFILE = Fault("C304", "'keyfile'{without} has no effect for {protocol}", severity=W)
OVERLAP = Fault(
    "C305", "[{section}] and [{other}] overlap: {path} and {other_path}", "a file must belong to one section only"
)
RELAY_INSIDE = Fault(
    "C306", "the relay {relay} lies inside the folder to synchronise", "choose a directory outside {path}"
)
FOLDER_INSIDE = Fault("C306", "the folder {path} lies inside the relay", "choose a directory outside {relay}")
SAME_CLIENT = Fault(
    "C307",
    "[{section}] and [{other}] use the same relay with the same client name '{client}'",
    "give each its own client name",
)
PAGE_OVER_QUOTA = Fault(
    "C308",
    "one page ({page}) is larger than the quota ({quota})",
    "make maxpagesize at most a quarter of disk quota",
    "What waits on the relay would never fit into the quota, and nothing would be sent.",
)
PULLERS_TWICE = Fault(
    "C309",
    "'{key}' here and '{other}' (line {line}) both say for whom updates wait",
    "keep one: 'pullers' with names, or with a number",
)
USELESS_PASSPHRASE = Fault(
    "C311", "'passphrase' has no effect: encryption is off in [{section}]", "write: encryption = on", severity=W
)
UNVERIFIED = Fault(
    "C312",
    "the certificate of {host} is not verified: anyone in between can read the password",
    "your own authority: ca file = /path/ca.pem",
    severity=W,
)
STORE_INSIDE = Fault(
    "C310",
    "the store {store} lies inside {path}, which is to be saved into it",
    "choose a place outside, on another disk",
)
STORE_IS_RELAY = Fault(
    "C310",
    "[{section}] saves into the relay of [{other}]",
    "give the backup a place of its own",
    "A relay is emptied by the clients that have received what lies there; versions are to stay.",
)
NO_BACKUP_PASSPHRASE = Fault(
    "C303",
    "[{section}] has no passphrase for its repository",
    "write: passphrase = file: PATH   (one line, mode 0600; keep a copy in another place)",
    "Everything that is saved is sealed with it. Without it nobody can read the versions, you included.",
)
NO_PATHS = Fault(
    "C104", "[{section}] does not say what to save", "add a line: path = /home/me, /etc   or: of = SECTION"
)
NO_STORE = Fault("C104", "[{section}] does not say where to save", "add a line: store = sftp://host/folder")
PATH_AND_OF = Fault("C318", "'of' and 'path' both say what [{section}] saves", "keep one of them")
UNKNOWN_OF = Fault("C318", "there is no section [{other}] whose folder could be saved", "sections here: {known}")
NOT_IN_BACKUP = Fault("C318", "'{key}' means nothing with role = backup", "delete the line")
ONLY_IN_BACKUP = Fault("C318", "'{key}' means something with role = backup only", "add a line: role = backup")
CODEC_UNKNOWN = Fault("C314", "escale 0.7 cannot read 'compression = {value}'", "with relay format = 0.7 it is bz2")
FERNET_IN_FORMAT_1 = Fault(
    "C316",
    "'encryption = fernet' is the form of escale 0.7, whose blobs a relay can swap unnoticed",
    "write encryption = on, or relay format = 0.7 beside clients of 0.7",
)
NO_INDEX = Fault(
    "C315",
    "relays of escale 0.7 without an index are not supported",
    "write index = yes, or index = topdir, here and in the files of all other clients",
)
NO_DELETIONS = Fault(
    "C317",
    "relays of escale 0.7 do not carry deletions: 'deletions = {value}' cannot be done in [{section}]",
    "write in [{section}]: deletions = keep",
    "With relay format = 0.7 a file that is deleted on one machine comes back from the others, as in 0.7.",
)
EXPOSED_FILE = Fault(
    "K201",
    "{path} can be read by other users (mode {mode:04o})",
    "run: chmod 600 {path}",
    "A secret that others can read is not used, so that nobody believes it to be safe.",
)

FAULTS: tuple[Fault, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Fault))
"""All of them, in order of code within each part."""
