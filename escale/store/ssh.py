"""Open an SSH connection to a server whose host key is known, and log in."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EscaleError, HostKeyChanged, HostKeyUnknown, Refused, SecretError, Unreachable

if TYPE_CHECKING:
    import paramiko

ACCEPT_NEW = "accept-new"

WINDOW = 16 * 1024 * 1024
"""Bytes the server may send before we acknowledge some: rate times delay, with room for 400 MB/s at 40 ms."""

PACKET_MAX = 256 * 1024
"""Largest packet we take; the largest OpenSSH sends.  Every packet costs Python the same, so the larger the better."""

KEEPALIVE_S = 30
"""Between signs of life, well below the minutes after which firewalls forget a silent connection."""

FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Measured against the library's first choice, counter mode with a separate MAC: a fifth to a half faster."""

LINE_WAS_CUT = "transport shut down or saw EOF"
SILENCE = "Authentication timeout"
"""The library's words; it has no classes of their own for it."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where to log in and how.

    `host_key` is a "SHA256:..." fingerprint, the path of a known_hosts file, "accept-new" (remember the first key in
    `known_hosts`, refuse another), or empty for `known_hosts`, which is ~/.ssh/known_hosts unless given.  Without
    `password` and `key_file` the agent and the keys in ~/.ssh are tried.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    key_file: Path | None
    passphrase: str | None
    host_key: str
    known_hosts: Path | None
    connect_timeout_s: float

    @property
    def where(self) -> str:
        """The server, for people."""
        return f"sftp://{self.host}:{self.port}"


def connect(login: Login) -> paramiko.SSHClient:
    """A connection that is logged in; Unreachable, HostKeyUnknown or SecretError where that fails."""
    import paramiko

    # Without any handler the library's tracebacks of lost connections would go to standard error.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    client = paramiko.SSHClient()
    try:
        _prepare_host_keys(client, login)
        _log_in(client, login)
    except BaseException as error:
        translated = _translated(login, error, client.get_transport())
        client.close()
        if translated is None:
            raise
        raise translated from error
    return client


def _log_in(client: paramiko.SSHClient, login: Login) -> None:
    key = _read_key(login)
    connection = socket.create_connection((login.host, login.port), login.connect_timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    has_secret = login.password is not None or key is not None
    client.connect(
        login.host,
        login.port,
        username=login.user,
        password=login.password,
        pkey=key,
        sock=connection,
        timeout=login.connect_timeout_s,
        banner_timeout=login.connect_timeout_s,
        auth_timeout=login.connect_timeout_s,
        channel_timeout=login.connect_timeout_s,
        allow_agent=not has_secret,
        look_for_keys=not has_secret,
        compress=False,
        transport_factory=_fast_transport,  # type: ignore[arg-type]
    )
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(KEEPALIVE_S)


def _fast_transport(connection: socket.socket, **options: Any) -> paramiko.Transport:
    import paramiko

    class Transport(paramiko.Transport):
        farewell = ""

        def _parse_disconnect(self, m: paramiko.Message) -> None:
            # The library only logs why the server ended the connection.
            m.get_int()
            self.farewell = m.get_text()

    transport = Transport(connection, default_window_size=WINDOW, default_max_packet_size=PACKET_MAX, **options)
    offered = transport.get_security_options()
    fast = [cipher for cipher in FAST_CIPHERS if cipher in offered.ciphers]
    offered.ciphers = (*fast, *(cipher for cipher in offered.ciphers if cipher not in fast))
    return transport


def _read_key(login: Login) -> paramiko.PKey | None:
    import paramiko

    if login.key_file is None:
        return None
    try:
        # The name of the second argument changed between versions, and its declared type is not what it takes.
        passphrase: Any = login.passphrase.encode() if login.passphrase is not None else None
        return paramiko.PKey.from_path(login.key_file, passphrase)
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise SecretError(what=f"the key file {login.key_file} cannot be used: {error}") from error


def _prepare_host_keys(client: paramiko.SSHClient, login: Login) -> None:
    if login.host_key.startswith("SHA256:"):
        client.set_missing_host_key_policy(_Pinned(login))  # type: ignore[arg-type]
        return
    known_hosts = login.known_hosts or Path("~/.ssh/known_hosts").expanduser()
    if login.host_key == ACCEPT_NEW:
        client.set_missing_host_key_policy(_AcceptNew(login, known_hosts))  # type: ignore[arg-type]
    else:
        known_hosts = Path(login.host_key).expanduser() if login.host_key else known_hosts
        client.set_missing_host_key_policy(_Strict(login))  # type: ignore[arg-type]
    try:
        client.load_system_host_keys(str(known_hosts))
    except FileNotFoundError:
        # Nobody is known, then.
        return
    except OSError as error:
        raise SecretError(what=f"the file of known hosts {known_hosts} cannot be read: {error.strerror}") from error


class _Strict:
    """Asked only about hosts that the file of known hosts does not have."""

    def __init__(self, login: Login) -> None:
        self.login = login

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise HostKeyUnknown(**_facts(self.login, key))


class _Pinned(_Strict):
    """Asked about every host, as no file of known hosts is read."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if key.fingerprint.rstrip("=") != self.login.host_key.rstrip("="):
            raise HostKeyChanged(**_facts(self.login, key), expected=self.login.host_key)


