"""Whom to believe that he is the server."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..errors import UntrustedCertificate


def authorities(ca_file: Path | str | None, verify: bool) -> ssl.SSLContext:
    """The system's authorities, or only those of `ca_file` (PEM); with `verify` off anybody is believed."""
    context = ssl.create_default_context(cafile=ca_file)
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
