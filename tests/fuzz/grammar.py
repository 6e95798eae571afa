"""Values of the right form in the wrong place: JSON, archives, listings and databases made by rule."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping

from hypothesis import strategies as st

WORDS = (
    "",
    ".",
    "..",
    "a",
    "a/b",
    "../escaped",
    "/etc/passwd",
    "a//b",
    ".escale/folder",
    "link/x",
    "d/absolute/x",
    "up/x",
    "to file",
    "to file/x",
    "a/../../x",
    "./a",
    "n" * 256,
    "é",
    "\udcff",
    "a\0b",
    "a\nb",
    "x/" * 2100,
)
"""Paths that lead elsewhere, and some that do not."""

paths = st.sampled_from(WORDS) | st.text(max_size=20)
numbers = st.sampled_from([-1, 0, 1, 511, 0o4777, 1 << 31, 1 << 32, 1 << 62, 1 << 63, 1 << 64, 10**400]) | st.integers()
atoms = st.none() | st.booleans() | numbers | st.floats() | paths | st.sampled_from(["\ud800", "\x1b[2J", "ab" * 32])
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(paths, inner, max_size=3))

RAW = ("1e999", "-1e999", "NaN", "1" * 5000, "[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "0" * 10, "'a'", "")
"""What no value spells as itself."""

_MARK = "mark of a place"


@st.composite
def objects(draw: st.DrawFn, honest: Mapping[str, object]) -> bytes:
    """The object of an honest client with some of its values replaced, some keys gone and some new."""
    made = dict(honest)
    for key in draw(st.lists(st.sampled_from(sorted(honest)), max_size=3)):
        made[key] = draw(values)
    for key in draw(st.lists(st.sampled_from(sorted(honest)), max_size=1)):
        made.pop(key, None)
    is_raw = draw(st.booleans())
    if is_raw:
        made[draw(st.sampled_from(sorted(honest)))] = _MARK
    text = json.dumps(made)
    return text.replace(f'"{_MARK}"', draw(st.sampled_from(RAW)) if is_raw else "0").encode("utf-8", "surrogatepass")


# -- archives

_TYPES = (
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CONTTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.GNUTYPE_SPARSE,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    b"Z",
)
_PAX_KEYS = (
    "path",
    "linkpath",
    "size",
    "mtime",
    "mode",
    "hdrcharset",
    "comment",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "GNU.sparse.map",
    "GNU.sparse.numblocks",
    "GNU.sparse.name",
)
_PAX_VALUES = ("", "0", "1", "-1", "1e999", "NaN", "1.5", "9" * 300, "9" * 30, "BINARY", "0,1,2,3", *WORDS[:12])

pax = st.dictionaries(st.sampled_from(_PAX_KEYS), st.sampled_from(_PAX_VALUES), max_size=3)
contents = st.sampled_from([b"", b"x", b"x" * 600, b"5\n0\n1\n" + bytes(600), b"30 path=../escaped\n", b"9" * 400])


def _field(number: int, size: int) -> bytes:
    """A number in octal, or base 256 where it does not fit."""
    if 0 <= number < 8 ** (size - 1):
        return b"%0*o\0" % (size - 1, number)
    return (b"\xff" if number < 0 else b"\x80") + (number % 256 ** (size - 1)).to_bytes(size - 1, "big")


def header(name: bytes, kind: bytes, size: int, mode: int, mtime: int, target: bytes) -> bytes:
    """One block, with a right checksum."""
    start = name[:100].ljust(100, b"\0") + _field(mode, 8) + bytes(16) + _field(size, 12) + _field(mtime, 12)
    end = kind + target[:100].ljust(100, b"\0") + b"ustar\x0000" + bytes(247)
    return start + b"%06o\0 " % (sum(start) + sum(end) + 8 * 32) + end


@st.composite
def tar_members(draw: st.DrawFn) -> bytes:
    """A member, with a pax header before it or not; its size may be said wrongly."""
    content = draw(contents)
    name = draw(paths).encode("utf-8", "surrogatepass")
    size = draw(st.just(len(content)) | st.just(len(content)) | numbers)
    fields = (draw(st.sampled_from(_TYPES)), size, draw(numbers), draw(numbers), draw(paths).encode("utf-8", "ignore"))
    info = tarfile.TarInfo("pax")
    info.pax_headers = draw(pax)
    before = b"" if not info.pax_headers else info.tobuf(tarfile.PAX_FORMAT)[: -tarfile.BLOCKSIZE]
    return before + header(name, *fields) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


tars = st.lists(tar_members(), max_size=5).map(lambda found: b"".join(found) + bytes(2 * tarfile.BLOCKSIZE))


# -- listings

DATES = (
    "",
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "1 Jan 99999 00:00:00 GMT",
    "Mon, 1 Jan 2020 00:00:00 +99999999999999",
    "Mon, 01 Jan 0001 00:00:00",
    "yesterday",
    "0 0 0 0 0",
    "(" * 50,
    "20231114221320",
    "99999999999999",
    "00000000000000",
    "٢٠٢٣١١١٤٢٢١٣٢٠",
    "20231114221320.999999",
)
SIZES = ("0", "17", "-5", "", "1e9", "²", "٣", "9" * 5000, "0x10", " 7 ", "9" * 30)
HREFS = (
    "/relay/a",
    "http://[::1/a",
    "http://[/a",
    "//",
    "?",
    "#",
    "%",
    "%2e%2e%2f",
    "%00",
    "%ff",
    "a" * 5000,
    "",
    "/relay/",
)
ENCODINGS = ("utf-8", "gb2312", "utf-16", "foo", "ascii", "latin-1", "utf-7", "", "\N{DIGIT ONE}")


@st.composite
def multistatus(draw: st.DrawFn) -> bytes:
    """An answer to PROPFIND with what no server should say."""
    responses = "".join(
        f"<D:response><D:href>{href}</D:href><D:propstat><D:prop><D:getcontentlength>{size}</D:getcontentlength>"
        f"<D:getlastmodified>{date}</D:getlastmodified></D:prop></D:propstat></D:response>"
        for href, size, date in draw(
            st.lists(st.tuples(*map(st.sampled_from, (HREFS, SIZES, DATES))), max_size=3),
        )
    )
    head = f'<?xml version="1.0" encoding="{draw(st.sampled_from(ENCODINGS))}"?>' if draw(st.booleans()) else ""
    deep = draw(st.sampled_from([0, 0, 20_000]))
    inside = "<a>" * deep + "</a>" * deep
    return f'{head}<D:multistatus xmlns:D="DAV:">{responses}{inside}</D:multistatus>'.encode()


facts = st.builds(
    lambda kind, size, date, name: f"type={kind};size={size};modify={date}; {name}\r\n".encode(),
    st.sampled_from(["file", "dir", "cdir", "²"]),
    st.sampled_from(SIZES),
    st.sampled_from(DATES),
    paths.map(lambda path: path.encode("utf-8", "replace").decode()),
)
list_lines = st.builds(
    lambda size, name: f"-rw-r--r-- 1 jane users {size} Nov 14 22:13 {name}\r\n".encode("utf-8", "surrogateescape"),
    st.sampled_from(SIZES),
    st.sampled_from(["0.lock", "café", " a", "\udcff", "a" * 300]),
)

REPLIES = (
    b"227 Entering Passive Mode (127,77,7,7,999,999)",
    b"227 (1,2,3,4,5,6,7)",
    b"229 (|||99999|)",
    b"150 \xe9",
    b"226 done",
    b"421 bye",
    b"550 no",
    b"213 " + "²".encode(),
    b"213 " + b"9" * 5000,
    b'257 "',
    b"999 x",
    b"250-a\r\n b\r\n250 c",
    b"220 " + b"x" * 9000,
    b"",
    b"213 99999999999999",
)
"""Lines in the place of honest ones in an FTP conversation."""
