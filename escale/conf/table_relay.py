"""The rows of the key table that concern the relay: where it is, who we are there, and what lies on it."""

from __future__ import annotations

from .address import PROTOCOL, Address, Directory
from .keys import OPTION, WHERE, Applies, Key, Scope, Since
from .kinds import Checksum, ClientName, Flag, Number, Paging, TlsVersion, User, choice
from .paths import FilePath, FolderPath, HostKey, PrivateFile, ProxyUrl
from .quantities import Duration, Size
from .secrets import SecretKind

NEW = Since.NEW
BOTH = Scope.BOTH
RESTART = Applies.RESTART

_BLOWFISH = "use 'on' (or 'fernet' beside clients of 0.7) and a new, empty relay: what is on all machines is sent again"

PLACES = (
    Key(
        "local path",
        WHERE,
        FolderPath(),
        "The folder to synchronise. No folder of another section and no relay may lie inside it.",
        default_text="(required)",
        aliases=("path",),
        applies=RESTART,
    ),
    Key(
        "protocol",
        WHERE,
        PROTOCOL,
        "How to speak to the relay, where the address does not say it. `http` and `https` mean WebDAV; `fsspec`, and"
        " every scheme not named here, means the driver of that name from the fsspec family.",
        default_text="from the address, else file",
        applies=RESTART,
    ),
    Key(
        "address",
        WHERE,
        Address(),
        "Where the relay is: `sftp://host/folder`, `s3://bucket/prefix`, `https://host/folder` (WebDAV),"
        " `ftps://host/folder`, `/mnt/relay`, or HOST[:PORT][/PATH] with `protocol` beside it. After HOST, a path that"
        " begins with ~/ is relative to the login; with FTP every path is, unless it begins with two slashes.",
        default_text="(required, unless protocol is file: then directory is enough)",
        aliases=("host address", "relay address", "remote address", "store"),
        applies=RESTART,
    ),
    Key(
        "directory",
        WHERE,
        Directory(),
        "The directory on the relay, below the path of the address. With `protocol = file` a directory of this"
        " machine, which is created at the first start if its parent exists.",
        default_text="(what the address says)",
        aliases=(
            "host directory",
            "relay directory",
            "remote directory",
            "relay dir",
            "remote dir",
            "host dir",
            "dir",
            "host path",
            "relay path",
            "remote path",
        ),
        applies=RESTART,
    ),
    Key(
        "port",
        WHERE,
        Number(1, 65535),
        "The port of the relay's server; it may stand in the address as well.",
        default_text="by protocol",
        aliases=("host port", "relay port", "remote port"),
        applies=RESTART,
    ),
    OPTION,
    Key(
        "proxy",
        WHERE,
        ProxyUrl(),
        "A proxy on the way to the relay.",
        default_text="the environment: HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "connect timeout",
        WHERE,
        Duration("1 s", "10 min"),
        "How long to wait until a connection stands.",
        "15 s",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "timeout",
        WHERE,
        Duration("5 s", "1 h"),
        "How long a request may go on without progress.",
        "2 min",
        scope=BOTH,
        since=NEW,
    ),
    Key(
        "max retries",
        WHERE,
        Number(0, 100),
        "How often a request that may succeed later is repeated, with growing waits between.",
        "5",
        scope=BOTH,
    ),
)

_WHO = "Who: identity, secrets, encryption"

IDENTITY = (
    Key(
        "client name",
        _WHO,
        ClientName(),
        "How this machine is called on the relay. No other machine on the relay may have the name.",
        default_text="the host name",
        aliases=("client",),
        applies=RESTART,
    ),
    Key(
        "user",
        _WHO,
        User(),
        "The user name, or the access key of S3. 0.7 documented `username` and did not read it; it is read now.",
        aliases=("username", "auth user", "host user", "relay user", "remote user"),
    ),
    Key(
        "password",
        _WHO,
        SecretKind(),
        "The password, or the secret key of S3. Of a file with several `user:password` lines, the line of `user` is"
        " taken.",
        aliases=("secret", "secret file", "credential"),
    ),
    Key(
        "certfile",
        _WHO,
        FilePath(),
        "The client's certificate (PEM), for servers that ask for one.",
        aliases=("cert file", "certificate"),
    ),
    Key(
        "keyfile",
        _WHO,
        PrivateFile(),
        "The private key: for SFTP by itself, for TLS beside `certfile`.",
        aliases=("key file", "private key"),
    ),
    Key(
        "host key",
        _WHO,
        HostKey(),
        "What proves that an SFTP server is the right one.",
        default_text="~/.ssh/known_hosts",
        since=NEW,
    ),
    Key("verify ssl", _WHO, Flag(), "Whether the server's certificate must be valid.", "yes"),
    Key(
        "ca file",
        _WHO,
        FilePath(),
        "Authorities (PEM) that may sign the server's certificate.",
        default_text="those of the system",
        since=NEW,
    ),
    Key("ssl version", _WHO, TlsVersion(), "The oldest version of TLS to accept.", "TLS"),
    Key(
        "encryption",
        _WHO,
        choice(
            "on",
            "off",
            "fernet",
            synonyms={"yes": "on", "true": "on", "1": "on", "no": "off", "false": "off", "0": "off", "plain": "off"},
            refused=dict.fromkeys(("native", "blowfish", "blowfish.cryptography", "blowfish.blowfish"), _BLOWFISH),
        ),
        "Whether the relay sees only sealed bytes. `fernet` is the form of 0.7; with `relay format = 0.7` `on` is the"
        " same.",
        "off",
        applies=RESTART,
    ),
    Key(
        "passphrase",
        _WHO,
        SecretKind(is_key=True),
        "The encryption key, the same on all machines: usually `file: PATH` of the file that `escale keygen` wrote."
        " With role = backup any text, which opens the repository; `escalectl backup passphrase` changes it.",
        default_text="(required when encryption is on)",
        aliases=("key",),
        applies=RESTART,
    ),
)

_FORMAT = "On the relay"

RELAY = (
    Key(
        "index",
        _FORMAT,
        Paging(),
        "How the relay is divided into pages, which travel and are locked one by one.",
        "yes",
        aliases=("compact",),
        applies=RESTART,
    ),
    Key(
        "relay format",
        _FORMAT,
        choice("1", "0.7"),
        "`0.7` shares a relay with clients of escale 0.7. All clients of a relay have the same format.",
        "1",
        since=NEW,
        applies=RESTART,
    ),
    Key(
        "compression",
        _FORMAT,
        choice("auto", "bz2", "zstd", "none"),
        "How archives are compressed; `auto` takes what is fastest for the link and the files. With relay format 0.7 it"
        " is bz2.",
        "auto",
        since=NEW,
    ),
    Key(
        "maxpagesize",
        _FORMAT,
        Size(),
        "How many bytes of files travel at once; what is more follows in turn.",
        "200 MB",
        aliases=("maxarchivesize", "max page size"),
    ),
    Key(
        "disk quota",
        _FORMAT,
        Size(),
        "How much may lie on the relay; new files wait when it is reached.",
        aliases=("quota",),
    ),
    Key(
        "checksum",
        _FORMAT,
        Checksum(),
        "The algorithm that tells one content from another. An existing relay keeps the one it has.",
        "sha512",
        aliases=("hash algorithm",),
        applies=RESTART,
    ),
)
