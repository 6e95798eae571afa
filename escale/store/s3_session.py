"""The connections to an S3 server, shared by a store and those within it, and the library's errors in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, cast

from ..errors import ConfigError, SecretError, StoreError, Unreachable, UserError
from .s3_words import translated
from .tls import must_be_trusted

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from mypy_boto3_s3 import S3Client

DRIVER_OPTIONS = ("addressing_style", "signature_version")
"""Names of `options`, as botocore knows them."""


class Session:
    """Where to connect and how, and the client once there is one.

    `login`: access key, secret key, session token.  `verify`: a file of authorities, or whether to trust the system's
    or anybody.
    """

    def __init__(
        self,
        login: tuple[str | None, str | None, str | None],
        endpoint_url: str | None,
        region: str | None,
        verify: bool | str,
        chosen: Mapping[str, Any],
    ) -> None:
        self._login = login
        self._endpoint_url = endpoint_url
        self._region = region
        self._verify = verify
        self._settings = chosen
        self._shared = _Shared()
        self._client: S3Client | None = None

    def client(self, url: str) -> S3Client:
        """The library's client; `url` is what errors without a better place name."""
        if self._client is None:
            self._client = self._shared.take(lambda: self._made(url))
        return self._client

    def another(self) -> Self:
        """For another thread, with the same client, which the library lets threads share."""
        session = copy(self)
        session._client = None
        return session

    def close(self) -> None:
        """Close all connections that nobody else shares; the next verb makes others."""
        if self._client is not None:
            self._client = None
            self._shared.give_back()

    def _made(self, url: str) -> S3Client:
        import botocore.session
        from botocore.config import Config
        from botocore.handlers import add_expect_header

        from .s3_answers import refuse_cut_answers

        session = botocore.session.Session()
        session.register_component("data_loader", _models())
        access_key, secret_key, session_token = self._login
        client: Any = session.create_client(
            "s3",
            endpoint_url=self._endpoint_url,
            region_name=self._region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=session_token,
            verify=self._verify,
            config=Config(**self._settings),
        )
        # Asking before each part whether it is welcome would cost a round trip a part.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        refuse_cut_answers(client, self._endpoint_url or url)
        return cast("S3Client", client)

    @contextmanager
    def errors(self, url: str, name: str | None) -> Iterator[None]:
        """Translate the library's errors.  `name` is what a 404 says is absent; None: the bucket itself."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (StoreError, UserError):
            raise
        except ClientError as error:
            raise translated(url, name, error.response) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise SecretError(what=f"no access key for {url}: {error}") from error
        except ParamValidationError as error:
            raise ConfigError(what=f"{url}: {error}") from error
        except (BotoCoreError, HTTPError, ResponseParserError) as error:
            must_be_trusted(url, error)
            reason = str(error).partition("\n")[0]
            raise Unreachable(where=self._endpoint_url or url, reason=reason) from error


class _Shared:
    """One client for several sessions, from the first who takes it until the last has given it back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._client: S3Client | None = None
        self._takers = 0

    def take(self, make: Callable[[], S3Client]) -> S3Client:
        with self._lock:
            if self._client is None:
                self._client = make()
            self._takers += 1
            return self._client

    def give_back(self) -> None:
        with self._lock:
            self._takers -= 1
            if self._client is not None and not self._takers:
                self._client.close()
                self._client = None


@cache
def _models() -> Loader:
    """The library's description of the protocol, read once: of each client it would take 17 MiB and 50 ms."""
    import botocore.session

    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader


def settings(
    connect_timeout_s: float,
    timeout_s: float,
    proxy: str | None,
    has_endpoint: bool,
    connections: int,
    options: Mapping[str, str],
) -> dict[str, Any]:
    """The keyword arguments of botocore's Config; ConfigError for an option it does not know."""
    unknown = sorted(set(options) - set(DRIVER_OPTIONS))
    if unknown:
        raise ConfigError(what=f"the S3 driver knows no option {unknown[0]!r}; it knows {', '.join(DRIVER_OPTIONS)}")
    # Names of buckets are seldom host names anywhere but at Amazon's.
    style = options.get("addressing_style", "path" if has_endpoint else "auto")
    chosen: dict[str, Any] = {
        "connect_timeout": connect_timeout_s,
        "read_timeout": timeout_s,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": connections,
        "s3": {"addressing_style": style},
        # Others than Amazon stumble over the newer checksums.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if "signature_version" in options:
        chosen["signature_version"] = options["signature_version"]
    if proxy is not None:
        chosen["proxies"] = {} if proxy == "none" else {"http": proxy, "https": proxy}
    return chosen
