"""OddWebdav: a WebDAV server with a habit that real ones have, made from a good one and a layer in front of it."""

from __future__ import annotations

import gzip
import re
import threading

from ..store.spoiler import Spoiler

HIDDEN = re.compile(rb"<(\w+:)?response\b(?:(?!</\1?response>).)*?/\.[^/<]+/?</.*?</\1?response>", re.DOTALL)


class OddWebdav(Spoiler):
    """Forwards to `target_port`; all habits are off.

    `zips`: what it serves is compressed, with another ETag, unless that was ruled out.  `lowers`: small letters
    only.  `hides_dots`: a listing leaves out names that begin with a dot.  `size_max`: it refuses larger uploads with
    413.  `listings_behind`: a listing shows how things were so many listings ago.
    """

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._server.RequestHandlerClass = type("Handler", (_Habits, self._server.RequestHandlerClass), {})
        self.zips = self.lowers = self.hides_dots = False
        self.size_max = 0
        self.listings_behind = 0
        self.count = 0
        """How often it has made use of a habit."""
        self._listings: list[bytes] = []
        self._turn = threading.Lock()

    def listing(self, content: bytes) -> bytes:
        """What it says instead of this."""
        with self._turn:
            if self.hides_dots:
                content, hidden = HIDDEN.subn(b"", content)
                self.count += hidden
            if self.listings_behind:
                self._listings = [*self._listings, content][-1 - self.listings_behind :]
                self.count += self._listings[0] != content
                content = self._listings[0]
        return content


class _Habits:
    """What comes between the request and the good server."""

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        odd = self.spoiler
        if odd.size_max and self.command == "PUT" and len(body) > odd.size_max:
            odd.count += 1
            return 413, {}, b"<html>413 Request Entity Too Large</html>"
        if odd.lowers:
            self._lower()
        status, headers, content = super()._forward(body)
        if self.command == "PROPFIND" and status == 207 and self.headers.get("Depth") == "1":
            content = odd.listing(content)
        if odd.zips and self.command == "GET" and status == 200 and self._takes_gzip():
            odd.count += 1
            content = gzip.compress(content)
            headers = {name: value for name, value in headers.items() if name.lower() != "etag"}
            headers |= {"Content-Encoding": "gzip", "ETag": f'W/"gzip-{len(content)}"'}
        return status, headers, content

    def _takes_gzip(self) -> bool:
        return "gzip" in self.headers.get("Accept-Encoding", "gzip")

    def _lower(self) -> None:
        self.spoiler.count += self.path != self.path.lower()
        self.path = self.path.lower()
        if target := self.headers.get("Destination"):
            self.headers.replace_header("Destination", target.lower())
