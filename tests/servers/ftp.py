"""FTP servers: vsftpd and pyftpdlib, each without and with TLS."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from .base import Relay, Server, program_path

RUNNERS = Path(__file__).parent


class Vsftpd(Server):
    """vsftpd for its anonymous user, the only one it has without PAM; it knows no MLSD."""

    name = "vsftpd"
    programs = ("vsftpd",)
    install = "apt-get install vsftpd"
    unprivileged = True
    scheme = "ftp"
    user = "anonymous"
    password = "anonymous@"

    def command(self) -> list[str | Path]:
        configuration = self.directory / "vsftpd.conf"
        configuration.write_text(
            "listen=YES\n"
            f"listen_address={self.host}\n"
            f"listen_port={self.port}\n"
            "run_as_launching_user=YES\n"
            "background=NO\n"
            "seccomp_sandbox=NO\n"
            "anonymous_enable=YES\n"
            f"ftp_username={self.account}\n"
            "local_enable=NO\n"
            "write_enable=YES\n"
            "anon_upload_enable=YES\n"
            "anon_mkdir_write_enable=YES\n"
            "anon_other_write_enable=YES\n"
            "anon_world_readable_only=NO\n"
            "anon_umask=022\n"
            f"anon_root={self.root}\n"
            "no_anon_password=YES\n"
            "utf8_filesystem=YES\n"
            "xferlog_enable=NO\n"
            "max_clients=0\n"
            "max_per_ip=0\n"
        )
        return [program_path("vsftpd"), configuration]


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """An authority, and a server certificate it signed for 127.0.0.1 only, with its key in the same file."""
    import trustme

    authority = trustme.CA()
    ca_file, certificate = directory / "authority.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return ca_file, certificate


class VsftpdTls(Vsftpd):
    """vsftpd that demands TLS, and that data connections continue the session of the control connection."""

    name = "vsftpd_tls"
    modules = ("trustme",)
    install = "apt-get install vsftpd; pip install trustme"
    scheme = "ftps"

    def prepare(self) -> None:
        self.ca_file, self.certificate = make_certificate(self.directory)

    def command(self) -> list[str | Path]:
        program, configuration = super().command()
        with open(configuration, "a") as file:
            file.write(
                "ssl_enable=YES\n"
                f"rsa_cert_file={self.certificate}\n"
                f"rsa_private_key_file={self.certificate}\n"
                "allow_anon_ssl=YES\n"
                "force_anon_logins_ssl=YES\n"
                "force_anon_data_ssl=YES\n"
                "require_ssl_reuse=YES\n"
            )
        return [program, configuration]

    def relay_at(self, name: str) -> Relay:
        return replace(super().relay_at(name), ca_file=self.ca_file)


class PyFtpd(Server):
    """pyftpdlib in clear."""

    name = "pyftpd"
    modules = ("pyftpdlib",)
    install = "pip install pyftpdlib"
    scheme = "ftp"

    def command(self) -> list[str | Path]:
        return [sys.executable, RUNNERS / "run_pyftpd.py", self.root, str(self.port), self.user, self.password]


class PyFtpdTls(PyFtpd):
    """pyftpdlib that demands TLS on the control and the data connection."""

    name = "pyftpd_tls"
    modules = ("pyftpdlib", "OpenSSL", "trustme")
    install = "pip install pyftpdlib pyOpenSSL trustme"
    scheme = "ftps"

    def prepare(self) -> None:
        self.ca_file, self.certificate = make_certificate(self.directory)

    def command(self) -> list[str | Path]:
        return [*super().command(), self.certificate]

    def relay_at(self, name: str) -> Relay:
        return replace(super().relay_at(name), ca_file=self.ca_file)
