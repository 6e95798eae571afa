"""What the answers of S3 servers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import Missing, NoRelaySpace, NoSuchRelay, Refused, SecretError, StoreError, TooLarge, Unreachable


class Conflict(Refused):
    """{where} refused: {reason}"""


class BeyondTheEnd(Refused):
    """{where} refused: {reason}"""


def headers_of(answer: Any) -> Mapping[str, str]:
    """The headers of an answer, by their names in small letters."""
    headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


def relay_now(answer: Any) -> float:
    """The server's time when it answered."""
    return parsedate_to_datetime(headers_of(answer)["date"]).timestamp()


_CONFLICT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_LOGIN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken", "403", "401")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507")
_LATER = ("SlowDown", "RequestTimeout", "Throttling", "TooManyRequests", "OperationAborted", "408", "429")


def translated(url: str, name: str | None, answer: Any) -> StoreError | SecretError:
    """The error that an answer stands for.  `name` is what a 404 says is absent; None: the bucket itself."""
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    reason = f"{answer.get('Error', {}).get('Message') or code} ({code or status})"
    build: Callable[..., StoreError]
    if code == "NoSuchBucket" or (name is None and status == 404):
        build = NoSuchRelay
    elif code in ("NoSuchKey", "NoSuchUpload", "404"):
        return Missing(where=url, name=name)
    elif code in _CONFLICT or status == 412:
        build = Conflict
    elif code == "InvalidRange" or status == 416:
        build = BeyondTheEnd
    elif code in _FULL or status == 507:
        build = NoRelaySpace
    elif code == "EntityTooLarge" or status == 413:
        build = TooLarge
    elif code in _LATER or status >= 500:
        build = Unreachable
    elif code in _LOGIN or status in (401, 403):
        return SecretError(what=f"{url} does not let us in: {reason}")
    else:
        build = Refused
    return build(where=url, reason=reason)