class _AcceptNew(_Strict):
    def __init__(self, login: Login, known_hosts: Path) -> None:
        super().__init__(login)
        self.known_hosts = known_hosts

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        # A line is added; the library's own way would write the whole file anew, without its comments.
        line = f"{hostname} {key.get_name()} {key.get_base64()}\n"
        try:
            self.known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.known_hosts, "a+b") as file:
                file.seek(max(0, file.tell() - 1))
                is_torn = file.read(1) not in (b"", b"\n")
                file.write((f"\n{line}" if is_torn else line).encode())
        except OSError as error:
            what = f"the host key cannot be remembered in {self.known_hosts}: {error.strerror}"
            raise SecretError(what=what) from error


def _facts(login: Login, key: paramiko.PKey) -> dict[str, str]:
    kind = key.get_name().removeprefix("ssh-").removeprefix("ecdsa-sha2-").upper()
    return {"where": login.where, "host": login.host, "kind": kind, "fingerprint": key.fingerprint}


def _translated(login: Login, error: BaseException, transport: paramiko.Transport | None) -> EscaleError | None:
    """The error in our words; None for what is ours already, or nobody's."""
    import paramiko

    farewell = getattr(transport, "farewell", "")
    match error:
        case EscaleError():
            return None
        case paramiko.BadHostKeyException():
            return HostKeyChanged(**_facts(login, error.key), expected=error.expected_key.fingerprint)
        case paramiko.SSHException() if farewell and transport is not None and transport.auth_handler is not None:
            return SecretError(what=f"{login.where} refused {_who(login)}: {farewell}")
        case paramiko.AuthenticationException() if _was_cut(error, transport):
            return Unreachable(where=login.where, reason="the connection ended while logging in")
        case paramiko.AuthenticationException():
            return SecretError(what=f"{login.where} refused {_who(login)}: {error}")
        case paramiko.ssh_exception.IncompatiblePeer():
            return Refused(where=login.where, reason=str(error))
        case paramiko.SSHException() if "No authentication methods" in str(error):
            return SecretError(what=f"{login.where} wants a password or a key for {_who(login)}, and there is none")
        case paramiko.SSHException() | OSError() | EOFError():
            return Unreachable(where=login.where, reason=farewell or str(error) or type(error).__name__)
    return None


def _was_cut(error: paramiko.AuthenticationException, transport: paramiko.Transport | None) -> bool:
    """Whether it failed for want of an answer.  A key that is locked is looked at also after the line was cut."""
    import paramiko

    is_ours = isinstance(error, paramiko.PasswordRequiredException)
    is_lost = transport is None or not transport.is_active()
    return (is_ours and is_lost) or LINE_WAS_CUT in str(error) or SILENCE in str(error)


def _who(login: Login) -> str:
    return f"user {login.user!r}" if login.user else "the user"
