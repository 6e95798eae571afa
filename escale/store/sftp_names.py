"""Names of files on an SFTP server: taking a free one, replacing, removing; and what its answers taught us.

Version 3 of the protocol has few words: a rename does not say that the name was taken, and what makes it atomic are
extensions that OpenSSH offers and others do not.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import sftp_requests as sftp
from .sftp_requests import Answers, StatusError, Upload

if TYPE_CHECKING:
    from paramiko import SFTPClient, SSHClient

CREATE_ATTEMPTS = 3
"""Times a name may be freed by somebody else just after it was found taken."""


@dataclass(slots=True)
class Connection:
    """An SFTP channel and what was found out about its server."""

    client: SSHClient
    channel: SFTPClient
    read_size: int
    can_sync: bool = True
    can_replace: bool = True
    can_link: bool = True

    @property
    def is_alive(self) -> bool:
        """Whether it has not been lost, as far as is known."""
        transport = self.client.get_transport()
        return transport is not None and transport.is_active()


def open_upload(connection: Connection, path: str) -> Upload:
    """An upload to a new file; StatusError if the name is taken."""
    answers = Answers(connection.channel)
    return Upload(answers, sftp.open_file(answers, path, sftp.FOR_WRITING | sftp.CREATE | sftp.EXCLUSIVE))


def link_if_free(connection: Connection, temporary: str, path: str) -> bool | None:
    """Rename by a link, which does not overwrite; False if the name is taken, None if the server makes no links.

    Where nobody may remove anything the temporary name stays: it is another name of the same file and takes no space.
    """
    answers = Answers(connection.channel)
    linked = answers.send(sftp.EXTENDED, "hardlink@openssh.com", temporary, path)
    removed = answers.send(sftp.REMOVE, temporary)
    try:
        answers.take(linked)
        return True
    except StatusError as error:
        connection.can_link = error.code not in sftp.NOT_OFFERED
        # Like "taken", "impossible on this file system" is just a failure.
        return False if connection.can_link and exists(connection, path) else None
    finally:
        _must_be_gone(answers, removed)


def _must_be_gone(answers: Answers, removed: int) -> None:
    try:
        answers.take(removed)
    except StatusError as error:
        if error.code != sftp.PERMISSION_DENIED:
            raise


def open_if_free(connection: Connection, path: str) -> Upload | None:
    """An upload to a file that nobody had; None if the name is taken.

    The protocol has no word for "taken", only "failure": so we look.  What was deleted between the failure and the
    look may be ours now.
    """
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return open_upload(connection, path)
        except StatusError as error:
            if error.code not in (sftp.FAILURE, sftp.ALREADY_EXISTS):
                raise
            if exists(connection, path):
                return None
            if attempt == CREATE_ATTEMPTS - 1:
                raise
    return None


def exists(connection: Connection, path: str) -> bool:
    """Whether there is anything of that name."""
    try:
        Answers(connection.channel).ask(sftp.LSTAT, path)
    except StatusError as error:
        if error.code != sftp.NO_SUCH_FILE:
            raise
        return False
    return True


def make_directory(connection: Connection, path: str) -> None:
    """Make a directory in one that is there; no error if it is there already."""
    try:
        Answers(connection.channel).ask(sftp.MKDIR, path, sftp.no_attributes())
    except StatusError as error:
        if error.code not in (sftp.FAILURE, sftp.ALREADY_EXISTS) or not exists(connection, path):
            raise


def remove(connection: Connection, path: str) -> None:
    """Remove a file; no error if there is none."""
    try:
        Answers(connection.channel).ask(sftp.REMOVE, path)
    except StatusError as error:
        if error.code != sftp.NO_SUCH_FILE:
            raise


def replace(connection: Connection, temporary: str, path: str) -> None:
    """Rename over whatever has the name, at once if the server can."""
    if connection.can_replace:
        try:
            Answers(connection.channel).ask(sftp.EXTENDED, "posix-rename@openssh.com", temporary, path)
            return
        except StatusError as error:
            if error.code not in sftp.NOT_OFFERED:
                raise
    _replace_in_steps(connection, temporary, path)
    connection.can_replace = False


def _replace_in_steps(connection: Connection, temporary: str, path: str) -> None:
    """The protocol's own rename refuses a name that is taken, and says no more than "failure"."""
    try:
        Answers(connection.channel).ask(sftp.RENAME, temporary, path)
    except StatusError as error:
        if error.code not in (sftp.FAILURE, sftp.ALREADY_EXISTS) or not exists(connection, path):
            raise
        remove(connection, path)
        Answers(connection.channel).ask(sftp.RENAME, temporary, path)


def discard(connection: Connection, upload: Upload, path: str) -> None:
    """Remove what was not finished, if the server can still be told; `sweep` does it otherwise."""
    if connection.is_alive:
        # Whatever goes wrong here, the error that brought us here is the one to report.
        with suppress(Exception):
            upload.abandon()
            remove(connection, path)
