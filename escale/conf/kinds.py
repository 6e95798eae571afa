"""Kinds of values: how text becomes a value, how a value is spelled, and what can be wrong with it.

A kind accepts the text of an INI file and the native values of a TOML file.  It raises BadValue, or notes a warning
and goes on; it opens nothing and knows no other key.  Kinds that concern the file system are in `paths`, those of the
relay's address in `address`.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .. import digest
from ..files.rules import compile_pattern
from . import faults
from .faults import Fault
from .toml import type_word

FLAGS = {
    **dict.fromkeys(("yes", "on", "true", "1", "y"), True),
    **dict.fromkeys(("no", "off", "false", "0", "n"), False),
}
_CLIENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BadValue(Exception):
    """Stays inside this package: a fault, its facts, and the part of the value that is meant."""

    def __init__(self, fault: Fault, start: int = 0, length: int | None = None, **facts: object) -> None:
        super().__init__(fault.code)
        self.fault = fault
        self.start = start
        self.length = length
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Place:
    """What a kind may know: the key as spelled, where relative paths begin, the environment, and where to warn.

    `may_lack_keys`: key files that do not exist yet are accepted, for the command that makes them.
    """

    key: str
    base: Path
    environ: Mapping[str, str]
    warn: Callable[[BadValue], None]
    may_lack_keys: bool = False


def did_you_mean(word: str, known: Sequence[str], cutoff: float = 0.6) -> str:
    """The beginning of a hint, or nothing."""
    close = difflib.get_close_matches(word.lower(), known, 1, cutoff)
    return f"did you mean '{close[0]}'? " if close else ""


class Kind(ABC):
    """One kind of value.

    `word` is what the documentation calls it, `possible` what it may find; an empty text means something to a kind that
    `may_be_empty`, and for the others the key counts as not set.  `percent_is_literal`: in INI files % is a sign like
    others, and nothing is inserted.
    """

    word: ClassVar[str]
    possible: ClassVar[tuple[Fault, ...]] = ()
    may_be_empty: ClassVar[bool] = False
    percent_is_literal: ClassVar[bool] = False

    def parse(self, raw: object, place: Place) -> Any:
        """The value of a text or native value; BadValue."""
        if not isinstance(raw, str):
            return self.native(raw, place)
        if any(character < " " and character not in "\t\n" for character in raw):
            raise BadValue(faults.CONTROL_CHARACTER)
        return self.read(raw, place)

    @abstractmethod
    def read(self, text: str, place: Place) -> Any:
        """The value of a text; BadValue."""

    def native(self, raw: object, place: Place) -> Any:
        """The value of what TOML knows beside text: by its text, if it is a plain one."""
        if isinstance(raw, bool):
            return self.read("yes" if raw else "no", place)
        if isinstance(raw, int | float):
            return self.read(str(raw), place)
        raise BadValue(faults.WRONG_TYPE, kind=self.word, type=type_word(raw))

    def show(self, value: Any) -> str:
        """The value as one would write it."""
        return str(value)

    @property
    def rule(self) -> str:
        """What a value must look like, in words."""
        return self.word


class Flag(Kind):
    """Yes or no."""

    word = "yes or no"
    possible = (faults.NOT_A_FLAG,)

    def read(self, text: str, place: Place) -> bool:
        if text.lower() not in FLAGS:
            raise BadValue(
                faults.NOT_A_FLAG,
                value=text,
                suggestion=did_you_mean(text, ["yes", "no", "on", "off", "true", "false"]),
            )
        return FLAGS[text.lower()]

    def show(self, value: Any) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A whole number in a range."""

    least: int
    most: int
    word = "whole number"
    possible = (faults.NOT_A_NUMBER, faults.OUT_OF_RANGE)

    def read(self, text: str, place: Place) -> int:
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise BadValue(faults.NOT_A_NUMBER, value=text)
        if not self.least <= int(text) <= self.most:
            raise BadValue(faults.OUT_OF_RANGE, least=self.least, most=self.most, value=text)
        return int(text)

    @property
    def rule(self) -> str:
        return f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of some words.  `synonyms` are folded; `refused` are known words with what to do instead."""

    values: tuple[str, ...]
    synonyms: Mapping[str, str]
    refused: Mapping[str, str]
    word = "one of some words"
    possible = (faults.NOT_A_CHOICE, faults.NOT_SERVED)

    def read(self, text: str, place: Place) -> str:
        word = text.lower()
        if word in self.refused:
            raise BadValue(faults.NOT_SERVED, value=text, advice=self.refused[word])
        word = self.synonyms.get(word, word)
        if word not in self.values:
            suggestion = did_you_mean(text, [*self.values, *self.synonyms])
            raise BadValue(faults.NOT_A_CHOICE, value=text, suggestion=suggestion, values=", ".join(self.values))
        return word

    @property
    def rule(self) -> str:
        also = f" (also written {', '.join(self.synonyms)})" if self.synonyms else ""
        return f"{', '.join(self.values)}{also}"


def choice(*values: str, synonyms: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None) -> Choice:
    """A Choice; the mappings may be left out."""
    return Choice(values, synonyms or {}, refused or {})


class TlsVersion(Kind):
    """The oldest version of TLS to accept; versions that are not safe are read as TLS."""

    word = "TLS version"
    possible = (faults.NOT_A_CHOICE, faults.OLD_TLS)
    _values = ("TLS", "TLSv1.2", "TLSv1.3")
    _old = ("sslv2", "sslv3", "sslv23", "tlsv1", "tlsv1.0", "tlsv1.1")

    def read(self, text: str, place: Place) -> str:
        for value in self._values:
            if text.lower() == value.lower():
                return value
        if text.lower() not in self._old:
            raise BadValue(faults.NOT_A_CHOICE, value=text, suggestion="", values=", ".join(self._values))
        if text.lower() != "sslv23":
            place.warn(BadValue(faults.OLD_TLS, value=text))
        return "TLS"

    @property
    def rule(self) -> str:
        return f"{', '.join(self._values)}; TLS is 1.2 or newer"


class Text(Kind):
    """Any text on one line."""

    word = "text"
    may_be_empty = True

    def read(self, text: str, place: Place) -> str:
        return " ".join(text.splitlines())


class User(Kind):
    """A user name or access key."""

    word = "text"
    possible = (faults.BAD_USER,)

    def read(self, text: str, place: Place) -> str:
        if ":" in text or "\n" in text:
            raise BadValue(faults.BAD_USER)
        return text

    @property
    def rule(self) -> str:
        return "no colon"


class ClientName(Kind):
    """The name of a client on its relay."""

    word = "name"
    possible = (faults.BAD_CLIENT_NAME,)

    def read(self, text: str, place: Place) -> str:
        if not _CLIENT_NAME.fullmatch(text):
            raise BadValue(faults.BAD_CLIENT_NAME, value=text)
        return text

    @property
    def rule(self) -> str:
        return "1 to 64 letters, digits, dots, dashes and underscores"


class Words(Kind):
    """A list: items between commas, or a TOML array."""

    word = "list"
    may_be_empty = True

    def read(self, text: str, place: Place) -> tuple[str, ...]:
        items: list[str] = []
        start = 0
        for part in text.split(","):
            item = part.strip()
            if item:
                items.append(self.item(item, start + part.index(item), place))
            start += len(part) + 1
        return tuple(items)

    def native(self, raw: object, place: Place) -> tuple[str, ...]:
        if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
            raise BadValue(faults.WRONG_TYPE, kind="a list of texts", type=type_word(raw))
        return tuple(self.item(item, 0, place) for item in raw)

    def item(self, text: str, start: int, place: Place) -> str:
        """One item, which begins at `start` in the value; BadValue."""
        return text

    def show(self, value: Any) -> str:
        return ", ".join(value)

    @property
    def rule(self) -> str:
        return "items between commas"


class Patterns(Words):
    """Patterns of 0.7, checked when the file is read."""

    word = "patterns"
    possible = (faults.BAD_EXPRESSION, faults.ONLY_STAR)

    def item(self, text: str, start: int, place: Place) -> str:
        try:
            compile_pattern(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadValue(faults.BAD_EXPRESSION, start, len(text), value=text, reason=error) from None
        if not text.startswith("/") and re.search(r"[?\[\]]", text):
            place.warn(BadValue(faults.ONLY_STAR, start, len(text), value=text))
        return text

    @property
    def rule(self) -> str:
        return (
            "between commas; * stands for anything, a pattern matches names that begin with it, /.../ is a regular"
            " expression (a comma ends it)"
        )


class Paging(Kind):
    """How a relay is divided into pages: 0 is one page, N a page for each directory N levels down.

    `no` is the protocol without an index, which is not spoken; it is read as one page, and `checks` refuses it where
    it would matter.
    """

    word = "yes or topdir:N"
    possible = (faults.NOT_A_CHOICE, faults.NO_EFFECT)

    def read(self, text: str, place: Place) -> int:
        found = re.fullmatch(r"topdir(?:\s*:\s*([1-9]))?", text.lower(), re.ASCII)
        if found:
            return int(found[1] or 1)
        if text.lower() not in FLAGS:
            suggestion = did_you_mean(text, ["yes", "topdir", "topdir:2"])
            raise BadValue(faults.NOT_A_CHOICE, value=text, suggestion=suggestion, values="yes, topdir, topdir:1 to 9")
        if not FLAGS[text.lower()]:
            place.warn(BadValue(faults.NO_EFFECT, reason=" as 'no': there is always an index"))
        return 0

    def show(self, value: Any) -> str:
        return f"topdir:{value}" if value else "yes"

    @property
    def rule(self) -> str:
        return "yes (one page), topdir (a page for each directory at the top), topdir:N (N levels down, 1 to 9)"


class Checksum(Kind):
    """The algorithm for content."""

    word = "name of a hash algorithm"
    possible = (faults.NOT_A_CHOICE,)

    def read(self, text: str, place: Place) -> str | None:
        if text.lower() in FLAGS:
            return digest.DEFAULT if FLAGS[text.lower()] else None
        try:
            digest.hasher(text.lower())
        except (ValueError, TypeError):
            values = "yes, no, sha512, sha256, blake2b, sha3_512 and the others of Python's hashlib"
            raise BadValue(faults.NOT_A_CHOICE, value=text, suggestion="", values=values) from None
        return text.lower()

    def show(self, value: Any) -> str:
        return value or "no"

    @property
    def rule(self) -> str:
        return "yes (sha512), no, or a name that Python's hashlib knows"


class NoEffect(Kind):
    """A setting of 0.7 that means nothing here: any value is accepted, with a warning."""

    word = "anything"
    may_be_empty = True
    possible = (faults.NO_EFFECT,)

    def parse(self, raw: object, place: Place) -> None:
        place.warn(BadValue(faults.NO_EFFECT, reason=""))

    def read(self, text: str, place: Place) -> None:
        raise AssertionError("values of settings without effect are not read")

    def show(self, value: Any) -> str:
        return "(no effect)"


class Option(Kind):
    """A parameter of the storage driver, passed on unchanged."""

    word = "anything"
    may_be_empty = True

    def read(self, text: str, place: Place) -> str:
        return text

    def native(self, raw: object, place: Place) -> object:
        return raw
