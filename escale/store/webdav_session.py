"""The connections to a WebDAV server, shared by a store and those within it, and the library's errors in our words."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..errors import Refused, Unreachable
from .tls import must_be_trusted

if TYPE_CHECKING:
    import httpx


class Session:
    """Where to log in and how, and what was found out about the server.

    `trust` makes the authorities to believe; None if nothing is encrypted.  `takes_chunks`: whether it takes uploads
    of unknown length, None as long as nobody tried.  `made`: addresses of collections that were there.
    """

    def __init__(
        self,
        url: str,
        login: tuple[str, str] | None,
        trust: Callable[[], ssl.SSLContext] | None,
        proxy: str | None,
        connect_timeout_s: float,
        timeout_s: float,
    ) -> None:
        self._url = url
        self._login = login
        self._trust = trust
        self._proxy = proxy
        self._timeouts_s = (connect_timeout_s, timeout_s)
        self._client: httpx.Client | None = None
        self.has_digest_login = False
        self.takes_chunks: bool | None = None
        self.made: set[str] = set()

    def close(self) -> None:
        """Close all connections; the next verb makes others."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        is_stream: bool = False,
    ) -> httpx.Response:
        """The answer; that of a stream is still to be read, and to be closed, if it is a good one."""
        with self.errors():
            client = self._connected()
            request = client.build_request(method, url, content=content, headers=headers)
            response = client.send(request, stream=is_stream)
            if not response.is_success:
                with closing(response):
                    response.read()
            if response.status_code == 401 and self._must_log_in_otherwise(response):
                return self.request(method, url, content=content, headers=headers, is_stream=is_stream)
        return response

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the library's errors; those of a source that is being read pass."""
        import httpx

        try:
            yield
        except (httpx.HTTPError, httpx.StreamError) as error:
            must_be_trusted(self._url, error)
            raise Unreachable(where=self._url, reason=str(error) or type(error).__name__) from error
        except httpx.InvalidURL as error:
            raise Refused(where=self._url, reason=f"not an address: {error}") from error

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            from .webdav_answers import bound_answers

            connect_s, other_s = self._timeouts_s
            self._client = httpx.Client(
                auth=self._authentication(),
                verify=self._trust() if self._trust is not None else False,
                proxy=self._proxy if self._proxy != "none" else None,
                trust_env=self._proxy is None,
                timeout=httpx.Timeout(other_s, connect=connect_s),
                headers={"Accept-Encoding": "identity", "User-Agent": "escale"},
                event_hooks={"response": [bound_answers(self._url)]},
            )
        return self._client

    def _authentication(self) -> httpx.Auth | None:
        """Basic goes along from the first request on, which saves asking and a body that is sent twice."""
        import httpx

        if self._login is None:
            return None
        return httpx.DigestAuth(*self._login) if self.has_digest_login else httpx.BasicAuth(*self._login)

    def _must_log_in_otherwise(self, response: httpx.Response) -> bool:
        """Whether the server wants Digest instead of Basic; from now on it gets that."""
        wanted = response.headers.get("www-authenticate", "").lower()
        if self._login is None or self.has_digest_login or "digest" not in wanted or "basic" in wanted:
            return False
        self.has_digest_login = True
        self.close()
        return True
