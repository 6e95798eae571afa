"""Real servers for tests, by name: `SERVERS["sshd"]().start()`."""

from .base import Relay, Server
from .ftp import PyFtpd, PyFtpdTls, Vsftpd, VsftpdTls
from .proxy import Proxy
from .s3 import Moto, MotoLocked, RcloneS3
from .ssh import Sshd, SshdPlain
from .webdav import Apache, Lighttpd, RcloneWebdav, WsgiDav

SERVERS: dict[str, type[Server]] = {
    each.name: each
    for each in (
        Sshd,
        SshdPlain,
        Apache,
        Lighttpd,
        WsgiDav,
        RcloneWebdav,
        Moto,
        MotoLocked,
        RcloneS3,
        Vsftpd,
        VsftpdTls,
        PyFtpd,
        PyFtpdTls,
    )
}

__all__ = ["SERVERS", "Proxy", "Relay", "Server"]
