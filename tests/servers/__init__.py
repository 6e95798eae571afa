"""Real servers for tests, by name: `SERVERS["sshd"]().start()`."""

from .base import Relay, Server
from .ftp import PyFtpd, PyFtpdTls, Vsftpd, VsftpdTls
from .proxy import Proxy
from .s3 import Moto, MotoGuarded, MotoLocked, RcloneS3
from .ssh import Sshd, SshdAdding, SshdPlain, SshdUser
from .webdav import Apache, Lighttpd, RcloneWebdav, WsgiDav

SERVERS: dict[str, type[Server]] = {
    each.name: each
    for each in (
        Sshd,
        SshdPlain,
        SshdUser,
        SshdAdding,
        Apache,
        Lighttpd,
        WsgiDav,
        RcloneWebdav,
        Moto,
        MotoLocked,
        MotoGuarded,
        RcloneS3,
        Vsftpd,
        VsftpdTls,
        PyFtpd,
        PyFtpdTls,
    )
}

__all__ = ["SERVERS", "Proxy", "Relay", "Server"]
