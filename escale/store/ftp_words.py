"""What the replies of FTP servers mean."""

from __future__ import annotations

import ftplib
import re
import ssl

from ..errors import NoRelaySpace, Refused, SecretError, StoreError, Unreachable

FULL_CODES = ("452", "552")
FULL_WORDS = re.compile(r"space|quota|disk full|failure writing to local file", re.IGNORECASE)
"""How servers say that the disk is full when they do not use the codes made for it; the last one is vsftpd's."""

LOGIN_CODES = ("331", "332", "430", "530", "532")


def translated(url: str, error: Exception, timeout_s: float) -> StoreError | SecretError:
    """The error in our words; `timeout_s` is how long nothing was heard, if it is one of silence."""
    reply = str(error)
    code = reply[:3]
    match error:
        case ftplib.Error() if code in FULL_CODES or FULL_WORDS.search(reply):
            return NoRelaySpace(where=url, reason=reply)
        case ftplib.Error() if code in LOGIN_CODES:
            return SecretError(what=f"{url} refused the log-in: {reply}")
        case ftplib.error_perm():
            return Refused(where=url, reason=reply)
        case ssl.SSLCertVerificationError():
            return Refused(where=url, reason=f"its certificate is not accepted: {error.verify_message}")
        case TimeoutError():
            return Unreachable(where=url, reason=f"no answer within {timeout_s:g} s")
        case ValueError() | OverflowError():
            # A reply that is not text, or a port that there cannot be.
            return Refused(where=url, reason=f"it answers what no FTP server says: {error}")
    return Unreachable(where=url, reason=reply or "the connection was lost")
