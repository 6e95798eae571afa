"""Whom to believe that he is the server, and how to prove who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ..errors import UntrustedCertificate


@dataclass(frozen=True, slots=True)
class Identity:
    """Our side of TLS.

    The client's certificate and its key (PEM; one file may hold both), for servers that ask for one, and the oldest
    version to speak, "TLSv1.3" or anything else for 1.2.
    """

    certificate: Path | None = None
    key: Path | None = None
    oldest: str = "TLS"


def authorities(ca_file: Path | str | None, verify: bool, identity: Identity) -> ssl.SSLContext:
    """The system's authorities, or only those of `ca_file` (PEM); with `verify` off anybody is believed."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if identity.oldest == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    if identity.certificate is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def must_be_trusted(where: str, error: BaseException) -> None:
    """Raise UntrustedCertificate if that is what lies behind a library's error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise UntrustedCertificate(where=where, reason=cause.verify_message) from error
        cause = cause.__cause__ or cause.__context__
