r"""File names as restic writes them into trees: quoted as Go quotes strings, so that any bytes fit into JSON.

`"`, `\`, control characters and what nobody can print are escaped; bytes that are not UTF-8 become \xNN.  Our names are
the strings of os.fsdecode, with such bytes as surrogates.
"""

from __future__ import annotations

import re
import sys

_SHORT = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v",
          "\\": r"\\", '"': r"\""}  # fmt: skip
_LONG = {short[1]: char for char, short in _SHORT.items()}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|())")


_CHARACTERS_MAX = 1 << 16
"""Of a quoted name: no system has names of more than 1024 bytes, each of which may stand as four characters."""


def quoted(name: str) -> str:
    """The name between the quotes of a Go string."""
    if name.isascii() and name.isprintable() and "\\" not in name and '"' not in name:
        return name
    return "".join(map(_quoted_character, name))


def unquoted(text: str) -> str:
    """The name that was quoted so; ValueError for what Go does not write."""
    if len(text) > _CHARACTERS_MAX:
        raise ValueError(f"{text[:20]!r}... is longer than a name can be")
    if "\\" not in text:
        return text
    pieces, end = [], 0
    for found in _ESCAPE.finditer(text):
        if found.lastindex == 6 or "\\" in text[end : found.start()]:
            raise ValueError(f"{text!r:.60} is not a quoted name")
        pieces += [text[end : found.start()].encode("utf-8", "surrogateescape"), _bytes_of(found)]
        end = found.end()
    pieces.append(text[end:].encode("utf-8", "surrogateescape"))
    return b"".join(pieces).decode("utf-8", "surrogateescape")


def _bytes_of(found: re.Match[str]) -> bytes:
    short, byte, four, eight, octal, _ = found.groups()
    if short:
        return _LONG.get(short, short).encode()
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8)])
    number = int(four or eight, 16)
    if number > sys.maxunicode:
        raise ValueError(f"{found[0]!r} is no character")
    return chr(number).encode("utf-8")


def _quoted_character(char: str) -> str:
    number = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    if char.isprintable():
        return char
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
