"""What a WebDAV server answers to PROPFIND, read without trusting it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from ..errors import Corrupt, Refused, Unreachable
from .blob import BlobInfo

PROPERTIES = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>'
)
"""The body of our PROPFIND: the four properties a listing needs."""

SIZE_MAX = 256 * 1024 * 1024
"""Bytes of an answer we are willing to parse: some 400 000 blobs."""

RESPONSE_SIZE_MAX = 1024 * 1024
"""Bytes from the end of one response to that of the next, which has some hundreds."""

ELEMENTS_MAX = 10_000
"""Elements from the end of one response to that of the next, which has a dozen; one takes twenty times its bytes."""

_GONE = ("404", "410")

_DAV = "{DAV:}"
_RESPONSE = f"{_DAV}response"
_RESPONSE_DEPTH = 2


class Multistatus:
    """One answer, as it comes in: expat reads a piece to its end, also after it was told to stop, so let them be small.

    `where` is the address it came from, for errors.
    """

    def __init__(self, where: str, pieces: Iterable[bytes]) -> None:
        self._where = where
        self._found: list[BlobInfo] = []
        self._collections: list[tuple[int, str]] = []
        self._levels: Counter[int] = Counter()
        responses = _Responses(where, self._take)
        parser = ElementTree.XMLParser(target=responses)
        try:
            for piece in pieces:
                responses.expect(len(piece))
                parser.feed(piece)
            root = parser.close()
        except ElementTree.ParseError as error:
            # So ends a listing during which a file went away, on servers that notice only after they began to answer.
            raise Unreachable(where=where, reason=f"its listing is not XML: {error}") from error
        except (ValueError, LookupError) as error:
            raise Corrupt(where=where, reason=f"its listing cannot be read: {error}") from error
        if root.tag != f"{_DAV}multistatus":
            raise Corrupt(where=where, reason="its listing is not a WebDAV multistatus")

    def blobs(self) -> list[BlobInfo]:
        """The files, without the collections."""
        return self._found

    def collections(self) -> list[str]:
        """The names of the collections in the one that was asked for, which tells of itself, too, a level above."""
        top = min(self._levels, default=0)
        own = top if self._levels[top] == 1 else -1
        return [name for level, name in self._collections if level != own]

    def _take(self, response: ElementTree.Element) -> None:
        status = _status(response)
        if status.startswith(_GONE):
            return
        if not status.startswith("2"):
            # Of what may not be seen we cannot say that there is nothing.
            raise Refused(where=self._where, reason=f"its listing says {status}")
        properties = _properties(response)
        level, name = self._place(response.findtext(f"{_DAV}href", ""))
        self._levels[level] += 1
        if not name:
            return
        if properties.find(f"{_DAV}resourcetype/{_DAV}collection") is None:
            self._found.append(self._blob(name, properties))
        else:
            self._collections.append((level, name))

    def _place(self, href: str) -> tuple[int, str]:
        """How deep, and the last part of a path or of a whole address; what stands before differs behind proxies.

        Not everybody escapes what he should: a bare "?" or "#" in a path belongs to the name only if it is escaped.
        """
        try:
            path = urlsplit(href.strip()).path.rstrip("/")
            return path.count("/"), unquote(path.rpartition("/")[2])
        except ValueError as error:
            raise Corrupt(where=self._where, reason=f"its listing holds the address {href[:200]!r}") from error

    def _blob(self, name: str, properties: ElementTree.Element) -> BlobInfo:
        size = _text(properties, "getcontentlength")
        modified = _text(properties, "getlastmodified")
        try:
            mtime = parsedate_to_datetime(modified).timestamp() if modified else None
            length = int(size or 0)
            if length < 0:
                raise ValueError(f"it has {length} bytes")
        except (ValueError, ArithmeticError, LookupError) as error:
            raise Corrupt(where=self._where, reason=f"its listing is wrong about {name!r}: {error}") from error
        # Apache calls the tag of a file weak in its first second, and then the same tag strong.
        tag = _text(properties, "getetag").removeprefix("W/")
        return BlobInfo(name, length, mtime, tag or f"{modified}-{length}")


class _Responses(ElementTree.TreeBuilder):
    """Gives each response away as soon as it is whole, so that no more than one is held.

    Refuses a DOCTYPE: it is the only way to declare entities, hence to grow a small answer into a large one.
    """

    def __init__(self, where: str, take: Callable[[ElementTree.Element], None]) -> None:
        super().__init__()
        self._where = where
        self._take = take
        self._depth = 0
        self._elements = 0
        self._size = 0
        self._response_size = 0

    def expect(self, size: int) -> None:
        """So many bytes come next."""
        self._size += size
        self._response_size += size
        if self._size > SIZE_MAX:
            raise Corrupt(where=self._where, reason=f"its listing is larger than {SIZE_MAX} bytes")
        if self._response_size > RESPONSE_SIZE_MAX:
            reason = f"a response in its listing is larger than {RESPONSE_SIZE_MAX} bytes"
            raise Corrupt(where=self._where, reason=reason)

    def start(self, tag: str, attributes: dict[str, str], /) -> ElementTree.Element:
        self._depth += 1
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise Corrupt(where=self._where, reason=f"a response in its listing has more than {ELEMENTS_MAX} elements")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> ElementTree.Element:
        element = super().end(tag)
        if self._depth == _RESPONSE_DEPTH and tag == _RESPONSE:
            self._take(element)
            element.clear()
            self._elements = self._response_size = 0
        self._depth -= 1
        return element

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise Corrupt(where=self._where, reason="its listing declares a document type")


def _properties(response: ElementTree.Element) -> ElementTree.Element:
    """All properties the server has values for, under one element."""
    found = ElementTree.Element("found")
    for part in response.iterfind(f"{_DAV}propstat"):
        if " 200" in part.findtext(f"{_DAV}status", " 200"):
            for prop in part.iterfind(f"{_DAV}prop"):
                found.extend(prop)
    return found


def _status(response: ElementTree.Element) -> str:
    """What it says of the whole; of a response with some properties and without others, that of those it has."""
    parts = response.findall(f"{_DAV}propstat") or [response]
    told = [part.findtext(f"{_DAV}status", "HTTP/1.1 200 OK").partition(" ")[2].strip() for part in parts]
    return next((status for status in told if status.startswith("200")), told[0])


def _text(properties: ElementTree.Element, tag: str) -> str:
    return (properties.findtext(f"{_DAV}{tag}") or "").strip()
