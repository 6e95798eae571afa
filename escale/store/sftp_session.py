"""One SFTP connection, made when it is needed and shared by a store and those within it."""

from __future__ import annotations

from ..errors import Unreachable
from . import sftp_requests as sftp
from .sftp_names import Connection
from .ssh import Login, connect


class Session:
    """Where to connect and, once that was done, the connection.  `timeout_s`: the longest silence to wait for."""

    def __init__(self, login: Login, timeout_s: float) -> None:
        self._login = login
        self._connection: Connection | None = None
        self.timeout_s = timeout_s

    def connected(self) -> Connection:
        """A connection that was alive when it was last heard of."""
        if self._connection is not None and not self._connection.is_alive:
            self.drop(self._connection)
        if self._connection is None:
            self._connection = _connect(self._login, self.timeout_s)
        return self._connection

    def drop(self, connection: Connection) -> None:
        """Close this connection; the next verb makes another."""
        connection.client.close()
        if connection is self._connection:
            self._connection = None

    def close(self) -> None:
        """Close whatever there is."""
        if self._connection is not None:
            self.drop(self._connection)


def _connect(login: Login, timeout_s: float) -> Connection:
    import paramiko

    client = connect(login)
    try:
        channel = client.open_sftp()
        channel.get_channel().settimeout(timeout_s)  # type: ignore[union-attr]
        server = client.get_transport().remote_version  # type: ignore[union-attr]
    except (*sftp.BROKEN, paramiko.SSHException, paramiko.SFTPError) as error:
        client.close()
        raise Unreachable(where=login.where, reason=f"it does not open SFTP: {error}") from error
    return Connection(client, channel, sftp.READ_SIZE_OPENSSH if "OpenSSH" in server else sftp.READ_SIZE)
