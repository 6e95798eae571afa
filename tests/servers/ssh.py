"""OpenSSH's sshd with keys and a configuration of its own: SFTP only, public-key login only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .base import Relay, Server, program_path


class Sshd(Server):
    """Log in as `user` with `key_file`; `other_key_file` is a good key that is not authorised."""

    name = "sshd"
    programs = ("sshd", "ssh-keygen")
    install = "apt-get install openssh-server"
    scheme = "sftp"
    password = ""
    sftp_options = ""
    more = ""
    pam = "no"

    def prepare(self) -> None:
        self.user = self.account
        if os.getuid() == 0:
            # Debian's service manager makes it; sshd run as root does not start without it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.key_file = _make_key(self.directory / "client_key")
        self.other_key_file = _make_key(self.directory / "other_key")
        self.host_key_file = _make_key(self.directory / "host_key")
        shutil.copy(self.directory / "client_key.pub", self.directory / "authorized_keys")

    @property
    def fingerprint(self) -> str:
        """The SHA256:... of its host key, as ssh-keygen prints it."""
        shown = subprocess.run(
            [program_path("ssh-keygen"), "-lf", f"{self.host_key_file}.pub"], check=True, capture_output=True, text=True
        )
        return shown.stdout.split()[1]

    def known_hosts_line(self) -> str:
        """The line a known_hosts file has for it."""
        return f"[{self.host}]:{self.port} " + Path(f"{self.host_key_file}.pub").read_text()

    def change_host_key(self) -> None:
        """Restart with another host key, as an impostor or a reinstalled machine would show."""
        for path in (self.host_key_file, Path(f"{self.host_key_file}.pub")):
            path.unlink()
        _make_key(self.host_key_file)
        self.restart()

    def command(self) -> list[str | Path]:
        configuration = self.directory / "sshd_config"
        configuration.write_text(
            f"Port {self.port}\n"
            f"ListenAddress {self.host}\n"
            f"HostKey {self.host_key_file}\n"
            "PidFile none\n"
            f"AuthorizedKeysFile {self.directory}/authorized_keys\n"
            "StrictModes no\n"
            f"UsePAM {self.pam}\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            f"Subsystem sftp internal-sftp {self.sftp_options}\n"
            f"{self.more}"
            "MaxStartups 200\n"
            "MaxSessions 200\n"
            "LogLevel ERROR\n"
        )
        # sshd starts itself again for each connection and insists on an absolute path for that.
        return [program_path("sshd"), "-D", "-e", "-f", configuration]

    def relay_at(self, name: str) -> Relay:
        path = self.root / name
        return Relay(
            url=f"sftp://{self.user}@{self.host}:{self.port}{path}",
            host=self.host,
            port=self.port,
            directory=str(path),
            user=self.user,
            key_file=self.key_file,
            host_key=self.fingerprint,
            path=path,
        )


class SshdPlain(Sshd):
    """sshd without OpenSSH's extensions, as other servers are: no rename that replaces, no sync, no free space."""

    name = "sshd_plain"
    sftp_options = "-P posix-rename,fsync,statvfs"


class SshdUser(Sshd):
    """sshd for an account that is not root; a system account is locked for sshd, but not for PAM."""

    name = "sshd_user"
    unprivileged = True
    pam = "yes"


class SshdAdding(SshdUser):
    """sshd that lets its account add files and do nothing else with those that are there."""

    name = "sshd_adding"
    requests = "open,close,read,write,fstat,lstat,stat,opendir,readdir,realpath,fsync,hardlink,statvfs,limits"
    more = f"DisableForwarding yes\nPermitTTY no\nForceCommand internal-sftp -u 0222 -p {requests}\n"


def _make_key(path: Path) -> Path:
    subprocess.run([program_path("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path
